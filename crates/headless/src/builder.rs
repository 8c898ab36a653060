//! [`BalancerBuilder`]: the settings of a balancer, checked before anything is made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless_core::policy::{Policy, PowerOfTwo};
use headless_core::{Connect, RoleRule, VerifyPeer};
use tokio::sync::Notify;

use crate::backend::BackendContext;
use crate::balancer::Balancer;
use crate::clock::FAR;
use crate::discovery::Discovery;
use crate::error::BuildError;
use crate::pool::{Cap, PoolConfig, PoolContext};
use crate::reconcile::Reconciler;
use crate::state::BalancerState;

/// The settings of a [`Balancer`].
#[must_use = "nothing is balanced before `build`"]
pub struct BalancerBuilder<C: Connect> {
    discovery: Discovery,
    connector: C,
    policy: Box<dyn Policy>,
    roles: Option<RoleRule>,
    pool: PoolConfig,
    acquire_timeout: Duration,
    verify_peer: Option<Box<dyn VerifyPeer>>,
}

impl<C: Connect> Balancer<C> {
    /// Returns a builder of a balancer over the endpoints of `discovery`, which connects with
    /// `connector`.
    ///
    /// The connector is where a protocol comes in: see [`Connect`].
    ///
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// use headless::{Balancer, Connect, Discovery, Endpoint, Outcome, Route, StaticList};
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// use tokio::net::TcpStream;
    ///
    /// /// Opens plain TCP connections.
    /// struct Tcp;
    ///
    /// impl Connect for Tcp {
    ///     type Conn = TcpStream;
    ///     type Error = std::io::Error;
    ///
    ///     async fn connect(&self, endpoint: &Endpoint) -> std::io::Result<TcpStream> {
    ///         TcpStream::connect(endpoint.addr()).await
    ///     }
    ///
    ///     // Called under a lock: looks at what is known, and never waits.
    ///     fn is_reusable(&self, conn: &TcpStream) -> bool {
    ///         // Nothing to read, neither an answer nor the end.
    ///         conn.try_read(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let endpoints = vec![Endpoint::new(listener.local_addr()?)];
    /// # tokio::spawn(async move {
    /// #     let (mut conn, _) = listener.accept().await.unwrap();
    /// #     let (mut from, mut to) = conn.split();
    /// #     tokio::io::copy(&mut from, &mut to).await.unwrap();
    /// # });
    /// let echo = Discovery::builder(StaticList::new("echo", endpoints)).start().await?;
    /// let balancer = Balancer::builder(echo, Tcp).max_connections_per_endpoint(4).build()?;
    ///
    /// let mut conn = balancer.acquire(Route::any()).await?;
    /// let mut answer = [0; 5];
    /// conn.write_all(b"hello").await?;
    /// conn.read_exact(&mut answer).await?;
    /// assert_eq!(&answer, b"hello");
    /// conn.finish(Outcome::Success); // back into the pool
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(discovery: Discovery, connector: C) -> BalancerBuilder<C> {
        BalancerBuilder {
            discovery,
            connector,
            policy: Box::new(PowerOfTwo::default()),
            roles: None,
            pool: PoolConfig::default(),
            acquire_timeout: ACQUIRE_TIMEOUT,
            verify_peer: None,
        }
    }
}

impl<C: Connect> BalancerBuilder<C> {
    /// Sets which endpoint takes a request. Default: [`PowerOfTwo`] by requests in flight.
    ///
    /// A policy prepares a picker for each set of endpoints; the picker is a pure function, called
    /// for every request. [`policy`](crate::policy) has the contract, and a test of it for your
    /// own:
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use headless::policy::{Candidate, PickArgs, Picker, Policy};
    /// use headless::{Endpoint, Load};
    ///
    /// /// Fills the first endpoint up to a number of requests, then the next.
    /// #[derive(Clone, Debug)]
    /// struct Fill {
    ///     up_to: u32,
    /// }
    ///
    /// #[derive(Debug)]
    /// struct FillPicker {
    ///     up_to: u32,
    ///     loads: Box<[Arc<Load>]>,
    /// }
    ///
    /// impl Policy for Fill {
    ///     fn prepare(&mut self, candidates: &[Candidate], _entropy: u64) -> Box<dyn Picker> {
    ///         let loads = candidates.iter().map(|candidate| Arc::clone(&candidate.load));
    ///         Box::new(FillPicker { up_to: self.up_to, loads: loads.collect() })
    ///     }
    /// }
    ///
    /// impl Picker for FillPicker {
    ///     fn pick(&self, args: &PickArgs<'_>) -> Option<usize> {
    ///         let left = (0..self.loads.len()).filter(|&index| !args.excluded.contains(index));
    ///         // `cost` is the requests in flight, and more than any number of them if unhealthy.
    ///         left.min_by_key(|&index| self.loads[index].cost().max(self.up_to))
    ///     }
    /// }
    ///
    /// # fn main() {
    /// headless::policy::conformance::check(|| Fill { up_to: 10 });
    /// # }
    /// ```
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Box::new(policy);
        self
    }

    /// Sets which endpoint has which role. Default with a role-aware policy: by ordinal, 0 is the
    /// primary. Can be replaced at run time ([`Balancer::set_roles`]).
    pub fn roles(mut self, rule: RoleRule) -> Self {
        self.roles = Some(rule);
        self
    }

    /// Sets the settings of the pools. Default: [`PoolConfig::default`].
    pub fn pool(mut self, pool: PoolConfig) -> Self {
        self.pool = pool;
        self
    }

    /// Sets [`PoolConfig::max_connections_per_endpoint`].
    pub fn max_connections_per_endpoint(mut self, limit: usize) -> Self {
        self.pool.max_connections_per_endpoint = limit;
        self
    }

    /// Sets how long an `acquire` may take in total. Default 5 s: as long as a caller will usually
    /// wait for an answer, and longer than a pod takes to be replaced in DNS.
    pub fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.acquire_timeout = limit;
        self
    }

    /// Verifies the peer of each new connection before it carries anything. Default: no
    /// verification; DNS is trusted, within its TTL.
    ///
    /// An endpoint whose address belongs to another peer is refused, and unhealthy like one that
    /// cannot be reached.
    pub fn verify_peer(mut self, check: impl VerifyPeer) -> Self {
        self.verify_peer = Some(Box::new(check));
        self
    }

    /// Checks the settings and begins to balance. Connections are opened when requests come.
    ///
    /// # Errors
    /// [`BuildError`]: a setting that cannot work; roles by ordinal for endpoints without ordinals.
    pub fn build(self) -> Result<Balancer<C>, BuildError> {
        self.pool.validate()?;
        if self.acquire_timeout.is_zero() {
            return Err(BuildError::Config {
                field: "acquire_timeout",
                rule: "it must be longer than zero",
            });
        }
        let roles = match self.roles {
            None if self.policy.is_role_aware() => Some(RoleRule::default()),
            roles => roles,
        };
        if roles.as_ref().is_some_and(RoleRule::needs_ordinals) && self.policy.is_role_aware() {
            let snapshot = self.discovery.snapshot();
            if !snapshot.is_empty() && snapshot.iter().all(|endpoint| endpoint.ordinal().is_none()) {
                return Err(BuildError::NoOrdinals {
                    service: self.discovery.service().to_owned(),
                    pods: snapshot.len(),
                    found_by: self.discovery.status().found_by,
                });
            }
        }
        let pools = Arc::new(PoolContext {
            service: self.discovery.service().into(),
            connector: self.connector,
            verify_peer: self.verify_peer,
            cap: self.pool.max_connections_total.map(Cap::new),
            config: self.pool,
            clock: Arc::clone(self.discovery.clock()),
            runtime: self.discovery.runtime().clone(),
        });
        let context = Arc::new(BackendContext {
            pools,
            latency_window: self.policy.latency_window(),
            evidence: Arc::clone(self.discovery.evidence()),
            changed: Notify::new(),
            drained: Notify::new(),
        });
        let role_aware = self.policy.is_role_aware();
        let state = Arc::new(BalancerState::new(
            Reconciler::new(self.policy, roles, Arc::clone(&context)),
            context,
            role_aware,
            // Longer would be beyond what a clock counts.
            self.acquire_timeout.min(FAR),
            self.discovery.clone(),
        ));
        self.discovery.attach(&state);
        Ok(Balancer { state })
    }
}

impl<C: Connect> fmt::Debug for BalancerBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalancerBuilder")
            .field("discovery", &self.discovery)
            .field("policy", &self.policy)
            .field("roles", &self.roles)
            .field("pool", &self.pool)
            .field("acquire_timeout", &self.acquire_timeout)
            .finish_non_exhaustive()
    }
}

impl<C: Connect> Balancer<C> {
    /// Replaces the rule of roles: for a set whose primary moves, as a database's does. It is in
    /// force when this returns.
    pub fn set_roles(&self, rule: RoleRule) {
        self.state.reconciler.set_roles(rule);
    }

    /// Returns whether the policy obeys the role of a [`Route`](crate::Route).
    #[must_use]
    pub fn is_role_aware(&self) -> bool {
        self.state.role_aware
    }

    /// Returns the watch that this balancer uses.
    #[must_use]
    pub fn discovery(&self) -> &Discovery {
        &self.state.discovery
    }
}

/// The default of [`BalancerBuilder::acquire_timeout`].
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
