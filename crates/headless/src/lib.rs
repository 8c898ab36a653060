#![doc = include_str!("../README.md")]
//! ## A guided tour
//!
//! A [`Discovery`] watches one Service: it resolves the Service's name in the background and keeps
//! a [`Snapshot`] of its [`Endpoint`]s, with the names and ordinals of their pods. It does not lose
//! an endpoint because DNS fails ([`Refresh`] has the rules, [`Discovery::status`] what they did).
//!
//! A [`Balancer`] uses a discovery. For each request, [`Balancer::acquire`] lets a [`policy`]
//! choose an endpoint, counts the request as load on it, and returns a [`Lease`]: a connection from
//! the pool of that endpoint. [`Lease::finish`] returns the connection, and reports an [`Outcome`].
//!
//! ```
//! # use headless::{Connect, Endpoint};
//! # struct Tcp;
//! # impl Connect for Tcp {
//! #     type Conn = tokio::net::TcpStream;
//! #     type Error = std::io::Error;
//! #     async fn connect(&self, endpoint: &Endpoint) -> std::io::Result<tokio::net::TcpStream> {
//! #         tokio::net::TcpStream::connect(endpoint.addr()).await
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let addr = listener.local_addr()?;
//! use headless::policy::{RoleAware, RoundRobin};
//! use headless::{Balancer, Discovery, Outcome, Role, Route, StaticList};
//!
//! // In a cluster: Discovery::start("db.shop.svc:db").await?
//! let pods = vec![Endpoint::new(addr).with_pod("db-0".parse()?)];
//! let discovery = Discovery::builder(StaticList::new("db", pods)).start().await?;
//!
//! let balancer = Balancer::builder(discovery, Tcp)
//!     .policy(RoleAware::new(RoundRobin::default())) // db-0 is the primary
//!     .max_connections_per_endpoint(8)
//!     .build()?;
//!
//! let lease = balancer.acquire(Route::write()).await?;
//! assert_eq!(lease.endpoint().to_string(), format!("db-0 ({addr})"));
//! lease.finish(Outcome::Success);
//!
//! let stats = balancer.stats();
//! assert_eq!((stats.endpoints[0].role, stats.total().idle), (Some(Role::Primary), 1));
//! # Ok(())
//! # }
//! ```
//!
//! | to | see |
//! |---|---|
//! | speak a protocol | [`Connect`]; example: [`Balancer::builder`] |
//! | choose endpoints by your own rule | [`policy`]; example: [`BalancerBuilder::policy`] |
//! | find endpoints in your own way | [`Resolve`]; example: [`Discovery::builder`] |
//! | find endpoints without a cluster | [`StaticList`] |
//! | separate writes and reads | [`Route`], [`RoleRule`], [`policy::RoleAware`] |
//! | balance what has connections of its own | [`Balancer::pick`] |
//! | make one tower service of all endpoints | [`tower`] |
//! | set the limits of the pools | [`PoolConfig`] |
//! | refuse an address that belongs to another pod by now | [`BalancerBuilder::verify_peer`] |
//! | show what happens | [`Balancer::stats`], [`Discovery::status`], events of `tracing` |
//!
//! For HTTP there is `headless-http`, for MySQL and MariaDB `headless-mysql`; both are built on
//! this.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod acquire;
mod acquire_slow;
mod backend;
mod balancer;
mod builder;
mod clock;
mod discovery;
mod drain;
mod entropy;
mod error;
mod evidence;
mod histogram;
mod lease;
mod pick;
mod pool;
mod reconcile;
mod shutdown;
mod state;
mod stats;
#[cfg(test)]
mod tests;
mod tls;
pub mod tower;
mod view;

#[doc(inline)]
pub use headless_core::{
    AbortHandle, Answer, BoxFuture, BudgetError, CapacityChanged, Connect, Diff, Endpoint, EndpointKey, Event, Failure,
    FailureKind, FoundBy, Generation, HasLoad, Hunk, InFlight, LastFailure, Latency, Load, Multiplexing, NameError,
    Negative, NegativeKind, Ordinal, Outcome, PeerMismatch, PodName, Port, Refresh, RefreshConfig, RefreshState,
    Resolution, Resolve, RetryBudget, Role, RoleFn, RoleRule, Route, ServiceName, Snapshot, StaticList, Step, Target,
    Timestamp, VerifyPeer, policy,
};
#[cfg(feature = "dns")]
#[doc(inline)]
pub use headless_dns as dns;

pub use crate::acquire::Acquire;
pub use crate::balancer::Balancer;
pub use crate::builder::BalancerBuilder;
pub use crate::discovery::{Discovery, DiscoveryBuilder, Mode, OnStart, PastFailure, Status};
pub use crate::drain::DrainingEndpoint;
pub use crate::error::{AcquireError, BuildError, Closed, StartError};
pub use crate::histogram::Histogram;
pub use crate::lease::Lease;
pub use crate::pick::Pick;
pub use crate::pool::{ClosedBy, ConnectError, ConnectFault, PoolConfig, Stage};
pub use crate::shutdown::Drained;
pub use crate::stats::{EndpointStats, PoolStats, Stats};
#[cfg(feature = "tls")]
pub use crate::tls::ClientCertificate;
pub use crate::tls::{ClientIdentity, Pem, Tls, TlsError, TlsProvider, Verify};
