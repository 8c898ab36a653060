//! The words of [`Slots`](super::Slots): what goes in and what comes out. No rules.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

// Loom's under `--cfg loom`, so that the models check the real code.
#[cfg(loom)]
use loom::sync::atomic::AtomicUsize;
#[cfg(not(loom))]
use std::sync::atomic::AtomicUsize;

use headless_core::Timestamp;

/// What one pod's pool may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Idle, lent and being opened.
    pub(crate) connections: usize,
    /// Requests on one connection at a time; 1 means exclusive.
    pub(crate) streams: usize,
    pub(crate) waiters: usize,
    pub(crate) dials: usize,
    pub(crate) min_idle: usize,
    /// An idle connection is checked before it is lent, if it was last known to be alive so long ago.
    pub(crate) validate_after_idle: Option<Duration>,
}

impl Limits {
    /// Whether an idle connection that was last known to be alive at `proven` must be checked before it is lent.
    #[inline]
    pub(super) fn is_stale(&self, proven: Timestamp, now: impl FnOnce() -> Timestamp) -> bool {
        self.validate_after_idle
            .is_some_and(|after| now().since(proven) >= after)
    }

    /// How many streams a shared connection carries, if its peer allows `allowed`.
    pub(super) fn streams_of(&self, allowed: usize) -> usize {
        self.streams.min(allowed)
    }
}

/// The connections that all pods together may still open.
#[derive(Debug)]
pub(crate) struct Permits {
    pub(super) limit: usize,
    /// Connections open and being opened, plus [`STARVED`] while a pod waits for a permit: one number, so that of a pod that
    /// enlists and one that gives a permit back, whoever comes second sees what the first did.
    ///
    /// ORDERING: Relaxed. Both change this number (read-modify-write) and then read it; a read is never older than the reader's own
    /// change. Two numbers would need more: each side could change its own and still read the other's old value. Nothing else is
    /// published through it.
    state: AtomicUsize,
}

impl Permits {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: AtomicUsize::new(0),
        }
    }

    pub(crate) fn take(&self) -> bool {
        let one_more = |state| (state & !STARVED < self.limit).then_some(state + 1);
        self.state.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    }

    pub(crate) fn give(&self, permits: usize) {
        self.state.fetch_sub(permits, Relaxed);
    }

    pub(crate) fn any_left(&self) -> bool {
        self.used() < self.limit
    }

    pub(crate) fn starves(&self) -> bool {
        self.state.load(Relaxed) & STARVED != 0
    }

    /// How many pods would open a connection and may not. Under the lock of their list, so that the last word is the list's.
    pub(crate) fn set_starved(&self, pods: usize) {
        match pods {
            0 => self.state.fetch_and(!STARVED, Relaxed),
            _ => self.state.fetch_or(STARVED, Relaxed),
        };
    }

    pub(super) fn used(&self) -> usize {
        self.state.load(Relaxed) & !STARVED
    }
}

/// The bit that stands for "a pod waits"; above any number of connections.
const STARVED: usize = 1 << (usize::BITS - 1);

/// Names one waiter. Tickets only grow, so the queue is sorted by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(super) u64);

/// What a lent connection is a part of; it comes back with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The connection itself was lent.
    Exclusive {
        /// Connections of an older era are not kept.
        era: u32,
        /// When it should be replaced.
        retire_at: Timestamp,
    },
    /// A handle to the shared connection of this number was lent.
    Stream(u64),
}

/// How a loan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection may serve another request.
    Keep,
    Close(CloseReason),
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    Idle,
    Lifetime,
    Ended,
    Broken,
    Cancelled,
    Invalidated,
    Evicted,
    Removed,
}

/// How many connections were closed, by reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClosedBy {
    /// Unused for [`idle_timeout`](crate::PoolConfig::idle_timeout).
    pub idle: u64,
    /// Replaced at the end of [`max_lifetime`](crate::PoolConfig::max_lifetime).
    pub lifetime: u64,
    /// Found ended, by the pod or the network, before it was lent or when it came back.
    pub ended: u64,
    /// Its user said that it broke ([`Lease::broken`](crate::Lease::broken)), or a check failed.
    pub broken: u64,
    /// Its lease was dropped in the middle of an exchange.
    pub cancelled: u64,
    /// Open while another connection of the same pod broke.
    pub invalidated: u64,
    /// Made room for another pod under [`max_connections_total`](crate::PoolConfig::max_connections_total).
    pub evicted: u64,
    /// The pod left the set, or the balancer was shut down.
    pub removed: u64,
}

impl ClosedBy {
    pub(super) fn count(&mut self, reason: CloseReason, connections: usize) {
        *match reason {
            CloseReason::Idle => &mut self.idle,
            CloseReason::Lifetime => &mut self.lifetime,
            CloseReason::Ended => &mut self.ended,
            CloseReason::Broken => &mut self.broken,
            CloseReason::Cancelled => &mut self.cancelled,
            CloseReason::Invalidated => &mut self.invalidated,
            CloseReason::Evicted => &mut self.evicted,
            CloseReason::Removed => &mut self.removed,
        } += connections as u64;
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self {
            idle,
            lifetime,
            ended,
            broken,
            cancelled,
            invalidated,
            evicted,
            removed,
        } = self;
        idle + lifetime + ended + broken + cancelled + invalidated + evicted + removed
    }

    /// Adds what `other` counted.
    pub fn add(&mut self, other: &Self) {
        self.idle += other.idle;
        self.lifetime += other.lifetime;
        self.ended += other.ended;
        self.broken += other.broken;
        self.cancelled += other.cancelled;
        self.invalidated += other.invalidated;
        self.evicted += other.evicted;
        self.removed += other.removed;
    }
}

/// How many connections there are, by what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) idle: usize,
    pub(crate) busy: usize,
    pub(crate) connecting: usize,
    pub(crate) waiting: usize,
    pub(crate) opened: u64,
    pub(crate) closed: ClosedBy,
}

/// How the pool asks about connections it cannot look into.
pub(crate) trait Inspect<T> {
    fn is_reusable(&self, conn: &T) -> bool;
    fn share(&self, conn: &T) -> Option<T>;
    fn stream_limit(&self, conn: &T) -> usize;
}

/// What the caller does once it has let go of the lock.
#[derive(Debug)]
pub(crate) struct Effects<T> {
    /// Drop these.
    pub(crate) dead: Vec<T>,
    /// Start so many dials; they are counted already.
    pub(crate) dials: usize,
    /// A dial was wanted, and all pods together have no permit left.
    pub(crate) starved: bool,
}

impl<T> Default for Effects<T> {
    fn default() -> Self {
        Self {
            dead: Vec::new(),
            dials: 0,
            starved: false,
        }
    }
}

/// The answer to [`Slots::checkout`](super::Slots::checkout).
#[derive(Debug)]
pub(crate) enum Checkout<T> {
    /// Take this.
    Lend(T, Slot),
    /// Take this, but check it first: it has been idle for long.
    Check(T, Slot),
    /// Nothing idle: [`Slots::wait`](super::Slots::wait) for it.
    Miss,
    /// The pod is gone.
    Closed,
}

/// The answer to [`Slots::wait`](super::Slots::wait).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// In the queue.
    Queued(Ticket),
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
    /// Drop it: the connection is not kept, or it was one handle of many.
    Close(T),
}
