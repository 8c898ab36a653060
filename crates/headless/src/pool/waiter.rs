//! The two guards of a caller that waits: its place in the queue, and a connection on its way to it. Neither is ever lost: dropped at
//! any moment, the place is left and the connection goes back.

use std::sync::Arc;

use headless_core::{Connect, Timestamp};

use super::slots::Ticket;
use super::{CloseReason, End, Slot};
use crate::backend::Backend;

/// A place in the queue; left when dropped. Whoever leaves has waited, too: those who gave up are the ones who waited longest.
pub(super) struct Waiting<C: Connect> {
    backend: Arc<Backend<C>>,
    ticket: Option<Ticket>,
    since: Timestamp,
}

impl<C: Connect> Waiting<C> {
    pub(super) fn new(backend: &Arc<Backend<C>>, ticket: Ticket) -> Self {
        Self {
            backend: Arc::clone(backend),
            ticket: Some(ticket),
            since: backend.env().clock.now(),
        }
    }

    pub(super) fn served(mut self) {
        self.ticket = None;
    }
}

impl<C: Connect> Drop for Waiting<C> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.backend.slots().leave(ticket);
            if let Some(cap) = &self.backend.env().cap
                && self.backend.counts().waiting == 0
            {
                cap.forget(&self.backend);
            }
        }
        let now = self.backend.env().clock.now();
        self.backend.waited.record(now.since(self.since));
    }
}

/// A connection on its way to a waiter. If the waiter never takes it, it goes back: nothing is lost in a channel.
pub(crate) struct Handed<C: Connect> {
    backend: Arc<Backend<C>>,
    conn: Option<C::Conn>,
    slot: Slot,
    end: End,
}

impl<C: Connect> Handed<C> {
    pub(super) fn new(backend: &Arc<Backend<C>>, conn: C::Conn, slot: Slot) -> Self {
        Self {
            backend: Arc::clone(backend),
            conn: Some(conn),
            slot,
            end: End::Keep,
        }
    }

    /// For a connection in the middle of an exchange: nobody would know what it still carries.
    pub(super) fn close_unless_taken(mut self) -> Self {
        self.end = End::Close(CloseReason::Cancelled);
        self
    }

    #[expect(
        clippy::expect_used,
        reason = "taken by `into_parts` and Drop only, and each consumes self"
    )]
    pub(super) fn conn(&mut self) -> &mut C::Conn {
        self.conn
            .as_mut()
            .expect("a handed connection is there until it is taken")
    }

    #[expect(clippy::expect_used, reason = "taken here and in Drop only, and each consumes self")]
    pub(super) fn into_parts(mut self) -> (C::Conn, Slot) {
        let conn = self.conn.take();
        (conn.expect("a handed connection is there until it is taken"), self.slot)
    }
}

impl<C: Connect> Drop for Handed<C> {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.backend.put_back(conn, self.slot, self.end);
        }
    }
}
