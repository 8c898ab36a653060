//! [`Connect`]: the port through which connections to a pod are opened. HTTP, MySQL, or your own protocol implement it;
//! the pools of `headless` call it.

use std::error::Error;
use std::future::Future;

use crate::Endpoint;

/// Opens connections to one endpoint, and says how they may be used.
///
/// A pool keeps what this opens. It never asks *which* pod to connect to, and it does not retry: another pod may be better.
pub trait Connect: Send + Sync + 'static {
    /// An open connection, ready for use.
    type Conn: Send + 'static;

    /// Why a connection could not be opened.
    type Error: Error + Send + Sync + 'static;

    /// Opens one connection to exactly this endpoint.
    ///
    /// # Cancel safety
    /// The future is dropped when the dial timeout passes or the pod is removed; what it opened must close with it.
    fn connect(&self, endpoint: &Endpoint) -> impl Future<Output = Result<Self::Conn, Self::Error>> + Send;

    /// Whether a connection may serve another request. Called under the pool's lock, when a connection is lent and when it
    /// comes back: it must only look at what is already known (a flag), never at a socket.
    fn is_reusable(&self, conn: &Self::Conn) -> bool {
        let _ = conn;
        true
    }

    /// How many requests one connection carries at a time. Asked once, when the pool is made.
    fn sharing(&self) -> Sharing {
        Sharing::Exclusive
    }

    /// One more handle to the same connection, for [`Sharing::Streams`]; `None` when it takes no more now. Called under the
    /// pool's lock. Exclusive connections have no second handle.
    fn share(&self, conn: &Self::Conn) -> Option<Self::Conn> {
        let _ = conn;
        None
    }
}

/// How many requests one connection carries at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One: HTTP/1.1, MySQL. The connection itself is lent.
    Exclusive,
    /// Up to so many: HTTP/2 streams. A handle ([`Connect::share`]) is lent; when all are full, another connection is opened.
    Streams(usize),
}
