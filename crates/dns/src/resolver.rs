//! [`DnsResolver`]: the public interface of `lookup.rs`.

use std::fmt;
use std::sync::Arc;

use headless_core::{BoxFuture, Port, Resolution, Resolve, ServiceName};

use crate::lookup::Lookup;
use crate::verifier::PtrVerifier;

/// Looks up the pods of one headless Service over DNS.
///
/// It neither caches answers nor repeats lookups. It remembers how names are found (see the
/// [crate's documentation](crate)).
///
/// # Cancel safety
/// A lookup may be dropped at any time.
pub struct DnsResolver {
    lookup: Arc<Lookup>,
    port: Option<Port>,
}

impl DnsResolver {
    pub(crate) fn new(lookup: Lookup, port: Option<Port>) -> Self {
        Self {
            lookup: Arc::new(lookup),
            port,
        }
    }

    /// Returns a verification that asks DNS, when a connection is opened, whether the address still
    /// belongs to its pod. It asks the same name servers as this resolver.
    ///
    /// Pass it to `BalancerBuilder::verify_peer` of the `headless` crate.
    #[must_use]
    pub fn ptr_verifier(&self) -> PtrVerifier {
        PtrVerifier::new(Arc::clone(&self.lookup))
    }

    /// Returns the full name of the Service that is looked up.
    #[must_use]
    pub fn service_name(&self) -> &ServiceName {
        &self.lookup.params.service
    }
}

impl Resolve for DnsResolver {
    /// Looks the pods up once.
    ///
    /// A question waits at most three times the timeout for each name server. Finding names adds at
    /// most 5 s; names that are missing then are found by the next lookups.
    fn resolve(&self) -> BoxFuture<'_, Resolution> {
        Box::pin(self.lookup.resolve())
    }

    fn service(&self) -> String {
        match &self.port {
            Some(port) => format!("{}:{port}", self.service_name()),
            None => self.service_name().to_string(),
        }
    }

    fn hint(&self) -> Option<String> {
        self.lookup.hint()
    }
}

impl fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsResolver")
            .field("service", &self.service())
            .finish_non_exhaustive()
    }
}
