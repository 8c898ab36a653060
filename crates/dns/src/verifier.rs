//! [`PtrVerifier`]: asks DNS, when a connection is opened, whether the address still belongs to the
//! pod.

use std::fmt;
use std::sync::Arc;

use headless_core::{BoxFuture, Endpoint, PeerMismatch, VerifyPeer};

use crate::confirm::{NameCheck, check_name};
use crate::lookup::Lookup;
use crate::strategy::NameSource;

/// Refuses an endpoint whose name leads to another address, or whose address leads to another pod.
///
/// It asks one forward question per new connection (`web-0.web.shop.svc… A`). Only if the name is
/// denied, it asks a reverse question, with a forward question for its answer. What DNS cannot tell
/// is not refused: a pod without a name, a pod that is not ready any more, a name server that
/// fails. Behind a cache the verification is as old as the cache, up to 30 s. So it shortens the
/// time in which a reused address goes unnoticed; a name in the protocol itself rules it out.
///
/// It is returned by [`DnsResolver::ptr_verifier`](crate::DnsResolver::ptr_verifier).
pub struct PtrVerifier {
    lookup: Arc<Lookup>,
}

impl PtrVerifier {
    pub(crate) fn new(lookup: Arc<Lookup>) -> Self {
        Self { lookup }
    }
}

impl VerifyPeer for PtrVerifier {
    fn verify_peer<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<(), PeerMismatch>> {
        Box::pin(async move {
            let Some(pod) = endpoint.pod() else { return Ok(()) };
            let (transport, params) = (&*self.lookup.transport, &self.lookup.params);
            match check_name(NameSource::Reverse, transport, params, endpoint.addr().ip(), pod).await {
                Ok(NameCheck::OtherPod(other)) => Err(PeerMismatch::new(format!("it belongs to {other}"))),
                Ok(NameCheck::Moved) => Err(PeerMismatch::new(format!("DNS lists {pod} elsewhere"))),
                Ok(NameCheck::Confirmed | NameCheck::Denied) | Err(_) => Ok(()),
            }
        })
    }
}

impl fmt::Debug for PtrVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PtrVerifier({})", self.lookup.params.service)
    }
}
