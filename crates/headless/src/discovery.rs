//! [`Discovery`]: a running watch of one Service. A cloneable handle to one task, which looks, believes and publishes.
//!
//! The task is `driver.rs`; it ends when the last handle is dropped. What to believe is `headless-core`'s `refresh`; what a
//! balancer does with it is `reconcile.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headless_core::{Event, Failure, FoundBy, Refresh, RefreshConfig, RefreshState, Resolve, Snapshot, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep_until;
use tracing::{Instrument, debug, info};

use crate::clock::Clock;
use crate::driver::{Driver, Evidence, Shared, Subscriber, look};
use crate::entropy::entropy;
use crate::error::{Closed, StartError};
use crate::registry::{self, Running};

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

impl Discovery {
    /// Watches the Service `target`, resolved by DNS as a pod of the cluster would: `web`, `web.shop`, `web.shop.svc:http`.
    ///
    /// Fails fast: one look, and an error if that finds no pod. [`Discovery::builder`] can wait instead, and takes a resolver
    /// with other settings (name server, namespace, pinned StatefulSet). A watch of the same Service that runs already is joined
    /// ([`shared`](DiscoveryBuilder::shared)).
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
        Self::builder(resolver).shared().start().await
    }

    /// A watch that looks with `resolver`; settings follow.
    pub fn builder(resolver: impl Resolve) -> DiscoveryBuilder {
        DiscoveryBuilder {
            resolver: Arc::new(resolver),
            refresh: RefreshConfig::default(),
            on_start: OnStart::FailFast,
            shared: false,
        }
    }

    pub(crate) const fn from_parts(shared: Arc<Shared>, snapshots: watch::Receiver<Arc<Snapshot>>) -> Self {
        Self { shared, snapshots }
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
            mode: Mode::of(belief, &snapshot),
            generation: snapshot.generation().get(),
            endpoints: snapshot.len(),
            held: belief.held,
            found_by: belief.found_by,
            ttl: belief.ttl,
            cached: belief.cached,
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
    pub fn request_reresolution(&self) {
        self.shared.evidence.request_reresolution();
    }

    pub(crate) fn clock(&self) -> &Arc<Clock> {
        &self.shared.clock
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.shared.runtime
    }

    pub(crate) fn evidence(&self) -> &Arc<Evidence> {
        &self.shared.evidence
    }

    pub(crate) fn attach(&self, subscriber: &Arc<impl Subscriber + 'static>) {
        self.shared.attach(subscriber, || self.snapshot());
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
    /// Whether DNS confirms what is believed.
    pub mode: Mode,
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
    /// Whether a cache sits between this program and the cluster's DNS: nothing fresher comes before the TTL runs out.
    pub cached: bool,
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

/// Whether DNS confirms what is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// The last look found these pods.
    Fresh,
    /// The last look failed; the pods are those known before.
    StaleOnError,
    /// The last look said that there are none; the pods are kept until that is believed.
    StaleOnNegative,
    /// There are no pods, as far as is known.
    Empty,
}

impl Mode {
    fn of(belief: &RefreshState, snapshot: &Snapshot) -> Self {
        match belief {
            _ if snapshot.is_empty() => Self::Empty,
            _ if belief.failures > 0 => Self::StaleOnError,
            _ if belief.last_negative.is_some() => Self::StaleOnNegative,
            _ => Self::Fresh,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh",
            Self::StaleOnError => "kept: DNS is failing",
            Self::StaleOnNegative => "kept: DNS says there are no pods",
            Self::Empty => "empty",
        })
    }
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
    shared: bool,
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

    /// Joins the shared watch of the same Service on the same runtime, if one runs already, whatever its settings: for programs
    /// in which many parts watch one Service, each by itself. The same Service is what [`Resolve::service`] names the same.
    pub fn shared(mut self) -> Self {
        self.shared = true;
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
        if let Some(running) = self.shared.then(|| registry::find(&service)).flatten() {
            return Ok(running);
        }
        let clock = Arc::new(Clock::start());
        let (refresh, counters) = self.first_look(&service, &clock).await?;
        let (publisher, snapshots) = watch::channel(Arc::clone(refresh.snapshot()));
        info!(service = %service, endpoints = refresh.snapshot().len(), "watching");
        let shared = Arc::new(Shared {
            service,
            clock,
            evidence: Arc::default(),
            runtime: Handle::current(),
            status: Mutex::new((refresh.state(), counters)),
            subscribers: Mutex::default(),
        });
        let publisher = Arc::new(publisher);
        let running = Running {
            shared: Arc::downgrade(&shared),
            publisher: Arc::downgrade(&publisher),
        };
        let span = tracing::info_span!("discovery", service = %shared.service);
        let driver = Driver::new(self.resolver, refresh, Arc::clone(&shared), publisher);
        tokio::spawn(driver.run().instrument(span));
        let service = Arc::clone(&shared.service);
        let discovery = Discovery { shared, snapshots };
        Ok(if self.shared {
            registry::enter(&service, discovery, running)
        } else {
            discovery
        })
    }

    /// Looks until there is something to begin with, or an error to return.
    async fn first_look(
        &self,
        service: &Arc<str>,
        clock: &Clock,
    ) -> Result<(Refresh, BTreeMap<Event, u64>), StartError> {
        let mut refresh = Refresh::new(self.refresh.clone());
        let mut counters = BTreeMap::new();
        let deadline = match self.on_start {
            OnStart::FailFast | OnStart::Empty => Timestamp::ZERO,
            OnStart::WaitUpTo(limit) => Timestamp::ZERO + limit,
        };
        loop {
            let resolution = look(Arc::clone(&self.resolver)).await;
            let failed = StartError::from_resolution(service, &resolution);
            let step = refresh.on(resolution, clock.advance(), entropy());
            *counters.entry(step.event).or_insert(0) += 1;
            let refused = || refresh.state().last_failure.filter(|_| step.event == Event::TooMany);
            let failed = failed.or_else(|| refused().map(|(_, failure)| StartError::unresolved(service, failure)));
            let Some(error) = failed.filter(|_| self.on_start != OnStart::Empty) else {
                return Ok((refresh, counters));
            };
            if refresh.next_poll() > deadline {
                return Err(error);
            }
            debug!(service = %service, error = %error, "no pods yet");
            sleep_until(clock.instant(refresh.next_poll())).await;
        }
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
