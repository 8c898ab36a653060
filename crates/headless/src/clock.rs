//! [`Clock`]: the only place of this crate that reads the time; tokio's clock, so that it can be
//! paused in tests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use headless_core::Timestamp;
use tokio::time::Instant;

/// The time of one discovery and everything that uses it. Its zero is the discovery's start.
#[derive(Debug)]
pub(crate) struct Clock {
    zero: Instant,
    /// The time of the last [`Clock::advance`]. ORDERING: Relaxed; connections age by it, and
    /// nothing is published through it.
    coarse: AtomicU64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            zero: Instant::now(),
            coarse: AtomicU64::new(0),
        }
    }

    /// The time now. Costs about as much as a pick and a checkout together, so the request path
    /// reads [`coarse`](Self::coarse).
    // Out of line: seldom called on the request path.
    #[inline(never)]
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_elapsed(self.zero.elapsed())
    }

    /// The time when the driver last woke, at most seconds ago. Free.
    pub(crate) fn coarse(&self) -> Timestamp {
        Timestamp::from_nanos(self.coarse.load(Relaxed))
    }

    /// Advances the coarse time. Called by the driver each time it wakes.
    pub(crate) fn advance(&self) -> Timestamp {
        let now = self.now();
        self.coarse.store(now.as_nanos(), Relaxed);
        now
    }

    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        self.zero + at.since(Timestamp::ZERO).min(FAR)
    }
}

/// Thirty years: far enough to mean "never", near enough not to overflow an `Instant`.
pub(crate) const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
