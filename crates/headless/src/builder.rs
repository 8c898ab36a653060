//! [`BalancerBuilder`]: the settings of a balancer, checked before anything is made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless_core::policy::{Policy, PowerOfTwo};
use headless_core::{Connect, Multiplexing, RoleRule, VerifyPeer};
use tokio::sync::Notify;

use crate::backend::Env;
use crate::balancer::{ACQUIRE_TIMEOUT, Balancer};
use crate::discovery::Discovery;
use crate::error::BuildError;
use crate::pool::{Cap, PoolConfig};
use crate::reconcile::Shared;

/// Settings of a [`Balancer`].
#[must_use = "nothing is balanced before `build`"]
pub struct BalancerBuilder<C: Connect> {
    discovery: Discovery,
    connector: C,
    policy: Box<dyn Policy>,
    roles: Option<RoleRule>,
    pool: PoolConfig,
    acquire_timeout: Duration,
    identify: Option<Box<dyn VerifyPeer>>,
}

impl<C: Connect> Balancer<C> {
    /// A balancer over the pods of `discovery`, connecting with `connector`; settings follow.
    pub fn builder(discovery: Discovery, connector: C) -> BalancerBuilder<C> {
        BalancerBuilder {
            discovery,
            connector,
            policy: Box::new(PowerOfTwo::default()),
            roles: None,
            pool: PoolConfig::default(),
            acquire_timeout: ACQUIRE_TIMEOUT,
            identify: None,
        }
    }
}

impl<C: Connect> BalancerBuilder<C> {
    /// Which pod takes a request. Default: [`PowerOfTwo`] by requests in flight.
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Box::new(policy);
        self
    }

    /// Which pod has which role. Default with a role-aware policy: by ordinal, 0 is the primary. Can be replaced at run time
    /// ([`Balancer::set_roles`]).
    pub fn roles(mut self, rule: RoleRule) -> Self {
        self.roles = Some(rule);
        self
    }

    /// The pools' settings.
    pub fn pool(mut self, pool: PoolConfig) -> Self {
        self.pool = pool;
        self
    }

    /// Short for [`PoolConfig::max_connections_per_endpoint`].
    pub fn max_connections_per_endpoint(mut self, limit: usize) -> Self {
        self.pool.max_connections_per_endpoint = limit;
        self
    }

    /// How long an `acquire` may wait, all in all. Default 5 s.
    pub fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.acquire_timeout = limit;
        self
    }

    /// Checks each new connection before it carries anything: a pod that is not who DNS said is refused, and unhealthy like one
    /// that cannot be reached. Default: none; DNS is believed, within its TTL.
    pub fn verify_peer(mut self, check: impl VerifyPeer) -> Self {
        self.identify = Some(Box::new(check));
        self
    }

    /// Checks the settings and begins to balance. Connections are opened when requests come.
    ///
    /// # Errors
    /// [`BuildError`]: a setting that cannot work; roles by ordinal for pods that have no ordinals.
    pub fn build(self) -> Result<Balancer<C>, BuildError> {
        self.pool.check()?;
        if self.acquire_timeout.is_zero() {
            return Err(BuildError::Config {
                field: "acquire_timeout",
                rule: "it must be longer than zero",
            });
        }
        if self.connector.multiplexing() == Multiplexing::Streams(0) {
            return Err(BuildError::Config {
                field: "streams",
                rule: "a shared connection must carry at least 1 request",
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
        let env = Arc::new(Env {
            service: self.discovery.service().into(),
            connector: self.connector,
            identify: self.identify,
            cap: self.pool.max_connections_total.map(Cap::new),
            pool: self.pool,
            latency_window: self.policy.latency_window(),
            clock: Arc::clone(self.discovery.clock()),
            evidence: Arc::clone(self.discovery.evidence()),
            runtime: self.discovery.runtime().clone(),
            changed: Notify::new(),
            drained: Notify::new(),
        });
        let shared = Arc::new(Shared::new(
            self.policy,
            roles,
            env,
            self.acquire_timeout,
            self.discovery.clone(),
        ));
        self.discovery.attach(&shared);
        Ok(Balancer { shared })
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
    /// Replaces the rule of roles: for a set whose primary moves, as a database's does. In force when this returns.
    pub fn set_roles(&self, rule: RoleRule) {
        self.shared.set_rule(rule);
    }

    /// Whether the policy obeys the role of a [`Route`](headless_core::Route).
    #[must_use]
    pub fn is_role_aware(&self) -> bool {
        self.shared.role_aware
    }

    /// The watch this balancer hangs on.
    #[must_use]
    pub fn discovery(&self) -> &Discovery {
        &self.shared.discovery
    }
}
