//! [`Supersession`]: what a new answer says about an endpoint that it does not list. The rules that
//! follow from it are in `mod.rs`.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::{Endpoint, EndpointKey, PodName, Snapshot};

/// A new answer, indexed by address and by pod.
pub(super) struct Supersession<'a> {
    by_addr: HashMap<SocketAddr, &'a EndpointKey>,
    /// The pods, each with the address families in which it is listed.
    pods: HashSet<(&'a PodName, bool)>,
}

impl<'a> Supersession<'a> {
    pub(super) fn under(new: &'a Snapshot) -> Self {
        Self {
            by_addr: new.iter().map(|endpoint| (endpoint.addr(), endpoint.key())).collect(),
            pods: new
                .iter()
                .filter_map(|endpoint| Self::pod_in_family(endpoint))
                .collect(),
        }
    }

    /// Returns whether the address of `old` now belongs to another pod, so that a connection would
    /// reach the wrong peer.
    pub(super) fn is_other_pod_now(&self, old: &Endpoint) -> bool {
        self.by_addr.get(&old.addr()).is_some_and(|key| *key != old.key())
    }

    /// Returns whether `old` is certainly gone: its address belongs to another pod now, or its pod
    /// has another address (a StatefulSet runs at most one pod of a name). Such an endpoint is
    /// never held.
    ///
    /// An address of the other family proves nothing: a pod may have one of each, and a name server
    /// that loses one family for a moment would remove a working set.
    pub(super) fn is_superseded(&self, old: &Endpoint) -> bool {
        self.is_other_pod_now(old) || Self::pod_in_family(old).is_some_and(|pod| self.pods.contains(&pod))
    }

    fn pod_in_family(endpoint: &Endpoint) -> Option<(&PodName, bool)> {
        endpoint.pod().map(|pod| (pod, endpoint.addr().is_ipv4()))
    }
}

/// Returns whether the missing endpoints and the new ones have no address family in common.
pub(super) fn is_other_family(missing: &[Arc<Endpoint>], new: &Snapshot) -> bool {
    let is_v4 = |endpoint: &Arc<Endpoint>| endpoint.addr().is_ipv4();
    let all = |v4: bool| missing.iter().all(|old| is_v4(old) == v4) && new.iter().all(|new| is_v4(new) != v4);
    all(true) || all(false)
}
