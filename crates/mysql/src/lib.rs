//! Read/write splitting over the pods of a MySQL or MariaDB StatefulSet, without a proxy.
//!
//! * [`Splitter`] sends writes to the pod that is *verified* to be the primary, and reads to replicas that are fresh enough.
//! * [`statement`] is the guard: what is not provably a read never reaches a replica.
//! * [`gtid`] is read-your-writes: a [`Token`](gtid::Token) that fits into a cookie and holds on any machine.
//!
//! Connections are pooled per pod by `headless`; the protocol is spoken by `mysql_async`, whose rows, values and parameters are
//! those of this crate ([`driver`]).

mod account;
mod builder;
mod conn;
mod connector;
mod error;
mod explain;
mod faults;
pub mod gtid;
mod lag;
mod monitor;
mod options;
mod probe;
mod reads;
mod roles;
mod server;
mod session;
mod session_state;
mod splitter;
pub mod statement;
#[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
mod tls;
mod topology;
mod transaction;
mod writes;

/// The driver: its traits for rows and values, its parameters.
#[doc(no_inline)]
pub use mysql_async as driver;

pub use crate::account::{Account, AccountError};
pub use crate::builder::{SplitterBuilder, StartError};
pub use crate::conn::Conn;
pub use crate::connector::{ConnectError, Connector, Link};
pub use crate::error::{Error, Refusal};
pub use crate::explain::{Candidate, Decision, Why};
pub use crate::options::{ReadOptions, StalePolicy};
pub use crate::session::{Causal, Session};
pub use crate::splitter::{Mode, Splitter};
#[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
pub use crate::tls::Tls;
pub use crate::topology::{Overview, PodStatus, Writer, WriterProblem};
