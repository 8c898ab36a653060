//! The pool of one pod: the asynchronous glue around [`Slots`]. Locks, wakes, and drops connections outside the lock.
//!
//! Which pod, and what to do when this one fails, is `balancer.rs`; opening connections is `dial.rs`.

mod config;
mod dial;
mod slots;

use std::sync::{Arc, MutexGuard, PoisonError};

use headless_core::{Connect, Timestamp};
use tokio::sync::oneshot;

pub use self::config::PoolConfig;
pub use self::dial::{DialError, DialFault};
use self::slots::{Checkout, Inspect, Placed, Slots, Ticket, Wait};
pub(crate) use self::slots::{Counts, Slot};
use crate::backend::Backend;

/// The state of one pod's pool, and what its waiters are: senders of a connection or of the reason why there is none.
pub(crate) type PoolState<C> = Slots<<C as Connect>::Conn, oneshot::Sender<Result<Handed<C>, Refusal>>>;

/// The state of a new pool.
pub(crate) fn new_state<C: Connect>(connector: &C, config: &PoolConfig) -> PoolState<C> {
    let streams = match connector.sharing() {
        headless_core::Sharing::Exclusive => 1,
        headless_core::Sharing::Streams(streams) => streams,
    };
    Slots::new(config.connections_per_pod, streams, config.max_waiters_per_pod)
}

/// Why a pod gave no connection.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// The pod is no longer in the set.
    Removed,
    /// Too many wait for it already.
    Full,
    /// It could not be connected to.
    Dial(DialError),
}

impl<C: Connect> Backend<C> {
    /// An idle connection, if there is one: the whole of the usual case, without a wait or an allocation.
    #[inline]
    pub(crate) fn try_checkout(&self) -> Option<(C::Conn, Slot)> {
        let mut dead = Vec::new();
        let checkout = self.slots().checkout(&self.inspector(), &mut dead);
        match checkout {
            Checkout::Lend(conn, slot) => Some((conn, slot)),
            Checkout::Miss | Checkout::Closed => None,
        }
    }

    /// A connection: an idle one, one that comes back, or a new one, whichever is first.
    ///
    /// # Cancel safety
    /// Leaves the queue when dropped; a dial that was started goes on, and its connection serves the next.
    pub(crate) async fn checkout(self: &Arc<Self>) -> Result<(C::Conn, Slot), Refusal> {
        let (receiver, waiting) = match self.enqueue()? {
            Entry::Lent(conn, slot) => return Ok((conn, slot)),
            Entry::Queued(receiver, waiting) => (receiver, waiting),
        };
        let handed = receiver.await;
        waiting.served();
        match handed {
            Ok(Ok(handed)) => Ok(handed.into_parts()),
            Ok(Err(refusal)) => Err(refusal),
            // The sender is dropped unsent only with the whole pool.
            Err(_) => Err(Refusal::Removed),
        }
    }

    fn enqueue(self: &Arc<Self>) -> Result<Entry<C>, Refusal> {
        let mut dead = Vec::new();
        let mut slots = self.slots();
        match slots.checkout(&self.inspector(), &mut dead) {
            Checkout::Lend(conn, slot) => Ok(Entry::Lent(conn, slot)),
            Checkout::Closed => Err(Refusal::Removed),
            Checkout::Miss => {
                let (sender, receiver) = oneshot::channel();
                let Wait::Queued { ticket, dial } = slots.wait(sender) else {
                    return Err(Refusal::Full);
                };
                drop(slots);
                if dial {
                    self.spawn_dial();
                }
                Ok(Entry::Queued(
                    receiver,
                    Waiting {
                        backend: Arc::clone(self),
                        ticket: Some(ticket),
                    },
                ))
            }
        }
    }

    /// Ends the loan of a connection. `keep`: it may serve another request.
    #[inline]
    pub(crate) fn put_back(self: &Arc<Self>, conn: C::Conn, slot: Slot, keep: bool) {
        if matches!(slot, Slot::Stream(_)) && !self.env().connector.is_reusable(&conn) {
            // A shared connection that ends while it is used (GOAWAY, a reset) often means that its pod is leaving.
            self.env().evidence.look_soon();
        }
        let now = self.env().clock.coarse();
        let (placed, removed) = {
            let mut slots = self.slots();
            (
                slots.put_back(conn, slot, keep, now, &self.inspector()),
                slots.is_closed(),
            )
        };
        self.settle(placed, now);
        if removed {
            self.env().drained.notify_waiters();
        }
    }

    /// The connection proved dead: no other idle one of this pod is trusted.
    pub(crate) fn sweep(&self) {
        let mut dead = Vec::new();
        self.slots().sweep(&mut dead);
    }

    /// Closes connections that nobody has used since `before`.
    pub(crate) fn expire(&self, before: Timestamp) {
        let mut dead = Vec::new();
        self.slots().expire(before, &mut dead);
    }

    /// The pod is gone: see [`Slots::close`]. Waiters go to other pods.
    pub(crate) fn close(&self) {
        let mut dead = Vec::new();
        let waiters = self.slots().close(&mut dead);
        for waiter in waiters {
            let _left_already = waiter.send(Err(Refusal::Removed));
        }
        self.closing.notify_waiters();
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.slots().is_closed()
    }

    pub(crate) fn in_use(&self) -> usize {
        self.slots().in_use()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.slots().counts()
    }

    /// Carries out what the state machine decided, outside its lock.
    fn settle(
        self: &Arc<Self>,
        mut placed: Placed<C::Conn, oneshot::Sender<Result<Handed<C>, Refusal>>>,
        now: Timestamp,
    ) {
        loop {
            match placed {
                Placed::Kept => break,
                Placed::Close { conn, dial } => {
                    drop(conn);
                    if dial {
                        self.spawn_dial();
                    }
                    break;
                }
                Placed::Hand(waiter, conn, slot) => match waiter.send(Ok(Handed::new(self, conn, slot))) {
                    Ok(()) => break,
                    // The waiter left between being chosen and being served: the next one, then.
                    Err(Ok(handed)) => {
                        let (conn, slot) = handed.into_parts();
                        placed = self.slots().put_back(conn, slot, true, now, &self.inspector());
                    }
                    Err(Err(_refusal)) => break,
                },
            }
        }
    }

    /// Gives the streams of a new shared connection to those who wait.
    fn serve_waiters(self: &Arc<Self>) {
        loop {
            let mut dead = Vec::new();
            let served = self.slots().serve(&self.inspector(), &mut dead);
            let Some((waiter, conn, slot)) = served else { return };
            // A waiter that has left drops what it is sent, and dropping puts it back.
            let _left_already = waiter.send(Ok(Handed::new(self, conn, slot)));
        }
    }

    fn slots(&self) -> MutexGuard<'_, PoolState<C>> {
        // A panic under the lock can only come from a connector's `is_reusable` or `share`; the counts are whole then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inspector(&self) -> Inspector<'_, C> {
        Inspector(&self.env().connector)
    }
}

enum Entry<C: Connect> {
    Lent(C::Conn, Slot),
    Queued(oneshot::Receiver<Result<Handed<C>, Refusal>>, Waiting<C>),
}

/// A place in the queue; left when dropped.
struct Waiting<C: Connect> {
    backend: Arc<Backend<C>>,
    ticket: Option<Ticket>,
}

impl<C: Connect> Waiting<C> {
    fn served(mut self) {
        self.ticket = None;
    }
}

impl<C: Connect> Drop for Waiting<C> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.backend.slots().leave(ticket);
        }
    }
}

/// A connection on its way to a waiter. If the waiter never takes it, it goes back: nothing is lost in a channel.
pub(crate) struct Handed<C: Connect> {
    backend: Arc<Backend<C>>,
    conn: Option<C::Conn>,
    slot: Slot,
}

impl<C: Connect> Handed<C> {
    fn new(backend: &Arc<Backend<C>>, conn: C::Conn, slot: Slot) -> Self {
        Self {
            backend: Arc::clone(backend),
            conn: Some(conn),
            slot,
        }
    }

    fn into_parts(mut self) -> (C::Conn, Slot) {
        #[expect(clippy::expect_used, reason = "taken here and in Drop only, and each consumes self")]
        let conn = self
            .conn
            .take()
            .expect("a handed connection is there until it is taken");
        (conn, self.slot)
    }
}

impl<C: Connect> Drop for Handed<C> {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.backend.put_back(conn, self.slot, true);
        }
    }
}

struct Inspector<'a, C>(&'a C);

impl<C: Connect> Inspect<C::Conn> for Inspector<'_, C> {
    fn is_reusable(&self, conn: &C::Conn) -> bool {
        self.0.is_reusable(conn)
    }

    fn share(&self, conn: &C::Conn) -> Option<C::Conn> {
        self.0.share(conn)
    }
}
