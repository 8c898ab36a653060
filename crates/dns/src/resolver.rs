//! [`DnsResolver`]: the public face of `lookup.rs`.

use std::fmt;
use std::sync::Arc;

use headless_core::{BoxFuture, Port, Resolution, Resolve, ServiceName, Target};

use crate::DnsResolverBuilder;
use crate::identity::PtrVerifier;
use crate::lookup::Lookup;

/// Looks up the pods of one headless Service over DNS.
///
/// It neither caches answers nor repeats lookups; it remembers how names are found (see the [crate's
/// documentation](crate)).
///
/// # Cancel safety
/// A lookup may be dropped at any time.
pub struct DnsResolver {
    lookup: Arc<Lookup>,
    port: Option<Port>,
}

impl DnsResolver {
    /// Settings for looking up `target`.
    pub fn builder(target: Target) -> DnsResolverBuilder {
        DnsResolverBuilder::new(target)
    }

    pub(crate) fn new(lookup: Lookup, port: Option<Port>) -> Self {
        Self {
            lookup: Arc::new(lookup),
            port,
        }
    }

    /// A check that asks DNS whether an address still belongs to the pod that is to be connected to; asks the same name servers
    /// as this resolver. For `BalancerBuilder::identify` of the `headless` crate.
    #[must_use]
    pub fn ptr_verifier(&self) -> PtrVerifier {
        PtrVerifier::new(Arc::clone(&self.lookup))
    }

    /// The full name of the Service, as it is asked.
    #[must_use]
    pub fn service_name(&self) -> &ServiceName {
        &self.lookup.wanted.service
    }
}

impl Resolve for DnsResolver {
    /// Asks once. A question waits at most three times the timeout for each name server; finding names adds at most 5
    /// s, since those that are missing then are found at the next lookups.
    fn resolve(&self) -> BoxFuture<'_, Resolution> {
        Box::pin(self.lookup.resolve())
    }

    fn service(&self) -> String {
        match &self.port {
            Some(port) => format!("{}:{port}", self.service_name()),
            None => self.service_name().to_string(),
        }
    }
}

impl fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsResolver")
            .field("service", &self.service())
            .finish_non_exhaustive()
    }
}
