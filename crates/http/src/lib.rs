#![doc = include_str!("../README.md")]
//! # TLS
//! With the feature `tls-ring` or `tls-aws-lc`, named after the provider of cryptography (ring, if both are on), there is
//! `ClientBuilder::tls`: rustls, with the CA that the user names and the Service's name, or the pod's own, in the certificate. Neither
//! is on by default; without them no TLS library is compiled.
//!
//! # Limits
//! What it is not: a browser or an API client. No redirects, cookies, proxies, compression or upgrades; one client calls one
//! Service. Discovery, pools and policies are the `headless` crate; this one adds what HTTP needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

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
