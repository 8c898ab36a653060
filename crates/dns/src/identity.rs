//! [`PtrVerifier`]: whether a pod is still at its address, asked of DNS when a connection is opened.

use std::fmt;
use std::sync::Arc;

use headless_core::{BoxFuture, Endpoint, PeerMismatch, VerifyPeer};

use crate::confirm::{Verdict, verdict};
use crate::ladder::NameBy;
use crate::lookup::Lookup;

/// Refuses a pod whose name leads to another address by now, or whose address leads to another pod.
///
/// One forward question per new connection (`web-0.web.shop.svc… A`), and a reverse one with its own forward check only if the
/// name is denied. What DNS cannot tell is no contradiction: a pod without a name, one that is not ready any more, a name server
/// that fails. Behind a cache the check is as old as the cache, up to 30 s; it narrows the window of a reused address, and a name
/// that the protocol itself tells closes it.
///
/// Made by [`DnsResolver::ptr_verifier`](crate::DnsResolver::ptr_verifier).
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
            let (ask, wanted) = (&*self.lookup.ask, &self.lookup.wanted);
            match verdict(NameBy::Reverse, ask, wanted, endpoint.addr().ip(), pod).await {
                Ok(Verdict::Now(other)) => Err(PeerMismatch::new(format!("it belongs to {other}"))),
                Ok(Verdict::Moved) => Err(PeerMismatch::new(format!("DNS lists {pod} elsewhere"))),
                Ok(Verdict::Still | Verdict::Denied) | Err(_) => Ok(()),
            }
        })
    }
}

impl fmt::Debug for PtrVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PtrVerifier({})", self.lookup.wanted.service)
    }
}
