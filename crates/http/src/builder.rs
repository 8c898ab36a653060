//! [`ClientBuilder`]: the settings of a client, each with its default and the reason for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless::{Balancer, Discovery, PoolConfig};
use headless_core::policy::Policy;
use headless_core::{RetryBudget, RoleRule, Route, VerifyPeer};
use http::request::Parts;
use http::uri::Scheme;
use tokio::time::Instant;

use crate::Error;
use crate::classify::is_safe;
use crate::client::{Client, Inner};
use crate::connect::{Connector, Protocol};
use crate::head::Name;
use crate::tls::Tls;

/// Says what a request asks for, by its head.
pub(crate) type RouteBy = Arc<dyn Fn(&Parts) -> Route + Send + Sync>;

/// Settings of a [`Client`].
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use headless::{Discovery, policy::{PowerOfTwo, RoleAware}};
/// use headless_http::Client;
///
/// // GETs to the replicas, everything else to pod 0.
/// let store = Client::builder(Discovery::start("store.shop.svc:http").await?)
///     .policy(RoleAware::new(PowerOfTwo::default()))
///     .build()?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is made before `build`"]
pub struct ClientBuilder {
    discovery: Discovery,
    policy: Option<Box<dyn Policy>>,
    roles: Option<RoleRule>,
    pool: PoolConfig,
    acquire_timeout: Option<Duration>,
    connector: Connector,
    authority: Option<String>,
    tls: Option<Tls>,
    route_by: RouteBy,
    request_timeout: Option<Duration>,
    max_retries: Option<usize>,
    retry_budget: RetryBudget,
    identify: Option<Box<dyn VerifyPeer>>,
}

impl ClientBuilder {
    pub(crate) fn new(discovery: Discovery) -> Self {
        Self {
            discovery,
            policy: None,
            roles: None,
            pool: PoolConfig::default(),
            acquire_timeout: None,
            connector: Connector {
                protocol: Protocol::default(),
                max_streams: MAX_STREAMS,
                keep_alive: None,
                tls: None,
            },
            authority: None,
            tls: None,
            route_by: Arc::new(by_method),
            request_timeout: Some(REQUEST_TIMEOUT),
            max_retries: None,
            retry_budget: RetryBudget::default(),
            identify: None,
        }
    }

    /// Which pod takes a request. Default: power of two choices by requests in flight.
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Some(Box::new(policy));
        self
    }

    /// Which pod has which role. Default with a role-aware policy: by ordinal, 0 is the primary.
    pub fn roles(mut self, rule: RoleRule) -> Self {
        self.roles = Some(rule);
        self
    }

    /// Which HTTP is spoken. Default: [`Protocol::Http1`].
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.connector.protocol = protocol;
        self
    }

    /// Speaks TLS with the pods; the scheme is then `https`. Default: plain text. Needs the feature `tls-ring` or `tls-aws-lc`.
    #[cfg(feature = "__tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// All settings of the pools. Default: [`PoolConfig::default`].
    pub fn pool(mut self, pool: PoolConfig) -> Self {
        self.pool = pool;
        self
    }

    /// How many connections one pod may have. Default 64; with HTTP/1.1 this is also the number of requests that one pod gets at a
    /// time from this client.
    pub fn max_connections_per_endpoint(mut self, limit: usize) -> Self {
        self.pool.max_connections_per_endpoint = limit;
        self
    }

    /// How many requests share one HTTP/2 connection. Default 100, the least that RFC 9113 6.5.2 recommends servers to allow; if a
    /// server allows fewer, its limit counts, as it is at the time. When all connections are full, another is opened. Nothing for
    /// HTTP/1.1.
    pub fn max_streams(mut self, limit: usize) -> Self {
        self.connector.max_streams = limit;
        self
    }

    /// How often a busy HTTP/2 connection on which nothing comes is checked with a PING, answered within 20 s or closed. Default: never,
    /// as some gRPC servers punish frequent pings; a pod that vanished is noticed by discovery and the request timeout. Nothing for
    /// HTTP/1.1.
    pub fn http2_keep_alive(mut self, interval: Duration) -> Self {
        self.connector.keep_alive = Some(interval);
        self
    }

    /// How long a request may wait for a connection. Default 5 s.
    pub fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.acquire_timeout = Some(limit);
        self
    }

    /// How long a request may take up to the head of its answer, with waiting and retries. Default 30 s, because every wait has a
    /// bound and few servers let a request live longer; `None`: as long as it takes, for long polling. The body is not included: a
    /// stream may be endless.
    pub fn request_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.request_timeout = limit.into();
        self
    }

    /// What a request asks for, by its head. Asked only if the policy is role-aware. Default: [safe methods](http::Method::is_safe) are
    /// [`Route::read`], all others [`Route::write`].
    pub fn route_by(mut self, route_by: impl Fn(&Parts) -> Route + Send + Sync + 'static) -> Self {
        self.route_by = Arc::new(route_by);
        self
    }

    /// The name in `Host` and `:authority`. Default: the Service's full name, with the port if it was given as a number other than 80
    /// (with TLS, 443): `web.shop.svc.cluster.local`.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// How often one request is sent again at most ([when](Client#retries)). Default: as often as there are pods for it, since any pod
    /// may be the one that lives; the [retry budget](Self::retry_budget) bounds all requests together. A small number protects a large
    /// Service from a request that fells each pod it reaches. 0 turns it off, and spares each request the copy of its head.
    pub fn max_retries(mut self, limit: usize) -> Self {
        self.max_retries = Some(limit);
        self
    }

    /// How many retries all requests of this client together may have. Default: 20 % of the requests of the last 10 s, plus 10 per
    /// second; [`RetryBudget::unlimited`] turns it off. Pods that cannot be connected to need none ([why](Client#retries)).
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.retry_budget = budget;
        self
    }

    /// Checks each new connection before it carries anything: a pod that is not who DNS said is refused. Default: none.
    pub fn verify_peer(mut self, check: impl VerifyPeer) -> Self {
        self.identify = Some(Box::new(check));
        self
    }

    /// Checks the settings and makes the client. Connections are opened when requests come.
    ///
    /// # Errors
    /// [`Error::Build`] for settings that do not work, [`Error::InvalidRequest`] for an authority or a name to verify that is none.
    pub fn build(mut self) -> Result<Client, Error> {
        let service = self.discovery.service();
        let scheme = match &self.tls {
            Some(_) => Scheme::HTTPS,
            None => Scheme::HTTP,
        };
        let name = match &self.authority {
            Some(authority) => Name::new(service, authority, scheme)?,
            None => Name::of_service(service, scheme)?,
        };
        if self.connector.max_streams == 0 {
            return Err(Error::invalid(service, "`max_streams` is 0; it must be at least 1"));
        }
        if let Err(error) = self.retry_budget.check() {
            return Err(Error::invalid(service, error.to_string()));
        }
        let protocol = self.connector.protocol;
        if let Some(tls) = &self.tls {
            self.connector.tls = Some(tls.handshake(service, name.host(), protocol)?);
        }
        let mut balancer = Balancer::builder(self.discovery, self.connector).pool(self.pool);
        if let Some(policy) = self.policy {
            balancer = balancer.policy(policy);
        }
        if let Some(rule) = self.roles {
            balancer = balancer.roles(rule);
        }
        if let Some(limit) = self.acquire_timeout {
            balancer = balancer.acquire_timeout(limit);
        }
        if let Some(check) = self.identify {
            balancer = balancer.verify_peer(check);
        }
        let balancer = balancer.build()?;
        let route_by = balancer.is_role_aware().then_some(self.route_by);
        Ok(Client::new(Inner {
            balancer,
            name,
            protocol,
            request_timeout: self.request_timeout,
            max_retries: self.max_retries,
            retry_budget: self.retry_budget,
            start: Instant::now(),
            route_by,
        }))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("discovery", &self.discovery)
            .field("policy", &self.policy)
            .field("connector", &self.connector)
            .finish_non_exhaustive()
    }
}

/// Safe methods are reads.
fn by_method(head: &Parts) -> Route {
    match is_safe(&head.method) {
        true => Route::read(),
        false => Route::write(),
    }
}

const MAX_STREAMS: usize = 100;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
