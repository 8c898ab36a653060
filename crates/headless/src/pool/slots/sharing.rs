//! The rules of [`Slots`] for shared connections: streams are lent instead of the connection itself, and it goes with its last one.

use headless_core::Timestamp;

use super::terms::{Checkout, CloseReason, Effects, End, Inspect, Placed, Slot};
use super::{Shared, Slots};

impl<T, W> Slots<T, W> {
    /// Of the shared connections that take one more, the one with the fewest streams.
    pub(super) fn checkout_stream(
        &mut self,
        now: Timestamp,
        may_check: bool,
        inspect: &impl Inspect<T>,
        out: &mut Effects<T>,
    ) -> Checkout<T> {
        for shared in &mut self.shared {
            if !inspect.is_reusable(&shared.conn) {
                shared.doomed.get_or_insert(CloseReason::Ended);
            }
        }
        self.bury(out);
        let limits = self.limits;
        let free = |shared: &&mut Shared<T>| {
            shared.doomed.is_none() && shared.streams < limits.streams_of(inspect.stream_limit(&shared.conn))
        };
        let Some(shared) = self.shared.iter_mut().filter(free).min_by_key(|shared| shared.streams) else {
            return self.nothing();
        };
        let stale = shared.streams == 0 && limits.is_stale(shared.proven, || now);
        if stale && !may_check {
            return Checkout::Miss;
        }
        match inspect.share(&shared.conn) {
            Some(handle) => {
                shared.streams += 1;
                let slot = Slot::Stream(shared.id);
                match stale {
                    false => Checkout::Lend(handle, slot),
                    true => Checkout::Check(handle, slot),
                }
            }
            None => Checkout::Miss,
        }
    }

    /// [`put_back_stream`](Self::put_back_stream) in the usual case: nobody waits for the stream, and its connection stays. Says whether
    /// it was that; the handle is then of no more use.
    pub(crate) fn ends_stream(&mut self, slot: Slot, now: Timestamp, inspect: &impl Inspect<T>) -> bool {
        let Slot::Stream(id) = slot else { return false };
        if !self.waiters.is_empty() || self.starves() {
            return false;
        }
        let stays = |shared: &&mut Shared<T>| {
            shared.id == id && shared.doomed.is_none() && now < shared.retire_at && inspect.is_reusable(&shared.conn)
        };
        let Some(shared) = self.shared.iter_mut().find(stays) else {
            return false;
        };
        shared.streams -= 1;
        (shared.since, shared.proven) = (now, now);
        true
    }

    /// A handle says nothing about the other streams of its connection; that is what `inspect` is asked for.
    pub(super) fn put_back_stream(
        &mut self,
        handle: T,
        id: u64,
        end: End,
        now: Timestamp,
        inspect: &impl Inspect<T>,
        out: &mut Effects<T>,
    ) -> Placed<T, W> {
        let Some(index) = self.shared.iter().position(|shared| shared.id == id) else {
            return Placed::Close(handle);
        };
        let starves = self.waiters.is_empty() && self.starves();
        let overdue = now >= self.shared[index].retire_at && self.shared[index].doomed.is_none() && !self.stays(out);
        let shared = &mut self.shared[index];
        shared.streams -= 1;
        shared.since = now;
        match end {
            End::Keep => shared.proven = now,
            // Invalidated with the others just now, but it is the one that broke.
            End::Close(CloseReason::Broken) => shared.doomed = Some(CloseReason::Broken),
            // A stream that was given up, such as a check that nobody waited for, proves nothing.
            End::Close(_) => {}
        }
        let doom = if !inspect.is_reusable(&shared.conn) {
            Some(CloseReason::Ended)
        } else if starves && shared.streams == 0 {
            Some(CloseReason::Evicted)
        } else {
            overdue.then_some(CloseReason::Lifetime)
        };
        shared.doomed = shared.doomed.or(doom);
        if let Some(reason) = shared.doomed {
            self.bury(out);
            self.after_closing(reason, out);
            return Placed::Close(handle);
        }
        if shared.streams >= self.limits.streams_of(inspect.stream_limit(&shared.conn)) {
            // The peer allows fewer than it did.
            return Placed::Close(handle);
        }
        match self.waiters.pop_front() {
            Some((_, waiter)) => {
                shared.streams += 1;
                Placed::Hand(waiter, handle, Slot::Stream(id))
            }
            None => Placed::Close(handle),
        }
    }

    /// A free stream for the first waiter, if there are both. When there are no more, another connection is dialled for those left.
    pub(crate) fn serve(
        &mut self,
        now: Timestamp,
        inspect: &impl Inspect<T>,
        out: &mut Effects<T>,
    ) -> Option<(W, T, Slot)> {
        if self.limits.streams == 1 || self.waiters.is_empty() {
            return None;
        }
        match self.checkout_stream(now, true, inspect, out) {
            // A connection that would have to be checked first is not new; the caller has waited long enough.
            Checkout::Lend(handle, slot) | Checkout::Check(handle, slot) => {
                self.waiters.pop_front().map(|(_, waiter)| (waiter, handle, slot))
            }
            Checkout::Miss | Checkout::Closed => {
                self.start_dials(out);
                None
            }
        }
    }

    /// Removes the doomed connections whose last handle is back.
    pub(super) fn bury(&mut self, out: &mut Effects<T>) {
        let over = |shared: &mut Shared<T>| shared.streams == 0 && shared.doomed.is_some();
        // Usually none, which allocates nothing.
        let buried: Vec<Shared<T>> = self.shared.extract_if(.., over).collect();
        for shared in buried {
            if let Some(reason) = shared.doomed {
                self.gone(reason, 1);
            }
            out.dead.push(shared.conn);
        }
    }
}
