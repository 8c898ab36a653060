//! [`Classifier`]: whether a statement may run on a connection ([`Access`]), and why not
//! ([`Refusal`]). How a statement is classified is `body.rs` and `head.rs`.

use std::sync::OnceLock;

use super::body::classify;
use super::cache::StatementCache;
use super::classification::{Class, Classification};
use super::dialect::Dialect;

/// The statement classifier of one splitter, with its memory for the dialect that all pods speak.
#[derive(Debug, Default)]
pub(crate) struct Classifier {
    /// For the dialect of the pods, once it is known.
    cache: OnceLock<StatementCache>,
}

impl Classifier {
    /// Sets the dialect that all pods speak, unless it is known already.
    pub(crate) fn set_dialect(&self, dialect: Dialect) {
        self.cache.get_or_init(|| StatementCache::new(dialect));
    }

    /// Classifies a statement for a pod that is not known yet.
    pub(crate) fn classify(&self, sql: &str) -> Classification {
        match self.cache.get() {
            Some(cache) => cache.classify(sql),
            None => classify(sql, Dialect::UNKNOWN),
        }
    }

    /// Classifies a statement for a connection of this dialect.
    pub(crate) fn classify_for(&self, dialect: Dialect, sql: &str) -> Classification {
        match self.cache.get() {
            Some(cache) if cache.dialect() == dialect => cache.classify(sql),
            _ => classify(sql, dialect),
        }
    }
}

/// What may be done on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads only, each for itself.
    Read,
    /// Reads only, in one transaction.
    ReadTransaction,
    /// Reads of one pod about itself.
    Pod,
    /// Anything that leaves no trace in the session.
    Write,
    /// Anything that does not end the transaction.
    WriteTransaction,
    /// Anything.
    Session,
}

impl Access {
    /// Whether a statement that is classified so may run on such a connection.
    pub(crate) fn permits(self, classification: Classification) -> Result<(), Refusal> {
        let class = classification.class();
        match (self, class) {
            (Self::Session, _) => Ok(()),
            (_, Class::Multi) => Err(Refusal::Multi(classification)),
            (_, Class::Transaction(_)) => Err(Refusal::Transaction(classification)),
            (Self::Read | Self::ReadTransaction | Self::Pod, Class::Write) => Err(Refusal::NotARead(classification)),
            (Self::Read | Self::ReadTransaction, Class::NodeRead) => Err(Refusal::NeedsPod(classification)),
            (Self::Write | Self::WriteTransaction, Class::SessionRead) => Ok(()),
            (_, Class::SessionRead | Class::Session) => Err(Refusal::NeedsSession(classification)),
            (Self::Write | Self::Read | Self::ReadTransaction | Self::Pod, _) if classification.needs_session() => {
                Err(Refusal::NeedsSession(classification))
            }
            (_, Class::Read | Class::NodeRead | Class::Write) => Ok(()),
        }
    }

    /// Whether nothing can be written, so that a statement whose connection is lost did nothing.
    pub(crate) const fn is_read(self) -> bool {
        matches!(self, Self::Read | Self::ReadTransaction | Self::Pod)
    }
}

/// Why a statement may not run on a connection, and what to do instead.
///
/// The [`Classification`] names the rule and the place in the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// In a read, the statement is not provably a read.
    #[error("{0}, so it is not provably a read; use `write`, or `session`")]
    NotARead(Classification),
    /// The statement is about the session, and the connection is the caller's for a moment only.
    #[error("{0}, so it needs a connection that is yours for longer; use `session`")]
    NeedsSession(Classification),
    /// The statement is about the transaction, which `transaction` begins and ends.
    #[error("{0}, so it begins or ends a transaction; use `transaction`, or `session`")]
    Transaction(Classification),
    /// The answer depends on the pod that gives it.
    #[error("{0}, so the answer is about the one pod that gives it; use `on_pod`")]
    NeedsPod(Classification),
    /// The text has more than one statement.
    #[error("{0}; send one statement at a time")]
    Multi(Classification),
    /// The account can write to a read-only server, so a write that goes astray would be obeyed.
    /// The value is the privilege.
    #[error(
        "the account has {0}, so that a replica would obey its writes; take the privilege away, or call \
         `allow_privileged`"
    )]
    Privileged(String),
}
