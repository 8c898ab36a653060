//! The pool of one pod: the asynchronous glue around [`Slots`]. Locks, wakes, and drops connections outside the lock.
//!
//! Which pod, and what to do when this one fails, is `balancer.rs`; opening connections is `dial.rs`; what happens to connections
//! that nobody uses is `upkeep.rs`.

mod cap;
mod config;
mod dial;
mod slots;
mod upkeep;
mod waiter;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use headless_core::{Connect, Multiplexing, Timestamp};
use parking_lot::MutexGuard;
use tokio::sync::oneshot;

pub(crate) use self::cap::Cap;
pub use self::config::PoolConfig;
pub use self::dial::{ConnectError, ConnectFault};
pub use self::slots::ClosedBy;
use self::slots::{Checkout, Effects, Inspect, Limits, Placed, Slots, Wait};
pub(crate) use self::slots::{CloseReason, Counts, End, Slot};
use self::waiter::{Handed, Waiting};
use crate::backend::{Backend, Env};

/// What stands for a waiter: it gets a connection, or the reason why there is none.
type Waiter<C> = oneshot::Sender<Result<Handed<C>, Refusal>>;

/// The state of one pod's pool.
pub(crate) type PoolState<C> = Slots<<C as Connect>::Conn, Waiter<C>>;

/// The state of a new pool.
pub(crate) fn new_state<C: Connect>(env: &Env<C>) -> PoolState<C> {
    let limits = Limits {
        connections: env.pool.max_connections_per_endpoint,
        streams: match env.connector.multiplexing() {
            Multiplexing::Exclusive => 1,
            Multiplexing::Streams(streams) => streams,
        },
        waiters: env.pool.max_waiters_per_endpoint,
        dials: env.pool.max_connecting_per_endpoint,
        min_idle: env.pool.min_idle_per_endpoint,
        validate_after_idle: env.pool.validate_after_idle,
    };
    Slots::new(limits, env.cap.as_ref().map(|cap| Arc::clone(&cap.permits)))
}

/// Why a pod gave no connection.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// The pod is no longer in the set.
    Removed,
    /// Too many wait for it already.
    Full,
    /// It could not be connected to.
    Dial(ConnectError),
}

/// What a caller that is still without a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Stage {
    /// For a connection in use to come back: all the pod may have are lent.
    #[default]
    Queued,
    /// For a connection to be opened.
    Connecting,
    /// For an idle connection to prove that it is alive.
    Validating,
    /// For another pod to give up a connection: all together have as many as
    /// [`max_connections_total`](PoolConfig::max_connections_total) allows, and none of them is idle.
    AwaitingPermit,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "waiting for one in use to come back",
            Self::Connecting => "waiting for one to be opened",
            Self::Validating => "checking an idle one",
            Self::AwaitingPermit => "waiting for another pod to give up one",
        })
    }
}

impl<C: Connect> Backend<C> {
    /// The newest idle connection, if it is exclusive, alive and fresh: the whole of the usual case, without a wait or an allocation.
    #[inline(always)]
    pub(crate) fn take_idle(&self) -> Option<(C::Conn, Slot)> {
        self.slots().take_idle(|| self.pool_now(), &self.inspector())
    }

    /// An idle connection, or a stream of a shared one, if there is one.
    pub(crate) fn try_checkout(self: &Arc<Self>) -> Option<(C::Conn, Slot)> {
        let mut out = Effects::default();
        let checkout = self
            .slots()
            .checkout(self.pool_now(), false, &self.inspector(), &mut out);
        self.carry_out(out);
        match checkout {
            Checkout::Lend(conn, slot) => Some((conn, slot)),
            Checkout::Check(..) | Checkout::Miss | Checkout::Closed => None,
        }
    }

    /// A connection: an idle one, one that comes back, or a new one, whichever is first. `stage` says what is being waited for.
    ///
    /// # Cancel safety
    /// Leaves the queue when dropped; a dial that was started goes on, and its connection serves the next. A connection that was being
    /// checked is closed.
    pub(crate) async fn checkout(self: &Arc<Self>, stage: &mut Stage) -> Result<(C::Conn, Slot), Refusal> {
        loop {
            match self.enter() {
                Entry::Lent(conn, slot) => return Ok((conn, slot)),
                Entry::Unproven(conn, slot) => {
                    *stage = Stage::Validating;
                    let handed = Handed::new(self, conn, slot).close_unless_taken();
                    // Boxed: seldom done, and otherwise room in the future of everyone who waits.
                    if let Some(proven) = Box::pin(self.validate(handed)).await {
                        return Ok(proven);
                    }
                }
                Entry::Queued(receiver, waiting, waits_for) => {
                    *stage = waits_for;
                    let handed = receiver.await;
                    waiting.served();
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

    /// Lends an idle connection or enters the queue.
    fn enter(self: &Arc<Self>) -> Entry<C> {
        let mut out = Effects::default();
        let entry = {
            let mut slots = self.slots();
            match slots.checkout(self.pool_now(), true, &self.inspector(), &mut out) {
                Checkout::Lend(conn, slot) => Entry::Lent(conn, slot),
                Checkout::Check(conn, slot) => Entry::Unproven(conn, slot),
                Checkout::Closed => Entry::Refused(Refusal::Removed),
                Checkout::Miss => {
                    let (sender, receiver) = oneshot::channel();
                    match slots.wait(sender, &mut out) {
                        Wait::Queued(ticket) => {
                            let stage = self.stage(&slots);
                            Entry::Queued(receiver, Waiting::new(self, ticket), stage)
                        }
                        Wait::Refused => Entry::Refused(Refusal::Full),
                    }
                }
            }
        };
        self.carry_out(out);
        entry
    }

    /// What a waiter may hope for.
    fn stage(&self, slots: &PoolState<C>) -> Stage {
        match slots.is_dialling() {
            true => Stage::Connecting,
            // Without a limit over all pods, a dial would be under way.
            false if slots.has_room() && self.env().cap.is_some() => Stage::AwaitingPermit,
            false => Stage::Queued,
        }
    }

    /// Ends the loan of a connection.
    #[inline(always)]
    pub(crate) fn put_back(self: &Arc<Self>, conn: C::Conn, slot: Slot, end: End) {
        let now = self.pool_now();
        let mut slots = self.slots();
        if end == End::Keep && slots.keeps(slot, now) {
            slots.put_back_idle(conn, slot, now);
        } else {
            self.put_back_otherwise(slots, conn, slot, end, now);
        }
    }

    // Not cold: the usual way of shared connections, and of exclusive ones for which somebody waits.
    #[inline(never)]
    fn put_back_otherwise(
        self: &Arc<Self>,
        mut slots: MutexGuard<'_, PoolState<C>>,
        conn: C::Conn,
        slot: Slot,
        end: End,
        now: Timestamp,
    ) {
        if end == End::Keep && slots.ends_stream(slot, now, &self.inspector()) {
            // The handle goes outside the lock.
            drop(slots);
            return;
        }
        let shared = matches!(slot, Slot::Stream(_));
        let ended = shared && !is_reusable(&self.env().connector, &conn);
        let mut out = Effects::default();
        let placed = slots.put_back(conn, slot, end, now, &self.inspector(), &mut out);
        let removed = slots.is_closed();
        drop(slots);
        if ended {
            // A shared connection that ends while it is used (GOAWAY, a reset) often means that its pod is leaving.
            self.env().evidence.request_reresolution();
        }
        self.settle(placed, now, out);
        if shared {
            // The peer may allow more streams than when the others began to wait.
            self.serve_waiters();
        }
        if removed {
            self.env().drained.notify_waiters();
        }
    }

    /// The connection proved dead: no other idle one of this pod is trusted.
    pub(crate) fn sweep(self: &Arc<Self>) {
        let mut out = Effects::default();
        self.slots().sweep(&mut out);
        self.carry_out(out);
    }

    /// The pod is gone: see [`Slots::close`]. Waiters go to other pods.
    pub(crate) fn close(self: &Arc<Self>) {
        let mut out = Effects::default();
        let waiters = self.slots().close(&mut out);
        for waiter in waiters {
            let _left_already = waiter.send(Err(Refusal::Removed));
        }
        self.closing.notify_waiters();
        self.carry_out(out);
    }

    /// Whether one connection serves several requests at a time.
    pub(crate) fn shares(&self) -> bool {
        self.env().connector.multiplexing() != Multiplexing::Exclusive
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.slots().is_closed()
    }

    /// Does `work`, unless the pod is gone or goes meanwhile: then `None`.
    async fn unless_removed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        // Made before it is asked: the end is not missed in between.
        let closing = self.closing.notified();
        if self.is_removed() {
            return None;
        }
        tokio::select! {
            // The end first: nobody is given a connection of a pod that has left.
            biased;
            () = closing => None,
            done = work => Some(done),
        }
    }

    pub(crate) fn in_use(&self) -> usize {
        self.slots().in_use()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.slots().counts()
    }

    /// Starts the dials that this pod's callers wait for, as far as the limits allow now.
    fn dial_for_waiters(self: &Arc<Self>) {
        let mut out = Effects::default();
        self.slots().start_dials(&mut out);
        self.carry_out(out);
    }

    /// Carries out what the state machine decided, outside its lock.
    fn settle(self: &Arc<Self>, mut placed: Placed<C::Conn, Waiter<C>>, now: Timestamp, mut out: Effects<C::Conn>) {
        loop {
            match placed {
                Placed::Kept => break,
                Placed::Close(conn) => {
                    out.dead.push(conn);
                    break;
                }
                Placed::Hand(waiter, conn, slot) => match waiter.send(Ok(Handed::new(self, conn, slot))) {
                    Ok(()) => break,
                    // The waiter left between being chosen and being served: the next one, then.
                    Err(Ok(handed)) => {
                        let (conn, slot) = handed.into_parts();
                        placed = self
                            .slots()
                            .put_back(conn, slot, End::Keep, now, &self.inspector(), &mut out);
                    }
                    Err(Err(_refusal)) => break,
                },
            }
        }
        self.carry_out(out);
    }

    fn carry_out(self: &Arc<Self>, out: Effects<C::Conn>) {
        drop(out.dead);
        for _ in 0..out.dials {
            self.spawn_dial();
        }
        if let Some(cap) = &self.env().cap {
            match out.starved {
                true => cap.starve(self),
                false => cap.feed(),
            }
        }
    }

    /// Gives the streams of a shared connection to those who wait.
    fn serve_waiters(self: &Arc<Self>) {
        let now = self.pool_now();
        loop {
            let mut out = Effects::default();
            let served = self.slots().serve(now, &self.inspector(), &mut out);
            self.carry_out(out);
            let Some((waiter, conn, slot)) = served else { return };
            // A waiter that has left drops what it is sent, and dropping puts it back.
            let _left_already = waiter.send(Ok(Handed::new(self, conn, slot)));
        }
    }

    /// The time by which connections age. Seconds old and free, unless connections must be checked after less.
    #[inline]
    fn pool_now(&self) -> Timestamp {
        match self.env().pool.validate_after_idle {
            None => self.env().clock.coarse(),
            Some(_) => self.env().clock.now(),
        }
    }

    /// No poison: a panic under the lock can only come from a connector's `share` or `stream_limit`, and the counts are whole then.
    #[inline]
    fn slots(&self) -> MutexGuard<'_, PoolState<C>> {
        self.state.lock()
    }

    #[inline]
    fn inspector(&self) -> Inspector<'_, C> {
        Inspector(&self.env().connector)
    }
}

/// [`Connect::is_reusable`], and no if it panics. WHY: the panic would leave a loan half ended, and each caller to come would meet it
/// again. Costs nothing where the connector cannot panic.
#[inline]
pub(crate) fn is_reusable<C: Connect>(connector: &C, conn: &C::Conn) -> bool {
    catch_unwind(AssertUnwindSafe(|| connector.is_reusable(conn))).unwrap_or(false)
}

enum Entry<C: Connect> {
    Lent(C::Conn, Slot),
    Unproven(C::Conn, Slot),
    Queued(oneshot::Receiver<Result<Handed<C>, Refusal>>, Waiting<C>, Stage),
    Refused(Refusal),
}

struct Inspector<'a, C>(&'a C);

impl<C: Connect> Inspect<C::Conn> for Inspector<'_, C> {
    fn is_reusable(&self, conn: &C::Conn) -> bool {
        is_reusable(self.0, conn)
    }

    fn share(&self, conn: &C::Conn) -> Option<C::Conn> {
        self.0.share(conn)
    }

    fn stream_limit(&self, conn: &C::Conn) -> usize {
        self.0.stream_limit(conn)
    }
}
