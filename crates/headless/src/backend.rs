//! [`Backend`]: one endpoint with its pool, its load and its state. It lives as long as the endpoint is listed, then drains.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headless_core::{AbortHandle, Connect, Endpoint, HasLoad, Load, Outcome, Timestamp, VerifyPeer};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::driver::Evidence;
use crate::histogram::Recorder;
use crate::pool::{self, Cap, ConnectError, PoolConfig, PoolState};

/// One endpoint, in use.
pub(crate) struct Backend<C: Connect> {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) load: Arc<Load>,
    /// Touched by `pool/` only, twice a request. WHY: of the mutexes there are, the one that costs least, with and without rivals.
    pub(crate) state: parking_lot::Mutex<PoolState<C>>,
    /// Grips on the connections that may be open, for the drain deadline. Touched when one is opened, never by a request.
    aborts: Mutex<Vec<Box<dyn AbortHandle>>>,
    /// Tells dials and probes that the pod is gone.
    pub(crate) closing: Notify,
    /// New, and unhealthy until it has been connected to. ORDERING: Relaxed; it only tells apart two reasons to be unhealthy.
    pub(crate) warming: AtomicBool,
    /// Why it could not be connected to, if the last dial failed.
    last_failure: Mutex<Option<ConnectError>>,
    /// How long callers waited that found no idle connection.
    pub(crate) waited: Recorder,
    /// How long dials took.
    pub(crate) dialled: Recorder,
    env: Arc<Env<C>>,
}

/// What all backends of a balancer share.
pub(crate) struct Env<C: Connect> {
    pub(crate) service: Arc<str>,
    pub(crate) connector: C,
    pub(crate) identify: Option<Box<dyn VerifyPeer>>,
    pub(crate) pool: PoolConfig,
    pub(crate) cap: Option<Cap<C>>,
    pub(crate) latency_window: Option<Duration>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) evidence: Arc<Evidence>,
    /// Connections end in `Drop`, which may run outside a runtime, and may have to start a dial for a waiter.
    pub(crate) runtime: Handle,
    /// Something a waiting `acquire` should look at: a new view, a pod reachable again, the end.
    pub(crate) changed: Notify,
    /// A connection of a removed pod came back.
    pub(crate) drained: Notify,
}

impl<C: Connect> Backend<C> {
    pub(crate) fn new(endpoint: Arc<Endpoint>, env: Arc<Env<C>>) -> Arc<Self> {
        let state = parking_lot::Mutex::new(pool::new_state(&env));
        let backend = Arc::new(Self {
            endpoint,
            load: Arc::new(Load::new()),
            state,
            aborts: Mutex::default(),
            closing: Notify::new(),
            warming: AtomicBool::new(false),
            last_failure: Mutex::default(),
            waited: Recorder::default(),
            dialled: Recorder::default(),
            env,
        });
        if let Some(cap) = &backend.env.cap {
            cap.join(&backend);
        }
        backend
    }

    /// Avoids the new pod until it has been connected to ([`warm_up`](Self::warm_up)).
    pub(crate) fn hold_back(&self) {
        self.warming.store(true, Relaxed);
        self.load.set_unhealthy(true);
    }

    #[inline]
    pub(crate) fn env(&self) -> &Env<C> {
        &self.env
    }

    /// Takes what a request saw into the latency figure, if the policy goes by latency.
    #[inline]
    pub(crate) fn observe(&self, started: Timestamp, outcome: Outcome) {
        if let Some(window) = self.env.latency_window {
            self.observe_latency(started, outcome, window);
        }
    }

    // Out of line, so that a request pays for it only if its policy wants it.
    #[inline(never)]
    fn observe_latency(&self, started: Timestamp, outcome: Outcome, window: Duration) {
        let now = self.env.clock.now();
        self.load.observe(now.since(started), outcome, now, window);
    }

    pub(crate) fn last_failure(&self) -> Option<ConnectError> {
        let failure = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone()
    }

    /// What the last dial came to.
    pub(crate) fn set_last_failure(&self, failure: Option<ConnectError>) {
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// A connection was opened; it can be cut by `handle`.
    pub(crate) fn opened(&self, handle: Box<dyn AbortHandle>) {
        let mut aborts = self.aborts.lock().unwrap_or_else(PoisonError::into_inner);
        aborts.retain(|handle| !handle.is_finished());
        aborts.push(handle);
    }

    /// Closes every connection, whoever is using it.
    pub(crate) fn cut(&self) {
        for handle in self.aborts.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            handle.abort();
        }
    }
}

impl<C: Connect> HasLoad for Backend<C> {
    fn load(&self) -> &Load {
        &self.load
    }
}

impl<C: Connect> fmt::Debug for Backend<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("endpoint", &self.endpoint)
            .field("load", &self.load)
            .finish_non_exhaustive()
    }
}
