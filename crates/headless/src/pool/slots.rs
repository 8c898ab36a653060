//! [`Slots`]: the heart of a pod's pool, as a state machine. Events in, decisions out; no await, no clock, no socket.
//!
//! It counts connections (idle, lent, being dialled), keeps the idle ones newest first, and the waiters first come first
//! served. The rules:
//!
//! * An idle connection goes to the caller at once: newest first, so that what is not needed grows old and expires.
//! * A waiter is never overtaken: while anybody waits, a connection that comes back goes to whoever has waited longest.
//! * A dial is started for a waiter that no dial under way will serve, while the limit allows. Whatever comes first, a returned
//!   connection or a finished dial, serves the first waiter.
//! * A waiter waits only for something that can still come. When a dial fails and nothing else can come, it is told.
//! * A connection lent before [`close`](Slots::close) or [`sweep`](Slots::sweep) is not kept when it comes back.
//!
//! The caller holds the lock; it must drop connections and wake waiters *outside*, so everything is handed out by value.

use std::collections::VecDeque;

use headless_core::Timestamp;

/// The connections of one pod. `T` is a connection, `W` stands for a waiter.
#[derive(Debug)]
pub(crate) struct Slots<T, W> {
    limit: usize,
    streams: usize,
    max_waiters: usize,
    /// Exclusive connections nobody uses; the newest is last.
    idle: Vec<Idle<T>>,
    /// Shared connections, in use or not.
    shared: Vec<Shared<T>>,
    /// Exclusive connections lent.
    lent: usize,
    dialling: usize,
    waiters: VecDeque<(Ticket, W)>,
    next_ticket: u64,
    next_id: u64,
    /// Connections lent in an older era are not kept.
    era: u32,
    closed: bool,
    opened: u64,
}

#[derive(Debug)]
struct Idle<T> {
    conn: T,
    since: Timestamp,
}

#[derive(Debug)]
struct Shared<T> {
    conn: T,
    id: u64,
    /// Handles lent.
    streams: usize,
    since: Timestamp,
    /// Lends no more; goes when the last handle comes back.
    doomed: bool,
}

/// Names one waiter. Tickets only grow, so the queue is sorted by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// What a lent connection is a part of; it comes back with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The connection itself was lent, in this era.
    Exclusive(u32),
    /// A handle to the shared connection of this number was lent.
    Stream(u64),
}

/// How the pool asks about connections it cannot look into.
pub(crate) trait Inspect<T> {
    fn is_reusable(&self, conn: &T) -> bool;
    fn share(&self, conn: &T) -> Option<T>;
}

/// The answer to [`Slots::checkout`].
#[derive(Debug)]
pub(crate) enum Checkout<T> {
    /// Take this.
    Lend(T, Slot),
    /// Nothing idle: [`Slots::wait`] for it.
    Miss,
    /// The pod is gone.
    Closed,
}

/// The answer to [`Slots::wait`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// In the queue. If `dial`, a dial must be started now (it is already counted).
    Queued { ticket: Ticket, dial: bool },
    /// Too many wait already.
    Refused,
}

/// What to do with a connection that came back or was opened.
#[derive(Debug)]
pub(crate) enum Placed<T, W> {
    /// It is kept.
    Kept,
    /// It goes to this waiter. If the waiter has left, place it again.
    Hand(W, T, Slot),
    /// Drop it: the connection is not kept, or it was one handle of many. If `dial`, a waiter needs another connection
    /// (the dial is already counted).
    Close { conn: T, dial: bool },
}

impl<T, W> Slots<T, W> {
    /// `limit` connections at most, each carrying `streams` requests at a time; `streams` 1 means exclusive.
    pub(crate) fn new(limit: usize, streams: usize, max_waiters: usize) -> Self {
        Self {
            limit,
            streams,
            max_waiters,
            idle: Vec::new(),
            shared: Vec::new(),
            lent: 0,
            dialling: 0,
            waiters: VecDeque::new(),
            next_ticket: 0,
            next_id: 0,
            era: 0,
            closed: false,
            opened: 0,
        }
    }

    /// A caller wants a connection. Idle ones that turn out dead are moved to `dead`.
    #[inline]
    pub(crate) fn checkout(&mut self, inspect: &impl Inspect<T>, dead: &mut Vec<T>) -> Checkout<T> {
        if self.closed {
            return Checkout::Closed;
        }
        // Whoever waits was here first.
        if !self.waiters.is_empty() {
            return Checkout::Miss;
        }
        if self.streams > 1 {
            return self.checkout_stream(inspect, dead);
        }
        while let Some(Idle { conn, .. }) = self.idle.pop() {
            if inspect.is_reusable(&conn) {
                self.lent += 1;
                return Checkout::Lend(conn, Slot::Exclusive(self.era));
            }
            dead.push(conn);
        }
        Checkout::Miss
    }

    /// Of the shared connections that take one more, the one with the fewest streams.
    fn checkout_stream(&mut self, inspect: &impl Inspect<T>, dead: &mut Vec<T>) -> Checkout<T> {
        for shared in &mut self.shared {
            shared.doomed |= !inspect.is_reusable(&shared.conn);
        }
        dead.extend(
            self.shared
                .extract_if(.., |shared| shared.doomed && shared.streams == 0)
                .map(|shared| shared.conn),
        );
        let free = |shared: &&mut Shared<T>| !shared.doomed && shared.streams < self.streams;
        let Some(shared) = self.shared.iter_mut().filter(free).min_by_key(|shared| shared.streams) else {
            return Checkout::Miss;
        };
        match inspect.share(&shared.conn) {
            Some(handle) => {
                shared.streams += 1;
                Checkout::Lend(handle, Slot::Stream(shared.id))
            }
            None => Checkout::Miss,
        }
    }

    /// The caller waits as `waiter`.
    pub(crate) fn wait(&mut self, waiter: W) -> Wait {
        if self.waiters.len() >= self.max_waiters {
            return Wait::Refused;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiters.push_back((ticket, waiter));
        Wait::Queued {
            ticket,
            dial: self.start_dial(),
        }
    }

    /// The waiter has left. If its connection was handed over already, that one comes back by itself.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        if let Ok(index) = self.waiters.binary_search_by_key(&ticket, |(ticket, _)| *ticket) {
            self.waiters.remove(index);
        }
    }

    /// A lent connection or stream has ended. `keep`: it may serve another request.
    #[inline]
    pub(crate) fn put_back(
        &mut self,
        conn: T,
        slot: Slot,
        keep: bool,
        now: Timestamp,
        inspect: &impl Inspect<T>,
    ) -> Placed<T, W> {
        match slot {
            Slot::Exclusive(era) => {
                self.lent -= 1;
                if !keep || self.closed || era != self.era {
                    return Placed::Close {
                        conn,
                        dial: self.start_dial(),
                    };
                }
                self.place_exclusive(conn, now)
            }
            Slot::Stream(id) => {
                let Some(index) = self.shared.iter().position(|shared| shared.id == id) else {
                    return Placed::Close {
                        conn,
                        dial: self.start_dial(),
                    };
                };
                let shared = &mut self.shared[index];
                shared.streams -= 1;
                shared.since = now;
                shared.doomed |= self.closed || !inspect.is_reusable(&shared.conn);
                if shared.doomed {
                    // The handle goes, or after the last handle the connection itself.
                    let gone = if shared.streams == 0 {
                        self.shared.swap_remove(index).conn
                    } else {
                        conn
                    };
                    return Placed::Close {
                        conn: gone,
                        dial: self.start_dial(),
                    };
                }
                match self.waiters.pop_front() {
                    Some((_, waiter)) => {
                        self.shared[index].streams += 1;
                        Placed::Hand(waiter, conn, slot)
                    }
                    None => Placed::Close { conn, dial: false },
                }
            }
        }
    }

    /// A dial has succeeded. A shared connection is kept; [`serve`](Self::serve) gives its streams to those who wait.
    pub(crate) fn dialled(&mut self, conn: T, now: Timestamp) -> Placed<T, W> {
        self.dialling -= 1;
        self.opened += 1;
        if self.closed {
            return Placed::Close { conn, dial: false };
        }
        if self.streams == 1 {
            return self.place_exclusive(conn, now);
        }
        self.shared.push(Shared {
            conn,
            id: self.next_id,
            streams: 0,
            since: now,
            doomed: false,
        });
        self.next_id += 1;
        Placed::Kept
    }

    /// A free stream for the first waiter, if there are both.
    pub(crate) fn serve(&mut self, inspect: &impl Inspect<T>, dead: &mut Vec<T>) -> Option<(W, T, Slot)> {
        if self.streams == 1 || self.waiters.is_empty() {
            return None;
        }
        match self.checkout_stream(inspect, dead) {
            Checkout::Lend(handle, slot) => self.waiters.pop_front().map(|(_, waiter)| (waiter, handle, slot)),
            Checkout::Miss | Checkout::Closed => None,
        }
    }

    /// A dial has failed. Returns the waiters for whom nothing can come any more.
    pub(crate) fn dial_failed(&mut self) -> Vec<W> {
        self.dialling -= 1;
        let lent_streams: usize = self.shared.iter().map(|shared| shared.streams).sum();
        let can_come = self.dialling * self.streams + self.lent + lent_streams;
        let stay = self.waiters.len().min(can_come);
        // Those who came last leave first: the others were there when there was hope.
        self.waiters
            .split_off(stay)
            .into_iter()
            .map(|(_, waiter)| waiter)
            .collect()
    }

    /// Opens a dial without a waiter (a probe, a warm-up), unless the limit is reached or the pod is gone.
    pub(crate) fn start_probe(&mut self) -> bool {
        let may = !self.closed && self.size() < self.limit;
        self.dialling += usize::from(may);
        may
    }

    /// Idle connections that nobody has used since `before`.
    pub(crate) fn expire(&mut self, before: Timestamp, dead: &mut Vec<T>) {
        // The oldest are first: they were pushed first and are popped last.
        let expired = self.idle.partition_point(|idle| idle.since < before);
        dead.extend(self.idle.drain(..expired).map(|idle| idle.conn));
        let old = |shared: &mut Shared<T>| shared.streams == 0 && shared.since < before;
        dead.extend(self.shared.extract_if(.., old).map(|shared| shared.conn));
    }

    /// A connection has proved dead: trusts no other that was open at the same time.
    pub(crate) fn sweep(&mut self, dead: &mut Vec<T>) {
        self.era = self.era.wrapping_add(1);
        dead.extend(self.idle.drain(..).map(|idle| idle.conn));
        for shared in &mut self.shared {
            shared.doomed = true;
        }
        dead.extend(
            self.shared
                .extract_if(.., |shared| shared.streams == 0)
                .map(|shared| shared.conn),
        );
    }

    /// The pod is gone: idle connections go now, lent ones when they come back, waiters are told.
    pub(crate) fn close(&mut self, dead: &mut Vec<T>) -> Vec<W> {
        self.closed = true;
        self.sweep(dead);
        self.waiters.drain(..).map(|(_, waiter)| waiter).collect()
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
            dialling: self.dialling,
            waiting: self.waiters.len(),
            opened: self.opened,
        }
    }

    /// Connections that exist or are being made.
    fn size(&self) -> usize {
        self.idle.len() + self.shared.len() + self.lent + self.dialling
    }

    /// Whether a dial must be started for the waiters; counts it.
    fn start_dial(&mut self) -> bool {
        let served = self.dialling * self.streams;
        let may = !self.closed && self.waiters.len() > served && self.size() < self.limit;
        self.dialling += usize::from(may);
        may
    }

    fn place_exclusive(&mut self, conn: T, now: Timestamp) -> Placed<T, W> {
        if let Some((_, waiter)) = self.waiters.pop_front() {
            self.lent += 1;
            return Placed::Hand(waiter, conn, Slot::Exclusive(self.era));
        }
        self.idle.push(Idle { conn, since: now });
        Placed::Kept
    }
}

/// How many connections there are, by what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) idle: usize,
    pub(crate) busy: usize,
    pub(crate) dialling: usize,
    pub(crate) waiting: usize,
    pub(crate) opened: u64,
}

#[cfg(test)]
mod tests;
