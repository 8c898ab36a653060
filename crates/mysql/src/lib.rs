//! Read/write splitting over the pods of a MySQL or MariaDB StatefulSet, without a proxy.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use headless_mysql::{Account, Error, Splitter};
//!
//! let db = Splitter::connect("mysql-headless.default.svc:3306", Account::from_env()?).await?;
//!
//! // Any replica that is fresh enough.
//! let left: Result<Option<u32>, Error> =
//!     db.read(async |c| c.exec_first("SELECT n FROM stock WHERE item = ?", (7,)).await).await;
//!
//! // The verified primary; all or nothing.
//! let mut visitor = db.causal();
//! visitor
//!     .transaction(async |c| {
//!         c.exec_drop("INSERT INTO orders (id, item) VALUES (?, ?)", (42, 7)).await?;
//!         c.exec_drop("UPDATE stock SET n = n - 1 WHERE item = ?", (7,)).await
//!     })
//!     .await?;
//!
//! // A replica that has this order.
//! let order: Result<Option<u32>, Error> =
//!     visitor.read(async |c| c.exec_first("SELECT item FROM orders WHERE id = ?", (42,)).await).await;
//! # let _ = (left, order);
//! # Ok(())
//! # }
//! ```
//!
//! # Intent
//!
//! Say what you mean, and the connection you are lent allows that and no more. [`statement`] is the guard: what it cannot prove to be a
//! read is refused on a replica, before anything is sent.
//!
//! | call | goes to | for |
//! |---|---|---|
//! | [`read`](Splitter::read), [`read_with`](Splitter::read_with) | a fresh replica | reads, each for itself |
//! | [`write`](Splitter::write) | the primary | statements, each for itself |
//! | [`transaction`](Splitter::transaction) | the primary, or a replica if [read-only](Mode::ReadOnly) | all or nothing; one snapshot |
//! | [`causal`](Splitter::causal) | as above | reads that see the writes made before them |
//! | [`session`](Splitter::session) | the primary, as long as you hold it | locks, temporary tables, user variables |
//! | [`on_pod`](Splitter::on_pod) | the pod you name | what a pod says of itself |
//! | [`query`](Splitter::query), [`exec`](Splitter::exec) | where the guard sends it | code that cannot say |
//!
//! # Outcomes
//!
//! A write is sent once. What is known of it afterwards is in the type of its [`Error`]:
//!
//! | outcome | was anything written? | do |
//! |---|---|---|
//! | [`NotSent`](Error::NotSent), [`NoWriter`](Error::NoWriter), [`AmbiguousWriter`](Error::AmbiguousWriter) | no | try again, or wait: [`wait_for_writer`](SplitterBuilder::wait_for_writer) |
//! | [`ReadOnly`](Error::ReadOnly) | no | try again: the primary has just moved |
//! | [`Refused`](Error::Refused) | no | use the call that the message names |
//! | [`Server`](Error::Server) | not by this statement | as with any database |
//! | [`MaybeCommitted`](Error::MaybeCommitted) | nobody knows | look for it; never send it again unless a unique key makes that safe |
//! | [`TooStale`](Error::TooStale), [`PrimaryBusy`](Error::PrimaryBusy), [`Lost`](Error::Lost) | they are of reads | try again, or do without |
//! | [`WriteLost`](Error::WriteLost) | it was, and a failover has lost it | tell your user |
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
//!             // Also `MaybeCommitted`, which is for the caller to look into.
//!             outcome => return outcome,
//!         }
//!     }
//! }
//! ```
//!
//! # Tokens
//!
//! A plain read may be early: replication takes a moment. A [`Token`](gtid::Token) is proof of a write, as short text that holds on any
//! machine. Put it into a cookie, and a later request sees the write wherever it is served:
//!
//! ```no_run
//! # async fn run(db: headless_mysql::Splitter, visitor: headless_mysql::Causal) -> Result<(), Box<dyn std::error::Error>> {
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
//! Such a read takes a replica that is known to have the write; or waits a little ([`token_wait`](SplitterBuilder::token_wait)) on the one
//! that is nearest; or goes to the primary. It is never stale.
//!
//! # Roles
//!
//! The primary is who is verified to be it: the one pod that accepts writes (`read_only` and its like are off) and has everything that
//! the others have. Ordinal 0 has no privilege. Each pod is asked every [`probe_interval`](SplitterBuilder::probe_interval), so a promotion is
//! followed within one. Two writable pods, or none, or one that came back with an empty volume: writes are refused, and the error names
//! the pods. [`Splitter::overview`] shows what is known, [`Splitter::changed`] waits for news, [`Conn::explain`] tells why a connection
//! leads where it does.
//!
//! A replica's lag is measured in time, from GTID positions by this client's own clock. Beyond [`max_lag`](SplitterBuilder::max_lag) it takes
//! no reads until it has caught up; what becomes of reads when nobody is fresh is [`StalePolicy`].
//!
//! Connections are pooled per pod by `headless`; the protocol is spoken by `mysql_async`, whose rows, values and parameters are
//! those of this crate ([`driver`]).

mod account;
mod builder;
mod conn;
mod connector;
mod error;
mod exchange;
mod explain;
mod faults;
pub mod gtid;
mod lag;
mod monitor;
mod options;
mod patience;
mod prepared;
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
pub use crate::connector::{Connector, ConnectorError, Link};
pub use crate::error::{Error, Refusal};
pub use crate::explain::{Candidate, Decision, Why};
pub use crate::options::{ReadOptions, StalePolicy};
pub use crate::session::{Causal, Session};
pub use crate::splitter::{Mode, Splitter};
#[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
pub use crate::tls::Tls;
pub use crate::topology::{Overview, PodStatus, Writer, WriterProblem};
