//! [`ClientBuilder`]: the settings of a client, each with its default and the reason for it. Those
//! that say how a request is sent, and when it is sent again, are in `requests.rs`.

mod requests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless::policy::Policy;
use headless::{Balancer, Discovery, PoolConfig, RetryBudget, RoleRule, Route, Tls, VerifyPeer};
use http::StatusCode;
use http::uri::Scheme;

use crate::client::Client;
use crate::connector::{Connector, HeadLimits};
use crate::error::Error;
use crate::http2;
use crate::origin::Origin;
use crate::outcome::Classify;
use crate::protocol::Protocol;
use crate::retry::RetryPolicy;
use crate::route::{RequestHead, RouteBy, by_method};
use crate::send::Sender;
use crate::tcp::TcpOptions;
use crate::tls::Handshake;

impl Client {
    /// Discovers the Service `target` and makes a client with the default settings: HTTP/1.1, power
    /// of two choices.
    ///
    /// `target` is a name and a port: `web:http`, `web.shop.svc:http`,
    /// `web.shop.svc.cluster.local:8080`. A number is the *container's* port. Connections are
    /// opened when requests come.
    ///
    /// # Errors
    /// [`Error::Start`] if the name cannot be read, DNS fails, or the Service has no ready pod.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(target: &str) -> Result<Self, Error> {
        Self::builder(Discovery::start(target).await?).build()
    }

    /// Returns a builder for a client of a Service that is discovered already.
    pub fn builder(discovery: Discovery) -> ClientBuilder {
        ClientBuilder {
            discovery,
            policy: None,
            roles: None,
            pool: PoolConfig::default(),
            acquire_timeout: None,
            protocol: Protocol::default(),
            http2: http2::Settings::default(),
            tcp: TcpOptions::default(),
            authority: None,
            tls: None,
            route_by: Arc::new(by_method),
            request_timeout: Some(requests::REQUEST_TIMEOUT),
            per_try_timeout: None,
            body_idle_timeout: Some(requests::BODY_IDLE_TIMEOUT),
            classify: None,
            retry_on: Vec::new(),
            max_retries: None,
            retry_budget: RetryBudget::default(),
            replay_buffer_bytes: requests::REPLAY_BUFFER_BYTES,
            max_response_headers: MAX_RESPONSE_HEADERS,
            max_response_head_bytes: MAX_RESPONSE_HEAD_BYTES,
            verify_peer: None,
        }
    }
}

/// The settings of a [`Client`], made by [`Client::builder`].
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
    protocol: Protocol,
    http2: http2::Settings,
    tcp: TcpOptions,
    authority: Option<String>,
    tls: Option<Tls>,
    route_by: RouteBy,
    request_timeout: Option<Duration>,
    per_try_timeout: Option<Duration>,
    body_idle_timeout: Option<Duration>,
    classify: Classify,
    retry_on: Vec<StatusCode>,
    max_retries: Option<usize>,
    retry_budget: RetryBudget,
    replay_buffer_bytes: usize,
    max_response_headers: usize,
    max_response_head_bytes: usize,
    verify_peer: Option<Box<dyn VerifyPeer>>,
}

impl ClientBuilder {
    /// Sets the policy that chooses the pod for each request. Default: power of two choices by
    /// requests in flight.
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Some(Box::new(policy));
        self
    }

    /// Sets which pod has which role. Default with a role-aware policy: by ordinal, where 0 is the
    /// primary.
    pub fn roles(mut self, rule: RoleRule) -> Self {
        self.roles = Some(rule);
        self
    }

    /// Sets the version of HTTP. Default: [`Protocol::Http1`].
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Speaks TLS to the pods; the scheme is then `https`. Default: plain text.
    ///
    /// It needs the feature `tls-ring` or `tls-aws-lc`. With both, [`Tls::provider`] chooses one;
    /// without them, [`build`](Self::build) fails and names them. The name in the certificates is
    /// [`Verify::ServiceName`](crate::Verify::ServiceName) unless `tls` says otherwise.
    ///
    /// The PEM and files that `tls` names are read once, by `build`. After the CA or the client's
    /// own certificate was replaced, make a new client.
    ///
    /// With TLS 1.3, a pod that misses or refuses the client's certificate says so after the
    /// handshake (RFC 8446 4.4.2.4). It counts as a failed connect all the same. A new connection
    /// to a pod that asks for a certificate waits until the pod has sent a session ticket, or for
    /// 100 ms if it sends none. A request that meets a later refusal was not processed, and goes
    /// elsewhere.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets all settings of the pools. Default: [`PoolConfig::default`].
    pub fn pool(mut self, pool: PoolConfig) -> Self {
        self.pool = pool;
        self
    }

    /// Sets how many connections one pod may have, at least 1. Default: 64. With HTTP/1.1 this is
    /// also the number of requests that one pod gets at a time from this client.
    pub fn max_connections_per_endpoint(mut self, limit: usize) -> Self {
        self.pool.max_connections_per_endpoint = limit;
        self
    }

    /// Sets how long opening one connection may take: TCP, TLS and the HTTP/2 preface. Default:
    /// 2 s. It must be longer than zero, and not longer than
    /// [`max_lifetime`](PoolConfig::max_lifetime); otherwise [`build`](Self::build) fails.
    ///
    /// The connection is then opened to another pod, and this one is unhealthy.
    /// [`per_try_timeout`](Self::per_try_timeout) begins afterwards.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.pool.connect_timeout = limit;
        self
    }

    /// Sets how many requests share one HTTP/2 connection, from 1 to 32,768. Default: 100, the
    /// least that RFC 9113 6.5.2 recommends servers to allow.
    ///
    /// If a server allows fewer, its limit counts, as it is at the time. When all connections are
    /// full, another is opened. A server that allows none takes no request until it allows some;
    /// they go to other pods, or wait. It has no effect on HTTP/1.1.
    pub fn http2_max_concurrent_streams(mut self, limit: usize) -> Self {
        self.http2.max_streams = limit;
        self
    }

    /// Sets how many bytes of one HTTP/2 answer the client holds while they are not read: the
    /// window of its stream (RFC 9113 5.2). Default: 1 MiB, with which a stream carries a gigabyte
    /// per second over a round trip of 1 ms.
    ///
    /// Answers that are held unread never delay others: the window of a connection has room for
    /// those of all its streams. So a connection holds this times
    /// [`http2_max_concurrent_streams`](Self::http2_max_concurrent_streams) bytes at most: 100 MiB
    /// by default, if no answer is read. The product must be below 2 GiB, the largest window there
    /// is, and one window at least 65,535. With more than 2,047 streams the default is less.
    pub fn http2_stream_window(mut self, bytes: u32) -> Self {
        self.http2.stream_window = Some(bytes);
        self
    }

    /// Sets after how long a silence an HTTP/2 connection is checked with a PING, from 10 ms to
    /// 24 h. Default: never, as some gRPC servers punish frequent pings.
    ///
    /// Without it, a connection is checked when a request on it was given up (it timed out, or its
    /// future was dropped) and nothing had been received since it was sent. Until the pod answers,
    /// the connection takes no other request: they go to a new one. It has no effect on HTTP/1.1.
    pub fn http2_keep_alive_interval(mut self, interval: Duration) -> Self {
        self.http2.keep_alive.interval = Some(interval);
        self
    }

    /// Sets how long a pod may take to answer a PING before its HTTP/2 connection is closed, and
    /// the requests on it fail; from 10 ms to 24 h. Default: 20 s, as in gRPC. It has no effect on
    /// HTTP/1.1.
    pub fn http2_keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.http2.keep_alive.timeout = timeout;
        self
    }

    /// Sets whether [`http2_keep_alive_interval`](Self::http2_keep_alive_interval) counts also
    /// while an HTTP/2 connection carries no request. Default: `false`. Then the silence is counted
    /// from the request on. It has no effect on HTTP/1.1.
    pub fn http2_keep_alive_while_idle(mut self, enabled: bool) -> Self {
        self.http2.keep_alive.while_idle = enabled;
        self
    }

    /// Sets after how long without traffic TCP checks that the other side of a connection is there
    /// (`SO_KEEPALIVE`). Default: 15 s, then at most 3 probes 5 s apart. From 1 s to 32,767 s.
    ///
    /// It finds a pod or a node that vanished while a connection is idle, or while a request waits
    /// for a long answer, and keeps firewalls from forgetting the connection. The probes are empty
    /// packets, which no server counts. `None` turns it off.
    pub fn tcp_keep_alive(mut self, idle: impl Into<Option<Duration>>) -> Self {
        self.tcp.keep_alive = idle.into();
        self
    }

    /// Sets for how long what was sent may stay unacknowledged by the pod's TCP
    /// (`TCP_USER_TIMEOUT`). Default: 20 s, as gRPC does (A18). From 1 s to 24 days. Linux only.
    ///
    /// Keep-alive does nothing while data is unacknowledged, and Linux then gives up after about 15
    /// minutes: a pod that vanished during a request would keep its connection for so long. The
    /// default is below the [request timeout](Self::request_timeout), so that a read can still go
    /// elsewhere. A pod that reads nothing of a large body for so long is given up, too. `None`
    /// leaves it to the system.
    pub fn tcp_user_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.tcp.user_timeout = limit.into();
        self
    }

    /// Sets how long a request may wait for a connection, one that is opened for it included.
    /// Default: 5 s. 0 is refused by [`build`](Self::build); [`Duration::MAX`] sets no limit.
    pub fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.acquire_timeout = Some(limit);
        self
    }

    /// Sets how a request's route follows from its head. It is called only if the policy is
    /// role-aware. Default: [safe methods](http::Method::is_safe) are [`Route::read`], all others
    /// [`Route::write`].
    ///
    /// ```no_run
    /// # fn run(discovery: headless::Discovery) {
    /// use headless::Route;
    ///
    /// let builder = headless_http::Client::builder(discovery);
    /// let builder = builder.route_by(|head| match head.uri().path() {
    ///     "/search" => Route::read(),
    ///     _ => Route::write(),
    /// });
    /// # drop(builder);
    /// # }
    /// ```
    pub fn route_by(mut self, route_by: impl Fn(RequestHead<'_>) -> Route + Send + Sync + 'static) -> Self {
        self.route_by = Arc::new(route_by);
        self
    }

    /// Sets the name in `Host` and `:authority`. Default: the Service's full name, with the port if
    /// it was given as a number other than 80 (with TLS, 443): `web.shop.svc.cluster.local`.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// Sets how many header fields an answer over HTTP/1.1 may have, from 1 to 24,576. Default:
    /// 256.
    ///
    /// Up to 100 the fields are counted on the stack; above, each answer costs two short
    /// allocations.
    ///
    /// A larger answer fails with [`Error::InvalidResponse`]. It has no effect on HTTP/2, where
    /// [`max_response_head_bytes`](Self::max_response_head_bytes) bounds the head.
    pub fn max_response_headers(mut self, fields: usize) -> Self {
        self.max_response_headers = fields;
        self
    }

    /// Sets how many bytes the head of an answer may have: its status and header fields. At least
    /// 1; default: 512 KiB.
    ///
    /// A larger answer fails with [`Error::InvalidResponse`]. Over HTTP/2 the pods are told the
    /// limit (RFC 9113 6.5.2), and each field counts 32 bytes more than its name and value.
    pub fn max_response_head_bytes(mut self, bytes: usize) -> Self {
        self.max_response_head_bytes = bytes;
        self
    }

    /// Checks each new connection before it carries a request, and refuses a pod that is not the
    /// one DNS named. Default: no check.
    pub fn verify_peer(mut self, verify_peer: impl VerifyPeer) -> Self {
        self.verify_peer = Some(Box::new(verify_peer));
        self
    }

    /// Checks the settings and makes the client. Connections are opened when requests come.
    ///
    /// With [`tls`](Self::tls) it reads files, which blocks for some milliseconds.
    ///
    /// # Errors
    /// [`Error::Build`] for settings that do not work, [`Error::Tls`] for TLS that cannot be used.
    pub fn build(self) -> Result<Client, Error> {
        let service = self.discovery.service();
        let scheme = match &self.tls {
            Some(_) => Scheme::HTTPS,
            None => Scheme::HTTP,
        };
        let origin = match &self.authority {
            Some(authority) => Origin::new(service, authority, scheme, self.protocol)?,
            None => Origin::of_service(service, scheme, self.protocol)?,
        };
        if let Err(problem) = self.http2.check() {
            return Err(Error::setting(service, problem));
        }
        let fields = self.max_response_headers;
        if !(1..=MOST_HEADERS).contains(&fields) {
            let problem = format!("`max_response_headers` is {fields}; it must be from 1 to {MOST_HEADERS}");
            return Err(Error::setting(service, problem));
        }
        if self.max_response_head_bytes == 0 {
            let problem = "`max_response_head_bytes` is 0; it must be at least 1";
            return Err(Error::setting(service, problem));
        }
        if let Err(problem) = self.tcp.check() {
            return Err(Error::setting(service, problem));
        }
        let time_limits = self.time_limits().map_err(|problem| Error::setting(service, problem))?;
        if let Err(problem) = self.check_retries() {
            return Err(Error::setting(service, problem));
        }
        let tls = match &self.tls {
            Some(tls) => Some(Handshake::new(tls, service, origin.host(), self.protocol)?),
            None => None,
        };
        let connector = Connector {
            protocol: self.protocol,
            http2: self.http2,
            head_limits: HeadLimits {
                fields: self.max_response_headers,
                bytes: self.max_response_head_bytes,
            },
            tcp: self.tcp,
            tls,
        };
        let mut balancer = Balancer::builder(self.discovery, connector).pool(self.pool);
        if let Some(policy) = self.policy {
            balancer = balancer.policy(policy);
        }
        if let Some(rule) = self.roles {
            balancer = balancer.roles(rule);
        }
        if let Some(limit) = self.acquire_timeout {
            balancer = balancer.acquire_timeout(limit);
        }
        if let Some(verify_peer) = self.verify_peer {
            balancer = balancer.verify_peer(verify_peer);
        }
        let balancer = balancer.build()?;
        let route_by = balancer.is_role_aware().then_some(self.route_by);
        Ok(Client::new(Sender {
            balancer,
            origin,
            time_limits,
            retry_policy: RetryPolicy::new(
                self.max_retries,
                self.retry_budget,
                self.retry_on.into(),
                self.replay_buffer_bytes,
            ),
            classify: self.classify,
            route_by,
        }))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("discovery", &self.discovery)
            .field("policy", &self.policy)
            .field("protocol", &self.protocol)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

const MAX_RESPONSE_HEADERS: usize = 256;

/// As many as a map of `http` holds.
const MOST_HEADERS: usize = 24_576;

const MAX_RESPONSE_HEAD_BYTES: usize = 512 * 1024;
