//! Checking out a connection: an idle one at once, or the queue.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use headless_core::{Connect, Timestamp};
use tokio::sync::oneshot;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use super::slots::{Checkout, Effects, Slot, Ticket, Wait};
use super::{ConnectFault, Handed, Pool, PoolSlots, Refusal, Stage};

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

    /// [`checkout`](Self::checkout) up to `deadline`. Ends early if the runtime does not run the
    /// dials: a caller on another runtime would wait for nothing.
    pub(crate) async fn checkout_until(
        self: &Arc<Self>,
        deadline: Instant,
        stage: &mut Stage,
    ) -> Result<Result<(C::Conn, Slot), Refusal>, Elapsed> {
        let until_deadline = deadline.saturating_duration_since(Instant::now());
        let limit = self.context.config.connect_timeout.min(until_deadline);
        let mut checkout = pin!(self.checkout(stage));
        match timeout(limit, checkout.as_mut()).await {
            Err(_elapsed) if self.is_stalled() => {
                let fault = ConnectFault::RuntimeStalled(limit);
                Ok(Err(Refusal::Connect(self.connect_error(fault))))
            }
            Err(_elapsed) => timeout_at(deadline, checkout).await,
            done => done,
        }
    }

    /// Whether nothing can come before the runtime polls a dial for the first time.
    fn is_stalled(&self) -> bool {
        let counts = self.counts();
        let now = self.context.clock.now();
        let unpolled = self.unpolled.lock();
        unpolled.dials > 0
            && now.since(unpolled.since) >= STALLED_AFTER
            && counts.connecting <= unpolled.dials
            && counts.busy == 0
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

/// A task that a driven runtime has not polled for so long waits for a task that blocks.
const STALLED_AFTER: Duration = Duration::from_millis(100);

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
