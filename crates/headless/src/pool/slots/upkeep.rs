//! The rules of [`Slots`] for connections that nobody uses: how they age, expire and are replaced, and when all of them go.

use headless_core::Timestamp;

use super::terms::{CloseReason, Effects, Inspect, Placed, Slot};
use super::{Idle, Replacement, Shared, Slots};

impl<T, W> Slots<T, W> {
    /// Time has passed. Closes what nobody has used since `idle_before`, replaces what is too old, and keeps the minimum idle.
    pub(crate) fn upkeep(&mut self, now: Timestamp, idle_before: Timestamp, out: &mut Effects<T>) {
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

    /// Shared connections that still take streams.
    fn standing(&self) -> usize {
        self.shared.iter().filter(|shared| shared.doomed.is_none()).count()
    }

    /// The oldest idle connections go first: they stand first, as they were pushed first and are popped last.
    fn expire(&mut self, before: Timestamp, out: &mut Effects<T>) {
        let minimum = self.limits.min_idle;
        let old = self.idle.partition_point(|idle| idle.since < before);
        let expired = old.min(self.idle.len().saturating_sub(minimum));
        out.dead.extend(self.idle.drain(..expired).map(|idle| idle.conn));
        self.gone(CloseReason::Idle, expired);
        let mut spare = self.standing().saturating_sub(minimum);
        for shared in &mut self.shared {
            if spare > 0 && shared.streams == 0 && shared.since < before {
                spare -= 1;
                shared.doomed.get_or_insert(CloseReason::Idle);
            }
        }
        self.bury(out);
    }

    /// Begins to replace a connection that is too old, if there is one.
    fn retire(&mut self, now: Timestamp, out: &mut Effects<T>) {
        let overdue = self.idle.iter().any(|idle| now >= idle.retire_at)
            || self.shared.iter().any(|shared| is_overdue(shared, now));
        if overdue && !self.stays(out) {
            self.retire_one(now, out);
            self.after_closing(CloseReason::Lifetime, out);
        }
    }

    /// A connection is too old. Whether it stays in service until its turn has come; its replacement is dialled if it is its turn.
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

    /// A dial has succeeded; if it was to replace an old connection, that one can go, and the next has its turn.
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

    /// Dials the replacement of a connection that went first, if there is room now. A dial that is under way will do.
    fn pay(&mut self, out: &mut Effects<T>) {
        if self.replacement == Replacement::Owed && self.connecting == 0 {
            self.start_dial(out);
        }
    }

    /// Closes one connection that is too old: an idle one, or a shared one when its streams have ended.
    fn retire_one(&mut self, now: Timestamp, out: &mut Effects<T>) -> bool {
        if let Some(index) = self.idle.iter().position(|idle| now >= idle.retire_at) {
            out.dead.push(self.idle.remove(index).conn);
            self.gone(CloseReason::Lifetime, 1);
            return true;
        }
        match self.shared.iter_mut().find(|shared| is_overdue(shared, now)) {
            Some(shared) => {
                shared.doomed = Some(CloseReason::Lifetime);
                self.bury(out);
                true
            }
            None => false,
        }
    }

    /// A connection was closed: those who wait get another, and so does the minimum.
    pub(super) fn after_closing(&mut self, reason: CloseReason, out: &mut Effects<T>) {
        self.start_dials(out);
        if reason == CloseReason::Lifetime {
            self.pay(out);
        }
        // A pod whose connections break is not asked for more until somebody needs one, or until the next upkeep.
        if !matches!(
            reason,
            CloseReason::Broken | CloseReason::Invalidated | CloseReason::Evicted
        ) {
            self.refill(out);
        }
    }

    /// Lends the connection that was proven alive longest ago, if that was before `before`, to be checked in the background.
    pub(crate) fn longest_idle(
        &mut self,
        before: Timestamp,
        inspect: &impl Inspect<T>,
    ) -> Option<(T, Slot, Timestamp)> {
        let longest = (0..self.idle.len()).min_by_key(|&index| self.idle[index].proven);
        if let Some(index) = longest.filter(|&index| self.idle[index].proven < before) {
            let idle = self.idle.remove(index);
            self.lent += 1;
            return Some((idle.conn, self.exclusive(idle.retire_at), idle.since));
        }
        let resting =
            |shared: &&mut Shared<T>| shared.doomed.is_none() && shared.streams == 0 && shared.proven < before;
        let shared = self.shared.iter_mut().find(resting)?;
        let handle = inspect.share(&shared.conn)?;
        shared.streams += 1;
        Some((handle, Slot::Stream(shared.id), shared.since))
    }

    /// Takes back what [`longest_idle`](Self::longest_idle) lent: alive, and as long unused as it was.
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
            // Others may have used it meanwhile.
            Slot::Stream(id) => self
                .shared
                .iter()
                .find(|shared| shared.id == id)
                .map_or(since, |shared| shared.since),
        };
        let placed = self.put_back(conn, slot, super::End::Keep, now, inspect, out);
        if let Placed::Kept = placed {
            // It was put on top, as if it had been used: it belongs to the others of its age.
            if let Some(idle) = self.idle.pop() {
                let index = self.idle.partition_point(|other| other.since <= since);
                self.idle.insert(index, Idle { since, ..idle });
            }
        } else if let Slot::Stream(id) = slot
            && let Some(shared) = self
                .shared
                .iter_mut()
                .find(|shared| shared.id == id && shared.streams == 0)
        {
            shared.since = since;
        }
        placed
    }

    /// Closes the connection that has been idle longest, for the sake of another pod. Says whether there was one.
    pub(crate) fn yield_idle(&mut self, out: &mut Effects<T>) -> bool {
        if !self.waiters.is_empty() {
            return false;
        }
        if !self.idle.is_empty() {
            out.dead.push(self.idle.remove(0).conn);
            self.gone(CloseReason::Evicted, 1);
            return true;
        }
        let resting = |shared: &&mut Shared<T>| shared.streams == 0 && shared.doomed.is_none();
        let Some(shared) = self.shared.iter_mut().filter(resting).min_by_key(|shared| shared.since) else {
            return false;
        };
        shared.doomed = Some(CloseReason::Evicted);
        self.bury(out);
        true
    }

    /// A connection has proved dead: trusts no other that was open at the same time.
    pub(crate) fn sweep(&mut self, out: &mut Effects<T>) {
        self.close_all(CloseReason::Invalidated, out);
        // Whoever waits beside a connection that takes no stream now has its place.
        self.start_dials(out);
    }

    /// The pool is gone: idle connections go now, lent ones when they come back, waiters are told.
    pub(crate) fn close(&mut self, out: &mut Effects<T>) -> Vec<W> {
        self.closed = true;
        self.close_all(CloseReason::Removed, out);
        self.waiters.drain(..).map(|(_, waiter)| waiter).collect()
    }

    fn close_all(&mut self, reason: CloseReason, out: &mut Effects<T>) {
        self.era = self.era.wrapping_add(1);
        // Whatever was too old goes now.
        self.replacement = Replacement::None;
        self.gone(reason, self.idle.len());
        out.dead.extend(self.idle.drain(..).map(|idle| idle.conn));
        for shared in &mut self.shared {
            shared.doomed.get_or_insert(reason);
        }
        self.bury(out);
    }
}

fn is_overdue<T>(shared: &Shared<T>, now: Timestamp) -> bool {
    shared.doomed.is_none() && now >= shared.retire_at
}
