//! [`Backend`]: one endpoint in use, with its load and its pool. It lives as long as the endpoint
//! is in the set, then drains.
//!
//! It decides whether its endpoint is healthy. A failed connection attempt makes it unhealthy and
//! asks the discovery to resolve again; from then on one probe at a time, with back-off, finds out
//! when it is back. Callers are sent there meanwhile only if nothing better is left.
//!
//! So do several connections in a row that ended before an answer. After that, a new connection
//! proves nothing: the endpoint is *on trial* until a request was answered (`trial.rs`).

mod trial;

use std::error::Error;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;

use headless_core::{Connect, Endpoint, HasLoad, Load, Outcome, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{debug, info};

use self::trial::Trial;
use crate::entropy::entropy;
use crate::evidence::Evidence;
use crate::pool::{ConnectError, ConnectFault, Pool, PoolContext, PoolObserver};

/// One endpoint, in use.
pub(crate) struct Backend<C: Connect> {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) load: Arc<Load>,
    pub(crate) pool: Arc<Pool<C>>,
    /// New, and unhealthy until it has been connected to.
    ///
    /// ORDERING: Relaxed; it only tells apart two reasons to be unhealthy.
    warming: AtomicBool,
    /// Why it could not be connected to, if the last attempt failed.
    last_failure: Mutex<Option<ConnectError>>,
    trial: Trial,
    context: Arc<BackendContext<C>>,
}

/// What all backends of a balancer have in common.
pub(crate) struct BackendContext<C: Connect> {
    pub(crate) pools: Arc<PoolContext<C>>,
    pub(crate) latency_window: Option<Duration>,
    pub(crate) evidence: Arc<Evidence>,
    /// A waiting `acquire` should try again: a new view, an endpoint reachable again, the end.
    pub(crate) changed: Notify,
    /// A connection to a removed endpoint was returned.
    pub(crate) drained: Notify,
}

impl<C: Connect> Backend<C> {
    pub(crate) fn new(endpoint: Arc<Endpoint>, context: Arc<BackendContext<C>>) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| {
            let observer: Weak<dyn PoolObserver> = this.clone();
            Self {
                load: Arc::new(Load::new()),
                pool: Pool::new(Arc::clone(&endpoint), Arc::clone(&context.pools), observer),
                warming: AtomicBool::new(false),
                last_failure: Mutex::default(),
                trial: Trial::default(),
                endpoint,
                context,
            }
        })
    }

    /// Makes the new endpoint unhealthy until it has been connected to
    /// ([`warm_up`](Self::warm_up)).
    pub(crate) fn hold_back(&self) {
        self.warming.store(true, Relaxed);
        self.load.set_unhealthy(true);
    }

    /// Opens the first connections of a new endpoint.
    pub(crate) fn warm_up(&self) {
        let connecting = self.pool.warm_up(self.load.is_unhealthy());
        if !connecting {
            // No permit is left: the endpoint takes requests as it is, and its first caller waits
            // for one.
            self.became_reachable();
        }
    }

    pub(crate) fn is_warming(&self) -> bool {
        self.warming.load(Relaxed)
    }

    pub(crate) fn last_failure(&self) -> Option<ConnectError> {
        self.last_failure.lock().clone()
    }

    /// Takes what a request saw into the latency figure, if the policy goes by latency.
    #[inline]
    pub(crate) fn observe(&self, started: Timestamp, outcome: Outcome) {
        if let Some(window) = self.context.latency_window {
            self.observe_latency(started, outcome, window);
        }
    }

    // Out of line, so that a request pays for it only if its policy goes by latency.
    #[inline(never)]
    fn observe_latency(&self, started: Timestamp, outcome: Outcome, window: Duration) {
        let now = self.context.pools.clock.now();
        self.load.observe(now.since(started), outcome, now, window);
    }

    /// A connection broke in use: the idle ones are not trusted, and DNS may know more by now.
    pub(crate) fn connection_broke(&self) {
        self.pool.invalidate_idle();
        self.request_reresolution();
    }

    /// A connection failed: DNS may know more by now.
    pub(crate) fn request_reresolution(&self) {
        self.context.evidence.request_reresolution();
    }

    /// A request was answered, the first one on its connection.
    #[inline]
    pub(crate) fn answered(&self) {
        if self.trial.is_open() {
            self.proved();
        }
    }

    #[cold]
    fn proved(&self) {
        self.trial.end();
        self.became_reachable();
    }

    /// A connection that never carried an answer has ended. `stream_of` is the number of a
    /// multiplexed one, whose end several leases report.
    pub(crate) fn ended_unanswered(self: &Arc<Self>, stream_of: Option<u64>, error: Box<dyn Error + Send + Sync>) {
        self.request_reresolution();
        if let Some(connections) = self.trial.ended_unanswered(stream_of) {
            let source = error.into();
            self.is_no_connection(ConnectFault::Unanswered { connections, source });
        }
    }

    /// A connection proved to be none after it was opened: the peer has refused it.
    pub(crate) fn refused(self: &Arc<Self>, error: C::Error) {
        self.trial.begin();
        self.request_reresolution();
        self.is_no_connection(ConnectFault::of(&self.context.pools.connector, error));
    }

    /// Connections are opened, and are none. Those that wait for one would only learn it later.
    fn is_no_connection(self: &Arc<Self>, fault: ConnectFault) {
        let error = self.pool.connect_error(fault);
        if self.became_unhealthy(&error) {
            self.pool.turn_away(&error);
        }
    }

    /// A connection was opened, or nothing is known against the endpoint: it is healthy.
    fn became_reachable(&self) {
        *self.last_failure.lock() = None;
        self.trial.connected();
        let was_warming = self.warming.swap(false, Relaxed);
        if self.load.set_unhealthy(false) {
            let (service, endpoint) = (&self.context.pools.service, &self.endpoint);
            match was_warming {
                true => debug!(%service, %endpoint, "new pod connected: takes requests"),
                false => info!(%service, %endpoint, "pod reachable again"),
            }
            self.context.changed.notify_waiters();
        }
    }

    /// A connection could not be opened, or was none. Returns whether this is news.
    fn became_unhealthy(self: &Arc<Self>, error: &ConnectError) -> bool {
        *self.last_failure.lock() = Some(error.clone());
        let newly = self.load.set_unhealthy(true);
        if newly || self.warming.swap(false, Relaxed) {
            let pools = &self.context.pools;
            info!(service = %pools.service, endpoint = %self.endpoint, %error, "pod unhealthy: unreachable");
            pools.runtime.spawn(Arc::clone(self).probe());
        }
        newly
    }

    /// Connects, one attempt at a time, until the endpoint answers or is removed.
    async fn probe(self: Arc<Self>) {
        while self.load.is_unhealthy() {
            let is_slow = self.last_failure().is_some_and(|last| last.fault.is_lasting());
            let wait = probe_wait(self.trial.next_probe(), is_slow, entropy());
            let waited = self.pool.unless_closed(sleep(wait)).await;
            if waited.is_none() || !self.load.is_unhealthy() {
                return;
            }
            self.pool.probe().await;
            if self.trial.is_on() && self.stays_connected().await {
                // Requests may try it; an answer ends the trial.
                if self.load.set_unhealthy(false) {
                    let service = &self.context.pools.service;
                    debug!(%service, endpoint = %self.endpoint, "pod on trial: takes requests");
                    self.context.changed.notify_waiters();
                }
                return;
            }
        }
    }

    /// Whether a connection is still open after a while.
    async fn stays_connected(&self) -> bool {
        let settled = self.pool.unless_closed(sleep(SETTLE)).await;
        settled.is_some() && self.pool.has_open()
    }
}

impl<C: Connect> PoolObserver for Backend<C> {
    fn connected(&self) {
        self.context.evidence.connected(self.endpoint.key());
        if !self.trial.is_on() {
            self.became_reachable();
        }
    }

    fn connect_failed(self: Arc<Self>, error: &ConnectError) {
        self.context.evidence.request_reresolution();
        if matches!(error.fault, ConnectFault::Dead) {
            self.trial.ended_unanswered(None);
        }
        self.became_unhealthy(error);
    }

    fn connection_lost(&self) {
        self.context.evidence.request_reresolution();
    }

    fn capacity_changed(&self) {
        self.context.changed.notify_waiters();
    }

    fn returned_after_close(&self) {
        self.context.drained.notify_waiters();
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

/// How long the connection of a probe has to stay open before an endpoint on trial takes requests.
const SETTLE: Duration = Duration::from_millis(100);

/// 200 ms, growing by 1.6 up to 5 s, ±20 % (gRPC's connection back-off, with a cap that fits a poll
/// interval).
///
/// `slow`, for what seldom passes by itself and costs the endpoint a handshake or a caller a
/// request: 1 s, growing by 1.6 up to 30 s, which is at most ten attempts in the first minute.
fn probe_wait(attempt: u32, slow: bool, entropy: u64) -> Duration {
    let (first, most) = match slow {
        true => (1.0, 30.0),
        false => (0.2, 5.0),
    };
    let grown: f64 = first * 1.6_f64.powi(attempt.min(20).cast_signed());
    let jitter = 0.8 + 0.4 * (f64::from((entropy >> 32) as u32) / f64::from(u32::MAX));
    Duration::from_secs_f64(grown.min(most) * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_back_off_to_five_seconds_with_jitter() {
        assert_eq!(probe_wait(0, false, 0), Duration::from_millis(160));
        assert_eq!(probe_wait(0, false, u64::MAX), Duration::from_millis(240));
        assert_eq!(probe_wait(1, false, 0), Duration::from_millis(256));
        assert_eq!(probe_wait(1000, false, 0), Duration::from_secs(4));
        assert_eq!(probe_wait(1000, false, u64::MAX), Duration::from_secs(6));
    }

    #[test]
    fn what_lasts_is_probed_at_most_nine_times_in_the_first_minute() {
        for (entropy, most) in [(0, 9), (u64::MAX / 2, 8), (u64::MAX, 7)] {
            let times = (0..).scan(Duration::ZERO, |at, attempt| {
                *at += probe_wait(attempt, true, entropy);
                Some(*at)
            });
            assert!(
                times.take_while(|at| *at <= Duration::from_secs(60)).count() <= most,
                "{entropy}"
            );
        }
        assert_eq!(probe_wait(1000, true, 0), Duration::from_secs(24));
    }
}
