//! [`Lease`]: a borrowed connection that reports back.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use headless_core::{Connect, Endpoint, InFlight, Outcome, Timestamp};

use crate::backend::Backend;
use crate::pool::{self, CloseReason, End, Slot};

/// A connection to one pod, borrowed for one request.
///
/// The request counts as load on its pod from the pick until the lease ends. It ends in one of three ways:
///
/// * [`finish`](Self::finish): the exchange is complete. The connection goes back to the pool if the connector agrees.
/// * [`broken`](Self::broken): the connection died. It is closed, with every idle one of this pod, and DNS is asked soon.
/// * dropped: cancelled somewhere in the middle. An exclusive connection is closed, since nobody knows what it still carries;
///   of a shared one only the stream ends. The pod does not look fast for it.
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

    /// The pod it is connected to.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.in_flight.on().endpoint
    }

    /// The exchange is complete, and `outcome` tells how the pod did. Synchronous and cheap.
    #[inline(always)]
    pub fn finish(mut self, outcome: Outcome) {
        self.end(outcome, End::Keep);
    }

    /// The connection died in use. Closes it and the pod's idle ones, and asks the discovery for an early look.
    pub fn broken(mut self) {
        let backend = self.in_flight.on();
        backend.sweep();
        backend.env().evidence.request_reresolution();
        self.end(Outcome::Failure, End::Close(CloseReason::Broken));
    }

    #[inline(always)]
    fn end(&mut self, outcome: Outcome, end: End) {
        let Some(conn) = self.conn.take() else { return };
        let backend = self.in_flight.on();
        backend.observe(self.started, outcome);
        let end = match end {
            End::Keep if !pool::is_reusable(&backend.env().connector, &conn) => End::Close(CloseReason::Ended),
            end => end,
        };
        backend.put_back(conn, self.slot, end);
    }

    #[cold]
    fn cancel(&mut self) {
        self.end(Outcome::Cancelled, End::Close(CloseReason::Cancelled));
    }
}

impl<C: Connect> Drop for Lease<C> {
    // Inlined, because nothing is left to do after `finish`.
    #[inline]
    fn drop(&mut self) {
        if self.conn.is_some() {
            self.cancel();
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
