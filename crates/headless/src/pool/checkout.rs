//! Checking out a connection: an idle one at once, or the queue.

use std::sync::Arc;

use headless_core::{Connect, Timestamp};
use tokio::sync::oneshot;

use super::slots::{Checkout, Effects, Slot, Ticket, Wait};
use super::{Handed, Pool, PoolSlots, Refusal, Stage};

impl<C: Connect> Pool<C> {
    /// An idle connection, or a stream of a multiplexed one, if there is one.
    pub(crate) fn try_checkout(self: &Arc<Self>) -> Option<(C::Conn, Slot)> {
        let mut out = Effects::default();
        let checkout = self.slots().checkout(self.now(), false, &self.inspector(), &mut out);
        self.carry_out(out);
        match checkout {
            Checkout::Ready(conn, slot) => Some((conn, slot)),
            Checkout::Validate(..) | Checkout::Miss | Checkout::Closed => None,
        }
    }

    /// A connection: an idle one, a returned one, or a new one, whichever is first. `stage` says
    /// what is being waited for.
    ///
    /// # Cancel safety
    /// Leaves the queue when dropped. A dial that was started goes on, and its connection serves
    /// the next caller. A connection that was being validated is closed.
    pub(crate) async fn checkout(self: &Arc<Self>, stage: &mut Stage) -> Result<(C::Conn, Slot), Refusal> {
        loop {
            match self.enter() {
                Entry::Ready(conn, slot) => return Ok((conn, slot)),
                Entry::Unproven(conn, slot) => {
                    *stage = Stage::Validating;
                    let handed = Handed::new(self, conn, slot).close_unless_taken();
                    // Boxed: seldom needed, and otherwise part of the future of every waiter.
                    if let Some(proven) = Box::pin(self.validate(handed)).await {
                        return Ok(proven);
                    }
                }
                Entry::Queued(receiver, place, waits_for) => {
                    *stage = waits_for;
                    let handed = receiver.await;
                    place.served();
                    return match handed {
                        Ok(Ok(handed)) => Ok(handed.into_parts()),
                        Ok(Err(refusal)) => Err(refusal),
                        // The sender is dropped unsent only with the whole pool.
                        Err(_) => Err(Refusal::Removed),
                    };
                }
                Entry::Refused(refusal) => return Err(refusal),
            }
        }
    }

    /// Checks out an idle connection or joins the queue.
    fn enter(self: &Arc<Self>) -> Entry<C> {
        let mut out = Effects::default();
        let entry = {
            let mut slots = self.slots();
            match slots.checkout(self.now(), true, &self.inspector(), &mut out) {
                Checkout::Ready(conn, slot) => Entry::Ready(conn, slot),
                Checkout::Validate(conn, slot) => Entry::Unproven(conn, slot),
                Checkout::Closed => Entry::Refused(Refusal::Removed),
                Checkout::Miss if slots.admits_none() => Entry::Refused(Refusal::NoStreams),
                Checkout::Miss => {
                    let (sender, receiver) = oneshot::channel();
                    match slots.wait(sender, &mut out) {
                        Wait::Queued(ticket) => {
                            let stage = self.stage(&slots);
                            Entry::Queued(receiver, Place::new(self, ticket), stage)
                        }
                        Wait::Refused => Entry::Refused(Refusal::Full),
                    }
                }
            }
        };
        self.carry_out(out);
        entry
    }

    /// What a new waiter waits for.
    fn stage(&self, slots: &PoolSlots<C>) -> Stage {
        match slots.is_dialling() {
            true => Stage::Connecting,
            // Without a limit over all endpoints, a dial would be under way.
            false if slots.has_room() && self.context.cap.is_some() => Stage::AwaitingPermit,
            false => Stage::Queued,
        }
    }
}

enum Entry<C: Connect> {
    Ready(C::Conn, Slot),
    Unproven(C::Conn, Slot),
    Queued(oneshot::Receiver<Result<Handed<C>, Refusal>>, Place<C>, Stage),
    Refused(Refusal),
}

/// A place in the queue, left when dropped. Its time counts however it ends: the callers that gave
/// up waited longest.
struct Place<C: Connect> {
    pool: Arc<Pool<C>>,
    ticket: Option<Ticket>,
    since: Timestamp,
}

impl<C: Connect> Place<C> {
    fn new(pool: &Arc<Pool<C>>, ticket: Ticket) -> Self {
        Self {
            pool: Arc::clone(pool),
            ticket: Some(ticket),
            since: pool.context.clock.now(),
        }
    }

    fn served(mut self) {
        self.ticket = None;
    }
}

impl<C: Connect> Drop for Place<C> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.pool.slots().leave(ticket);
            if let Some(cap) = &self.pool.context.cap
                && self.pool.counts().waiting == 0
            {
                cap.forget(&self.pool.as_member());
            }
        }
        let now = self.pool.context.clock.now();
        self.pool.wait_time.record(now.since(self.since));
    }
}
