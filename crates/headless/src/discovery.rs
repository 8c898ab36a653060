//! [`Discovery`]: a running watch of one Service. A cloneable handle to one task, which looks, believes and publishes.
//!
//! The task is the single writer of everything that follows from DNS: it drives [`Refresh`] with a [`Resolve`] and timers, and
//! applies each new [`Snapshot`] to the balancers that hang on it, in the same turn. It ends when the last handle is dropped.
//! What to believe is `headless-core`'s `refresh.rs`; what a balancer does with it is `reconcile.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use headless_core::{
    Belief, BoxFuture, EndpointKey, Event, Failure, FailureKind, FoundBy, Refresh, RefreshConfig, Resolution, Resolve,
    Snapshot, Step, Timestamp,
};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep_until, timeout};
use tracing::{Instrument, debug, info, warn};

use crate::clock::Clock;
use crate::entropy::entropy;
use crate::error::{Closed, StartError};

/// A running watch of one Service: who its pods are, now and as they change.
///
/// Cloning is cheap, and all clones share one task and one stream of DNS queries. The task stops when the last clone, and the
/// last balancer made from one, is dropped.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use headless::Discovery;
///
/// let mut web = Discovery::start("web.shop.svc:http").await?;
/// loop {
///     for endpoint in &*web.snapshot() {
///         println!("{endpoint}");
///     }
///     web.changed().await?;
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Discovery {
    shared: Arc<Shared>,
    /// Also keeps the task alive: it ends when all receivers are gone.
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

struct Shared {
    service: Arc<str>,
    clock: Arc<Clock>,
    evidence: Arc<Evidence>,
    status: Mutex<(Belief, BTreeMap<Event, u64>)>,
    subscribers: Mutex<Vec<Weak<dyn Subscriber>>>,
}

/// What the task drives besides the snapshots themselves: balancers.
pub(crate) trait Subscriber: Send + Sync {
    /// A new set. Returns when it is in force.
    fn apply(&self, snapshot: &Arc<Snapshot>);

    /// Time has passed: expire, drain. Returns after how long to come again.
    fn sweep(&self, now: Timestamp) -> Duration;
}

impl Discovery {
    /// Watches the Service `target`, resolved by DNS as a pod of the cluster would: `web`, `web.shop`, `web.shop.svc:http`.
    ///
    /// Fails fast: one look, and an error if that finds no pod. [`Discovery::with`] can wait instead, and takes a resolver
    /// with other settings (name server, namespace, pinned StatefulSet).
    ///
    /// # Errors
    /// [`StartError`]: the name cannot be read, no name server is configured, DNS fails, or the Service has no ready pod.
    ///
    /// # Cancel safety
    /// Nothing runs before it returns.
    #[cfg(feature = "dns")]
    pub async fn start(target: &str) -> Result<Self, StartError> {
        let target = target.parse().map_err(StartError::Name)?;
        let resolver = crate::dns::DnsResolver::builder(target)
            .build()
            .map_err(|e| StartError::Resolver(Box::new(e)))?;
        Self::with(resolver).start().await
    }

    /// A watch that looks with `resolver`; settings follow.
    pub fn with(resolver: impl Resolve) -> DiscoveryBuilder {
        DiscoveryBuilder {
            resolver: Arc::new(resolver),
            refresh: RefreshConfig::default(),
            on_start: OnStart::FailFast,
        }
    }

    /// The pods believed to be ready now. Never waits.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Waits for a snapshot that this handle has not seen yet, and returns it. Changes in between are skipped, not queued.
    ///
    /// # Errors
    /// [`Closed`] if the task is gone, which only a panic in a resolver or the runtime's end can bring about.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; the change is seen by the next call.
    pub async fn changed(&mut self) -> Result<Arc<Snapshot>, Closed> {
        self.snapshots.changed().await.map_err(|_| Closed)?;
        Ok(Arc::clone(&self.snapshots.borrow_and_update()))
    }

    /// Waits until `condition` holds of the current snapshot. Useful in tests and at start.
    ///
    /// # Errors
    /// [`Closed`], as for [`changed`](Self::changed).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn wait_for(&mut self, mut condition: impl FnMut(&Snapshot) -> bool) -> Result<Arc<Snapshot>, Closed> {
        let found = self
            .snapshots
            .wait_for(|snapshot| condition(snapshot))
            .await
            .map_err(|_| Closed)?;
        Ok(Arc::clone(&found))
    }

    /// How the watch is doing: for status pages, metrics and error messages.
    #[must_use]
    pub fn status(&self) -> Status {
        let now = self.shared.clock.now();
        let snapshot = self.snapshot();
        let status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        let (belief, counters) = (&status.0, status.1.clone());
        Status {
            service: Arc::clone(&self.shared.service),
            generation: snapshot.generation().get(),
            endpoints: snapshot.len(),
            held: belief.held,
            found_by: belief.found_by,
            ttl: belief.ttl,
            last_good_age: belief.last_good.map(|at| now.since(at)),
            next_poll_in: belief.next_poll.since(now),
            failures: belief.failures,
            last_failure: belief
                .last_failure
                .as_ref()
                .map(|(at, failure)| (now.since(*at), failure.clone())),
            last_negative: belief.last_negative.as_ref().map(ToString::to_string),
            counters,
        }
    }

    /// What is watched: `web.shop.svc.cluster.local:http`.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.shared.service
    }

    /// Asks for an early look, at most one a second: for evidence that only the application has, such as a reset in a protocol
    /// that `headless` does not speak.
    pub fn look_soon(&self) {
        self.shared.evidence.look_soon();
    }

    pub(crate) fn clock(&self) -> &Arc<Clock> {
        &self.shared.clock
    }

    pub(crate) fn evidence(&self) -> &Arc<Evidence> {
        &self.shared.evidence
    }

    /// Applies the current snapshot to `subscriber` and all later ones, with none lost in between.
    pub(crate) fn attach(&self, subscriber: &Arc<impl Subscriber + 'static>) {
        // The lock that the task holds while it publishes: the snapshot cannot change meanwhile.
        let mut subscribers = self.shared.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscriber.apply(&self.snapshot());
        let weak: Weak<dyn Subscriber> = Arc::downgrade(subscriber) as Weak<dyn Subscriber>;
        subscribers.push(weak);
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery")
            .field("service", &self.shared.service)
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}

/// The state of a watch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What is watched.
    pub service: Arc<str>,
    /// Which snapshot is current.
    pub generation: u64,
    /// How many endpoints it has.
    pub endpoints: usize,
    /// How many of these the last answer no longer listed.
    pub held: usize,
    /// How the pods were found.
    pub found_by: Option<FoundBy>,
    /// The TTL of the last good answer.
    pub ttl: Option<Duration>,
    /// How long ago pods were last found.
    pub last_good_age: Option<Duration>,
    /// When DNS is asked next.
    pub next_poll_in: Duration,
    /// Failed looks since the last answer.
    pub failures: u32,
    /// The last failure, and how long ago it was.
    pub last_failure: Option<(Duration, Failure)>,
    /// What DNS said, if it said last that there are no pods.
    pub last_negative: Option<String>,
    /// How often each rule of [`Refresh`] applied.
    pub counters: BTreeMap<Event, u64>,
}

/// What to do when the first look finds no pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnStart {
    /// Return the error at once. The default: a wrong name should not look like a slow cluster.
    #[default]
    FailFast,
    /// Look again until there is a pod, this long; then return the error.
    WaitUpTo(Duration),
    /// Start with an empty set, and let requests wait for pods.
    Empty,
}

/// Settings of a [`Discovery`].
#[derive(Clone)]
#[must_use = "nothing is watched before `start`"]
pub struct DiscoveryBuilder {
    resolver: Arc<dyn Resolve>,
    refresh: RefreshConfig,
    on_start: OnStart,
}

impl DiscoveryBuilder {
    /// When to look and what to believe. Default: [`RefreshConfig::default`].
    pub fn refresh(mut self, config: RefreshConfig) -> Self {
        self.refresh = config;
        self
    }

    /// What to do when the first look finds no pods. Default: [`OnStart::FailFast`].
    pub fn on_start(mut self, on_start: OnStart) -> Self {
        self.on_start = on_start;
        self
    }

    /// Looks for the first time, then goes on in the background.
    ///
    /// # Errors
    /// [`StartError`] if no pod was found, unless told otherwise ([`OnStart`]).
    ///
    /// # Cancel safety
    /// Nothing runs before it returns.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn start(self) -> Result<Discovery, StartError> {
        let service: Arc<str> = self.resolver.service().into();
        let clock = Arc::new(Clock::start());
        let mut refresh = Refresh::new(self.refresh);
        let deadline = match self.on_start {
            OnStart::FailFast | OnStart::Empty => Timestamp::ZERO,
            OnStart::WaitUpTo(limit) => Timestamp::ZERO + limit,
        };
        let mut counters = BTreeMap::new();
        loop {
            let resolution = look(Arc::clone(&self.resolver)).await;
            let failed = StartError::from_resolution(&service, &resolution);
            let step = refresh.on(resolution, clock.advance(), entropy());
            *counters.entry(step.event).or_insert(0) += 1;
            match failed {
                Some(error) if self.on_start != OnStart::Empty => {
                    if refresh.next_poll() > deadline {
                        return Err(error);
                    }
                    debug!(service = %service, error = %error, "no pods yet");
                    sleep_until(clock.instant(refresh.next_poll())).await;
                }
                _ => break,
            }
        }
        let (publisher, snapshots) = watch::channel(Arc::clone(refresh.snapshot()));
        info!(service = %service, endpoints = refresh.snapshot().len(), "watching");
        let shared = Arc::new(Shared {
            service,
            clock,
            evidence: Arc::default(),
            status: Mutex::new((refresh.belief(), counters)),
            subscribers: Mutex::default(),
        });
        let span = tracing::info_span!("discovery", service = %shared.service);
        let driver = Driver {
            resolver: self.resolver,
            refresh,
            shared: Arc::clone(&shared),
            publisher,
        };
        tokio::spawn(driver.run().instrument(span));
        Ok(Discovery { shared, snapshots })
    }
}

impl fmt::Debug for DiscoveryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscoveryBuilder")
            .field("service", &self.resolver.service())
            .field("refresh", &self.refresh)
            .finish_non_exhaustive()
    }
}

/// One look, bounded: a resolver that never answers is a timeout (invariant I8).
async fn look(resolver: Arc<dyn Resolve>) -> Resolution {
    match timeout(LOOK_LIMIT, resolver.resolve()).await {
        Ok(resolution) => resolution,
        Err(_elapsed) => Resolution::Failed(Failure::new(
            FailureKind::Timeout,
            format!("the lookup of {} did not end within {LOOK_LIMIT:?}", resolver.service()),
        )),
    }
}

/// The task behind all clones of a [`Discovery`].
struct Driver {
    resolver: Arc<dyn Resolve>,
    refresh: Refresh,
    shared: Arc<Shared>,
    publisher: watch::Sender<Arc<Snapshot>>,
}

impl Driver {
    async fn run(mut self) {
        let mut looking: Option<BoxFuture<'static, Resolution>> = None;
        let mut next_sweep = Timestamp::ZERO;
        loop {
            let clock = Arc::clone(&self.shared.clock);
            let poll_due = sleep_until(clock.instant(self.refresh.next_poll()));
            let tick = self.refresh.next_tick().map_or(next_sweep, |tick| tick.min(next_sweep));
            tokio::select! {
                () = self.publisher.closed() => return,
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
            if now >= next_sweep {
                next_sweep = now + self.sweep(now);
            }
        }
    }

    /// Takes in what connections have shown meanwhile.
    fn weigh(&mut self) {
        let (look_soon, connected) = self.shared.evidence.take();
        for key in connected {
            if let Some(step) = self.refresh.on_connected(&key) {
                self.report(&step);
            }
        }
        if look_soon {
            self.refresh.look_soon(self.shared.clock.now());
        }
    }

    fn report(&self, step: &Step) {
        let service = &*self.shared.service;
        match (&step.snapshot, step.event) {
            (Some(snapshot), event) => {
                info!(service, event = ?event, generation = %snapshot.generation(), endpoints = snapshot.len(), "pods changed");
            }
            (None, Event::NegativeKept | Event::FailureKept) => {
                let belief = self.refresh.belief();
                let failure = belief.last_failure.map(|(_, failure)| failure.to_string());
                let negative = belief.last_negative.map(|negative| negative.to_string());
                warn!(service, event = ?step.event, failure, negative, "pods kept");
            }
            (None, event) => debug!(service, event = ?event, "pods unchanged"),
        }
        {
            let mut status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
            status.0 = self.refresh.belief();
            *status.1.entry(step.event).or_insert(0) += 1;
        }
        if let Some(snapshot) = &step.snapshot {
            self.publish(snapshot);
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
    look_soon: bool,
    connected: Vec<EndpointKey>,
}

impl Evidence {
    /// A connection failed, or a caller finds no pod that fits: DNS may know more by now.
    pub(crate) fn look_soon(&self) {
        self.add(|seen| seen.look_soon = true);
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
        (seen.look_soon, seen.connected)
    }
}

/// The longest one look may take, above what `headless-dns` needs for all its questions.
const LOOK_LIMIT: Duration = Duration::from_secs(15);
/// How often balancers are swept, at least and at most.
const SWEEP_MIN: Duration = Duration::from_millis(10);
const SWEEP_MAX: Duration = Duration::from_secs(3600);
