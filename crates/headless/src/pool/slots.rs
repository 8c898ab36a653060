//! [`Slots`]: the heart of a pod's pool, as a state machine. Events in, decisions out; no await, no clock, no socket.
//!
//! It counts connections (idle, lent, being dialled), keeps the idle ones newest first, and the waiters first come first
//! served. The rules:
//!
//! * An idle connection goes to the caller at once: newest first, so that what is not needed grows old and expires.
//! * A waiter is never overtaken: while anybody waits, a connection that comes back goes to whoever has waited longest.
//! * A dial is started for a waiter that no dial under way will serve, while the limits allow. Whatever comes first, a returned
//!   connection or a finished dial, serves the first waiter.
//! * A waiter waits only for something that can still come. When a dial fails and nothing else can come, it is told.
//! * A connection lent before [`close`](Slots::close) or [`sweep`](Slots::sweep) is not kept when it comes back.
//! * A connection that is too old is replaced first and closed then; only at the limit it is the other way round.
//!
//! The rules for connections that nobody uses are in `upkeep.rs`, those for shared ones in `sharing.rs`. The caller holds the lock;
//! it must drop connections, wake waiters and start dials *outside*, so everything is handed out by value ([`Effects`],
//! [`Placed`]).

mod sharing;
mod terms;
mod upkeep;

use std::collections::VecDeque;
use std::sync::Arc;

use headless_core::Timestamp;

pub use self::terms::ClosedBy;
pub(crate) use self::terms::{
    Checkout, CloseReason, Counts, Effects, End, Inspect, Limits, Permits, Placed, Slot, Ticket, Wait,
};

/// The connections of one pod. `T` is a connection, `W` stands for a waiter.
#[derive(Debug)]
pub(crate) struct Slots<T, W> {
    limits: Limits,
    /// Shared by all pods, if there is a limit for all.
    permits: Option<Arc<Permits>>,
    /// Exclusive connections nobody uses; the newest is last.
    idle: Vec<Idle<T>>,
    /// Shared connections, in use or not.
    shared: Vec<Shared<T>>,
    /// Exclusive connections lent.
    lent: usize,
    connecting: usize,
    replacement: Replacement,
    waiters: VecDeque<(Ticket, W)>,
    next_ticket: u64,
    next_id: u64,
    /// Connections lent in an older era are not kept.
    era: u32,
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
    /// Last known to be alive: used, or checked.
    proven: Timestamp,
}

#[derive(Debug)]
struct Shared<T> {
    conn: T,
    id: u64,
    /// Handles lent.
    streams: usize,
    retire_at: Timestamp,
    since: Timestamp,
    proven: Timestamp,
    /// Lends no more; goes when the last handle comes back.
    doomed: Option<CloseReason>,
}

/// The connection that will take the place of one that is too old. One at a time, so that a pod is not dialled in bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replacement {
    None,
    /// The next dial to end brings it.
    Dialling,
    /// It is there; the next connection found too old goes.
    Ready,
    /// There was no room for it: the old one goes first. It is dialled then, and while it is, nothing else is replaced.
    Owed,
}

impl<T, W> Slots<T, W> {
    pub(crate) fn new(limits: Limits, permits: Option<Arc<Permits>>) -> Self {
        Self {
            limits,
            permits,
            idle: Vec::new(),
            shared: Vec::new(),
            lent: 0,
            connecting: 0,
            replacement: Replacement::None,
            waiters: VecDeque::new(),
            next_ticket: 0,
            next_id: 0,
            era: 0,
            closed: false,
            opened: 0,
            closed_by: ClosedBy::default(),
        }
    }

    /// [`checkout`](Self::checkout) in the usual case: an exclusive connection that is idle, alive and fresh. Whoever waits was here
    /// first, but while anybody waits nothing is idle.
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
        self.lent += 1;
        Some((conn, self.exclusive(retire_at)))
    }

    /// A caller wants a connection. With `may_check`, one that must be checked first is lent too; without, it stays.
    pub(crate) fn checkout(
        &mut self,
        now: Timestamp,
        may_check: bool,
        inspect: &impl Inspect<T>,
        out: &mut Effects<T>,
    ) -> Checkout<T> {
        // Whoever waits was here first.
        if !self.waiters.is_empty() {
            return Checkout::Miss;
        }
        if self.limits.streams > 1 {
            return self.checkout_stream(now, may_check, inspect, out);
        }
        while let Some(idle) = self.idle.pop() {
            let stale = self.limits.is_stale(idle.proven, || now);
            if stale && !may_check {
                self.idle.push(idle);
                return Checkout::Miss;
            }
            if inspect.is_reusable(&idle.conn) {
                self.lent += 1;
                let slot = self.exclusive(idle.retire_at);
                return match stale {
                    false => Checkout::Lend(idle.conn, slot),
                    true => Checkout::Check(idle.conn, slot),
                };
            }
            self.gone(CloseReason::Ended, 1);
            out.dead.push(idle.conn);
        }
        self.nothing()
    }

    /// The caller waits as `waiter`.
    pub(crate) fn wait(&mut self, waiter: W, out: &mut Effects<T>) -> Wait {
        if self.waiters.len() >= self.limits.waiters {
            return Wait::Refused;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiters.push_back((ticket, waiter));
        self.start_dials(out);
        Wait::Queued(ticket)
    }

    /// The waiter has left. If its connection was handed over already, that one comes back by itself.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        if let Ok(index) = self.waiters.binary_search_by_key(&ticket, |(ticket, _)| *ticket) {
            self.waiters.remove(index);
        }
    }

    /// Whether a lent connection comes back in the usual way: it is exclusive, it stays, and nobody waits for it.
    #[inline]
    pub(crate) fn keeps(&self, slot: Slot, now: Timestamp) -> bool {
        match slot {
            Slot::Exclusive { era, retire_at } => {
                era == self.era && now < retire_at && self.waiters.is_empty() && !self.starves()
            }
            Slot::Stream(_) => false,
        }
    }

    /// [`put_back`](Self::put_back) of what it [`keeps`](Self::keeps).
    #[inline]
    pub(crate) fn put_back_idle(&mut self, conn: T, slot: Slot, now: Timestamp) {
        let Slot::Exclusive { retire_at, .. } = slot else {
            return;
        };
        self.lent -= 1;
        self.rest(conn, retire_at, now);
    }

    /// An exclusive connection becomes the newest idle one.
    #[inline]
    fn rest(&mut self, conn: T, retire_at: Timestamp, now: Timestamp) {
        self.idle.push(Idle {
            conn,
            retire_at,
            since: now,
            proven: now,
        });
    }

    /// A lent connection or stream has ended.
    pub(crate) fn put_back(
        &mut self,
        conn: T,
        slot: Slot,
        end: End,
        now: Timestamp,
        inspect: &impl Inspect<T>,
        out: &mut Effects<T>,
    ) -> Placed<T, W> {
        match slot {
            Slot::Exclusive { era, retire_at } => self.put_back_exclusive(conn, (era, retire_at), end, now, out),
            Slot::Stream(id) => self.put_back_stream(conn, id, end, now, inspect, out),
        }
    }

    fn put_back_exclusive(
        &mut self,
        conn: T,
        (era, retire_at): (u32, Timestamp),
        end: End,
        now: Timestamp,
        out: &mut Effects<T>,
    ) -> Placed<T, W> {
        let reason = match end {
            End::Close(reason) => Some(reason),
            End::Keep if self.closed => Some(CloseReason::Removed),
            End::Keep if era != self.era => Some(CloseReason::Invalidated),
            End::Keep if self.waiters.is_empty() && self.starves() => Some(CloseReason::Evicted),
            End::Keep if now >= retire_at && !self.stays(out) => Some(CloseReason::Lifetime),
            End::Keep => None,
        };
        // Not before: while it may stay, its place is not free for its replacement.
        self.lent -= 1;
        match reason {
            None => self.place_exclusive(conn, retire_at, now),
            Some(reason) => {
                self.gone(reason, 1);
                self.after_closing(reason, out);
                Placed::Close(conn)
            }
        }
    }

    /// A dial has succeeded. A shared connection is kept; [`serve`](Self::serve) gives its streams to those who wait.
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
        let placed = if self.limits.streams == 1 {
            let placed = self.place_exclusive(conn, retire_at, now);
            self.start_dials(out);
            placed
        } else {
            self.shared.push(Shared {
                conn,
                id: self.next_id,
                streams: 0,
                retire_at,
                since: now,
                proven: now,
                doomed: None,
            });
            self.next_id += 1;
            Placed::Kept
        };
        self.replaced(now, out);
        // More may be wanted idle than may be dialled at a time.
        self.refill(out);
        placed
    }

    /// A dial has failed. Returns the waiters for whom nothing can come any more.
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
        // Those who came last leave first: the others were there when there was hope.
        self.waiters
            .split_off(stay)
            .into_iter()
            .map(|(_, waiter)| waiter)
            .collect()
    }

    /// Starts as many dials as the waiters need and the limits allow.
    pub(crate) fn start_dials(&mut self, out: &mut Effects<T>) {
        while self.waiters.len() > self.connecting * self.limits.streams {
            if !self.start_dial(out) {
                out.starved |= self.has_room();
                break;
            }
        }
    }

    /// Starts one dial more, whoever it is for, if the limits allow.
    pub(crate) fn start_dial(&mut self, out: &mut Effects<T>) -> bool {
        let may = self.has_room() && self.permits.as_ref().is_none_or(|permits| permits.take());
        out.dials += usize::from(may);
        self.connecting += usize::from(may);
        may
    }

    /// Whether the pod's own limits allow one more dial.
    pub(crate) fn has_room(&self) -> bool {
        !self.closed && self.connecting < self.limits.dials && self.size() < self.limits.connections
    }

    pub(crate) fn is_dialling(&self) -> bool {
        self.connecting > 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Requests under way: exclusive connections and streams lent.
    pub(crate) fn in_use(&self) -> usize {
        self.lent + self.shared.iter().map(|shared| shared.streams).sum::<usize>()
    }

    pub(crate) fn counts(&self) -> Counts {
        let idle_shared = self.shared.iter().filter(|shared| shared.streams == 0).count();
        Counts {
            idle: self.idle.len() + idle_shared,
            busy: self.lent + self.shared.len() - idle_shared,
            connecting: self.connecting,
            waiting: self.waiters.len(),
            opened: self.opened,
            closed: self.closed_by,
        }
    }

    /// Connections that exist or are being made.
    fn size(&self) -> usize {
        self.idle.len() + self.shared.len() + self.lent + self.connecting
    }

    fn nothing(&self) -> Checkout<T> {
        match self.closed {
            true => Checkout::Closed,
            false => Checkout::Miss,
        }
    }

    fn exclusive(&self, retire_at: Timestamp) -> Slot {
        Slot::Exclusive {
            era: self.era,
            retire_at,
        }
    }

    #[inline]
    fn starves(&self) -> bool {
        self.permits.as_ref().is_some_and(|permits| permits.starves())
    }

    fn place_exclusive(&mut self, conn: T, retire_at: Timestamp, now: Timestamp) -> Placed<T, W> {
        if let Some((_, waiter)) = self.waiters.pop_front() {
            self.lent += 1;
            return Placed::Hand(waiter, conn, self.exclusive(retire_at));
        }
        self.rest(conn, retire_at, now);
        Placed::Kept
    }

    /// Connections have left the pool: the one place that counts them out.
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
