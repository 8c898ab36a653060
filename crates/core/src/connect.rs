//! [`Connect`]: the trait through which connections to an endpoint are opened. It is implemented
//! for HTTP, for MySQL, or for a protocol of the application, and called by the pools of
//! `headless`.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::{BoxFuture, Endpoint};

/// Opens connections to one endpoint, and tells the pool how they may be used.
///
/// The pool keeps the connections. A connector neither chooses the endpoint nor retries, since
/// another endpoint may be better.
pub trait Connect: Send + Sync + 'static {
    /// An open connection, ready for use.
    type Conn: Send + 'static;

    /// The reason why a connection could not be opened.
    type Error: Error + Send + Sync + 'static;

    /// Opens one connection to exactly this endpoint.
    ///
    /// # Errors
    /// The reason why there is no connection. The pool reports it, and the endpoint becomes
    /// unhealthy.
    ///
    /// # Cancel safety
    /// The future is dropped when the connect timeout passes or the endpoint is removed. What it
    /// has opened must be closed with it.
    fn connect(&self, endpoint: &Endpoint) -> impl Future<Output = Result<Self::Conn, Self::Error>> + Send;

    /// Returns whether `error` is certain to come again until a setting of the client or of the
    /// endpoint is changed: a certificate without the expected name, another protocol. Default:
    /// `false`.
    ///
    /// When every endpoint that fits a request fails so, the request is not kept waiting for one of
    /// them to come up. Such an endpoint is also probed less often. An error that may pass by
    /// itself, such as a refused connection, is none: the pod may be starting.
    fn is_misconfiguration(&self, error: &Self::Error) -> bool {
        let _ = error;
        false
    }

    /// Returns whether a connection may serve another request. Default: `true`.
    ///
    /// The pool calls this under its lock, when a connection is checked out and when it is
    /// returned. It must read state that is already known (a flag), and never a socket.
    fn is_reusable(&self, conn: &Self::Conn) -> bool {
        let _ = conn;
        true
    }

    /// Returns how many requests one connection carries at a time. The pool asks once, when it is
    /// created. Default: [`Multiplexing::Exclusive`].
    fn multiplexing(&self) -> Multiplexing {
        Multiplexing::Exclusive
    }

    /// Returns another handle to the same connection, for [`Multiplexing::Streams`], or `None` if
    /// the connection takes no more streams now, whatever its peer allows: it is in doubt. Default:
    /// `None`.
    ///
    /// The pool then opens another connection, and closes this one for it if there is no room and
    /// no stream is open. The pool calls this under its lock. Exclusive connections have no second
    /// handle.
    fn share(&self, conn: &Self::Conn) -> Option<Self::Conn> {
        let _ = conn;
        None
    }

    /// Returns the number of streams that the peer allows on a shared connection now. The smaller
    /// of this and [`Multiplexing::Streams`] is the limit. Default: no limit.
    ///
    /// Zero is a peer that takes no request for a while: the pool opens no other connection to it,
    /// callers try other endpoints, and [`watch_capacity`](Self::watch_capacity) ends the wait.
    ///
    /// The pool calls this under its lock, when a handle is wanted. It must read state that is
    /// already known (HTTP/2's last SETTINGS).
    fn stream_limit(&self, conn: &Self::Conn) -> usize {
        let _ = conn;
        usize::MAX
    }

    /// Has `changed` notified whenever a shared connection may take another number of streams than
    /// before: the peer allows more or fewer, a doubt is settled, or the connection has ended.
    /// Default: nothing is told, and the pool asks again when a stream is returned or wanted.
    ///
    /// The pool calls this once, when a connection for [`Multiplexing::Streams`] was opened, and
    /// outside its lock. What changes after this call must be notified; what has changed before is
    /// read by the pool.
    fn watch_capacity(&self, conn: &Self::Conn, changed: CapacityChanged) {
        let _ = (conn, changed);
    }

    /// Proves by an exchange with the peer (a ping) that an idle connection still works. Default:
    /// nothing is sent, and the connection is taken to work.
    ///
    /// The pool calls this only if it is configured to: after an idle time, before the connection
    /// is checked out, and to keep the connection that was idle for longest alive. The default
    /// suits protocols whose connections show their end by themselves
    /// ([`is_reusable`](Self::is_reusable)).
    ///
    /// # Errors
    /// The connection is dead, and the other connections that were idle are suspect.
    ///
    /// # Cancel safety
    /// The future is dropped when the connect timeout passes; the connection is closed then.
    fn validate(&self, conn: &mut Self::Conn) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = conn;
        std::future::ready(Ok(()))
    }

    /// Returns a handle that closes the connection from outside, for the drain deadline of a
    /// removed endpoint. Default: `None`, which reports late requests and leaves them alone.
    ///
    /// The pool asks once, when the connection is opened.
    fn abort_handle(&self, conn: &Self::Conn) -> Option<Box<dyn AbortHandle>> {
        let _ = conn;
        None
    }
}

/// Tells a pool that a shared connection may take more or fewer streams than before
/// ([`Connect::watch_capacity`]).
#[derive(Clone)]
pub struct CapacityChanged(Arc<dyn Fn() + Send + Sync>);

impl CapacityChanged {
    /// Makes one that calls `notify`.
    pub fn new(notify: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(notify))
    }

    /// Has the pool ask the connection again. It must not be called under a lock that the other
    /// methods of [`Connect`] take.
    pub fn notify(&self) {
        (self.0)();
    }
}

impl fmt::Debug for CapacityChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CapacityChanged")
    }
}

/// Closes a connection that another task uses.
pub trait AbortHandle: Send + Sync + 'static {
    /// Closes the connection; the request that uses it ends with an error. Further calls do
    /// nothing.
    fn abort(&self);

    /// Returns whether the connection is closed already, so that the handle can be dropped.
    fn is_finished(&self) -> bool;
}

/// Verifies, each time a connection is opened, that the address still belongs to the endpoint that
/// DNS named.
///
/// While an answer is cached, an address can pass from one pod to another. Where this must not go
/// unnoticed (the pods of a database), the verification refuses the connection before it carries a
/// request. `headless-dns` has one that asks DNS for the name of the address; a protocol that names
/// the peer itself (a certificate, a handshake) can do better.
pub trait VerifyPeer: Send + Sync + 'static {
    /// Verifies that `endpoint` is the expected peer.
    ///
    /// If this cannot be told, the result is `Ok`.
    ///
    /// # Errors
    /// [`PeerMismatch`] if the address belongs to another peer.
    ///
    /// # Cancel safety
    /// The future is dropped when the connect timeout passes, which the verification shares with
    /// the connection.
    fn verify_peer<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<(), PeerMismatch>>;
}

impl VerifyPeer for Box<dyn VerifyPeer> {
    fn verify_peer<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<(), PeerMismatch>> {
        (**self).verify_peer(endpoint)
    }
}

/// The address belongs to another peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerMismatch {
    /// The peer that was found, in the words of the verification.
    pub found: String,
}

impl PeerMismatch {
    /// Returns a mismatch; `found` says which peer was found instead: `it belongs to web-2`.
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

/// The number of requests that one connection carries at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a pool handles each kind in its own way")]
pub enum Multiplexing {
    /// One request (HTTP/1.1, MySQL). The connection itself is checked out.
    Exclusive,
    /// Up to this many requests (HTTP/2 streams). A handle ([`Connect::share`]) is checked out;
    /// when all streams are taken, another connection is opened.
    Streams(NonZeroUsize),
}
