//! What the task of a watch and its handles share, and the one trait in which a watch meets what
//! hangs on it ([`Subscriber`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use headless_core::{Diff, Event, RefreshState, Resolve, Snapshot, Timestamp};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::evidence::Evidence;

/// What a watch drives besides its own snapshots: balancers.
pub(crate) trait Subscriber: Send + Sync {
    /// Puts a new set into force before it returns. `diff` turns the set before into `snapshot`.
    fn apply(&self, snapshot: &Snapshot, diff: &Diff);

    /// Time has passed: maintains pools, ends drains. Returns after how long to call it again.
    fn maintain(&self, now: Timestamp) -> Duration;
}

/// One watch, as its handles and the registry know it.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) state: Arc<WatchState>,
    /// Also keeps the task alive: it ends when all receivers are gone.
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
}

/// What the task and the handles share.
pub(crate) struct WatchState {
    pub(crate) service: Arc<str>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) evidence: Arc<Evidence>,
    /// Where connections are opened, from whatever thread that is started.
    pub(crate) runtime: Handle,
    pub(crate) progress: Mutex<Progress>,
    /// For its hints; the task resolves.
    pub(super) resolver: Arc<dyn Resolve>,
    subscribers: Mutex<Vec<Weak<dyn Subscriber>>>,
}

/// Why the membership is what it is, and how often each rule applied.
pub(crate) struct Progress {
    pub(crate) refresh: RefreshState,
    pub(crate) counters: BTreeMap<Event, u64>,
}

impl WatchState {
    pub(crate) fn new(service: Arc<str>, clock: Arc<Clock>, progress: Progress, resolver: Arc<dyn Resolve>) -> Self {
        Self {
            service,
            clock,
            evidence: Arc::default(),
            runtime: Handle::current(),
            progress: Mutex::new(progress),
            resolver,
            subscribers: Mutex::default(),
        }
    }

    /// Applies the current snapshot to `subscriber`, then all later ones, with none lost in
    /// between.
    pub(crate) fn attach(&self, subscriber: &Arc<impl Subscriber + 'static>, current: impl FnOnce() -> Arc<Snapshot>) {
        // The lock that the task holds while it publishes: the snapshot cannot change meanwhile.
        let mut subscribers = self.subscribers.lock();
        let current = current();
        subscriber.apply(&current, &Diff::between(&Snapshot::default(), &current));
        let weak: Weak<dyn Subscriber> = Arc::downgrade(subscriber) as Weak<dyn Subscriber>;
        subscribers.push(weak);
    }

    /// Applies a new snapshot to all subscribers, and then calls `publish`: what the handles wake
    /// up finds the new set in force.
    pub(super) fn apply(&self, snapshot: &Snapshot, diff: &Diff, publish: impl FnOnce()) {
        let mut subscribers = self.subscribers.lock();
        subscribers.retain(|subscriber| subscriber.upgrade().inspect(|it| it.apply(snapshot, diff)).is_some());
        publish();
    }

    /// Maintains all subscribers. Returns the shortest time after which one needs it again.
    pub(super) fn maintain(&self, now: Timestamp) -> Option<Duration> {
        let subscribers = self.subscribers.lock();
        let waits = subscribers
            .iter()
            .filter_map(Weak::upgrade)
            .map(|subscriber| subscriber.maintain(now));
        waits.min()
    }
}
