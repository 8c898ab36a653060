//! For tower: the endpoints of a Service behind one `Clone` [`Service`](tower_service::Service),
//! and a watch as tower's `Discover`.
//!
//! # Which one
//!
//! | you have | take |
//! |---|---|
//! | a make-service or a function that opens a service to one endpoint | [`DiscoveryLayer`] |
//! | the same, for services that are `Clone` and multiplex | [`DiscoveryLayer::multiplexed`] |
//! | your own [`Connect`](crate::Connect), whose connections are services | [`Balanced::new`] |
//! | a balancer that wants tower's `Discover` (`tower::balance::p2c::Balance`) | `Discover`, feature `tower-discover` |
//! | a balancer with a change type of its own (tonic's `balance_channel`) | `Changes`, feature `tower-discover` |
//! | plain HTTP | `headless-http`, which also knows when a body has ended |
//!
//! Nothing here chooses an endpoint: policies, roles, pools and draining are those of
//! [`Balancer`](crate::Balancer).
//!
//! # When is a request complete?
//!
//! When the future of its response resolves. Until then the request counts as load on its endpoint,
//! and an exclusive connection serves no other request. A protocol whose response goes on after
//! that (a streamed body) needs a client that knows the end of it, as `headless-http` does; here
//! such a response would count as finished at its first byte.
//!
//! # Example
//!
//! ```no_run
//! use headless::{Discovery, Endpoint, policy::PowerOfTwo, tower::DiscoveryLayer};
//! use std::{convert::Infallible, future::Ready, io, task::{Context, Poll}};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! /// Speaks the protocol on one connection.
//! struct Echo(tokio::net::TcpStream);
//! # impl Service<String> for Echo {
//! #     type Response = String;
//! #     type Error = Infallible;
//! #     type Future = Ready<Result<String, Infallible>>;
//! #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
//! #         Poll::Ready(Ok(()))
//! #     }
//! #     fn call(&mut self, line: String) -> Self::Future { std::future::ready(Ok(line)) }
//! # }
//!
//! async fn connect(endpoint: Endpoint) -> io::Result<Echo> {
//!     Ok(Echo(tokio::net::TcpStream::connect(endpoint.addr()).await?))
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let echo = Discovery::start("echo.default.svc:7000").await?;
//! let svc = ServiceBuilder::new()
//!     .layer(DiscoveryLayer::new(echo).policy(PowerOfTwo::default()))
//!     .service(service_fn(connect));
//!
//! // A clone is one reference count, and each may call at the same time.
//! let answer = svc.clone().oneshot("hello".to_owned()).await?;
//! # drop(answer);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "tower-discover")]
mod discover;
mod error;
mod future;
mod layer;
mod make;
mod rules;
mod service;

#[cfg(feature = "tower-discover")]
pub use self::discover::{Changes, Discover};
pub use self::error::Error;
pub use self::future::ResponseFuture;
pub use self::layer::DiscoveryLayer;
pub use self::make::{Exclusive, MakeConnector, MakeError, Multiplexed};
pub use self::rules::{AnyEndpoint, Classify, ErrorsFail, RouteRequest};
pub use self::service::Balanced;
#[cfg(feature = "tower-discover")]
#[doc(no_inline)]
pub use ::tower::discover::Change;

/// Any error, as in tower's own layers.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
