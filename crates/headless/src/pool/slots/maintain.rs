//! The rules of [`Slots`] for unused connections: how they age, expire and are replaced, and when
//! all of them are closed.

use headless_core::Timestamp;

use super::types::{CloseReason, Effects, Inspect, Placed, Replacement, Slot};
use super::{Idle, MultiplexedConn, Slots};

impl<T, W> Slots<T, W> {
    /// Time has passed: closes connections unused since `idle_before`, replaces those that are too
    /// old, and keeps the minimum idle.
    pub(crate) fn maintain(&mut self, now: Timestamp, idle_before: Timestamp, out: &mut Effects<T>) {
        self.expire(idle_before, out);
        self.retire(now, out);
        self.start_dials(out);
        self.refill(out);
    }

    /// Dials until the minimum idle is reached or on its way.
    pub(crate) fn refill(&mut self, out: &mut Effects<T>) {
        let wanted = self.limits.min_idle;
        while self.idle.len() + self.standing() + self.connecting < wanted && self.start_dial(out) {}
    }

    /// Multiplexed connections that still take streams.
    fn standing(&self) -> usize {
        self.multiplexed.iter().filter(|entry| entry.closing.is_none()).count()
    }

    /// Closes the oldest idle connections. They stand first: pushed first, popped last.
    fn expire(&mut self, before: Timestamp, out: &mut Effects<T>) {
        let minimum = self.limits.min_idle;
        let old = self.idle.partition_point(|idle| idle.since < before);
        let expired = old.min(self.idle.len().saturating_sub(minimum));
        out.dead.extend(self.idle.drain(..expired).map(|idle| idle.conn));
        self.gone(CloseReason::Idle, expired);
        let mut spare = self.standing().saturating_sub(minimum);
        for entry in &mut self.multiplexed {
            if spare > 0 && entry.streams == 0 && entry.since < before {
                spare -= 1;
                entry.closing.get_or_insert(CloseReason::Idle);
            }
        }
        self.reap(out);
    }

    /// Begins to replace a connection that is too old, if there is one.
    fn retire(&mut self, now: Timestamp, out: &mut Effects<T>) {
        let overdue = self.idle.iter().any(|idle| now >= idle.retire_at)
            || self.multiplexed.iter().any(|entry| is_overdue(entry, now));
        if overdue && !self.stays(out) {
            self.retire_one(now, out);
            self.after_closing(CloseReason::Lifetime, out);
        }
    }

    /// A connection is too old. Says whether it stays in service until it is its turn to be
    /// replaced; if it is its turn, its replacement is dialled.
    pub(super) fn stays(&mut self, out: &mut Effects<T>) -> bool {
        match self.replacement {
            Replacement::Dialling => true,
            Replacement::Ready => {
                self.replacement = Replacement::None;
                false
            }
            Replacement::Owed => {
                self.pay(out);
                true
            }
            Replacement::None => {
                let dials = self.start_dial(out);
                self.replacement = match dials {
                    true => Replacement::Dialling,
                    false => Replacement::Owed,
                };
                dials
            }
        }
    }

    /// A dial has succeeded. If it replaces an old connection, that one is closed, and the next one
    /// has its turn.
    pub(super) fn replaced(&mut self, now: Timestamp, out: &mut Effects<T>) {
        let gone = match self.replacement {
            Replacement::None | Replacement::Ready => return,
            Replacement::Owed => true,
            Replacement::Dialling => self.retire_one(now, out),
        };
        if gone {
            self.replacement = Replacement::None;
            self.retire(now, out);
        } else {
            self.replacement = Replacement::Ready;
        }
    }

    /// Dials the replacement of a connection that was closed before it, if there is room now. A
    /// dial under way counts as the replacement.
    fn pay(&mut self, out: &mut Effects<T>) {
        if self.replacement == Replacement::Owed && self.connecting == 0 {
            self.start_dial(out);
        }
    }

    /// Closes one connection that is too old: an idle one at once, a multiplexed one when its
    /// streams have ended.
    fn retire_one(&mut self, now: Timestamp, out: &mut Effects<T>) -> bool {
        if let Some(index) = self.idle.iter().position(|idle| now >= idle.retire_at) {
            out.dead.push(self.idle.remove(index).conn);
            self.gone(CloseReason::Lifetime, 1);
            return true;
        }
        match self.multiplexed.iter_mut().find(|entry| is_overdue(entry, now)) {
            Some(entry) => {
                entry.closing = Some(CloseReason::Lifetime);
                self.reap(out);
                true
            }
            None => false,
        }
    }

    /// A connection was closed: dials for the waiters, and for the minimum.
    pub(super) fn after_closing(&mut self, reason: CloseReason, out: &mut Effects<T>) {
        self.start_dials(out);
        if reason == CloseReason::Lifetime {
            self.pay(out);
        }
        // An endpoint whose connections break gets no more of them before a caller needs one or the
        // next maintenance.
        if !matches!(
            reason,
            CloseReason::Broken | CloseReason::Invalidated | CloseReason::Evicted
        ) {
            self.refill(out);
        }
    }

    /// Checks out the connection that was proven alive longest ago, if that was before `before`,
    /// for a validation in the background.
    pub(crate) fn longest_idle(
        &mut self,
        before: Timestamp,
        inspect: &impl Inspect<T>,
    ) -> Option<(T, Slot, Timestamp)> {
        let longest = (0..self.idle.len()).min_by_key(|&index| self.idle[index].proven);
        if let Some(index) = longest.filter(|&index| self.idle[index].proven < before) {
            let idle = self.idle.remove(index);
            self.checked_out += 1;
            return Some((idle.conn, self.exclusive(idle.retire_at, true), idle.since));
        }
        let resting =
            |entry: &&mut MultiplexedConn<T>| entry.closing.is_none() && entry.streams == 0 && entry.proven < before;
        let entry = self.multiplexed.iter_mut().find(resting)?;
        let handle = inspect.share(&entry.conn)?;
        entry.streams += 1;
        let slot = Slot::Stream {
            id: entry.id,
            was_idle: true,
        };
        Some((handle, slot, entry.since))
    }

    /// Returns what [`longest_idle`](Self::longest_idle) checked out: alive, and unused for as long
    /// as it was before.
    pub(crate) fn restore(
        &mut self,
        conn: T,
        slot: Slot,
        since: Timestamp,
        now: Timestamp,
        inspect: &impl Inspect<T>,
        out: &mut Effects<T>,
    ) -> Placed<T, W> {
        let since = match slot {
            Slot::Exclusive { .. } => since,
            // Other callers may have used it meanwhile.
            Slot::Stream { id, .. } => self
                .multiplexed
                .iter()
                .find(|entry| entry.id == id)
                .map_or(since, |entry| entry.since),
        };
        let placed = self.return_conn(conn, slot, super::End::Keep, now, inspect, out);
        if let Placed::Kept = placed {
            // It was put on top, as if it had been used; it belongs among those of its age.
            if let Some(idle) = self.idle.pop() {
                let index = self.idle.partition_point(|other| other.since <= since);
                self.idle.insert(index, Idle { since, ..idle });
            }
        } else if let Slot::Stream { id, .. } = slot
            && let Some(entry) = self
                .multiplexed
                .iter_mut()
                .find(|entry| entry.id == id && entry.streams == 0)
        {
            entry.since = since;
        }
        placed
    }

    /// Closes the connection that has been idle longest, so that another endpoint can open one.
    /// Says whether there was one.
    pub(crate) fn evict_idle(&mut self, out: &mut Effects<T>) -> bool {
        if !self.waiters.is_empty() {
            return false;
        }
        if !self.idle.is_empty() {
            out.dead.push(self.idle.remove(0).conn);
            self.gone(CloseReason::Evicted, 1);
            return true;
        }
        let resting = |entry: &&mut MultiplexedConn<T>| entry.streams == 0 && entry.closing.is_none();
        let Some(entry) = self
            .multiplexed
            .iter_mut()
            .filter(resting)
            .min_by_key(|entry| entry.since)
        else {
            return false;
        };
        entry.closing = Some(CloseReason::Evicted);
        self.reap(out);
        true
    }

    /// Closes idle connections now and those checked out on return: one connection has proved dead,
    /// or what was true when they were opened no longer is.
    pub(crate) fn invalidate_idle(&mut self, out: &mut Effects<T>) {
        self.close_all(CloseReason::Invalidated, out);
        // A connection that took no more streams leaves its place to a waiter.
        self.start_dials(out);
    }

    /// Closes the idle connections that were last used before the one of `slot` was checked out: it
    /// has been silent since, and they may be as dead as it. What has answered since is kept.
    /// Multiplexed connections are found silent by themselves.
    pub(crate) fn invalidate_idle_before(&mut self, slot: Slot, out: &mut Effects<T>) {
        let Slot::Exclusive { turn: checked_out, .. } = slot else {
            return;
        };
        let before = out.dead.len();
        let older = self.idle.extract_if(.., |idle| idle.turn <= checked_out);
        out.dead.extend(older.map(|idle| idle.conn));
        self.gone(CloseReason::Invalidated, out.dead.len() - before);
    }

    /// Closes the pool: idle connections now, those checked out on return. Returns the waiters, to
    /// be told.
    pub(crate) fn close(&mut self, out: &mut Effects<T>) -> Vec<W> {
        self.closed = true;
        self.close_all(CloseReason::Removed, out);
        self.turn_away()
    }

    fn close_all(&mut self, reason: CloseReason, out: &mut Effects<T>) {
        self.turn += 1;
        self.invalidated = self.turn;
        // What was too old is closed with the others.
        self.replacement = Replacement::None;
        self.gone(reason, self.idle.len());
        out.dead.extend(self.idle.drain(..).map(|idle| idle.conn));
        for entry in &mut self.multiplexed {
            entry.closing.get_or_insert(reason);
        }
        self.reap(out);
    }
}

fn is_overdue<T>(entry: &MultiplexedConn<T>, now: Timestamp) -> bool {
    entry.closing.is_none() && now >= entry.retire_at
}
