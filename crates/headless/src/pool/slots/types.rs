//! What goes into [`Slots`](super::Slots) and what comes out of it. Types only, no rules.

use std::time::Duration;

use headless_core::Timestamp;

/// What the pool of one endpoint may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections: idle, checked out and being opened.
    pub(crate) connections: usize,
    /// Whether handles are checked out ([`Slot::Stream`]), and not connections.
    pub(crate) multiplexed: bool,
    /// Requests on one connection at a time; 1 if it is exclusive.
    pub(crate) streams: usize,
    pub(crate) waiters: usize,
    pub(crate) dials: usize,
    pub(crate) min_idle: usize,
    /// An idle connection that was last known to be alive so long ago is validated first.
    pub(crate) validate_after_idle: Option<Duration>,
}

impl Limits {
    /// Whether an idle connection that was last known to be alive at `proven` must be validated.
    #[inline]
    pub(super) fn is_stale(&self, proven: Timestamp, now: impl FnOnce() -> Timestamp) -> bool {
        self.validate_after_idle
            .is_some_and(|after| now().since(proven) >= after)
    }

    /// How many streams a multiplexed connection carries, if its peer allows `allowed`.
    pub(super) fn streams_of(&self, allowed: usize) -> usize {
        self.streams.min(allowed)
    }
}

/// Names one waiter. Tickets only grow, so the queue is sorted by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(super) u64);

/// What was checked out; it comes back with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// An exclusive connection.
    Exclusive {
        /// The pool's turn at the check-out.
        turn: u64,
        /// When it should be replaced.
        retire_at: Timestamp,
        /// It was unused before, and not just opened or returned.
        was_idle: bool,
    },
    /// A handle to a multiplexed connection.
    Stream {
        /// The number of the connection.
        id: u64,
        /// It carried no request before, and was not just opened.
        was_idle: bool,
    },
}

impl Slot {
    /// Whether the connection was idle before it was checked out. If it proves dead, so may be the
    /// others that are idle.
    pub(crate) fn was_idle(self) -> bool {
        match self {
            Self::Exclusive { was_idle, .. } | Self::Stream { was_idle, .. } => was_idle,
        }
    }

    /// The number of a multiplexed connection.
    pub(crate) fn connection(self) -> Option<u64> {
        match self {
            Self::Exclusive { .. } => None,
            Self::Stream { id, .. } => Some(id),
        }
    }
}

/// How the use of a connection ended.
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

/// The connection that replaces one that is too old. One at a time, so that an endpoint is not
/// dialled in bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replacement {
    None,
    /// The next dial that ends is the replacement.
    Dialling,
    /// It is there; the next connection found too old is closed.
    Ready,
    /// There was no room for it: the old one is closed first, then the replacement is dialled, and
    /// meanwhile nothing else is replaced.
    Owed,
}

/// How many connections were closed since their endpoint was added, by reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClosedBy {
    /// Unused for [`idle_timeout`](crate::PoolConfig::idle_timeout).
    pub idle: u64,
    /// Replaced at the end of [`max_lifetime`](crate::PoolConfig::max_lifetime).
    pub lifetime: u64,
    /// Found closed by the endpoint or the network, at check-out or on return.
    pub ended: u64,
    /// Reported as broken ([`Lease::broken`](crate::Lease::broken)) or as of no more use
    /// ([`Lease::close`](crate::Lease::close)), or failed in a validation.
    pub broken: u64,
    /// Its lease was dropped or [cancelled](crate::Lease::cancel) in the middle of an exchange.
    pub cancelled: u64,
    /// Open while another connection to the same endpoint broke or was found silent
    /// ([`Lease::invalidate_older_idle`](crate::Lease::invalidate_older_idle)), or while the
    /// endpoint was [evicted](crate::Balancer::evict).
    pub invalidated: u64,
    /// Made room for another endpoint under
    /// [`max_connections_total`](crate::PoolConfig::max_connections_total).
    pub evicted: u64,
    /// Its endpoint left the set, or the balancer was shut down.
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

    /// Returns the sum over all reasons.
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

    /// Adds the counts of `other`.
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

/// How the pool asks about connections, whose type it does not know.
pub(crate) trait Inspect<T> {
    fn is_reusable(&self, conn: &T) -> bool;
    fn share(&self, conn: &T) -> Option<T>;
    fn stream_limit(&self, conn: &T) -> usize;
}

/// What the caller does once it has released the lock.
#[derive(Debug)]
pub(crate) struct Effects<T> {
    /// Drop these.
    pub(crate) dead: Vec<T>,
    /// Start so many dials. They are counted already.
    pub(crate) dials: usize,
    /// A dial is needed, and all endpoints together have no permit left.
    pub(crate) needs_permit: bool,
}

impl<T> Default for Effects<T> {
    fn default() -> Self {
        Self {
            dead: Vec::new(),
            dials: 0,
            needs_permit: false,
        }
    }
}

/// The answer to [`Slots::checkout`](super::Slots::checkout).
#[derive(Debug)]
pub(crate) enum Checkout<T> {
    /// Take this.
    Ready(T, Slot),
    /// Take this, but validate it first: it has been idle for long.
    Validate(T, Slot),
    /// Nothing idle: [`Slots::wait`](super::Slots::wait) for it.
    Miss,
    /// The pool is closed.
    Closed,
}

/// The answer to [`Slots::wait`](super::Slots::wait).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// In the queue.
    Queued(Ticket),
    /// The queue is full.
    Refused,
}

/// What to do with a connection that came back or was opened.
#[derive(Debug)]
pub(crate) enum Placed<T, W> {
    /// It is kept.
    Kept,
    /// Hand it to this waiter. If the waiter has left, place it again.
    Hand(W, T, Slot),
    /// Drop it: the connection is not kept, or it was one handle of many.
    Close(T),
}
