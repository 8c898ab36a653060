//! [`Error`]: every way a statement can end without its result, told apart by what is known of its effect.

use std::sync::Arc;
use std::time::Duration;

use headless::AcquireError;

use crate::gtid::{FlavorMismatch, Token};
use crate::statement::Classification;
use crate::topology::WriterProblem;

/// A statement, or a group of them, did not succeed.
///
/// The first question after a failed write is whether it happened. [`is_not_sent`](Self::is_not_sent) says that it certainly did
/// not; [`MaybeCommitted`](Self::MaybeCommitted) that nobody knows; [`Server`](Self::Server) that the server refused it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection could be had; nothing was sent.
    #[error(transparent)]
    NotSent(AcquireError),
    /// The connection was lost after the write, or its COMMIT, may have left, and before its answer came. It may have happened or
    /// not. It is never sent again: look for its effect, or make it safe to repeat (a unique key).
    #[error("connection to {pod} lost before the answer: the write may have been committed ({cause})")]
    MaybeCommitted {
        /// The pod it was sent to.
        pod: String,
        /// What happened to the connection.
        cause: Arc<mysql_async::Error>,
    },
    /// The pod says that it is read-only: it is no longer the primary. This statement changed nothing. The pod's connections are
    /// closed, and roles are looked at again.
    #[error("{pod} is read-only, and so no longer the primary: {message} (error {code}); nothing was written")]
    ReadOnly {
        /// The pod it was sent to.
        pod: String,
        /// The server's error number: 1290, 1792, 1836, 3100.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// No pod is verified to be the one that takes writes; nothing was sent.
    #[error("no pod of {service} can take writes: {problem}")]
    NoWriter {
        /// The Service.
        service: Arc<str>,
        /// What was found instead.
        problem: WriterProblem,
    },
    /// More than one pod would take writes; nothing was sent, because one of them is wrong.
    #[error("{} pods of {service} would take writes: {}; make all but one read-only", pods.len(), pods.join(", "))]
    AmbiguousWriter {
        /// The Service.
        service: Arc<str>,
        /// Who they are.
        pods: Vec<String>,
    },
    /// No replica is fresh enough, and the policy allows nothing else.
    #[error(
        "no replica of {service} is fresh enough: {wanted} was asked for, {}",
        best_lag.map_or_else(|| "and the lag of none is known".to_owned(), |lag| format!("the best is {lag:?} behind"))
    )]
    TooStale {
        /// The Service.
        service: Arc<str>,
        /// What was asked for.
        wanted: String,
        /// The lag of the replica that has the least.
        best_lag: Option<Duration>,
    },
    /// As many reads as are allowed are on the primary already, since no replica will do.
    #[error(
        "no replica will do, and {limit} reads are on the primary of {service} already; shed load, or raise the limit"
    )]
    PrimaryBusy {
        /// The Service.
        service: Arc<str>,
        /// How many are allowed.
        limit: usize,
    },
    /// The guard refuses the statement here; it was not sent.
    #[error("not sent: {reason}")]
    Refused {
        /// Why, and what to do.
        reason: Refusal,
    },
    /// The primary does not have what the token asks for: the write was lost, in a failover to a pod that did not have it yet. No
    /// wait would bring it back.
    #[error(
        "the primary {pod} does not have {missing}: the write was lost in a failover; read again without this token"
    )]
    WriteLost {
        /// The primary.
        pod: String,
        /// What it lacks.
        missing: Token,
    },
    /// The token comes from another kind of server.
    #[error(transparent)]
    Token(#[from] FlavorMismatch),
    /// The server refused the statement; in a transaction, this statement alone, unless the server says otherwise.
    #[error("{pod}: {message} (error {code}, SQL state {state})")]
    Server {
        /// The pod.
        pod: String,
        /// The server's error number.
        code: u16,
        /// SQLSTATE.
        state: String,
        /// The server's words.
        message: String,
    },
    /// The connection was lost in a read, after rows of it were handed out, or on the last pod that could be tried. Nothing was
    /// written.
    #[error("connection to {pod} lost in a read: {cause}")]
    Lost {
        /// The pod.
        pod: String,
        /// What happened to the connection.
        cause: Arc<mysql_async::Error>,
    },
    /// A row does not have the shape that was asked for, or the parameters do not fit the statement.
    #[error("{problem}")]
    Data {
        /// What does not fit.
        problem: String,
    },
}

impl Error {
    /// Whether the statement certainly changed nothing, so that it may be sent again as it is.
    #[must_use]
    pub const fn is_not_sent(&self) -> bool {
        matches!(
            self,
            Self::NotSent(_)
                | Self::ReadOnly { .. }
                | Self::NoWriter { .. }
                | Self::AmbiguousWriter { .. }
                | Self::TooStale { .. }
                | Self::PrimaryBusy { .. }
                | Self::Refused { .. }
                | Self::WriteLost { .. }
                | Self::Token(_)
        )
    }
}

/// Why the guard refuses a statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// In a read, the statement is not provably a read.
    #[error("{0}, so it is not provably a read; use `write`, or `session`")]
    NotARead(Classification),
    /// The statement is about the session, which here is borrowed for a moment.
    #[error("{0}, so it needs a connection that is yours for longer; use `session`")]
    NeedsSession(Classification),
    /// The statement is about the transaction, which `transaction` begins and ends.
    #[error("{0}, so it begins or ends a transaction; use `transaction`, or `session`")]
    Transaction(Classification),
    /// The answer depends on which pod gives it.
    #[error("{0}, so the answer is about the one pod that gives it; use `on_pod`")]
    NeedsPod(Classification),
    /// More than one statement in one text.
    #[error("{0}; send one statement at a time")]
    Multi(Classification),
    /// The account may write to a read-only server, so a write that goes astray would be obeyed.
    #[error(
        "the account has {0}, so that a replica would obey its writes; take the privilege away, or call `allow_privileged`"
    )]
    Privileged(String),
}
