//! [`SplitterBuilder`]: the settings of a [`Splitter`], checked before anything is made, and how
//! one starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use headless::policy::{Fallback, PowerOfTwo, RoleAware};
use headless::{Balancer, BuildError, Discovery, PoolConfig, RoleRule, TlsError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use crate::account::Account;
use crate::connector::Connector;
use crate::monitor::Monitor;
use crate::router::{Router, Settings};
use crate::routing::StalePolicy;
use crate::splitter::Splitter;
use crate::statement::Classifier;
use crate::tls::TlsOptions;
use crate::topology::Topology;

/// The settings of a [`Splitter`], from [`Splitter::builder`].
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use headless_mysql::{Account, Splitter, StalePolicy};
///
/// let db = Splitter::builder(Account::from_env()?)
///     .max_lag(Duration::from_millis(500))
///     .when_stale(StalePolicy::LeastStale)
///     .wait_for_writer(Duration::from_secs(5))
///     .connect("mysql-headless.default.svc:3306")
///     .await?;
/// # let _ = db;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is connected before `connect`"]
pub struct SplitterBuilder {
    account: Account,
    settings: Settings,
    pool: PoolConfig,
    statements_per_connection: usize,
}

impl Splitter {
    /// Discovers the pods behind `service`, probes each of them, and returns a splitter with the
    /// default settings once the primary is known, or known to be missing.
    ///
    /// `service` is the headless Service's name and port: `mysql-headless.default.svc:3306`. Its
    /// pods must belong to a StatefulSet.
    ///
    /// # Errors
    /// [`StartError`]: DNS, a wrong account or database, something that is not MySQL, pods without
    /// ordinals.
    ///
    /// # Cancel safety
    /// Safe: everything that was started ends.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(service: &str, account: Account) -> Result<Self, StartError> {
        Self::builder(account).connect(service).await
    }

    /// Returns a builder for a splitter with other settings.
    pub fn builder(account: Account) -> SplitterBuilder {
        SplitterBuilder::new(account)
    }
}

impl SplitterBuilder {
    fn new(account: Account) -> Self {
        let mut pool = PoolConfig::default();
        pool.max_connections_per_endpoint = 16;
        pool.validate_after_idle = Some(Duration::from_millis(500));
        pool.keep_alive = Some(Duration::from_secs(30));
        pool.idle_timeout = Duration::from_secs(10 * 60);
        Self {
            account,
            settings: Settings {
                max_lag: Duration::from_secs(1),
                token_wait: Duration::from_millis(250),
                when_stale: StalePolicy::default(),
                primary_reads: 32,
                wait_for_writer: Duration::ZERO,
                statement_timeout: Duration::from_secs(30),
                probe_interval: Duration::from_millis(100),
                probe_timeout: Duration::from_millis(500),
                allow_privileged: false,
            },
            pool,
            statements_per_connection: 64,
        }
    }

    /// Sets how far behind the primary a replica may be and still take reads. Default: 1 s. A
    /// replica that was further behind comes back below 80 % of it. Must be longer than
    /// [`probe_interval`](Self::probe_interval), to which lag is measured.
    pub fn max_lag(mut self, lag: Duration) -> Self {
        self.settings.max_lag = lag;
        self
    }

    /// Sets how long a read waits for a replica to reach its token, before it goes to the primary.
    /// Default: 250 ms, within which a healthy replica catches up. Zero: it goes there at once.
    pub fn token_wait(mut self, wait: Duration) -> Self {
        self.settings.token_wait = wait;
        self
    }

    /// Sets what becomes of a read when no replica is fresh enough. Default:
    /// [`StalePolicy::Primary`], which serves on and is never stale.
    pub fn when_stale(mut self, policy: StalePolicy) -> Self {
        self.settings.when_stale = policy;
        self
    }

    /// Sets how many reads the primary takes at a time because no replica will do. Default: 32,
    /// enough to serve on and too few to take the writes down with them. At least 1.
    pub fn primary_reads(mut self, limit: usize) -> Self {
        self.settings.primary_reads = limit;
        self
    }

    /// Sets how long a write waits for a primary when there is none. Default: zero, it fails at
    /// once. At most 1000 writes wait at a time; further ones fail at once.
    pub fn wait_for_writer(mut self, wait: Duration) -> Self {
        self.settings.wait_for_writer = wait;
        self
    }

    /// Sets how long one statement may take. Default: 30 s. Longer than zero. A write that takes
    /// longer is [`MaybeCommitted`](crate::Error::MaybeCommitted).
    pub fn statement_timeout(mut self, limit: Duration) -> Self {
        self.settings.statement_timeout = limit;
        self
    }

    /// Sets how often each pod is asked for its role and position. Default: 100 ms. Longer than
    /// zero. Lag is measured to this interval, and a promotion is followed within it.
    pub fn probe_interval(mut self, interval: Duration) -> Self {
        self.settings.probe_interval = interval;
        self
    }

    /// Sets after how long without an answer a pod counts as hanging, so that reads leave it.
    /// Default: 500 ms. Longer than zero.
    pub fn probe_timeout(mut self, limit: Duration) -> Self {
        self.settings.probe_timeout = limit;
        self
    }

    /// Lets an account write although it can write to read-only servers. Default: such an account
    /// cannot write, because a write that reached a replica would break its replication.
    pub fn allow_privileged(mut self) -> Self {
        self.settings.allow_privileged = true;
        self
    }

    /// Sets how many connections each pod may have. Default: 16. At least 1; all clients together
    /// must stay below the server's `max_connections`.
    pub fn max_connections_per_endpoint(mut self, limit: usize) -> Self {
        self.pool.max_connections_per_endpoint = limit;
        self
    }

    /// Sets all settings of the pools.
    ///
    /// Default: those of [`PoolConfig`], but 16 connections per pod, validation after 500 ms of
    /// idleness, a ping of the longest idle connection every 30 s, and 10 minutes to be idle.
    pub fn pool(mut self, pool: PoolConfig) -> Self {
        self.pool = pool;
        self
    }

    /// Sets how many prepared statements each connection keeps. Default: 64; the server allows only
    /// so many of all connections together (`max_prepared_stmt_count`). Zero keeps one.
    pub fn statements_per_connection(mut self, statements: usize) -> Self {
        self.statements_per_connection = statements;
        self
    }

    /// Discovers the pods behind `service`, and starts as [`start`](Self::start).
    ///
    /// # Errors
    /// As [`Splitter::connect`].
    ///
    /// # Cancel safety
    /// As [`Splitter::connect`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(self, service: &str) -> Result<Splitter, StartError> {
        self.start(Discovery::start(service).await?).await
    }

    /// Probes each pod that `discovery` finds, and returns once the primary is known, or known to
    /// be missing.
    ///
    /// # Errors
    /// As [`Splitter::connect`].
    ///
    /// # Cancel safety
    /// As [`Splitter::connect`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start(self, discovery: Discovery) -> Result<Splitter, StartError> {
        self.check()?;
        let snapshot = discovery.snapshot();
        if !snapshot.is_empty() && snapshot.iter().all(|endpoint| endpoint.ordinal().is_none()) {
            return Err(StartError::NoOrdinals {
                service: discovery.service().to_owned(),
                pods: snapshot.len(),
            });
        }
        let service: Arc<str> = discovery.service().into();
        let tls = self.account.tls.as_ref();
        let tls = tls.map(|tls| TlsOptions::new(tls, domain_of(&service))).transpose()?;
        let topology = Topology::new();
        let probe_now = Arc::new(Notify::new());
        let connector = Connector::new(
            self.account,
            self.statements_per_connection,
            tls,
            Arc::clone(&topology),
            Arc::clone(&probe_now),
        );
        let roles = Arc::clone(&topology);
        let balancer = Balancer::builder(discovery.clone(), connector.clone())
            .policy(RoleAware::new(PowerOfTwo::default()).fallback(Fallback::Strict))
            .roles(RoleRule::external(move |endpoint| {
                roles.current().role_of(endpoint.key())
            }))
            .pool(self.pool)
            .build()?;
        let classifier = Arc::new(Classifier::default());
        let monitor = Monitor::new(
            discovery,
            connector,
            balancer.clone(),
            Arc::clone(&topology),
            Arc::clone(&classifier),
            Arc::clone(&probe_now),
            &self.settings,
        );
        let (first_probe, probed) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(monitor.run(first_probe));
        let router = Arc::new(Router {
            service,
            balancer,
            topology,
            classifier,
            primary_reads: Arc::new(Semaphore::new(self.settings.primary_reads)),
            writer_waits: Semaphore::new(WRITER_WAITS),
            settings: self.settings,
            runtime: Handle::current(),
            probe_now,
            lost_writes: AtomicU64::new(0),
            next_wait: AtomicUsize::new(0),
            monitor: task.abort_handle(),
        });
        match probed.await {
            Ok(Ok(())) => Ok(Splitter { router }),
            Ok(Err(problem)) => Err(StartError::Connect(problem)),
            Err(_) => Err(StartError::Connect(
                "the task that probes the pods has ended".to_owned(),
            )),
        }
    }

    fn check(&self) -> Result<(), BuildError> {
        let settings = &self.settings;
        let times = [
            ("max_lag", settings.max_lag),
            ("statement_timeout", settings.statement_timeout),
            ("probe_interval", settings.probe_interval),
            ("probe_timeout", settings.probe_timeout),
        ];
        match times.into_iter().find(|(_, time)| time.is_zero()) {
            Some((field, _)) => Err(BuildError::Config {
                field,
                rule: "it must be longer than zero",
            }),
            None if settings.primary_reads == 0 => Err(BuildError::Config {
                field: "primary_reads",
                rule: "it must be at least 1; `when_stale(StalePolicy::Error)` keeps reads off the primary",
            }),
            None if settings.max_lag <= settings.probe_interval => Err(BuildError::Config {
                field: "max_lag",
                rule: "it must be longer than `probe_interval`, to which lag is measured",
            }),
            None => Ok(()),
        }
    }
}

/// A [`Splitter`] could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The Service's name is wrong, or DNS did not answer.
    #[error(transparent)]
    Discovery(#[from] headless::StartError),
    /// A setting is out of its range.
    #[error(transparent)]
    Settings(#[from] BuildError),
    /// The account's TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The pods have no ordinals, so they are not those of a StatefulSet.
    #[error(
        "none of the {pods} pods of {service} has an ordinal; the pods of a replicated database must belong to a StatefulSet whose \
         serviceName is this Service"
    )]
    NoOrdinals {
        /// The Service that was looked up.
        service: String,
        /// The number of pods behind it.
        pods: usize,
    },
    /// No pod could be probed; the value names each pod and its answer.
    #[error("{0}")]
    Connect(String),
}

/// The name without the port: what pods' names are under.
fn domain_of(service: &str) -> &str {
    let name = service.rsplit_once(':').map_or(service, |(name, _)| name);
    name.trim_end_matches('.')
}

/// How many writes may wait for a primary at a time (as many as Vitess buffers).
const WRITER_WAITS: usize = 1000;
