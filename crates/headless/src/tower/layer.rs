//! [`DiscoveryLayer`]: the settings of a balancer, as a [`Layer`] over a make-service.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use headless_core::policy::{Policy, PowerOfTwo};
use headless_core::{Connect, Outcome, RoleRule, Route};
use tower_layer::Layer;

use super::{AnyEndpoint, Balanced, ErrorsFail, Exclusive, MakeConnector, Multiplexed};
use crate::balancer::Balancer;
use crate::discovery::Discovery;
use crate::error::BuildError;
use crate::pool::PoolConfig;

/// Makes one service for all endpoints out of a make-service for one endpoint.
///
/// The make-service takes an [`Endpoint`](crate::Endpoint) and returns a service connected to it;
/// `tower::service_fn` makes one of an async function. `R` routes requests, `C` classifies
/// responses, `K` says whether a made service multiplexes: all three are set by methods, and need
/// not be named.
///
/// Nothing is spawned and nothing is awaited here: the watch is already running, and connections
/// are opened when requests come. Each [`layer`](Layer::layer) has pools and a policy of its own;
/// to share them, clone the service, not the layer.
///
/// Shedding load, retrying and timing out belong outside, as other layers:
///
/// ```no_run
/// # use std::task::{Context, Poll};
/// # use headless::policy::{RoleAware, RoundRobin};
/// # use headless::{Discovery, Endpoint, Outcome, Route, tower::DiscoveryLayer};
/// # #[derive(Clone)] struct Query { sql: String }
/// # struct Session;
/// # impl tower::Service<Query> for Session {
/// #     type Response = u64;
/// #     type Error = std::io::Error;
/// #     type Future = std::future::Ready<std::io::Result<u64>>;
/// #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
/// #         Poll::Ready(Ok(()))
/// #     }
/// #     fn call(&mut self, _: Query) -> Self::Future { std::future::ready(Ok(1)) }
/// # }
/// # async fn connect(_: Endpoint) -> std::io::Result<Session> { Ok(Session) }
/// # fn run(db: Discovery) -> Result<(), Box<dyn std::error::Error>> {
/// use std::{io, time::Duration};
/// use tower::{ServiceBuilder, service_fn};
///
/// let balanced = DiscoveryLayer::new(db)
///     .policy(RoleAware::new(RoundRobin::default()))
///     .max_connections_per_endpoint(8)
///     .route_by(|query: &Query| match query.sql.starts_with("SELECT") {
///         true => Route::read(),
///         false => Route::write(),
///     })
///     .classify(|result: &io::Result<u64>| match result {
///         // The session is whole: the statement was wrong.
///         Err(error) if error.kind() == io::ErrorKind::InvalidInput => Outcome::Success,
///         Err(_) => Outcome::Failure,
///         Ok(_) => Outcome::Success,
///     })
///     .try_layer(service_fn(connect))?;
/// let db = ServiceBuilder::new()
///     .load_shed()
///     .concurrency_limit(200)
///     .timeout(Duration::from_secs(1))
///     .service(balanced);
/// # drop(db);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DiscoveryLayer<R = AnyEndpoint, C = ErrorsFail, K = Exclusive> {
    settings: Settings,
    route: R,
    classify: C,
    kind: K,
}

/// The settings that do not depend on type parameters.
#[derive(Clone)]
struct Settings {
    discovery: Discovery,
    /// A policy has its own state, so each balancer needs another one.
    policy: Arc<dyn Fn() -> Box<dyn Policy> + Send + Sync>,
    roles: Option<RoleRule>,
    pool: PoolConfig,
    acquire_timeout: Option<Duration>,
}

impl DiscoveryLayer {
    /// Balances over the endpoints of `discovery`: by [`PowerOfTwo`], any endpoint for any request,
    /// one request at a time per connection.
    #[must_use]
    pub fn new(discovery: Discovery) -> Self {
        Self {
            settings: Settings {
                discovery,
                policy: Arc::new(|| Box::new(PowerOfTwo::default())),
                roles: None,
                pool: PoolConfig::default(),
                acquire_timeout: None,
            },
            route: AnyEndpoint,
            classify: ErrorsFail,
            kind: Exclusive,
        }
    }
}

impl<R, C, K> DiscoveryLayer<R, C, K> {
    /// Sets which endpoint takes a request. Each [`layer`](Layer::layer) gets a clone.
    #[must_use]
    pub fn policy(self, policy: impl Policy + Clone + Sync) -> Self {
        self.policy_with(move || Box::new(policy.clone()))
    }

    /// As [`policy`](Self::policy), for a policy that cannot be cloned or is chosen at run time.
    #[must_use]
    pub fn policy_with(mut self, policy: impl Fn() -> Box<dyn Policy> + Send + Sync + 'static) -> Self {
        self.settings.policy = Arc::new(policy);
        self
    }

    /// Sets which endpoint has which role; see
    /// [`BalancerBuilder::roles`](crate::BalancerBuilder::roles).
    #[must_use]
    pub fn roles(mut self, rule: RoleRule) -> Self {
        self.settings.roles = Some(rule);
        self
    }

    /// Sets the settings of the pools.
    #[must_use]
    pub fn pool(mut self, pool: PoolConfig) -> Self {
        self.settings.pool = pool;
        self
    }

    /// Sets [`PoolConfig::max_connections_per_endpoint`].
    #[must_use]
    pub fn max_connections_per_endpoint(mut self, limit: usize) -> Self {
        self.settings.pool.max_connections_per_endpoint = limit;
        self
    }

    /// Sets how long a call may wait for a connection, and for its service to become ready. Default
    /// 5 s.
    #[must_use]
    pub fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.settings.acquire_timeout = Some(limit);
        self
    }

    /// Sets what each request asks for. A route with a role needs a role-aware
    /// [`policy`](Self::policy).
    #[must_use]
    pub fn route_by<Req, F>(self, route: F) -> DiscoveryLayer<F, C, K>
    where
        F: Fn(&Req) -> Route + Clone + Send + Sync + 'static,
    {
        DiscoveryLayer {
            settings: self.settings,
            route,
            classify: self.classify,
            kind: self.kind,
        }
    }

    /// Sets how a call ended: see [`Classify`](super::Classify) for what follows from it. Default:
    /// errors are failures, and break their connection.
    #[must_use]
    pub fn classify<Resp, E, F>(self, classify: F) -> DiscoveryLayer<R, F, K>
    where
        F: Fn(&Result<Resp, E>) -> Outcome + Clone + Send + Sync + 'static,
    {
        DiscoveryLayer {
            settings: self.settings,
            route: self.route,
            classify,
            kind: self.kind,
        }
    }

    /// Declares that clones of a made service share one connection, which carries up to `streams`
    /// requests at a time (HTTP/2, a tonic `Channel` per endpoint). When all streams are in use
    /// another connection is made, up to
    /// [`max_connections_per_endpoint`](Self::max_connections_per_endpoint).
    #[must_use]
    pub fn multiplexed(self, streams: NonZeroUsize) -> DiscoveryLayer<R, C, Multiplexed> {
        DiscoveryLayer {
            settings: self.settings,
            route: self.route,
            classify: self.classify,
            kind: Multiplexed(streams),
        }
    }

    /// As [`layer`](Layer::layer), but reports wrong settings now instead of by every call.
    ///
    /// # Errors
    /// [`BuildError`]: a setting that cannot work; roles by ordinal for endpoints without ordinals.
    pub fn try_layer<M>(&self, make: M) -> Result<Balanced<MakeConnector<M, K>, R, C>, BuildError>
    where
        MakeConnector<M, K>: Connect,
        R: Clone,
        C: Clone,
        K: Clone,
    {
        Ok(Balanced::with(
            self.build(make)?,
            self.route.clone(),
            self.classify.clone(),
        ))
    }

    fn build<M>(&self, make: M) -> Result<Balancer<MakeConnector<M, K>>, BuildError>
    where
        MakeConnector<M, K>: Connect,
        K: Clone,
    {
        let settings = &self.settings;
        let connector = MakeConnector::new(make, self.kind.clone());
        let mut builder = Balancer::builder(settings.discovery.clone(), connector)
            .policy((settings.policy)())
            .pool(settings.pool.clone());
        if let Some(rule) = &settings.roles {
            builder = builder.roles(rule.clone());
        }
        if let Some(limit) = settings.acquire_timeout {
            builder = builder.acquire_timeout(limit);
        }
        builder.build()
    }
}

impl<M, R, C, K> Layer<M> for DiscoveryLayer<R, C, K>
where
    MakeConnector<M, K>: Connect,
    R: Clone,
    C: Clone,
    K: Clone,
{
    type Service = Balanced<MakeConnector<M, K>, R, C>;

    /// A layer cannot fail: wrong settings are the error of every call.
    /// [`try_layer`](Self::try_layer) reports them at once.
    fn layer(&self, make: M) -> Self::Service {
        Balanced::built(self.build(make), self.route.clone(), self.classify.clone())
    }
}

impl<R, C, K: fmt::Debug> fmt::Debug for DiscoveryLayer<R, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscoveryLayer")
            .field("service", &self.settings.discovery.service())
            .field("roles", &self.settings.roles)
            .field("pool", &self.settings.pool)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
