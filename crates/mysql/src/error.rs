//! [`Error`]: every way a statement can end without its result, told apart by what is known of its
//! effect. [`ExchangeError`]: what one exchange with a server came to; `conn.rs` knows what it
//! means.
//!
//! Error numbers: MySQL Error Message Reference (server and client), MariaDB Error Codes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless::AcquireError;
use mysql_async::ServerError as ServerMessage;

use crate::gtid::{FlavorMismatch, Token};
use crate::statement::Refusal;
use crate::topology::WriterProblem;

/// A statement, or a group of them, did not succeed.
///
/// The first question after a failed write is whether it happened.
/// [`is_not_sent`](Self::is_not_sent) says that it certainly did not;
/// [`MaybeCommitted`](Self::MaybeCommitted) that this is not known; [`Server`](Self::Server) that
/// the server refused it.
///
/// ```
/// use headless_mysql::Error;
///
/// /// Whether a failed write may be sent again as it is.
/// fn may_be_repeated(error: &Error) -> bool {
///     error.is_not_sent() && !matches!(error, Error::Refused { .. })
/// }
/// # let _ = may_be_repeated;
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection could be acquired; nothing was sent.
    #[error(transparent)]
    NotSent(AcquireError),
    /// The connection was lost after the write, or its COMMIT, may have left, and before its answer
    /// came. Whether it happened is not known.
    ///
    /// The splitter never sends it again. Look for its effect, or make it safe to repeat with a
    /// unique key.
    #[error("connection to {pod} lost before the answer: the write may have been committed ({cause})")]
    MaybeCommitted {
        /// The pod that the write was sent to.
        pod: String,
        /// What happened to the connection.
        cause: DriverError,
    },
    /// The pod says that it is read-only: it is no longer the primary. This statement changed
    /// nothing. The pod's connections are closed, and the roles are probed again at once.
    #[error("{pod} is read-only, and so no longer the primary: {message} (error {code}); nothing was written")]
    ReadOnly {
        /// The pod that the write was sent to.
        pod: String,
        /// The server's error number: 1290, 1792, 1836 or 3100.
        code: u16,
        /// The server's message.
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
    /// More than one pod accepts writes; nothing was sent, because one of them is wrong.
    #[error("{} pods of {service} would take writes: {}; make all but one read-only", pods.len(), pods.join(", "))]
    AmbiguousWriter {
        /// The Service.
        service: Arc<str>,
        /// The names of the pods.
        pods: Vec<String>,
    },
    /// No replica is fresh enough, and the [policy](crate::StalePolicy) allows nothing else.
    #[error(
        "no replica of {service} is fresh enough: {wanted} was asked for, {}",
        best_lag.map_or_else(|| "and the lag of none is known".to_owned(), |lag| format!("the best is {lag:?} behind"))
    )]
    TooStale {
        /// The Service.
        service: Arc<str>,
        /// What the read asked for.
        wanted: String,
        /// The smallest lag of a replica, if one is known.
        best_lag: Option<Duration>,
    },
    /// No replica will do, and the primary has as many reads as it may have
    /// ([`primary_reads`](crate::SplitterBuilder::primary_reads)).
    #[error(
        "no replica will do, and {limit} reads are on the primary of {service} already; shed load, or raise the limit"
    )]
    PrimaryBusy {
        /// The Service.
        service: Arc<str>,
        /// The number of reads that are allowed at a time.
        limit: usize,
    },
    /// The statement may not run on this connection; it was not sent.
    #[error("not sent: {reason}")]
    Refused {
        /// The reason, and what to do.
        reason: Refusal,
    },
    /// The primary does not have what the token asks for: the write was lost, in a failover to a
    /// pod that did not have it yet. No wait would bring it back.
    #[error(
        "the primary {pod} does not have {missing}: the write was lost in a failover; read again without this token"
    )]
    WriteLost {
        /// The primary.
        pod: String,
        /// What the primary lacks.
        missing: Token,
    },
    /// The token comes from another kind of server.
    #[error(transparent)]
    Token(#[from] FlavorMismatch),
    /// The server refused the statement; in a transaction, this statement alone, unless the server
    /// says otherwise.
    #[error("{pod}: {message} (error {code}, SQL state {state})")]
    Server {
        /// The pod.
        pod: String,
        /// The server's error number.
        code: u16,
        /// The SQLSTATE, five characters.
        state: String,
        /// The server's message.
        message: String,
    },
    /// The connection was lost in a read, after rows of it were handed out, or on the last pod that
    /// could be tried. Nothing was written.
    #[error("connection to {pod} lost in a read: {cause}")]
    Lost {
        /// The pod.
        pod: String,
        /// What happened to the connection.
        cause: DriverError,
    },
    /// A row does not have the shape that was asked for, or the parameters do not fit the
    /// statement.
    #[error("{problem}")]
    Data {
        /// What does not fit.
        problem: String,
    },
}

impl Error {
    /// Returns whether the statement certainly changed nothing, so that it may be sent again as it
    /// is.
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

/// What the driver, or the network below it, said when a connection failed.
///
/// A value of this crate, so that the driver's own error is no part of its signatures. `Display` is
/// the driver's message; `source()` is the error below it, as of the network.
#[derive(Clone, Debug)]
pub struct DriverError(Cause);

#[derive(Clone, Debug)]
enum Cause {
    Driver(Arc<mysql_async::Error>),
    TimedOut(Duration),
    Unresponsive,
    Released,
}

impl DriverError {
    /// The connection is in the pool again: what a connection that was returned would say.
    pub(crate) const RELEASED: Self = Self(Cause::Released);

    /// The driver's message, once, and what to check if it did not understand the other side.
    pub(crate) fn advice(&self) -> String {
        match &self.0 {
            Cause::Driver(error) => match &**error {
                mysql_async::Error::Io(mysql_async::IoError::Io(error)) => error.to_string(),
                mysql_async::Error::Driver(error) => {
                    format!(
                        "{error} Check that MySQL or MariaDB listens on this port in the pod, and not something else."
                    )
                }
                other => other.to_string(),
            },
            Cause::TimedOut(_) | Cause::Unresponsive | Cause::Released => self.to_string(),
        }
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Driver(error) => error.fmt(f),
            Cause::TimedOut(limit) => write!(f, "no answer within {limit:?}"),
            Cause::Unresponsive => f.write_str("the pod does not answer"),
            Cause::Released => f.write_str("the connection was returned"),
        }
    }
}

impl std::error::Error for DriverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Cause::Driver(error) => error.source(),
            Cause::TimedOut(_) | Cause::Unresponsive | Cause::Released => None,
        }
    }
}

/// An exchange did not bring its rows.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// The server answered with an error; the connection is as good as before.
    Server(ServerError),
    /// The connection is lost. What was under way may have happened.
    Lost(DriverError),
    /// What was given or asked for does not fit: parameters, for example. Nothing happened.
    Data(String),
}

/// A server's error.
#[derive(Clone, Debug)]
pub(crate) struct ServerError {
    pub(crate) code: u16,
    pub(crate) state: String,
    pub(crate) message: String,
}

impl ServerError {
    /// Whether the server says that it takes no writes (F1): `read_only` (1290), a read-only
    /// transaction (1792), read-only mode (1836), a group's secondary (3100).
    pub(crate) const fn is_read_only(&self) -> bool {
        matches!(self.code, 1290 | 1792 | 1836 | 3100)
    }
}

impl ExchangeError {
    /// The server did not answer in time.
    pub(crate) fn timed_out(limit: Duration) -> Self {
        Self::Lost(DriverError(Cause::TimedOut(limit)))
    }

    /// The pod was found to answer no connection.
    pub(crate) fn unresponsive() -> Self {
        Self::Lost(DriverError(Cause::Unresponsive))
    }

    /// What it means of a statement on `pod`. `writes`: the statement may have changed something.
    pub(crate) fn on(self, pod: String, writes: bool) -> Error {
        match self {
            Self::Data(problem) => Error::Data { problem },
            Self::Server(ServerError { code, state, message }) => Error::Server {
                pod,
                code,
                state,
                message,
            },
            Self::Lost(cause) if writes => Error::MaybeCommitted { pod, cause },
            Self::Lost(cause) => Error::Lost { pod, cause },
        }
    }
}

/// The driver's error, as one of this crate's values.
pub(crate) fn driver_error(error: mysql_async::Error) -> DriverError {
    DriverError(Cause::Driver(Arc::new(error)))
}

/// Tells a server's refusal from a lost connection from a mistake of the caller's.
pub(crate) fn exchange_error(error: mysql_async::Error) -> ExchangeError {
    use mysql_async::DriverError as Driver;
    match error {
        // The server is shutting down, or has cut this connection: its last words. What they
        // interrupted may have happened (F5).
        mysql_async::Error::Server(ServerMessage {
            code: 1053 | 1079 | 1927 | 3169 | 4031,
            ..
        }) => ExchangeError::Lost(driver_error(error)),
        mysql_async::Error::Server(ServerMessage { code, message, state }) => {
            ExchangeError::Server(ServerError { code, state, message })
        }
        mysql_async::Error::Driver(
            Driver::MixedParams
            | Driver::Params(_)
            | Driver::StmtParamsMismatch { .. }
            | Driver::StmtParamsNumberExceedsLimit { .. }
            | Driver::FromRow { .. }
            | Driver::FromValue { .. },
        ) => ExchangeError::Data(error.to_string()),
        lost => ExchangeError::Lost(driver_error(lost)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16) -> ExchangeError {
        exchange_error(mysql_async::Error::Server(ServerMessage {
            code,
            message: String::new(),
            state: String::new(),
        }))
    }

    #[test]
    fn f1_four_numbers_say_read_only() {
        for code in [1290, 1792, 1836, 3100] {
            assert!(
                matches!(server(code), ExchangeError::Server(refused) if refused.is_read_only()),
                "{code}"
            );
        }
        assert!(matches!(server(1062), ExchangeError::Server(refused) if !refused.is_read_only()));
    }

    #[test]
    fn f5_last_words_of_a_server_leave_the_outcome_open() {
        for code in [1053, 1927, 4031] {
            assert!(matches!(server(code), ExchangeError::Lost(_)), "{code}");
        }
    }
}
