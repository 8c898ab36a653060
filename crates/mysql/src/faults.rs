//! [`Fault`]: what an exchange with a server came to, if not its rows. What it means for the caller depends on what was being done:
//! that is `conn.rs`.
//!
//! Error numbers: MySQL Error Message Reference (server and client), MariaDB Error Codes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::{DriverError, IoError, ServerError};

/// An exchange did not bring its rows.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server answered with an error; the connection is as good as before.
    Server(Refused),
    /// The connection is lost. What was under way may have happened.
    Lost(Arc<mysql_async::Error>),
    /// What was given or asked for does not fit: parameters, for example. Nothing happened.
    Data(String),
}

/// A server's error.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) code: u16,
    pub(crate) state: String,
    pub(crate) message: String,
}

impl Refused {
    /// Whether the server says that it takes no writes (F1): `read_only` (1290), a read-only transaction (1792), read-only mode
    /// (1836), a group's secondary (3100).
    pub(crate) const fn is_read_only(&self) -> bool {
        matches!(self.code, 1290 | 1792 | 1836 | 3100)
    }
}

impl Fault {
    /// The server did not answer in time.
    pub(crate) fn timed_out(limit: Duration) -> Self {
        Self::io(format!("no answer within {limit:?}"))
    }

    /// The pod was found not to answer anybody.
    pub(crate) fn silent() -> Self {
        Self::io("the pod does not answer".to_owned())
    }

    fn io(problem: String) -> Self {
        let error = io::Error::new(io::ErrorKind::TimedOut, problem);
        Self::Lost(Arc::new(mysql_async::Error::Io(IoError::Io(error))))
    }
}

/// Tells a server's refusal from a lost connection from a mistake of the caller's.
pub(crate) fn fault_of(error: mysql_async::Error) -> Fault {
    match error {
        // The server is shutting down, or has cut this connection: its last words, and nobody knows what they interrupted (F5).
        mysql_async::Error::Server(ServerError {
            code: 1053 | 1079 | 1927 | 3169 | 4031,
            ..
        }) => Fault::Lost(Arc::new(error)),
        mysql_async::Error::Server(ServerError { code, message, state }) => {
            Fault::Server(Refused { code, state, message })
        }
        mysql_async::Error::Driver(
            DriverError::MixedParams
            | DriverError::Params(_)
            | DriverError::StmtParamsMismatch { .. }
            | DriverError::StmtParamsNumberExceedsLimit { .. }
            | DriverError::FromRow { .. }
            | DriverError::FromValue { .. },
        ) => Fault::Data(error.to_string()),
        lost => Fault::Lost(Arc::new(lost)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16) -> Fault {
        fault_of(mysql_async::Error::Server(ServerError {
            code,
            message: String::new(),
            state: String::new(),
        }))
    }

    #[test]
    fn f1_four_numbers_say_read_only() {
        for code in [1290, 1792, 1836, 3100] {
            assert!(
                matches!(server(code), Fault::Server(refused) if refused.is_read_only()),
                "{code}"
            );
        }
        assert!(matches!(server(1062), Fault::Server(refused) if !refused.is_read_only()));
    }

    #[test]
    fn f5_last_words_of_a_server_leave_the_outcome_open() {
        for code in [1053, 1927, 4031] {
            assert!(matches!(server(code), Fault::Lost(_)), "{code}");
        }
    }
}
