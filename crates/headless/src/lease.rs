//! [`Lease`]: a connection that was checked out, and reports back.

use std::error::Error;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use headless_core::{Connect, Endpoint, InFlight, Outcome, Timestamp};

use crate::backend::Backend;
use crate::pool::{CloseReason, End, Slot};

/// A connection to one endpoint, checked out for one request.
///
/// The request counts as load on its endpoint from the pick until the lease ends. It ends in one of
/// six ways:
///
/// * [`finish`](Self::finish): the exchange is complete. The connection returns to the pool if the
///   connector agrees.
/// * [`broken`](Self::broken): the connection died. It is closed, with every idle one of this
///   endpoint, and the discovery is asked to resolve again.
/// * [`close`](Self::close): the connection is of no more use. It is closed, and no other.
/// * [`cancel`](Self::cancel): the exchange was given up in the middle. An exclusive connection is
///   closed, since it may still carry parts of the exchange; of a multiplexed one only the stream
///   ends.
/// * [`unanswered`](Self::unanswered) or [`refused`](Self::refused): there was no connection, as it
///   turns out. It is closed, and counts as a failed attempt to connect.
/// * dropped: cancelled, with [`Outcome::Cancelled`]. The endpoint does not look fast for it.
///
/// If nothing was received on the connection since the request was sent, call
/// [`invalidate_older_idle`](Self::invalidate_older_idle) before the lease of a request that is
/// given up ends.
///
/// Dereferences to the connection.
#[must_use = "dropping a lease closes its connection; call `finish`"]
pub struct Lease<C: Connect> {
    /// `None` once it has ended.
    conn: Option<C::Conn>,
    slot: Slot,
    started: Timestamp,
    in_flight: InFlight<Arc<Backend<C>>>,
}

impl<C: Connect> Lease<C> {
    #[inline]
    pub(crate) fn new(conn: C::Conn, slot: Slot, started: Timestamp, in_flight: InFlight<Arc<Backend<C>>>) -> Self {
        Self {
            conn: Some(conn),
            slot,
            started,
            in_flight,
        }
    }

    /// Returns the endpoint that it is connected to.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.in_flight.on().endpoint
    }

    /// Returns whether the connection was idle in the pool before this lease: it was neither opened
    /// for it nor handed on from another lease.
    ///
    /// If such a connection proves dead, the endpoint's other idle connections may be dead too
    /// ([`broken`](Self::broken)). The death of any other says nothing about them
    /// ([`close`](Self::close)).
    #[must_use]
    pub fn was_idle(&self) -> bool {
        self.slot.was_idle()
    }

    /// Ends the lease after a complete exchange. `outcome` says how the endpoint did. Synchronous
    /// and cheap.
    #[inline(always)]
    pub fn finish(mut self, outcome: Outcome) {
        let Some(conn) = self.conn.take() else { return };
        let backend = self.in_flight.on();
        backend.observe(self.started, outcome);
        backend.pool.finish(conn, self.slot);
    }

    /// Ends the lease of a connection that died in use. Closes it and the endpoint's idle ones, and
    /// asks the discovery to resolve again soon.
    pub fn broken(mut self) {
        self.in_flight.on().connection_broke();
        self.end(Outcome::Failure, CloseReason::Broken);
    }

    /// Ends the lease and closes its connection, and no other. `outcome` says how the endpoint did;
    /// after a failure the discovery is asked to resolve again soon.
    ///
    /// Of a multiplexed connection, the streams of other leases go on to their end.
    pub fn close(mut self, outcome: Outcome) {
        if outcome == Outcome::Failure {
            self.in_flight.on().request_reresolution();
        }
        self.end(outcome, CloseReason::Broken);
    }

    /// Ends the lease of an exchange that is given up in the middle, as dropping it does, with this
    /// outcome. A caller that has waited for as long as it may says
    /// [`Failure`](Outcome::Failure).
    pub fn cancel(mut self, outcome: Outcome) {
        self.end(outcome, CloseReason::Cancelled);
    }

    /// Closes the idle connections of this endpoint that were last used before this connection was
    /// checked out, and asks the discovery to resolve again soon.
    ///
    /// It is for a caller that gives up a request on which the endpoint was *silent*: nothing was
    /// received on the connection since the request was sent. Where an endpoint or a path vanishes
    /// without closing its connections, all of them are silent, and each would cost a request its
    /// whole timeout. Those that were used since the check-out have answered since, and are kept;
    /// so are those that are opened later.
    ///
    /// It has no effect on multiplexed connections, which carry other requests at the same time.
    pub fn invalidate_older_idle(&self) {
        let backend = self.in_flight.on();
        backend.pool.invalidate_idle_before(self.slot);
        backend.request_reresolution();
    }

    /// Says that a request was answered on this connection, the first one. It clears the endpoint
    /// of what [`unanswered`](Self::unanswered) and [`refused`](Self::refused) have reported, and
    /// is not needed without them. Synchronous and cheap.
    #[inline]
    pub fn answered(&self) {
        self.in_flight.on().answered();
    }

    /// Ends the lease of a connection that has ended and never carried an answer. Closes it.
    ///
    /// Three such connections in a row make the endpoint unhealthy, as a failed attempt to connect
    /// does: something accepts connections there and closes them. It is probed then, with growing
    /// waits, and takes requests again when the connection of a probe stays open. From then on one
    /// more such end is enough, and the waits go on growing, until a request was
    /// [answered](Self::answered).
    ///
    /// `error` says how the connection ended. The end of a multiplexed connection counts once,
    /// however many leases report it.
    pub fn unanswered(mut self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        let connection = self.slot.connection();
        self.in_flight.on().ended_unanswered(connection, error.into());
        self.end(Outcome::Failure, CloseReason::Broken);
    }

    /// Ends the lease of a connection that the peer has refused after it was opened, before any
    /// answer, as a TLS 1.3 server refuses the client's certificate. Closes it.
    ///
    /// It makes the endpoint unhealthy at once, as if [`connect`](Connect::connect) had returned
    /// `error`. The endpoint takes requests again as after [`unanswered`](Self::unanswered).
    pub fn refused(mut self, error: C::Error) {
        self.in_flight.on().refused(error);
        self.end(Outcome::Failure, CloseReason::Broken);
    }

    fn end(&mut self, outcome: Outcome, reason: CloseReason) {
        let Some(conn) = self.conn.take() else { return };
        let backend = self.in_flight.on();
        backend.observe(self.started, outcome);
        backend.pool.return_conn(conn, self.slot, End::Close(reason));
    }

    #[cold]
    fn give_up(&mut self) {
        self.end(Outcome::Cancelled, CloseReason::Cancelled);
    }
}

impl<C: Connect> Drop for Lease<C> {
    // Inlined, because nothing is left to do after `finish`.
    #[inline]
    fn drop(&mut self) {
        if self.conn.is_some() {
            self.give_up();
        }
    }
}

impl<C: Connect> Deref for Lease<C> {
    type Target = C::Conn;

    #[inline]
    fn deref(&self) -> &C::Conn {
        match &self.conn {
            Some(conn) => conn,
            None => unreachable!("only the end takes the connection, and nothing comes after it"),
        }
    }
}

impl<C: Connect> DerefMut for Lease<C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut C::Conn {
        match &mut self.conn {
            Some(conn) => conn,
            None => unreachable!("only the end takes the connection, and nothing comes after it"),
        }
    }
}

impl<C: Connect> fmt::Debug for Lease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("endpoint", self.endpoint())
            .finish_non_exhaustive()
    }
}
