//! The interface of what is measured: [`Implementation`], and its failures.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

/// The list of the pods. It is the same for all implementations, so that only the handling differs.
pub type List = watch::Receiver<Arc<Vec<SocketAddr>>>;

/// A balanced HTTP client.
pub trait Implementation: Clone + Send + Sync + 'static {
    /// Its name in the report.
    const NAME: &'static str;

    /// Creates a client without connections.
    fn over(list: List) -> impl Future<Output = Self>;

    /// Sends a GET, reads the answer to its end, and returns the pod that answered.
    fn get(&self) -> impl Future<Output = Result<SocketAddr, Failure>> + Send;

    /// Returns the id of the additional process that it needs, if any.
    fn process(&self) -> Option<u32> {
        None
    }
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No connection: the pod refused it.
    Connect,
    /// The connection ended before the answer did.
    Closed,
    /// An answer that was not 200.
    Status,
    /// No answer came in time.
    Timeout,
    /// Anything else.
    Other,
}

impl Kind {
    /// Returns its name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Closed => "closed",
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }
}

/// A request that failed.
#[derive(Debug)]
pub struct Failure {
    /// The kind of failure.
    pub kind: Kind,
    error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// Creates a failure with the error that the client returned.
    pub fn new(kind: Kind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self { kind, error }
    }

    /// Creates the failure of an answer that was not 200.
    pub fn status(status: u16) -> Self {
        Self::new(Kind::Status, format!("the answer was {status}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for Failure {}
