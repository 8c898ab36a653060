//! [`DiscoveryBuilder`]: the settings of a [`Discovery`], and its first lookup.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless_core::{Event, Refresh, RefreshConfig, Resolve, Timestamp};
use tokio::sync::watch;
use tokio::time::sleep_until;
use tracing::{Instrument, Span, debug, info};

use super::Discovery;
use super::driver::{Driver, resolve};
use super::registry::{self, Running};
use super::watch::{Progress, Watch, WatchState};
use crate::clock::Clock;
use crate::entropy::entropy;
use crate::error::StartError;

/// What to do when the first lookup finds no endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnStart {
    /// Return the error at once. The default: a wrong name should not look like a slow cluster.
    #[default]
    FailFast,
    /// Resolve again until there is an endpoint, for at most this long; then return the error.
    WaitUpTo(Duration),
    /// Start with an empty set, and let requests wait for endpoints.
    Empty,
}

/// The settings of a [`Discovery`].
#[derive(Clone)]
#[must_use = "nothing is watched before `start`"]
pub struct DiscoveryBuilder {
    resolver: Arc<dyn Resolve>,
    refresh: RefreshConfig,
    on_start: OnStart,
    shared: bool,
}

impl Discovery {
    /// Watches the Service `target`, resolved by DNS as a pod of the cluster would: `web`,
    /// `web.shop`, `web.shop.svc:http`.
    ///
    /// Fails fast: it resolves once, and returns an error if that finds no endpoint.
    /// [`Discovery::builder`] can wait instead, and takes a resolver with other settings (name
    /// server, namespace, pinned StatefulSet). A watch of the same Service that runs already is
    /// joined ([`shared`](DiscoveryBuilder::shared)).
    ///
    /// # Errors
    /// [`StartError`]: the name cannot be read, no name server is configured, DNS fails, or the
    /// Service has no ready pod.
    ///
    /// # Cancel safety
    /// Nothing runs before it returns.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    #[cfg(feature = "dns")]
    pub async fn start(target: &str) -> Result<Self, StartError> {
        let target = target.parse().map_err(StartError::Name)?;
        let resolver = crate::dns::DnsResolver::builder(target)
            .build()
            .map_err(|e| StartError::Resolver(Box::new(e)))?;
        Self::builder(resolver).shared().start().await
    }

    /// Returns a builder of a watch that resolves with `resolver`.
    ///
    /// A resolver is [`DnsResolver`](crate::dns::DnsResolver), a [`StaticList`](crate::StaticList),
    /// or your own [`Resolve`]:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use headless::{Answer, BoxFuture, Discovery, Endpoint, FoundBy, Resolve};
    /// use headless::{Failure, FailureKind, Resolution};
    ///
    /// /// Reads the endpoints from a file, one `address:port` a line.
    /// struct HostsFile(std::path::PathBuf);
    ///
    /// impl Resolve for HostsFile {
    ///     fn resolve(&self) -> BoxFuture<'_, Resolution> {
    ///         Box::pin(async {
    ///             let text = match std::fs::read_to_string(&self.0) {
    ///                 Ok(text) => text,
    ///                 Err(e) => {
    ///                     // A failed lookup: the endpoints known before are kept.
    ///                     let failure = Failure::new(FailureKind::Io, e.to_string());
    ///                     return Resolution::Failed(failure);
    ///                 }
    ///             };
    ///             let addrs = text.lines().filter_map(|line| line.trim().parse().ok());
    ///             let endpoints: Vec<Endpoint> = addrs.map(Endpoint::new).collect();
    ///             let ttl = Duration::from_secs(5); // when to resolve again
    ///             Resolution::Found(Answer::new(endpoints, ttl, FoundBy::Static))
    ///         })
    ///     }
    ///
    ///     fn service(&self) -> String {
    ///         self.0.display().to_string()
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let path = std::env::temp_dir().join("headless-doc-hosts");
    /// # std::fs::write(&path, "10.0.0.1:80\n10.0.0.2:80\n")?;
    /// let web = Discovery::builder(HostsFile(path)).start().await?;
    /// assert_eq!(web.snapshot().len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(resolver: impl Resolve) -> DiscoveryBuilder {
        DiscoveryBuilder {
            resolver: Arc::new(resolver),
            refresh: RefreshConfig::default(),
            on_start: OnStart::FailFast,
            shared: false,
        }
    }
}

impl DiscoveryBuilder {
    /// Sets when to resolve, and what to make of the answers. Default: [`RefreshConfig::default`].
    pub fn refresh(mut self, config: RefreshConfig) -> Self {
        self.refresh = config;
        self
    }

    /// Sets what to do when the first lookup finds no endpoints. Default: [`OnStart::FailFast`].
    pub fn on_start(mut self, on_start: OnStart) -> Self {
        self.on_start = on_start;
        self
    }

    /// Joins the shared watch of the same Service on the same runtime, if one runs already,
    /// whatever its settings. Default: a watch of its own.
    ///
    /// For programs in which many parts watch one Service, each by itself. Two resolvers are of the
    /// same Service if their [`Resolve::service`] is the same.
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Resolves for the first time, then goes on in the background.
    ///
    /// # Errors
    /// [`StartError`] if no endpoint was found, unless [`OnStart`] says otherwise.
    ///
    /// # Cancel safety
    /// Nothing runs before it returns.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn start(self) -> Result<Discovery, StartError> {
        let service: Arc<str> = self.resolver.service().into();
        if let Some(running) = self.shared.then(|| registry::find(&service)).flatten() {
            return Ok(Discovery { watch: running });
        }
        let clock = Arc::new(Clock::start());
        let (refresh, counters) = self.first_answer(&service, &clock).await?;
        let (publisher, snapshots) = watch::channel(Arc::clone(refresh.snapshot()));
        info!(service = %service, endpoints = refresh.snapshot().len(), "watching");
        let progress = Progress {
            refresh: refresh.state(),
            counters,
        };
        let state = Arc::new(WatchState::new(service, clock, progress, Arc::clone(&self.resolver)));
        let publisher = Arc::new(publisher);
        let running = Running {
            state: Arc::downgrade(&state),
            publisher: Arc::downgrade(&publisher),
        };
        // A root of its own, as it outlives what started it.
        let span = tracing::info_span!(parent: None, "discovery", service = %state.service);
        span.follows_from(Span::current());
        let driver = Driver::new(self.resolver, refresh, Arc::clone(&state), publisher);
        tokio::spawn(driver.run().instrument(span));
        let watch = Watch { state, snapshots };
        let watch = match self.shared {
            true => registry::enter(watch, running),
            false => watch,
        };
        Ok(Discovery { watch })
    }

    /// Resolves until there is something to begin with, or an error to return.
    async fn first_answer(
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
            let resolution = resolve(Arc::clone(&self.resolver)).await;
            let failed = StartError::from_resolution(service, &resolution);
            let step = refresh.on(resolution, clock.advance(), entropy());
            *counters.entry(step.event).or_insert(0) += 1;
            let refused = || refresh.state().last_failure.filter(|_| step.event == Event::TooMany);
            let failed = failed.or_else(|| refused().map(|last| StartError::unresolved(service, last.failure)));
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
