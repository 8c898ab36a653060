//! What can happen to a pod: each step does it, and compares what came of it with what the rules
//! allow.

use super::*;

impl Pod {
    /// Does something, if it can be done now. Says whether a permit was missing.
    pub(super) fn step(&mut self, now: Timestamp, dice: &mut Rng) -> Option<bool> {
        for conn in self
            .conns
            .iter_mut()
            .filter(|conn| !conn.known_old && now >= conn.retire_at)
        {
            conn.known_old = true;
            self.too_old += 1;
        }
        Some(match dice.usize(..64) {
            0..=19 => self.call(now, dice),
            20..=35 if !self.in_use.is_empty() => self.end_use(now, dice),
            36..=45 if self.connecting > 0 => self.dialled(now, dice),
            46..=47 if self.connecting > 0 => self.dial_failed(),
            48..=50 if !self.queue.is_empty() => self.leave(dice),
            51..=53 => self.maintain(now),
            54..=56 => self.rest(now),
            57..=58 if !self.conns.is_empty() => self.peer_changes(now, dice),
            59..=60 => self.probe(),
            61 if dice.usize(..3) == 0 => self.invalidate_idle(),
            62 if dice.usize(..8) == 0 && !self.closed => self.close(),
            63 if self.closed => {
                self.run_out(now, dice);
                *self = Self::new(self.limits, self.lifetime, self.permits.take());
                false
            }
            _ => return None,
        })
    }

    fn leave(&mut self, dice: &mut Rng) -> bool {
        let gone = self.queue.remove(dice.usize(..self.queue.len()));
        self.slots.leave(gone.expect("one of them").0);
        false
    }

    /// A connection ends, which may not be noticed at once, or its peer allows another number of
    /// streams.
    fn peer_changes(&mut self, now: Timestamp, dice: &mut Rng) -> bool {
        let conn = self.conns[dice.usize(..self.conns.len())].id;
        let is_limit = self.limits.multiplexed && dice.bool();
        match is_limit {
            true => drop(self.peers.streams.insert(conn, dice.usize(..self.limits.streams + 2))),
            false => drop(self.peers.dead.insert(conn)),
        }
        if !self.limits.multiplexed || !(is_limit || dice.bool()) {
            return false;
        }
        let mut out = Effects::default();
        self.slots.capacity_changed(&self.peers, &mut out);
        self.notice_ended();
        self.account(out, |_| CloseReason::Ended) | self.serve(now)
    }

    fn call(&mut self, now: Timestamp, dice: &mut Rng) -> bool {
        let newest = self.idle().max_by_key(|conn| conn.since);
        let usual = newest.filter(|conn| !self.is_stale(conn, now) && !self.peers.dead.contains(&conn.id));
        if dice.bool() {
            let usual = usual.filter(|_| self.limits.streams == 1).map(|conn| conn.id);
            let taken = self.slots.take_idle(|| now, &self.peers);
            assert_eq!(
                taken.map(|(conn, _)| conn),
                usual,
                "the newest, if it is well and fresh"
            );
            if let Some((conn, slot)) = taken {
                self.held(conn, slot, None);
                return false;
            }
        }
        let (may_validate, mut out) = (dice.bool(), Effects::default());
        let checkout = self.slots.checkout(now, may_validate, &self.peers, &mut out);
        if !self.queue.is_empty() {
            assert!(matches!(checkout, Checkout::Miss), "others were here first");
        } else if self.limits.streams == 1 {
            self.expect_newest(&checkout, now, may_validate, &out);
        } else {
            self.notice_ended();
            self.expect_free(&checkout, now, may_validate);
        }
        let mut needs_permit = self.account(out, |_| CloseReason::Ended);
        match checkout {
            Checkout::Ready(conn, slot) | Checkout::Validate(conn, slot) => self.held(conn, slot, None),
            Checkout::Miss if may_validate && !self.slots.admits_none() => needs_permit |= self.wait(),
            Checkout::Miss => {}
            Checkout::Closed => assert!(self.closed),
        }
        needs_permit
    }

    fn wait(&mut self) -> bool {
        let mut out = Effects::default();
        let name = self.new_name();
        match self.slots.wait(name, &mut out) {
            Wait::Queued(ticket) => self.queue.push_back((ticket, name)),
            Wait::Refused => {
                assert_eq!((self.queue.len(), out.dials), (self.limits.waiters, 0));
                return false;
            }
        }
        assert!(self.queue.len() <= self.limits.waiters);
        let needs_permit = self.account(out, |_| unreachable!("nothing closes"));
        self.expect_dials(needs_permit);
        needs_permit
    }

    fn end_use(&mut self, now: Timestamp, dice: &mut Rng) -> bool {
        let InUse { conn, slot, resting } = self.in_use.swap_remove(dice.usize(..self.in_use.len()));
        let end = match dice.usize(..6) {
            0 => End::Close([CloseReason::Broken, CloseReason::Cancelled, CloseReason::Ended][dice.usize(..3)]),
            _ => End::Keep,
        };
        let is_awaited = self.permits.as_ref().is_some_and(|permits| permits.is_awaited()) && self.queue.is_empty();
        let (mut out, is_dead, is_closed) = (Effects::default(), self.peers.dead.contains(&conn), self.closed);
        let placed = match resting {
            _ if end == End::Keep && resting.is_none() && self.slots.keeps(slot, now) => {
                self.slots.return_idle(conn, slot, now);
                Placed::Kept
            }
            _ if end == End::Keep && resting.is_none() && self.slots.ends_stream(slot, now, &self.peers) => {
                Placed::Close(conn)
            }
            Some(since) if end == End::Keep => self.slots.restore(conn, slot, since, now, &self.peers, &mut out),
            _ => self.slots.return_conn(conn, slot, end, now, &self.peers, &mut out),
        };
        let exclusive = self.limits.streams == 1;
        let known = self.conn(conn);
        known.users -= 1;
        let (overdue, last) = (now >= known.retire_at, known.users == 0);
        if resting.is_none() || end != End::Keep {
            known.since = now;
        }
        if end == End::Keep {
            known.proven = now;
        }
        let must_go = match end {
            End::Close(reason) if exclusive || reason == CloseReason::Broken => Some(reason),
            _ if exclusive && is_closed => Some(CloseReason::Removed),
            _ if known.closing.is_some() => known.closing,
            _ if !exclusive && is_dead => Some(CloseReason::Ended),
            _ if is_awaited && last => Some(CloseReason::Evicted),
            _ => None,
        };
        known.closing = must_go;
        match placed {
            Placed::Kept => assert!(exclusive && must_go.is_none() && self.queue.is_empty()),
            Placed::Hand(waiter, handle, slot) => {
                assert!(must_go.is_none() && handle == conn, "{must_go:?}");
                assert!(
                    exclusive || self.free().any(|free| free.id == conn),
                    "more streams than allowed"
                );
                self.handed(waiter, handle, slot);
            }
            Placed::Close(handle) if exclusive => {
                assert!(handle == conn && (must_go.is_some() || overdue), "kept without need");
                self.gone(conn, must_go.unwrap_or(CloseReason::Lifetime));
            }
            Placed::Close(handle) => assert_eq!(handle, conn),
        }
        let needs_permit = self.account(out, |conn| {
            assert!(now >= conn.retire_at, "{} was well", conn.id);
            CloseReason::Lifetime
        });
        needs_permit | self.serve(now)
    }

    fn dialled(&mut self, now: Timestamp, dice: &mut Rng) -> bool {
        let (id, mut out) = (self.new_name(), Effects::default());
        let retire_at = match self.lifetime {
            Some(lifetime) => now + Duration::from_nanos((1 + dice.usize(..lifetime)) as u64),
            None => NEVER,
        };
        let placed = self.slots.dialled(id, retire_at, now, &mut out);
        self.connecting -= 1;
        self.opened += 1;
        self.conns.push(Conn {
            id,
            users: 0,
            since: now,
            proven: now,
            retire_at,
            closing: None,
            known_old: false,
        });
        match placed {
            Placed::Kept => assert!(!self.closed && (self.limits.streams > 1 || self.queue.is_empty())),
            Placed::Hand(waiter, conn, slot) => {
                assert_eq!(conn, id);
                self.handed(waiter, conn, slot);
            }
            Placed::Close(conn) => {
                assert!(self.closed && conn == id);
                self.gone(conn, CloseReason::Removed);
            }
        }
        let needs_permit = self.account(out, |conn| {
            assert!(now >= conn.retire_at, "{} was well", conn.id);
            CloseReason::Lifetime
        });
        let needs_permit = needs_permit | self.serve(now);
        self.expect_dials(needs_permit);
        needs_permit
    }

    /// Streams for the waiters.
    fn serve(&mut self, now: Timestamp) -> bool {
        let mut needs_permit = false;
        loop {
            let mut out = Effects::default();
            let served = self.slots.serve(now, &self.peers, &mut out);
            if self.limits.streams > 1 && !self.queue.is_empty() {
                self.notice_ended();
            }
            match served {
                Some((waiter, conn, slot)) => {
                    self.expect_fewest(conn);
                    self.handed(waiter, conn, slot);
                    needs_permit |= self.account(out, |_| CloseReason::Ended);
                }
                None => {
                    let hopeless = self.limits.streams == 1 || self.queue.is_empty() || self.free().next().is_none();
                    assert!(hopeless || !self.is_exact(), "a free stream, and a caller waits");
                    let needs_permit = needs_permit | self.account(out, |_| CloseReason::Ended);
                    self.turn_away();
                    return needs_permit;
                }
            }
        }
    }

    /// The waiters of a peer that allows no stream, all or none.
    fn turn_away(&mut self) {
        let told = self.slots.turn_away_if_barred();
        if !told.is_empty() {
            let could_be_served = self.connecting > 0 || self.is_exact() && self.free().next().is_some();
            assert!(!could_be_served);
            assert!(self.queue.drain(..).map(|(_, waiter)| waiter).eq(told));
        }
    }

    fn dial_failed(&mut self) -> bool {
        let told = self.slots.dial_failed();
        self.connecting -= 1;
        self.failures += 1;
        let hope = self.connecting * self.limits.streams + self.in_use.len();
        let hopeless = self.queue.split_off(self.queue.len().min(hope));
        assert!(
            hopeless.into_iter().map(|(_, waiter)| waiter).eq(told),
            "the waiters that nothing can serve"
        );
        false
    }

    fn maintain(&mut self, now: Timestamp) -> bool {
        let before = at(now.as_nanos().saturating_sub(40));
        let standing = match self.limits.streams {
            1 => self.idle().count(),
            _ => self.conns.iter().filter(|conn| conn.closing.is_none()).count(),
        };
        let spare = standing.saturating_sub(self.limits.min_idle);
        let mut unused: Vec<(Timestamp, u32)> = self.idle().map(|conn| (conn.since, conn.id)).collect();
        unused.retain(|(since, _)| *since < before);
        if self.limits.streams == 1 {
            unused.sort_unstable();
        }
        unused.truncate(spare);
        let mut out = Effects::default();
        self.slots.maintain(now, before, &mut out);
        if self.is_exact() {
            assert!(unused.iter().all(|(_, id)| out.dead.contains(id)), "the unused expire");
        }
        self.account(out, |conn| match unused.iter().any(|(_, id)| *id == conn.id) {
            true => CloseReason::Idle,
            false => {
                assert!(now >= conn.retire_at, "{} was well", conn.id);
                CloseReason::Lifetime
            }
        })
    }

    /// A validation in the background.
    fn rest(&mut self, now: Timestamp) -> bool {
        let before = at(now.as_nanos().saturating_sub(20));
        let longest = self.idle().map(|conn| (conn.proven, conn.id)).min();
        let taken = self.slots.longest_idle(before, &self.peers);
        if self.limits.streams == 1 {
            let due = longest.filter(|(proven, _)| *proven < before).map(|(_, id)| id);
            assert_eq!(taken.map(|(id, ..)| id), due, "the one proven longest ago");
        }
        if let Some((id, slot, since)) = taken {
            let conn = self.conn(id);
            assert!(conn.users == 0 && conn.closing.is_none() && conn.proven < before && conn.since == since);
            self.held(id, slot, Some(since));
        }
        false
    }

    fn invalidate_idle(&mut self) -> bool {
        let mut out = Effects::default();
        self.slots.invalidate_idle(&mut out);
        self.mark_closing(CloseReason::Invalidated);
        self.account(out, |_| unreachable!("all are closing"))
    }

    pub(super) fn close(&mut self) -> bool {
        let mut out = Effects::default();
        let told = self.slots.close(&mut out);
        assert!(
            self.queue.drain(..).map(|(_, waiter)| waiter).eq(told),
            "all waiters are told"
        );
        self.closed = true;
        self.mark_closing(CloseReason::Removed);
        self.account(out, |_| unreachable!("all are closing"))
    }

    /// After the close: the in_use and the dials end.
    pub(super) fn run_out(&mut self, now: Timestamp, dice: &mut Rng) {
        while !self.in_use.is_empty() {
            self.end_use(now, dice);
        }
        while self.connecting > 0 {
            match dice.bool() {
                true => self.dialled(now, dice),
                false => self.dial_failed(),
            };
        }
        self.check(false);
        assert_eq!(
            (self.size(), self.opened),
            (0, self.closed_by.total()),
            "all that was opened is closed"
        );
    }

    fn probe(&mut self) -> bool {
        let room = !self.closed && self.connecting < self.limits.dials && self.size() < self.limits.connections;
        let may = room && self.permits.as_ref().is_none_or(|permits| permits.any_left());
        assert_eq!(self.slots.start_dial(&mut Effects::default()), may);
        self.connecting += usize::from(may);
        false
    }

    pub(super) fn evict_idle(&mut self) -> bool {
        let resting = self.idle().filter(|conn| conn.closing.is_none());
        let longest = resting.min_by_key(|conn| conn.since).map(|conn| conn.id);
        let longest = longest.filter(|_| self.queue.is_empty());
        let mut out = Effects::default();
        let evicted = self.slots.evict_idle(&mut out);
        assert_eq!(out.dead.first().copied(), longest, "what has been idle longest");
        assert_eq!(evicted, longest.is_some());
        self.account(out, |_| CloseReason::Evicted);
        evicted
    }

    pub(super) fn grant(&mut self) -> bool {
        let mut out = Effects::default();
        self.slots.start_dials(&mut out);
        let needs_permit = self.account(out, |_| unreachable!("nothing closes"));
        self.expect_dials(needs_permit);
        needs_permit
    }
}
