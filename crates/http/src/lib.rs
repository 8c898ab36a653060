#![doc = include_str!("../README.md")]
//! # TLS
//! A [`Tls`] says which CAs to trust, which name the pods' certificates must carry, and which
//! certificate the client shows. TLS 1.3 and 1.2 are spoken, by rustls; nothing can turn
//! verification off. Without the feature `tls-ring` or `tls-aws-lc` no TLS library is compiled;
//! with both, [`Tls::provider`] has to choose one.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use headless::Discovery;
//! use headless_http::{Client, Pem, Tls};
//!
//! let tls = Tls::with_ca(Pem::file("/etc/tls/ca.crt"))
//!     .client_certificate(Pem::file("/etc/tls/tls.crt"), Pem::file("/etc/tls/tls.key"));
//! let client = Client::builder(Discovery::start("web.shop.svc:https").await?).tls(tls).build()?;
//! # drop(client);
//! # Ok(())
//! # }
//! ```
//!
//! The certificate must carry the Service's full name, unless [`Verify`] says otherwise. Each pod's
//! TLS session is resumed with that pod only; those of the last 1,024 pods are remembered. With
//! [`Verify::EndpointName`] none is: pods may share tickets, and a resumed session does not show
//! the certificate.
//!
//! # Limits
//! It is neither a browser nor an API client: it has no redirects, cookies, proxies, compression or
//! upgrades, and one client calls one Service. Discovery, pools and policies are those of the
//! `headless` crate; this one adds what HTTP needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod abort;
mod body;
mod builder;
mod classify;
mod client;
mod connection;
mod connector;
mod counted;
mod error;
mod first_bytes;
mod framing;
mod http1;
mod http2;
mod idle;
mod incoming;
mod intercept;
mod last_use;
mod options;
mod origin;
mod outcome;
mod protocol;
mod refusal;
mod replay;
mod request_body;
mod response;
mod retry;
mod route;
mod send;
mod sync;
mod tcp;
mod timer;
#[cfg_attr(not(feature = "__tls"), path = "tls/unavailable.rs")]
mod tls;
// The tests have the features. This shows what users without them are told.
#[cfg(all(test, feature = "__tls"))]
#[expect(dead_code, reason = "no handshake can be made with it")]
#[path = "tls/unavailable.rs"]
mod tls_unavailable;

#[doc(no_inline)]
pub use headless::{Outcome, Pem, RetryBudget, Tls, TlsError, TlsProvider, Verify};

pub use crate::body::ResponseBody;
pub use crate::builder::ClientBuilder;
pub use crate::classify::Idempotent;
pub use crate::client::{Client, ResponseFuture};
pub use crate::connection::Connection;
pub use crate::connector::Connector;
pub use crate::error::{BoxError, ConnectorError, Error, NoRetryReason};
pub use crate::options::{BodyIdleTimeout, ExcludeEndpoints, OnEndpoint};
pub use crate::outcome::ResponseHead;
pub use crate::protocol::Protocol;
pub use crate::request_body::RequestBody;
pub use crate::response::Response;
pub use crate::route::RequestHead;
