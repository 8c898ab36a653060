//! [`Slots`]: the pool of one endpoint as a state machine. Events in, decisions out; no await, no
//! clock, no socket.
//!
//! It counts connections (idle, checked out, being dialled), keeps the idle ones newest first, and
//! the waiters in the order in which they came. The rules:
//!
//! * An idle connection goes to the caller at once, the newest first, so that surplus connections
//!   grow old and expire.
//! * A waiter is never overtaken: while a caller waits, a returned connection goes to the one that
//!   has waited longest.
//! * A dial is started for a waiter that no dial under way will serve, while the limits allow it. A
//!   returned connection or a finished dial, whichever is first, serves the first waiter.
//! * A waiter waits only for something that can still come. When a dial fails and nothing else can
//!   come, the waiter is told. So it is when the endpoint allows no stream at the moment.
//! * A connection checked out before [`close`](Slots::close) or
//!   [`invalidate_idle`](Slots::invalidate_idle) is not kept when it is returned.
//! * A connection that is too old is closed after it was replaced; only at the limit it is closed
//!   before.
//!
//! The rules for unused connections are in `maintain.rs`, those for multiplexed ones in
//! `multiplexing.rs`. The caller holds the lock; it must drop connections, wake waiters and start
//! dials *outside* of it, so everything is returned by value ([`Effects`], [`Placed`]).

mod maintain;
mod multiplexing;
mod permits;
mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

use headless_core::Timestamp;

pub(crate) use self::permits::Permits;
pub use self::types::ClosedBy;
use self::types::Replacement;
pub(crate) use self::types::{
    Checkout, CloseReason, Counts, Effects, End, Inspect, Limits, Placed, Slot, Ticket, Wait,
};

/// The connections to one endpoint. `T` is a connection, `W` stands for a waiter.
#[derive(Debug)]
pub(crate) struct Slots<T, W> {
    limits: Limits,
    /// Those of all endpoints of the balancer, if there is one limit for all.
    permits: Option<Arc<Permits>>,
    /// Unused exclusive connections; the newest is last.
    idle: Vec<Idle<T>>,
    /// Multiplexed connections, in use or not.
    multiplexed: Vec<MultiplexedConn<T>>,
    /// Exclusive connections checked out.
    checked_out: usize,
    connecting: usize,
    replacement: Replacement,
    /// In the order in which they came. Any of them may leave, so leaving must be cheap.
    waiters: BTreeMap<Ticket, W>,
    next_ticket: u64,
    next_id: u64,
    /// How often a connection became idle, or all were invalidated: the time by which this pool
    /// tells what was before what. It costs less than a clock.
    turn: u64,
    /// Connections checked out before this turn are not kept.
    invalidated: u64,
    closed: bool,
    opened: u64,
    closed_by: ClosedBy,
}

#[derive(Debug)]
struct Idle<T> {
    conn: T,
    retire_at: Timestamp,
    /// Last used.
    since: Timestamp,
    /// Last known to be alive: used or validated.
    proven: Timestamp,
    /// The turn of `proven`.
    turn: u64,
}

#[derive(Debug)]
struct MultiplexedConn<T> {
    conn: T,
    id: u64,
    /// Streams checked out.
    streams: usize,
    retire_at: Timestamp,
    since: Timestamp,
    proven: Timestamp,
    /// Takes no more streams; reaped when the last one has ended.
    closing: Option<CloseReason>,
    /// The peer allows no stream at the moment.
    is_barred: bool,
}

impl<T, W> Slots<T, W> {
    pub(crate) fn new(limits: Limits, permits: Option<Arc<Permits>>) -> Self {
        Self {
            limits,
            permits,
            idle: Vec::new(),
            multiplexed: Vec::new(),
            checked_out: 0,
            connecting: 0,
            replacement: Replacement::None,
            waiters: BTreeMap::new(),
            next_ticket: 0,
            next_id: 0,
            turn: 0,
            invalidated: 0,
            closed: false,
            opened: 0,
            closed_by: ClosedBy::default(),
        }
    }

    /// [`checkout`](Self::checkout) in the usual case: an exclusive connection that is idle, alive
    /// and fresh. Waiters come first, but while one waits, nothing is idle.
    #[inline]
    pub(crate) fn take_idle(
        &mut self,
        now: impl FnOnce() -> Timestamp,
        inspect: &impl Inspect<T>,
    ) -> Option<(T, Slot)> {
        let newest = self.idle.last()?;
        if self.limits.is_stale(newest.proven, now) || !inspect.is_reusable(&newest.conn) {
            return None;
        }
        let Idle { conn, retire_at, .. } = self.idle.pop()?;
        self.checked_out += 1;
        Some((conn, self.exclusive(retire_at, true)))
    }

    /// A caller needs a connection. One that must be validated first is checked out only with
    /// `may_validate`.
    pub(crate) fn checkout(
        &mut self,
        now: Timestamp,
        may_validate: bool,
        inspect: &impl Inspect<T>,
        out: &mut Effects<T>,
    ) -> Checkout<T> {
        // Waiters come first.
        if !self.waiters.is_empty() {
            return Checkout::Miss;
        }
        if self.limits.multiplexed {
            return self.checkout_stream(now, may_validate, inspect, out);
        }
        while let Some(idle) = self.idle.pop() {
            let stale = self.limits.is_stale(idle.proven, || now);
            if stale && !may_validate {
                self.idle.push(idle);
                return Checkout::Miss;
            }
            if inspect.is_reusable(&idle.conn) {
                self.checked_out += 1;
                let slot = self.exclusive(idle.retire_at, true);
                return match stale {
                    false => Checkout::Ready(idle.conn, slot),
                    true => Checkout::Validate(idle.conn, slot),
                };
            }
            self.gone(CloseReason::Ended, 1);
            out.dead.push(idle.conn);
        }
        self.nothing()
    }

    /// The caller joins the queue as `waiter`.
    pub(crate) fn wait(&mut self, waiter: W, out: &mut Effects<T>) -> Wait {
        if self.waiters.len() >= self.limits.waiters {
            return Wait::Refused;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiters.insert(ticket, waiter);
        self.start_dials(out);
        Wait::Queued(ticket)
    }

    /// The waiter has left. A connection that was handed to it already is returned by itself.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        self.waiters.remove(&ticket);
    }

    /// Whether a connection returns in the usual way: it is exclusive, it stays, and no caller
    /// waits.
    #[inline]
    pub(crate) fn keeps(&self, slot: Slot, now: Timestamp) -> bool {
        match slot {
            Slot::Exclusive { turn, retire_at, .. } => {
                turn >= self.invalidated && now < retire_at && self.waiters.is_empty() && !self.permit_is_awaited()
            }
            Slot::Stream { .. } => false,
        }
    }

    /// [`return_conn`](Self::return_conn) of what it [`keeps`](Self::keeps).
    #[inline]
    pub(crate) fn return_idle(&mut self, conn: T, slot: Slot, now: Timestamp) {
        let Slot::Exclusive { retire_at, .. } = slot else {
            return;
        };
        self.checked_out -= 1;
        self.rest(conn, retire_at, now);
    }

    /// An exclusive connection becomes the newest idle one.
    #[inline]
    fn rest(&mut self, conn: T, retire_at: Timestamp, now: Timestamp) {
        self.turn += 1;
        self.idle.push(Idle {
            conn,
            retire_at,
            since: now,
            proven: now,
            turn: self.turn,
        });
    }

    /// The use of a connection or stream has ended.
    pub(crate) fn return_conn(
        &mut self,
        conn: T,
        slot: Slot,
        end: End,
        now: Timestamp,
        inspect: &impl Inspect<T>,
        out: &mut Effects<T>,
    ) -> Placed<T, W> {
        match slot {
            Slot::Exclusive { turn, retire_at, .. } => self.return_exclusive(conn, (turn, retire_at), end, now, out),
            Slot::Stream { id, .. } => self.return_stream(conn, id, end, now, inspect, out),
        }
    }

    fn return_exclusive(
        &mut self,
        conn: T,
        (turn, retire_at): (u64, Timestamp),
        end: End,
        now: Timestamp,
        out: &mut Effects<T>,
    ) -> Placed<T, W> {
        let reason = match end {
            End::Close(reason) => Some(reason),
            End::Keep if self.closed => Some(CloseReason::Removed),
            End::Keep if turn < self.invalidated => Some(CloseReason::Invalidated),
            End::Keep if self.waiters.is_empty() && self.permit_is_awaited() => Some(CloseReason::Evicted),
            End::Keep if now >= retire_at && !self.stays(out) => Some(CloseReason::Lifetime),
            End::Keep => None,
        };
        // Only now: as long as it may stay, its place is not free for its replacement.
        self.checked_out -= 1;
        match reason {
            None => self.place_exclusive(conn, retire_at, now),
            Some(reason) => {
                self.gone(reason, 1);
                self.after_closing(reason, out);
                Placed::Close(conn)
            }
        }
    }

    /// A dial has succeeded. A multiplexed connection is kept; [`serve`](Self::serve) hands its
    /// streams to the waiters.
    pub(crate) fn dialled(
        &mut self,
        conn: T,
        retire_at: Timestamp,
        now: Timestamp,
        out: &mut Effects<T>,
    ) -> Placed<T, W> {
        self.connecting -= 1;
        self.opened += 1;
        if self.closed {
            self.gone(CloseReason::Removed, 1);
            return Placed::Close(conn);
        }
        let placed = if !self.limits.multiplexed {
            let placed = self.place_exclusive(conn, retire_at, now);
            self.start_dials(out);
            placed
        } else {
            self.multiplexed.push(MultiplexedConn {
                conn,
                id: self.next_id,
                streams: 0,
                retire_at,
                since: now,
                proven: now,
                closing: None,
                is_barred: false,
            });
            self.next_id += 1;
            Placed::Kept
        };
        self.replaced(now, out);
        // The minimum may be more than may be dialled at a time.
        self.refill(out);
        placed
    }

    /// A dial has failed. Returns the waiters that nothing can serve any more.
    pub(crate) fn dial_failed(&mut self) -> Vec<W> {
        self.connecting -= 1;
        if let Some(permits) = &self.permits {
            permits.give(1);
        }
        if self.replacement != Replacement::Ready {
            self.replacement = Replacement::None;
        }
        let can_come = self.connecting * self.limits.streams + self.in_use();
        let stay = self.waiters.len().min(can_come);
        // The last to come are the first to leave the queue.
        match self.waiters.keys().nth(stay).copied() {
            Some(first) => self.waiters.split_off(&first).into_values().collect(),
            None => Vec::new(),
        }
    }

    /// Starts as many dials as the waiters need and the limits allow. A peer that allows no stream
    /// on one connection would allow none on another.
    pub(crate) fn start_dials(&mut self, out: &mut Effects<T>) {
        while !self.is_barred() && self.waiters.len() > self.connecting * self.limits.streams {
            if !self.start_dial(out) {
                out.needs_permit |= self.has_room();
                break;
            }
        }
    }

    /// Starts one more dial, if the limits allow.
    pub(crate) fn start_dial(&mut self, out: &mut Effects<T>) -> bool {
        let may = self.has_room() && self.permits.as_ref().is_none_or(|permits| permits.take());
        out.dials += usize::from(may);
        self.connecting += usize::from(may);
        may
    }

    /// Whether the endpoint's own limits allow one more dial.
    pub(crate) fn has_room(&self) -> bool {
        !self.closed && self.connecting < self.limits.dials && self.size() < self.limits.connections
    }

    pub(crate) fn is_dialling(&self) -> bool {
        self.connecting > 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes the waiters out of the queue.
    pub(crate) fn turn_away(&mut self) -> Vec<W> {
        std::mem::take(&mut self.waiters).into_values().collect()
    }

    /// Whether an open connection takes a request.
    pub(crate) fn has_open(&self, inspect: &impl Inspect<T>) -> bool {
        let multiplexed = self.multiplexed.iter().filter(|entry| entry.closing.is_none());
        let mut open = self
            .idle
            .iter()
            .map(|idle| &idle.conn)
            .chain(multiplexed.map(|entry| &entry.conn));
        open.any(|conn| inspect.is_reusable(conn))
    }

    /// Requests under way: exclusive connections and streams checked out.
    pub(crate) fn in_use(&self) -> usize {
        self.checked_out + self.multiplexed.iter().map(|entry| entry.streams).sum::<usize>()
    }

    pub(crate) fn counts(&self) -> Counts {
        let idle_multiplexed = self.multiplexed.iter().filter(|entry| entry.streams == 0).count();
        Counts {
            idle: self.idle.len() + idle_multiplexed,
            busy: self.checked_out + self.multiplexed.len() - idle_multiplexed,
            connecting: self.connecting,
            waiting: self.waiters.len(),
            opened: self.opened,
            closed: self.closed_by,
        }
    }

    /// Connections that exist or are being dialled.
    fn size(&self) -> usize {
        self.idle.len() + self.multiplexed.len() + self.checked_out + self.connecting
    }

    fn nothing(&self) -> Checkout<T> {
        match self.closed {
            true => Checkout::Closed,
            false => Checkout::Miss,
        }
    }

    fn exclusive(&self, retire_at: Timestamp, was_idle: bool) -> Slot {
        Slot::Exclusive {
            turn: self.turn,
            retire_at,
            was_idle,
        }
    }

    /// Whether another endpoint waits for a permit of this one.
    #[inline]
    fn permit_is_awaited(&self) -> bool {
        self.permits.as_ref().is_some_and(|permits| permits.is_awaited())
    }

    fn place_exclusive(&mut self, conn: T, retire_at: Timestamp, now: Timestamp) -> Placed<T, W> {
        if let Some((_, waiter)) = self.waiters.pop_first() {
            self.checked_out += 1;
            return Placed::Hand(waiter, conn, self.exclusive(retire_at, false));
        }
        self.rest(conn, retire_at, now);
        Placed::Kept
    }

    /// Connections have left the pool. The only place that counts this.
    fn gone(&mut self, reason: CloseReason, connections: usize) {
        self.closed_by.count(reason, connections);
        if let Some(permits) = &self.permits {
            permits.give(connections);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
