//! One pod as a test sees it: its identity, its phase, what it has served, and the faults of a
//! test.
//!
//! Must not live here: the state behind it (`pod_core`), and the transitions between phases
//! (`life`).

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use crate::{
    error::Error,
    event::with_timeout,
    fault::Failure,
    pod_core::{InFlight, PodCore, SocketStage},
};

/// The phase of a pod's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Has an address and listens, has never been ready.
    Pending,
    /// Ready: listed in DNS.
    Ready,
    /// Was ready and is not now: serves, but is not listed.
    NotReady,
    /// Its process is dead and not yet detected as dead: listed, and connections are refused.
    Crashed,
    /// Being deleted: not listed, serves until its [`Termination`] is over.
    Terminating,
    /// All sockets closed, address free.
    Gone,
}

impl Phase {
    pub(crate) fn is_listed(self) -> bool {
        matches!(self, Self::Ready | Self::Crashed)
    }
}

/// How a pod ends when it is deleted. The pod leaves DNS at once; clients learn of it at their next
/// query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "tests write it as a literal")]
pub struct Termination {
    /// The preStop hook: for this long the pod serves as before. Give it more than your clients'
    /// poll interval.
    pub pre_stop: Duration,
    /// After `pre_stop`: `true` closes the listening socket, and the pod ends with its last
    /// connection. `false` goes on accepting, each connection for one request, until `grace` is
    /// over.
    pub stop_accepting: bool,
    /// After `pre_stop`: the longest time for open connections to end.
    pub grace: Duration,
}

impl Default for Termination {
    /// Small enough for demos: 300 ms of preStop, then at most 2 s for open connections.
    fn default() -> Self {
        Self {
            pre_stop: Duration::from_millis(300),
            stop_accepting: true,
            grace: Duration::from_secs(2),
        }
    }
}

impl Termination {
    /// Returns a termination without grace: sockets close when the pod leaves DNS.
    pub fn at_once() -> Self {
        Self {
            pre_stop: Duration::ZERO,
            stop_accepting: true,
            grace: Duration::ZERO,
        }
    }
}

/// What a pod has served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PodStats {
    /// Requests received (lines, for the echo application; what a custom application
    /// [counts](Pod::begin_request)), failed ones included. Those of an external program are not
    /// seen.
    pub requests: u64,
    /// Requests received whose answer is not completely handed over yet.
    pub in_flight: u64,
    /// Connections accepted. Those of an external program are not seen, nor are the next two.
    pub accepted: u64,
    /// Connections open now.
    pub open: u64,
    /// Listening sockets: one for each port, and 0 while connections are refused.
    pub listening: u64,
}

/// A request in flight in a custom application: see [`Pod::begin_request`].
#[derive(Debug)]
pub struct RequestInFlight {
    /// Held, never read.
    _in_flight: InFlight,
}

/// Handle to one incarnation of a pod. A pod restarted under the same name is another `Pod` with
/// another [`uid`](Pod::uid).
#[derive(Clone, Debug)]
pub struct Pod {
    pub(crate) core: Arc<PodCore>,
}

impl Pod {
    /// Returns the pod's name: `web-1`, or `api-5d4f8c7b9d-x2x4v`.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Returns the number at the end of a StatefulSet pod's name; `None` for other pods.
    pub fn ordinal(&self) -> Option<u32> {
        self.core.ordinal
    }

    /// Returns the pod's address.
    pub fn ip(&self) -> Ipv4Addr {
        self.core.ip
    }

    /// Returns the pod's IPv6 address in DNS, in a dual-stack cluster. Nothing listens there.
    pub fn ipv6(&self) -> Option<Ipv6Addr> {
        self.core.v6
    }

    /// Returns the pod's address with its first port, or port 0 if it has none.
    pub fn addr(&self) -> SocketAddr {
        let port = self.core.ports.first().copied().unwrap_or_default();
        (self.core.ip, port).into()
    }

    /// Returns the pod's id, which is different for each pod ever started.
    pub fn uid(&self) -> u64 {
        self.core.uid
    }

    /// Returns the pod's current phase.
    pub fn phase(&self) -> Phase {
        self.core.phase()
    }

    /// Returns what the pod has served so far.
    pub fn stats(&self) -> PodStats {
        *self.core.stats.borrow()
    }

    /// Counts a request, for a custom application: as received from now on, and as in flight until
    /// the value is dropped.
    #[must_use = "the request is in flight until the value is dropped"]
    pub fn begin_request(&self) -> RequestInFlight {
        RequestInFlight {
            _in_flight: InFlight::begin(&self.core),
        }
    }

    /// Returns the number of requests received so far.
    pub fn requests(&self) -> u64 {
        self.stats().requests
    }

    /// Delays each answer of [`App::http`](crate::App::http) or [`App::echo`](crate::App::echo) by
    /// this time. Other programs are not delayed.
    pub fn set_latency(&self, latency: Duration) {
        self.core.knobs.send_modify(|knobs| knobs.latency = latency);
    }

    /// Keeps requests unanswered from now on, until [`release`](Self::release). They are counted as
    /// in flight. Like [`set_latency`](Self::set_latency), it has an effect on
    /// [`App::http`](crate::App::http) and [`App::echo`](crate::App::echo) only.
    pub fn hold(&self) {
        self.core.knobs.send_modify(|knobs| knobs.held = true);
    }

    /// Ends [`hold`](Self::hold).
    pub fn release(&self) {
        self.core.knobs.send_modify(|knobs| knobs.held = false);
    }

    /// Releases `count` more chunks of `/stream?step` bodies.
    pub fn release_chunks(&self, count: usize) {
        self.core.chunks.add_permits(count);
    }

    /// Makes the pod fail from now on. [`Failure`] says which failures apply to which program.
    pub fn fail(&self, failure: Failure) {
        self.set_failure(Some((failure, None)));
    }

    /// Makes the next `times` requests fail. Requests are counted by
    /// [`App::http`](crate::App::http) and [`App::echo`](crate::App::echo); with another program
    /// the failure lasts until [`heal`](Self::heal).
    pub fn fail_next(&self, times: u32, failure: Failure) {
        self.set_failure((times > 0).then_some((failure, Some(times))));
    }

    /// Ends [`fail`](Self::fail). Connections that hang already keep hanging until they are closed.
    pub fn heal(&self) {
        self.set_failure(None);
    }

    fn set_failure(&self, failure: Option<(Failure, Option<u32>)>) {
        self.core.knobs.send_modify(|knobs| knobs.failure = failure);
    }

    /// Resolves when the pod receives its SIGTERM: a custom application should then finish and
    /// close.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn draining(&self) {
        self.core.reaches(SocketStage::Draining).await;
    }

    /// Waits until `wanted` accepts the counters, for example `|stats| stats.in_flight == 2`.
    ///
    /// # Errors
    /// [`Error::NotSeen`] after 10 s.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_stats(&self, wanted: impl FnMut(&PodStats) -> bool) -> Result<PodStats, Error> {
        let mut stats = self.core.stats.subscribe();
        let seen = async {
            let seen = stats.wait_for(wanted).await;
            seen.map(|stats| *stats).map_err(|_| Error::Stopped)
        };
        let what = || format!("pod {} to count differently than {:?}", self.name(), self.stats());
        with_timeout(what, seen).await
    }

    /// Waits until the pod is in this phase.
    ///
    /// # Errors
    /// [`Error::NotSeen`] after 10 s.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_phase(&self, wanted: Phase) -> Result<(), Error> {
        let mut phase = self.core.phase.subscribe();
        let seen = async {
            let seen = phase.wait_for(|phase| *phase == wanted).await;
            seen.map(|_| ()).map_err(|_| Error::Stopped)
        };
        let what = || format!("pod {} to be {wanted:?} (it is {:?})", self.name(), self.phase());
        with_timeout(what, seen).await
    }
}
