//! The rules of [`Slots`] for multiplexed connections: a stream is checked out instead of the
//! connection, and a closing connection is reaped when its last stream has ended.

use headless_core::Timestamp;

use super::types::{Checkout, CloseReason, Effects, End, Inspect, Placed, Slot};
use super::{MultiplexedConn, Slots};

impl<T, W> Slots<T, W> {
    /// A stream of the connection that has the fewest, of those that take one more.
    pub(super) fn checkout_stream(
        &mut self,
        now: Timestamp,
        may_validate: bool,
        inspect: &impl Inspect<T>,
        out: &mut Effects<T>,
    ) -> Checkout<T> {
        self.inspect_all(inspect, out);
        let limits = self.limits;
        // The last of those that gave no handle.
        let mut refused = None;
        loop {
            let free = |entry: &&mut MultiplexedConn<T>| {
                entry.closing.is_none()
                    && entry.streams < limits.streams_of(inspect.stream_limit(&entry.conn))
                    && refused.is_none_or(|refused| (entry.streams, entry.id) > refused)
            };
            let Some(entry) = self
                .multiplexed
                .iter_mut()
                .filter(free)
                .min_by_key(|entry| (entry.streams, entry.id))
            else {
                if refused.is_some() {
                    self.give_way(inspect, out);
                }
                return self.nothing();
            };
            let stale = entry.streams == 0 && limits.is_stale(entry.proven, || now);
            if stale && !may_validate {
                return Checkout::Miss;
            }
            let Some(handle) = inspect.share(&entry.conn) else {
                refused = Some((entry.streams, entry.id));
                continue;
            };
            let slot = Slot::Stream {
                id: entry.id,
                was_idle: entry.streams == 0,
            };
            entry.streams += 1;
            return match stale {
                false => Checkout::Ready(handle, slot),
                true => Checkout::Validate(handle, slot),
            };
        }
    }

    /// Finds what has changed about the connections since they were last asked.
    fn inspect_all(&mut self, inspect: &impl Inspect<T>, out: &mut Effects<T>) {
        for entry in &mut self.multiplexed {
            if !inspect.is_reusable(&entry.conn) {
                entry.closing.get_or_insert(CloseReason::Ended);
            }
            entry.is_barred = inspect.stream_limit(&entry.conn) == 0;
        }
        self.reap(out);
    }

    /// At the limit, connections that give no handle, and carry no stream, leave their places to
    /// those that replace them.
    fn give_way(&mut self, inspect: &impl Inspect<T>, out: &mut Effects<T>) {
        if self.size() < self.limits.connections {
            return;
        }
        for entry in &mut self.multiplexed {
            let is_of_use = entry.streams > 0 || entry.is_barred || inspect.share(&entry.conn).is_some();
            if !is_of_use {
                entry.closing.get_or_insert(CloseReason::Broken);
            }
        }
        self.reap(out);
    }

    /// Whether the peer allows no stream on one of the connections: it would allow none on another.
    ///
    /// SPEC(RFC 9113 6.5.2): a limit of zero is for a short time.
    pub(super) fn is_barred(&self) -> bool {
        let mut open = self.multiplexed.iter().filter(|entry| entry.closing.is_none());
        open.any(|entry| entry.is_barred)
    }

    /// Whether the peer allows no stream on any connection that there is or will be soon: nothing
    /// can serve a waiter before it allows more.
    pub(crate) fn admits_none(&self) -> bool {
        let mut open = self.multiplexed.iter().filter(|entry| entry.closing.is_none());
        self.is_barred() && self.connecting == 0 && open.all(|entry| entry.is_barred)
    }

    /// The waiters that [nothing can serve](Self::admits_none): they try other endpoints.
    pub(crate) fn turn_away_if_barred(&mut self) -> Vec<W> {
        match self.admits_none() {
            true => self.turn_away(),
            false => Vec::new(),
        }
    }

    /// A connection may take another number of streams than before, or has ended.
    pub(crate) fn capacity_changed(&mut self, inspect: &impl Inspect<T>, out: &mut Effects<T>) {
        self.inspect_all(inspect, out);
        self.start_dials(out);
    }

    /// [`return_stream`](Self::return_stream) in the usual case: no caller waits for the stream,
    /// and its connection stays. Says whether this was it; the handle is then of no more use.
    pub(crate) fn ends_stream(&mut self, slot: Slot, now: Timestamp, inspect: &impl Inspect<T>) -> bool {
        let Slot::Stream { id, .. } = slot else { return false };
        if !self.waiters.is_empty() || self.permit_is_awaited() {
            return false;
        }
        let stays = |entry: &&mut MultiplexedConn<T>| {
            entry.id == id && entry.closing.is_none() && now < entry.retire_at && inspect.is_reusable(&entry.conn)
        };
        let Some(entry) = self.multiplexed.iter_mut().find(stays) else {
            return false;
        };
        entry.streams -= 1;
        (entry.since, entry.proven) = (now, now);
        true
    }

    /// A handle says nothing about the other streams of its connection; `inspect` does.
    pub(super) fn return_stream(
        &mut self,
        handle: T,
        id: u64,
        end: End,
        now: Timestamp,
        inspect: &impl Inspect<T>,
        out: &mut Effects<T>,
    ) -> Placed<T, W> {
        let Some(index) = self.multiplexed.iter().position(|entry| entry.id == id) else {
            return Placed::Close(handle);
        };
        let evict = self.waiters.is_empty() && self.permit_is_awaited();
        let overdue =
            now >= self.multiplexed[index].retire_at && self.multiplexed[index].closing.is_none() && !self.stays(out);
        let entry = &mut self.multiplexed[index];
        entry.streams -= 1;
        entry.since = now;
        match end {
            End::Keep => entry.proven = now,
            // It was just invalidated with the others, but it is the one that broke.
            End::Close(CloseReason::Broken) => entry.closing = Some(CloseReason::Broken),
            // A stream that was given up, such as a cancelled validation, proves nothing.
            End::Close(_) => {}
        }
        let reason = if !inspect.is_reusable(&entry.conn) {
            Some(CloseReason::Ended)
        } else if evict && entry.streams == 0 {
            Some(CloseReason::Evicted)
        } else {
            overdue.then_some(CloseReason::Lifetime)
        };
        entry.closing = entry.closing.or(reason);
        if let Some(reason) = entry.closing {
            self.reap(out);
            self.after_closing(reason, out);
            return Placed::Close(handle);
        }
        entry.is_barred = inspect.stream_limit(&entry.conn) == 0;
        if entry.streams >= self.limits.streams_of(inspect.stream_limit(&entry.conn))
            || self.waiters.is_empty()
            || inspect.share(&entry.conn).is_none()
        {
            // The peer allows fewer than before, or the connection is in doubt.
            return Placed::Close(handle);
        }
        match self.waiters.pop_first() {
            Some((_, waiter)) => {
                entry.streams += 1;
                Placed::Hand(waiter, handle, Slot::Stream { id, was_idle: false })
            }
            None => Placed::Close(handle),
        }
    }

    /// A free stream for the first waiter, if there are both. Without a free stream, dials another
    /// connection for the waiters left.
    pub(crate) fn serve(
        &mut self,
        now: Timestamp,
        inspect: &impl Inspect<T>,
        out: &mut Effects<T>,
    ) -> Option<(W, T, Slot)> {
        if !self.limits.multiplexed || self.waiters.is_empty() {
            return None;
        }
        match self.checkout_stream(now, true, inspect, out) {
            // Not validated, even if it is due: the waiter has waited long enough.
            Checkout::Ready(handle, slot) | Checkout::Validate(handle, slot) => {
                let slot = match slot {
                    // It was just opened, or has just taken back a stream.
                    Slot::Stream { id, .. } => Slot::Stream { id, was_idle: false },
                    Slot::Exclusive { .. } => slot,
                };
                self.waiters.pop_first().map(|(_, waiter)| (waiter, handle, slot))
            }
            Checkout::Miss | Checkout::Closed => {
                self.start_dials(out);
                None
            }
        }
    }

    /// Removes the closing connections whose last stream has ended.
    pub(super) fn reap(&mut self, out: &mut Effects<T>) {
        let over = |entry: &mut MultiplexedConn<T>| entry.streams == 0 && entry.closing.is_some();
        // Usually there are none, and nothing is allocated.
        let reaped: Vec<MultiplexedConn<T>> = self.multiplexed.extract_if(.., over).collect();
        for entry in reaped {
            if let Some(reason) = entry.closing {
                self.gone(reason, 1);
            }
            out.dead.push(entry.conn);
        }
    }
}
