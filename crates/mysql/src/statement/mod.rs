//! The statement guard: may this statement go to a replica?
//!
//! [`classify`] reads a text once, as the server's lexer would, and judges what it meets. The rule is **unknown means primary**: a
//! write taken for a read costs data, a read taken for a write costs load. So nothing here looks for writes. The guard knows
//! what is harmless (some kinds of statements, keywords, functions that are built in), and whatever else it meets sends the
//! statement to the primary, with the rule and the place as the reason.
//!
//! | where | what |
//! |---|---|
//! | `scan.rs` | a text as tokens: quotes, comments, numbers, and what of them is not certain |
//! | `head.rs` | which kind of statement it is, by how it begins |
//! | `body.rs` | what is met inside, whatever the kind: locks, calls, variables, `INTO` |
//! | `words.rs`, `functions.rs` | the words that mean something |
//! | `verdict.rs` | the answer, and what it says of the session |
//! | `dialect.rs` | what is known of the connection |
//! | `cache.rs` | verdicts by text |
//!
//! # What no text can show
//!
//! A view can call a stored function that writes. A table can be another server's (`FEDERATED`, `SPIDER`). A trigger can change the
//! session. And tables may be missing on one replica (replication filters). Against the first, replicas have `read_only`, and the
//! application a login without the privilege to ignore it: then a misjudged write fails, instead of splitting the data.
//!
//! A verdict is about one statement. That every statement belongs to the primary while a read-write transaction is open, or
//! `autocommit` is off, that a temporary table is read where it was made: that is for who keeps the session's state, and
//! [`Classification::session`] tells it what the statement does there.

mod body;
mod cache;
mod dialect;
// By the rules for lists it would be one name a line, and 400 lines.
#[rustfmt::skip]
mod functions;
mod head;
mod scan;
mod verdict;
mod words;

pub use cache::StatementCache;
pub(crate) use cache::TextHasher;
pub use dialect::{Dialect, Server};
pub use verdict::{Class, Classification, Control, Reason, SessionUse};

/// Judges one statement, as it would be sent.
///
/// The same text gets the same verdict, whether it is sent as text or to be prepared. Takes time in proportion to the text,
/// a microsecond for a usual one, and allocates nothing; [`StatementCache`] remembers the verdicts of texts that come often.
///
/// ```
/// use headless_mysql::statement::{Class, Dialect, classify};
///
/// let read = classify("SELECT name FROM users WHERE id = ?", Dialect::UTF8);
/// assert_eq!(read.class(), Class::Read);
///
/// let lock = classify("SELECT id FROM jobs LIMIT 1 FOR UPDATE SKIP LOCKED", Dialect::UTF8);
/// assert_eq!(lock.class(), Class::Write);
/// assert_eq!(lock.to_string(), "locking read (FOR UPDATE) at byte 28");
/// ```
#[must_use]
pub fn classify(sql: &str, dialect: Dialect) -> Classification {
    body::judge(sql, dialect)
}
