//! [`SplitterBuilder`]: the settings of a [`Splitter`], checked before anything is made, and how one starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use headless::policy::{Fallback, PowerOfTwo, RoleAware};
use headless::{Balancer, BuildError, Discovery, PoolConfig, RoleRule};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use crate::account::Account;
use crate::connector::Connector;
use crate::monitor::{Monitor, Probed};
use crate::options::StalePolicy;
use crate::splitter::{Guard, Shared, Splitter};
use crate::topology::Topology;

/// Settings of a [`Splitter`].
#[derive(Clone, Debug)]
#[must_use = "nothing is connected before `connect`"]
pub struct SplitterBuilder {
    account: Account,
    settings: Settings,
    pool: PoolConfig,
    statements_per_connection: usize,
}

/// What a splitter needs to know at run time.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_lag: Duration,
    pub(crate) token_wait: Duration,
    pub(crate) when_stale: StalePolicy,
    pub(crate) primary_reads: usize,
    pub(crate) wait_for_writer: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) probe_interval: Duration,
    pub(crate) probe_timeout: Duration,
    pub(crate) allow_privileged: bool,
}

impl SplitterBuilder {
    pub(crate) fn new(account: Account) -> Self {
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

    /// How far behind the primary a replica may be and still take reads. Default 1 s. It comes back below 80 % of it.
    pub fn max_lag(mut self, lag: Duration) -> Self {
        self.settings.max_lag = lag;
        self
    }

    /// How long a read waits for a replica to reach its token, before it goes to the primary. Default 250 ms.
    pub fn token_wait(mut self, wait: Duration) -> Self {
        self.settings.token_wait = wait;
        self
    }

    /// What becomes of a read when no replica is fresh enough. Default: the primary takes it.
    pub fn when_stale(mut self, policy: StalePolicy) -> Self {
        self.settings.when_stale = policy;
        self
    }

    /// How many reads the primary takes at a time because no replica will do. Default 32: enough to serve on, too few to take the
    /// writes down with them.
    pub fn primary_reads(mut self, limit: usize) -> Self {
        self.settings.primary_reads = limit;
        self
    }

    /// How long a write waits for a primary when there is none. Default zero: it fails at once. At most 1000 wait at a time.
    pub fn wait_for_writer(mut self, wait: Duration) -> Self {
        self.settings.wait_for_writer = wait;
        self
    }

    /// How long one statement may take. Default 30 s. A write that takes longer is [`MaybeCommitted`](crate::Error::MaybeCommitted).
    pub fn statement_timeout(mut self, limit: Duration) -> Self {
        self.settings.statement_timeout = limit;
        self
    }

    /// How often each pod is asked for its role and position. Default 100 ms: what lag is measured to, and within which a promotion is
    /// followed.
    pub fn probe_interval(mut self, interval: Duration) -> Self {
        self.settings.probe_interval = interval;
        self
    }

    /// After how long without an answer a pod counts as hanging, and reads leave it. Default 500 ms.
    pub fn probe_timeout(mut self, limit: Duration) -> Self {
        self.settings.probe_timeout = limit;
        self
    }

    /// Lets an account write although it may write to read-only servers. Default: no. A write that reaches a replica then breaks its
    /// replication.
    pub fn allow_privileged(mut self) -> Self {
        self.settings.allow_privileged = true;
        self
    }

    /// How many connections each pod may have. Default 16; all clients together must stay below the server's max_connections.
    pub fn max_connections_per_endpoint(mut self, limit: usize) -> Self {
        self.pool.max_connections_per_endpoint = limit;
        self
    }

    /// All settings of the pools. Default: those of [`PoolConfig`], with 16 connections, a check after 500 ms, a ping of the longest
    /// idle one every 30 s, and 10 minutes to be idle.
    pub fn pool(mut self, pool: PoolConfig) -> Self {
        self.pool = pool;
        self
    }

    /// How many prepared statements each connection keeps. Default 64.
    pub fn statements_per_connection(mut self, statements: usize) -> Self {
        self.statements_per_connection = statements;
        self
    }

    /// Discovers the pods behind `service`, and does as [`start`](Self::start).
    ///
    /// # Errors
    /// As [`Splitter::connect`].
    ///
    /// # Cancel safety
    /// As [`Splitter::connect`].
    pub async fn connect(self, service: &str) -> Result<Splitter, StartError> {
        self.start(Discovery::start(service).await?).await
    }

    /// Looks at each pod, and returns when it is known who they are.
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
        let topology = Topology::new();
        let look_again = Arc::new(Notify::new());
        let connector = Connector::new(
            self.account,
            self.statements_per_connection,
            domain_of(&service).into(),
            Arc::clone(&topology),
            Arc::clone(&look_again),
        );
        let roles = Arc::clone(&topology);
        let balancer = Balancer::builder(discovery.clone(), connector.clone())
            .policy(RoleAware::new(PowerOfTwo::default()).fallback(Fallback::Strict))
            .roles(RoleRule::external(move |endpoint| {
                roles.current().role_of(endpoint.key())
            }))
            .pool(self.pool)
            .build()?;
        let known = Arc::default();
        let monitor = Monitor::new(
            discovery,
            connector,
            balancer.clone(),
            Arc::clone(&topology),
            &self.settings,
            Arc::clone(&look_again),
            Arc::clone(&known),
        );
        let (first_look, looked) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(monitor.run(first_look));
        let shared = Arc::new(Shared {
            service,
            balancer,
            topology,
            guard: Guard::new(known),
            primary_reads: Arc::new(Semaphore::new(self.settings.primary_reads)),
            writer_waits: Semaphore::new(WRITER_WAITS),
            settings: self.settings,
            runtime: Handle::current(),
            look_again,
            lost_writes: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
            monitor: task.abort_handle(),
        });
        match looked.await {
            Ok(Probed::Someone) => Ok(Splitter { shared }),
            Ok(Probed::Nobody(error)) => Err(StartError::Connect(error)),
            Err(_) => Err(StartError::Connect(
                "the task that looks at the pods has ended".to_owned(),
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
    /// DNS.
    #[error(transparent)]
    Discovery(#[from] headless::StartError),
    /// A setting.
    #[error(transparent)]
    Settings(#[from] BuildError),
    /// The pods are not those of a StatefulSet.
    #[error(
        "none of the {pods} pods of {service} has an ordinal; the pods of a replicated database must belong to a StatefulSet whose \
         serviceName is this Service"
    )]
    NoOrdinals {
        /// What was looked up.
        service: String,
        /// How many pods there are.
        pods: usize,
    },
    /// No pod could be looked at: what each said.
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
