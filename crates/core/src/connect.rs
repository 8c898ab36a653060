//! [`Connect`]: the port through which connections to a pod are opened. HTTP, MySQL, or your own protocol implement it;
//! the pools of `headless` call it.

use std::error::Error;
use std::fmt;
use std::future::Future;

use crate::{BoxFuture, Endpoint};

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
    fn multiplexing(&self) -> Multiplexing {
        Multiplexing::Exclusive
    }

    /// One more handle to the same connection, for [`Multiplexing::Streams`]; `None` when it takes no more now. Called under the
    /// pool's lock. Exclusive connections have no second handle.
    fn share(&self, conn: &Self::Conn) -> Option<Self::Conn> {
        let _ = conn;
        None
    }

    /// How many streams the peer allows on a shared connection now; the smaller of this and [`Multiplexing::Streams`] counts. Asked
    /// under the pool's lock when a handle is wanted, so it must only look at what is already known (HTTP/2's last SETTINGS).
    fn stream_limit(&self, conn: &Self::Conn) -> usize {
        let _ = conn;
        usize::MAX
    }

    /// Proves that an idle connection still answers, by an exchange with the pod (a ping). Asked only where the pool is told to:
    /// after an idle time, before the connection is lent, and to keep the longest idle one alive. An error means that the connection
    /// is dead, and with it the trust in all that were idle at the time.
    ///
    /// The default is for protocols whose connections show their end by themselves ([`is_reusable`](Self::is_reusable)).
    ///
    /// # Cancel safety
    /// The future is dropped when the dial timeout passes; the connection is then closed.
    fn validate(&self, conn: &mut Self::Conn) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = conn;
        std::future::ready(Ok(()))
    }

    /// A grip on the connection from outside, for the drain deadline: what a removed pod has not finished by then is cut.
    /// Asked once, when the connection is opened. Without one, the default, late requests are reported and left alone.
    fn abort_handle(&self, conn: &Self::Conn) -> Option<Box<dyn AbortHandle>> {
        let _ = conn;
        None
    }
}

/// Ends a connection that somebody else is using.
pub trait AbortHandle: Send + Sync + 'static {
    /// Closes the connection; whoever uses it gets an error. More than once is as good as once.
    fn abort(&self);

    /// Whether the connection is closed already, so that the handle can be forgotten.
    fn is_finished(&self) -> bool;
}

/// Checks, each time a connection is opened, that the pod behind the address is still who DNS said.
///
/// Within the time an answer may be cached, an address can pass from one pod to another. Where that must not happen unseen (a
/// database's pods), a check refuses the connection before it carries anything. `headless-dns` has one that asks DNS backwards; a
/// protocol that tells a name of its own (a certificate, a handshake) can do better.
pub trait VerifyPeer: Send + Sync + 'static {
    /// Whether `endpoint` is who it should be. Not being able to tell is no contradiction: that is `Ok`.
    ///
    /// # Cancel safety
    /// The future is dropped when the dial timeout passes, which the check shares with the connection.
    fn verify_peer<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<(), PeerMismatch>>;
}

impl VerifyPeer for Box<dyn VerifyPeer> {
    fn verify_peer<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<(), PeerMismatch>> {
        (**self).verify_peer(endpoint)
    }
}

/// The address belongs to somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerMismatch {
    /// What was found, in the words of the check.
    pub found: String,
}

impl PeerMismatch {
    /// What was found instead of the pod that was expected: `it belongs to web-2`.
    pub fn new(found: impl Into<String>) -> Self {
        Self { found: found.into() }
    }
}

impl fmt::Display for PeerMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the address is not this pod's any more: {}", self.found)
    }
}

impl Error for PeerMismatch {}

/// How many requests one connection carries at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multiplexing {
    /// One: HTTP/1.1, MySQL. The connection itself is lent.
    Exclusive,
    /// Up to so many: HTTP/2 streams. A handle ([`Connect::share`]) is lent; when all are full, another connection is opened.
    Streams(usize),
}
