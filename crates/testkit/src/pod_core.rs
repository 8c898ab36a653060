//! The state of one pod that its handles, its sockets and the control plane share.
//!
//! Every value that a task may wait for is a `watch`. Must not live here: the code that changes it
//! (`life`, `listen`, `app`, `http`).

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{Semaphore, watch};

use crate::{
    event::PodRef,
    fault::Failure,
    pod::{Phase, PodStats},
};

/// What the sockets of the pod may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SocketStage {
    Serving,
    Draining,
    Closed,
}

/// What a test has asked of the pod.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Knobs {
    pub(crate) latency: Duration,
    pub(crate) held: bool,
    /// With the number of requests it is left for, if it is limited.
    pub(crate) failure: Option<(Failure, Option<u32>)>,
}

/// The state of one incarnation of a pod.
#[derive(Debug)]
pub(crate) struct PodCore {
    pub(crate) name: String,
    pub(crate) workload: String,
    pub(crate) ordinal: Option<u32>,
    /// The Service under which the pod has its hostname.
    pub(crate) governing: Option<String>,
    pub(crate) ip: Ipv4Addr,
    pub(crate) v6: Option<Ipv6Addr>,
    pub(crate) ports: Vec<u16>,
    pub(crate) uid: u64,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) stage: watch::Sender<SocketStage>,
    /// Turns true when the pod's last socket is closed.
    pub(crate) closed: watch::Sender<bool>,
    pub(crate) stats: watch::Sender<PodStats>,
    pub(crate) knobs: watch::Sender<Knobs>,
    pub(crate) chunks: Semaphore,
}

impl PodCore {
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn reference(&self) -> PodRef {
        PodRef {
            name: self.name.clone(),
            ip: self.ip,
            uid: self.uid,
        }
    }

    /// Resolves when the pod's sockets have to end at least this way.
    pub(crate) async fn reaches(&self, stage: SocketStage) {
        let mut watched = self.stage.subscribe();
        // The sender is `self`, so it cannot go away meanwhile.
        let _ = watched
            .wait_for(|now| *now == stage || *now == SocketStage::Closed)
            .await;
    }

    /// The failure that applies now, without counting it.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.knobs.borrow().failure.map(|(failure, _)| failure)
    }

    /// The failure that applies to this request; counts it down.
    pub(crate) fn take_failure(&self) -> Option<Failure> {
        // Only the rare failing pod pays for the write lock.
        self.failure()?;
        let mut taken = None;
        self.knobs.send_if_modified(|knobs| {
            let Some((failure, left)) = &mut knobs.failure else {
                return false;
            };
            taken = Some(*failure);
            let Some(left) = left else { return false };
            *left = left.saturating_sub(1);
            if *left == 0 {
                knobs.failure = None;
            }
            true
        });
        taken
    }

    /// Waits as long as the test holds requests, and then for the latency.
    pub(crate) async fn admit(&self) {
        let held = self.knobs.borrow().held;
        if held {
            // The sender is `self`, so it cannot go away meanwhile.
            let mut knobs = self.knobs.subscribe();
            let _ = knobs.wait_for(|knobs| !knobs.held).await;
        }
        let latency = self.knobs.borrow().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }
}

/// Counts one request in flight while it lives.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<PodCore>);

impl InFlight {
    pub(crate) fn begin(pod: &Arc<PodCore>) -> Self {
        pod.stats.send_modify(|stats| {
            stats.requests += 1;
            stats.in_flight += 1;
        });
        Self(Arc::clone(pod))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.stats.send_modify(|stats| stats.in_flight -= 1);
    }
}
