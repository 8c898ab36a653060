//! [`Permits`]: the count behind one limit of connections over all endpoints of a balancer.

use std::sync::atomic::Ordering::Relaxed;

// Loom's under `--cfg loom`, so that the models check the real code.
#[cfg(loom)]
use loom::sync::atomic::AtomicUsize;
#[cfg(not(loom))]
use std::sync::atomic::AtomicUsize;

/// The connections that all endpoints together may still open.
#[derive(Debug)]
pub(crate) struct Permits {
    pub(super) limit: usize,
    /// Connections open and being opened, plus [`AWAITED`] while an endpoint waits for a permit.
    /// One number: when one endpoint starts to wait while another gives a permit back, the second
    /// of the two sees what the first did.
    ///
    /// ORDERING: Relaxed. Both sides change this number (read-modify-write) and then read it; a
    /// read is never older than the reader's own change. With two numbers each side could change
    /// its own and still read the other's old value. Nothing else is published through it.
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
        let one_more = |state| (state & !AWAITED < self.limit).then_some(state + 1);
        self.state.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    }

    pub(crate) fn give(&self, permits: usize) {
        self.state.fetch_sub(permits, Relaxed);
    }

    pub(crate) fn any_left(&self) -> bool {
        self.used() < self.limit
    }

    /// Whether an endpoint waits for a permit.
    pub(crate) fn is_awaited(&self) -> bool {
        self.state.load(Relaxed) & AWAITED != 0
    }

    /// Sets how many endpoints wait for a permit. Called under the lock of their list, so that the
    /// last call agrees with the list.
    pub(crate) fn set_awaited(&self, endpoints: usize) {
        match endpoints {
            0 => self.state.fetch_and(!AWAITED, Relaxed),
            _ => self.state.fetch_or(AWAITED, Relaxed),
        };
    }

    pub(super) fn used(&self) -> usize {
        self.state.load(Relaxed) & !AWAITED
    }
}

/// The bit that says that an endpoint waits; above any number of connections.
const AWAITED: usize = 1 << (usize::BITS - 1);
