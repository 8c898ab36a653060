//! The statement classifier: may this statement go to a replica?
//!
//! [`classify`] reads a text once, as the server's lexer would, and applies a rule to each token.
//! The rule is **unknown means primary**: a write taken for a read costs data, a read taken for a
//! write costs load. So nothing here looks for writes. The classifier knows what is harmless (some
//! kinds of statements, keywords, functions that are built in), and anything else sends the
//! statement to the primary, with the rule and the place as the reason.
//!
//! | where | what |
//! |---|---|
//! | `scan.rs` | a text as tokens: quotes, comments, numbers, and what of them is not certain |
//! | `head.rs` | which kind of statement it is, by how it begins |
//! | `body.rs` | what is met inside, whatever the kind: locks, calls, variables, `INTO` |
//! | `words.rs`, `functions.rs` | the words that mean something |
//! | `classification.rs` | the answer, and what it says of the session |
//! | `dialect.rs` | what is known of the connection |
//! | `cache.rs` | classifications by text |
//! | `classifier.rs` | whether a statement may run on a certain connection |
//!
//! # What no text can show
//!
//! A view can call a stored function that writes. A table can be another server's (`FEDERATED`,
//! `SPIDER`). A trigger can change the session. And tables may be missing on one replica
//! (replication filters). Against the first, replicas have `read_only`, and the application a login
//! without the privilege to ignore it: then a misclassified write fails, instead of splitting the
//! data.
//!
//! A classification is about one statement. While a read-write transaction is open, or `autocommit`
//! is off, every statement belongs to the primary, and a temporary table is read where it was made.
//! The code that keeps the session's state has to see to that; [`Classification::session`] tells it
//! what the statement does there.

mod body;
mod cache;
mod classification;
mod classifier;
mod dialect;
// By the rules for lists it would be one name a line, and 400 lines.
#[rustfmt::skip]
mod functions;
mod head;
mod scan;
mod words;

pub use body::classify;
pub use cache::StatementCache;
pub(crate) use cache::TextHasher;
pub use classification::{Class, Classification, Control, Reason, SessionUse};
pub use classifier::Refusal;
pub(crate) use classifier::{Access, Classifier};
pub use dialect::{Dialect, Server};
