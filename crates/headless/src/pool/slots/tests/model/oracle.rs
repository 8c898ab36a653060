//! What the rules allow, and what is known after each step.

use super::*;

impl Pod {
    /// The newest that has not ended; before that, one that is stale stops a caller that may not
    /// validate.
    pub(super) fn expect_newest(
        &self,
        checkout: &Checkout<u32>,
        now: Timestamp,
        may_validate: bool,
        out: &Effects<u32>,
    ) {
        let mut idle: Vec<&Conn> = self.idle().collect();
        idle.sort_by_key(|conn| std::cmp::Reverse(conn.since));
        let stops = |conn: &&&Conn| !self.peers.dead.contains(&conn.id) || (self.is_stale(conn, now) && !may_validate);
        let stop = idle.iter().find(stops);
        let skipped = idle.iter().take_while(|conn| !stops(conn)).map(|conn| conn.id);
        assert!(skipped.eq(out.dead.iter().copied()), "all that ended before it");
        match (checkout, stop) {
            (Checkout::Ready(conn, _), Some(stop)) => assert!(*conn == stop.id && !self.is_stale(stop, now)),
            (Checkout::Validate(conn, _), Some(stop)) => {
                assert!(*conn == stop.id && self.is_stale(stop, now) && may_validate)
            }
            (Checkout::Miss, Some(stop)) => assert!(self.is_stale(stop, now) && !may_validate),
            (Checkout::Miss, None) => assert!(!self.closed),
            (Checkout::Closed, None) => assert!(self.closed),
            other => panic!("{other:?}", other = other.0),
        }
    }

    /// One of those with the fewest streams that take one more.
    pub(super) fn expect_free(&self, checkout: &Checkout<u32>, now: Timestamp, may_validate: bool) {
        match checkout {
            Checkout::Ready(conn, _) => {
                let conn = self.expect_fewest(*conn);
                assert!(conn.users > 0 || !self.is_stale(conn, now));
            }
            Checkout::Validate(conn, _) => {
                let conn = self.expect_fewest(*conn);
                assert!(conn.users == 0 && self.is_stale(conn, now) && may_validate);
            }
            Checkout::Miss if self.is_exact() => {
                let stale = |conn: &Conn| conn.users == 0 && self.is_stale(conn, now);
                assert!(self.free().next().is_none() || (!may_validate && self.free().any(stale)));
            }
            Checkout::Miss => {}
            Checkout::Closed => assert!(self.closed),
        }
    }

    pub(super) fn expect_fewest(&self, id: u32) -> &Conn {
        let conn = self
            .free()
            .find(|conn| conn.id == id)
            .expect("a connection with a free stream");
        let fewest = self.free().all(|other| other.users >= conn.users);
        assert!(fewest || !self.is_exact(), "the one with the fewest streams");
        conn
    }

    /// Takes in what was decided; `why` checks what was closed and not closing before.
    pub(super) fn account(&mut self, out: Effects<u32>, why: impl Fn(&Conn) -> CloseReason) -> bool {
        for id in out.dead {
            let conn = self.conn(id);
            assert_eq!(conn.users, 0, "{id} is in use");
            let reason = conn.closing.unwrap_or_else(|| why(conn));
            self.gone(id, reason);
        }
        let present = match self.limits.streams {
            1 => self.idle().count(),
            _ => self.conns.iter().filter(|conn| conn.closing.is_none()).count(),
        };
        let for_waiters = self.queue.len().div_ceil(self.limits.streams);
        let for_minimum = match self.is_exact() {
            true => self.limits.min_idle.saturating_sub(present),
            // Which of them are closing is not seen.
            false => self.limits.min_idle,
        };
        let needed = for_waiters.max(for_minimum).saturating_sub(self.connecting);
        self.replacements += out.dials.saturating_sub(needed);
        self.connecting += out.dials;
        let allowed = match self.too_old {
            0 => 0,
            old => old + self.failures,
        };
        assert!(self.replacements <= allowed, "a dial for no caller");
        out.needs_permit
    }

    /// A waiter has a dial, if the limits allow.
    pub(super) fn expect_dials(&self, needs_permit: bool) {
        let room = !self.closed && self.connecting < self.limits.dials && self.size() < self.limits.connections;
        let covered = self.connecting * self.limits.streams >= self.queue.len();
        let is_needed = !covered && !self.is_barred();
        assert!(!is_needed || !room || needs_permit, "no dial for the waiters");
    }

    /// Whether a peer allows no stream on one of the connections.
    fn is_barred(&self) -> bool {
        self.conns.iter().any(|conn| self.peers.stream_limit(&conn.id) == 0)
    }

    pub(super) fn check(&self, needs_permit: bool) {
        let counts = self.slots.counts();
        let idle = self.idle().count();
        assert_eq!((counts.idle, counts.busy), (idle, self.conns.len() - idle));
        assert_eq!((counts.connecting, counts.waiting), (self.connecting, self.queue.len()));
        assert_eq!(self.slots.in_use(), self.in_use.len());
        assert_eq!(counts.opened, self.opened);
        assert_eq!(counts.closed.total(), self.closed_by.total());
        if self.is_exact() {
            assert_eq!(counts.closed, self.closed_by);
        }
        assert_eq!(self.opened - self.closed_by.total(), self.conns.len() as u64);
        assert!(self.connecting <= self.limits.dials && self.size() <= self.limits.connections);
        if !self.queue.is_empty() {
            assert!(
                self.limits.streams > 1 || idle == 0,
                "a caller waits beside an idle connection"
            );
            let full = self.size() == self.limits.connections;
            assert!(
                self.connecting + self.in_use.len() > 0 || full || needs_permit || self.is_barred(),
                "nothing can come"
            );
        }
    }

    pub(super) fn held(&mut self, id: u32, slot: Slot, resting: Option<Timestamp>) {
        let most = self.limits.streams;
        let conn = self.conn(id);
        assert!(conn.users < most && conn.closing.is_none(), "{id} is not free");
        conn.users += 1;
        self.in_use.push(InUse {
            conn: id,
            slot,
            resting,
        });
    }

    pub(super) fn handed(&mut self, waiter: u32, conn: u32, slot: Slot) {
        let first = self.queue.pop_front().map(|(_, waiter)| waiter);
        assert_eq!(first, Some(waiter), "first come, first served");
        self.held(conn, slot, None);
    }

    pub(super) fn gone(&mut self, id: u32, reason: CloseReason) {
        let index = self.conns.iter().position(|conn| conn.id == id).expect("closed twice");
        let conn = self.conns.remove(index);
        assert_eq!(conn.users, 0, "{id} is in use");
        self.closed_by.count(reason, 1);
        self.peers.dead.remove(&id);
        self.peers.streams.remove(&id);
    }

    /// What ended is seen when a stream is asked for.
    pub(super) fn notice_ended(&mut self) {
        for conn in self.conns.iter_mut().filter(|conn| self.peers.dead.contains(&conn.id)) {
            conn.closing.get_or_insert(CloseReason::Ended);
        }
    }

    pub(super) fn mark_closing(&mut self, reason: CloseReason) {
        for conn in &mut self.conns {
            conn.closing.get_or_insert(reason);
        }
    }

    pub(super) fn idle(&self) -> impl Iterator<Item = &Conn> {
        self.conns.iter().filter(|conn| conn.users == 0)
    }

    /// Multiplexed connections that take one more.
    pub(super) fn free(&self) -> impl Iterator<Item = &Conn> {
        self.conns.iter().filter(|conn| {
            let limit = self.peers.stream_limit(&conn.id).min(self.limits.streams);
            conn.closing.is_none() && conn.users < limit
        })
    }

    pub(super) fn is_stale(&self, conn: &Conn, now: Timestamp) -> bool {
        self.limits
            .validate_after_idle
            .is_some_and(|after| now.since(conn.proven) >= after)
    }

    /// Whether all is seen. Of multiplexed connections that are too old, one cannot tell from
    /// outside which take no more streams.
    pub(super) fn is_exact(&self) -> bool {
        self.limits.streams == 1 || self.lifetime.is_none()
    }

    pub(super) fn conn(&mut self, id: u32) -> &mut Conn {
        let conn = self.conns.iter_mut().find(|conn| conn.id == id);
        conn.expect("a connection that exists")
    }

    pub(super) fn new_name(&mut self) -> u32 {
        self.names += 1;
        self.names
    }

    pub(super) fn size(&self) -> usize {
        self.conns.len() + self.connecting
    }
}
