//! [`Supersession`]: what a new answer says about an endpoint that it does not list. The questions only; the rules are in `mod.rs`.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::{Endpoint, EndpointKey, PodName, Snapshot};

/// A new answer, indexed by address and by pod, to ask what became of an old endpoint.
pub(super) struct Supersession<'a> {
    by_addr: HashMap<SocketAddr, &'a EndpointKey>,
    /// The pods, each with the address families it is listed in.
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

    /// The address now belongs to another pod: whoever keeps talking to it talks to a stranger.
    pub(super) fn is_other_pod_now(&self, old: &Endpoint) -> bool {
        self.by_addr.get(&old.addr()).is_some_and(|key| *key != old.key())
    }

    /// The old endpoint is certainly gone: its address is another pod's now, or its pod lives elsewhere (a StatefulSet runs
    /// at most one pod of a name), so there is nothing to hold on to.
    ///
    /// An address of the other family proves nothing: a pod has one of each, and a name server that loses one family for a
    /// moment would take a working set away.
    pub(super) fn is_superseded(&self, old: &Endpoint) -> bool {
        self.is_other_pod_now(old) || Self::pod_in_family(old).is_some_and(|pod| self.pods.contains(&pod))
    }

    fn pod_in_family(endpoint: &Endpoint) -> Option<(&PodName, bool)> {
        endpoint.pod().map(|pod| (pod, endpoint.addr().is_ipv4()))
    }
}

/// Whether what is missing and what came instead have no address family in common.
pub(super) fn is_other_family(missing: &[Arc<Endpoint>], new: &Snapshot) -> bool {
    let is_v4 = |endpoint: &Arc<Endpoint>| endpoint.addr().is_ipv4();
    let all = |v4: bool| missing.iter().all(|old| is_v4(old) == v4) && new.iter().all(|new| is_v4(new) != v4);
    all(true) || all(false)
}
