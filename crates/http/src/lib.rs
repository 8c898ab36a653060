//! A balanced HTTP client for Kubernetes headless Services, on hyper.
//!
//! [`Client`] discovers the pods of one Service, keeps connections to each, and sends every request to the pod that its policy
//! chooses: HTTP/1.1 with keep-alive or HTTP/2, as they are or over TLS. The connection is held, and its pod counted as busy, to the end
//! of the answer's body.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = headless_http::Client::connect("web.shop.svc:http").await?;
//! let reply = client.get("/cart/42").await?;
//! println!("{} from {}", reply.status(), reply.endpoint()); // 200 OK from web-2 (10.1.4.7:8080)
//! # Ok(())
//! # }
//! ```
//!
//! It is also a `tower::Service<http::Request<B>>`, `Clone` and always ready.
//!
//! # TLS
//! With the feature `tls-ring` or `tls-aws-lc`, named after the provider of cryptography (ring, if both are on), there is
//! `ClientBuilder::tls`: rustls, with the CA that the user names and the Service's name, or the pod's own, in the certificate. Neither
//! is on by default; without them no TLS library is compiled.
//!
//! # Limits
//! What it is not: a browser or an API client. No redirects, cookies, proxies, compression or upgrades; one client calls one
//! Service. Discovery, pools and policies are the `headless` crate; this one adds what HTTP needs.

mod body;
mod builder;
mod classify;
mod client;
mod connect;
mod cut;
mod error;
mod frames;
mod head;
mod http2;
mod request_body;
mod response;
mod send;
#[cfg(feature = "__tls")]
mod tls;
#[cfg(not(feature = "__tls"))]
#[path = "tls/off.rs"]
mod tls;

pub use crate::body::ResponseBody;
pub use crate::builder::ClientBuilder;
pub use crate::classify::Idempotent;
pub use crate::client::{Client, ResponseFuture};
pub use crate::connect::{Connection, Connector, ConnectorError, Protocol};
pub use crate::error::{BoxError, Error, NotRetried};
pub use crate::request_body::RequestBody;
pub use crate::response::Response;
#[cfg(feature = "__tls")]
pub use crate::tls::{Tls, TlsError, Verify};
pub use headless_core::RetryBudget;
