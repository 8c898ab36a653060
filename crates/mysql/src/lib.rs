#![doc = include_str!("../README.md")]
//! # Intent
//!
//! The call says what is meant, and its connection allows that and no more. The [statement
//! classifier](statement) knows reads: what it cannot prove to be one is refused on a replica,
//! before anything is sent.
//!
//! | call | goes to | for |
//! |---|---|---|
//! | [`read`], [`read_with`] | a fresh replica | reads, each for itself |
//! | [`write`] | the primary | statements, each for itself |
//! | [`transaction`] | the primary; a replica if [read-only] | all or nothing; one snapshot |
//! | [`causal`] | as above | reads that see the writes made before them |
//! | [`session`] | the primary, until it is dropped | locks, temporary tables, user variables |
//! | [`on_pod`] | the pod of that name | what a pod says of itself |
//! | [`query`], [`exec`] | where the classifier sends it | code that cannot say |
//!
//! [`read`]: Splitter::read
//! [`read_with`]: Splitter::read_with
//! [`write`]: Splitter::write
//! [`transaction`]: Splitter::transaction
//! [read-only]: Mode::ReadOnly
//! [`causal`]: Splitter::causal
//! [`session`]: Splitter::session
//! [`on_pod`]: Splitter::on_pod
//! [`query`]: Splitter::query
//! [`exec`]: Splitter::exec
//!
//! # Outcomes
//!
//! A write is sent once. What is known of it afterwards is in the type of its [`Error`]:
//!
//! | outcome | was anything written? | do |
//! |---|---|---|
//! | [`NotSent`], [`NoWriter`], [`AmbiguousWriter`] | no | try again, or [wait][wait_for_writer] |
//! | [`ReadOnly`] | no | try again: the primary has just moved |
//! | [`Refused`] | no | use the call that the message names |
//! | [`Server`] | not by this statement | as with any database |
//! | [`MaybeCommitted`] | not known | search for it; repeat it only under a unique key |
//! | [`TooStale`], [`PrimaryBusy`], [`Lost`] | they are of reads | try again, or do without |
//! | [`WriteLost`] | it was, and a failover has lost it | tell the user |
//!
//! [`NotSent`]: Error::NotSent
//! [`NoWriter`]: Error::NoWriter
//! [`AmbiguousWriter`]: Error::AmbiguousWriter
//! [wait_for_writer]: SplitterBuilder::wait_for_writer
//! [`ReadOnly`]: Error::ReadOnly
//! [`Refused`]: Error::Refused
//! [`Server`]: Error::Server
//! [`MaybeCommitted`]: Error::MaybeCommitted
//! [`TooStale`]: Error::TooStale
//! [`PrimaryBusy`]: Error::PrimaryBusy
//! [`Lost`]: Error::Lost
//! [`WriteLost`]: Error::WriteLost
//!
//! [`Error::is_not_sent`] is the question that a loop of attempts needs:
//!
//! ```no_run
//! use headless_mysql::{Error, Mode, Splitter};
//!
//! async fn pay(db: &Splitter, invoice: u64) -> Result<(), Error> {
//!     let mut attempts = 3;
//!     loop {
//!         attempts -= 1;
//!         let paid = db.transaction(Mode::ReadWrite, async |c| {
//!             c.exec_drop("INSERT INTO payments (invoice) VALUES (?)", (invoice,)).await
//!         });
//!         match paid.await {
//!             // Nothing was written, so it may be sent again.
//!             Err(error) if error.is_not_sent() && attempts > 0 => {}
//!             // Also `MaybeCommitted`, which is for the caller to resolve.
//!             outcome => return outcome,
//!         }
//!     }
//! }
//! ```
//!
//! # Tokens
//!
//! A plain read may be early: replication takes a moment. A [`Token`](gtid::Token) is proof of a
//! write, as short text that holds on any machine. In a cookie, it lets a later request see the
//! write wherever that request is served:
//!
//! ```no_run
//! # async fn run(
//! #     db: headless_mysql::Splitter,
//! #     visitor: headless_mysql::Causal,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use headless_mysql::{Error, ReadOptions};
//!
//! let cookie = visitor.token().await?.to_string(); // "0-100-4711"
//!
//! // The visitor's next request, in another process.
//! let options = ReadOptions::new().sees(cookie.parse()?);
//! let orders: Result<Vec<u32>, Error> =
//!     db.read_with(&options, async |c| c.query("SELECT id FROM orders").await).await;
//! # let _ = orders;
//! # Ok(())
//! # }
//! ```
//!
//! Such a read takes a replica that is known to have the write; or waits a little
//! ([`token_wait`](SplitterBuilder::token_wait)) on the one that is nearest; or goes to the
//! primary. It is never stale.
//!
//! # Roles
//!
//! The primary is the pod that is verified to be it: the only one that accepts writes (`read_only`
//! and its like are off), and one that has everything that the others have. Ordinal 0 has no
//! privilege. Each pod is asked every [`probe_interval`](SplitterBuilder::probe_interval), so a
//! promotion is followed within one. Two writable pods, or none, or one that came back with an
//! empty volume: writes are refused, and the error names the pods. [`Splitter::overview`] shows
//! what is known, [`Splitter::changed`] waits for news, [`Conn::explain`] tells why a connection
//! leads where it does.
//!
//! A replica's lag is measured in time, from GTID positions by this client's own clock. Beyond
//! [`max_lag`](SplitterBuilder::max_lag) it takes no reads until it has caught up; [`StalePolicy`]
//! says what becomes of reads when no replica is fresh.
//!
//! Connections are pooled per pod by `headless`; the protocol is spoken by `mysql_async`, whose
//! rows, values and parameters are those of this crate ([`driver`]).
#![cfg_attr(docsrs, feature(doc_cfg))]

mod account;
mod builder;
mod causal;
mod conn;
mod connector;
mod error;
mod exchange_timeout;
pub mod gtid;
mod lag;
mod link;
mod monitor;
mod probe;
mod roles;
mod router;
mod routing;
mod server;
mod splitter;
pub mod statement;
#[cfg_attr(not(feature = "__tls"), path = "tls/unavailable.rs")]
mod tls;
mod topology;

/// The driver: its traits for rows and values, its parameters.
#[doc(no_inline)]
pub use mysql_async as driver;

pub use crate::account::{Account, AccountError};
pub use crate::builder::{SplitterBuilder, StartError};
pub use crate::causal::Causal;
pub use crate::conn::{Conn, Mode, Session};
pub use crate::connector::{Connector, ConnectorError};
pub use crate::error::{DriverError, Error};
pub use crate::link::Link;
pub use crate::routing::{Candidate, Decision, ReadOptions, RouteReason, StalePolicy};
pub use crate::splitter::Splitter;
pub use crate::statement::Refusal;
pub use crate::topology::{Overview, PodProblem, PodStatus, Writer, WriterProblem};
#[doc(no_inline)]
pub use headless::{Pem, Tls, TlsError, TlsProvider, Verify};
