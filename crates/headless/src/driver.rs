//! The task behind all clones of a [`Discovery`](crate::Discovery): the single writer of everything that follows from DNS.
//!
//! It drives [`Refresh`] with a [`Resolve`] and timers, applies each new [`Snapshot`] to the balancers that hang on it, in the
//! same turn, and takes in what their connections have shown ([`Evidence`]). No thread, no lock held across an await.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use headless_core::{
    BoxFuture, EndpointKey, Event, Failure, FailureKind, Refresh, RefreshState, Resolution, Resolve, Snapshot, Step,
    Timestamp,
};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::entropy::entropy;
use crate::registry;

/// What the task drives besides the snapshots themselves: balancers.
pub(crate) trait Subscriber: Send + Sync {
    /// A new set. Returns when it is in force.
    fn apply(&self, snapshot: &Arc<Snapshot>);

    /// Time has passed: expire, drain. Returns after how long to come again.
    fn sweep(&self, now: Timestamp) -> Duration;
}

/// What the task and the handles share.
pub(crate) struct Shared {
    pub(crate) service: Arc<str>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) evidence: Arc<Evidence>,
    /// Where dials run, wherever they are started from.
    pub(crate) runtime: Handle,
    /// Why the set is believed, and how often each rule applied.
    pub(crate) status: Mutex<(RefreshState, BTreeMap<Event, u64>)>,
    pub(crate) subscribers: Mutex<Vec<Weak<dyn Subscriber>>>,
}

impl Shared {
    /// Applies the current snapshot to `subscriber`, then all later ones, with none lost in between.
    pub(crate) fn attach(&self, subscriber: &Arc<impl Subscriber + 'static>, current: impl FnOnce() -> Arc<Snapshot>) {
        // The lock that the task holds while it publishes: the snapshot cannot change meanwhile.
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscriber.apply(&current());
        let weak: Weak<dyn Subscriber> = Arc::downgrade(subscriber) as Weak<dyn Subscriber>;
        subscribers.push(weak);
    }
}

/// One look, bounded: a resolver that never answers is a timeout (invariant I8).
pub(crate) async fn look(resolver: Arc<dyn Resolve>) -> Resolution {
    match timeout(LOOK_LIMIT, resolver.resolve()).await {
        Ok(resolution) => resolution,
        Err(_elapsed) => Resolution::Failed(Failure::new(
            FailureKind::Timeout,
            format!("the lookup of {} did not end within {LOOK_LIMIT:?}", resolver.service()),
        )),
    }
}

/// The task behind all clones of a [`Discovery`].
pub(crate) struct Driver {
    resolver: Arc<dyn Resolve>,
    refresh: Refresh,
    shared: Arc<Shared>,
    publisher: Arc<watch::Sender<Arc<Snapshot>>>,
    next_sweep: Timestamp,
    /// The last look did not confirm what is believed.
    doubted: bool,
}

impl Driver {
    pub(crate) fn new(
        resolver: Arc<dyn Resolve>,
        refresh: Refresh,
        shared: Arc<Shared>,
        publisher: Arc<watch::Sender<Arc<Snapshot>>>,
    ) -> Self {
        Self {
            resolver,
            refresh,
            shared,
            publisher,
            next_sweep: Timestamp::ZERO,
            doubted: false,
        }
    }

    pub(crate) async fn run(mut self) {
        let mut looking: Option<BoxFuture<'static, Resolution>> = None;
        loop {
            let clock = Arc::clone(&self.shared.clock);
            let poll_due = sleep_until(clock.instant(self.refresh.next_poll()));
            let tick = self
                .refresh
                .next_tick()
                .map_or(self.next_sweep, |tick| tick.min(self.next_sweep));
            tokio::select! {
                () = self.publisher.closed() => {
                    if registry::leave(&self.publisher) {
                        return;
                    }
                }
                resolution = async { match looking.as_mut() { Some(look) => look.await, None => std::future::pending().await } } => {
                    looking = None;
                    let step = self.refresh.on(resolution, clock.advance(), entropy());
                    self.report(&step);
                }
                () = poll_due, if looking.is_none() => looking = Some(Box::pin(look(Arc::clone(&self.resolver)))),
                () = self.shared.evidence.arrived.notified() => self.weigh(),
                () = sleep_until(clock.instant(tick)) => {
                    if let Some(step) = self.refresh.tick(clock.advance()) {
                        self.report(&step);
                    }
                }
            }
            let now = clock.advance();
            if now >= self.next_sweep {
                self.next_sweep = now + self.sweep(now);
            }
        }
    }

    /// Takes in what connections have shown meanwhile.
    fn weigh(&mut self) {
        let (request_reresolution, connected) = self.shared.evidence.take();
        for key in connected {
            if let Some(step) = self.refresh.on_connected(&key) {
                self.report(&step);
            }
        }
        if request_reresolution {
            self.refresh.request_reresolution(self.shared.clock.now());
        }
    }

    fn report(&mut self, step: &Step) {
        self.tell(step);
        {
            let mut status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
            status.0 = self.refresh.state();
            *status.1.entry(step.event).or_insert(0) += 1;
        }
        if let Some(snapshot) = &step.snapshot {
            self.publish(snapshot);
            // Pods that left have a deadline now; the sweep says when to come again.
            self.next_sweep = Timestamp::ZERO;
        }
    }

    /// One event per change, with fixed field names: `service`, `event`, `generation`, `endpoints`, `reason`.
    fn tell(&mut self, step: &Step) {
        let (service, event) = (&*self.shared.service, step.event);
        let snapshot = self.refresh.snapshot();
        let (generation, endpoints) = (snapshot.generation().get(), snapshot.len());
        let belief = self.refresh.state();
        let reason = match event {
            Event::NegativeKept => belief.last_negative.map(|negative| negative.to_string()),
            Event::FailureKept | Event::TooMany => belief.last_failure.map(|(_, failure)| failure.to_string()),
            _ => None,
        };
        let doubted = reason.is_some();
        match reason {
            Some(reason) => warn!(service, ?event, generation, endpoints, reason, "pods kept"),
            None if step.snapshot.is_some() => info!(service, ?event, generation, endpoints, "pods changed"),
            None if self.doubted => info!(service, ?event, generation, endpoints, "pods confirmed"),
            None => debug!(service, ?event, generation, endpoints, "pods unchanged"),
        }
        // What time brings (a hold that ends) neither doubts nor confirms what DNS said last.
        if event != Event::Released {
            self.doubted = doubted;
        }
    }

    /// Balancers first: whoever is woken by the watch finds the new set in force.
    fn publish(&self, snapshot: &Arc<Snapshot>) {
        let mut subscribers = self.shared.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| subscriber.upgrade().inspect(|it| it.apply(snapshot)).is_some());
        self.publisher.send_replace(Arc::clone(snapshot));
    }

    fn sweep(&self, now: Timestamp) -> Duration {
        let subscribers = self.shared.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = subscribers
            .iter()
            .filter_map(Weak::upgrade)
            .map(|subscriber| subscriber.sweep(now));
        waits.min().unwrap_or(SWEEP_MAX).clamp(SWEEP_MIN, SWEEP_MAX)
    }
}

/// What connections have shown: the way from the pools to the task. Never blocks, never grows without bound.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    seen: Mutex<Seen>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    request_reresolution: bool,
    connected: Vec<EndpointKey>,
}

impl Evidence {
    /// A connection failed, or a caller finds no pod that fits: DNS may know more by now.
    pub(crate) fn request_reresolution(&self) {
        self.add(|seen| seen.request_reresolution = true);
    }

    /// A connection to this endpoint was opened.
    pub(crate) fn connected(&self, key: &EndpointKey) {
        self.add(|seen| {
            if !seen.connected.contains(key) {
                seen.connected.push(key.clone());
            }
        });
    }

    fn add(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        self.arrived.notify_one();
    }

    fn take(&self) -> (bool, Vec<EndpointKey>) {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        (seen.request_reresolution, seen.connected)
    }
}

/// The longest one look may take, above what `headless-dns` needs for all its questions.
const LOOK_LIMIT: Duration = Duration::from_secs(15);
/// How often balancers are invalidated, at least and at most.
const SWEEP_MIN: Duration = Duration::from_millis(10);
const SWEEP_MAX: Duration = Duration::from_secs(3600);
