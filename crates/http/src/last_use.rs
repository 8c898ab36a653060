//! [`LastUse`]: for how long a connection was not used before its last request.
//!
//! WHY: the pods of a Service close idle connections after the same time. When one was closed so,
//! its neighbours of the same age, on any pod, are about to be. What follows is decided in `send`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// ORDERING: Relaxed. Each is a number on its own, and a request that reads an old one takes a
/// connection that may end.
#[derive(Debug)]
pub(crate) struct LastUse {
    opened: Instant,
    /// When a request was sent last, in nanoseconds after `opened`.
    sent: AtomicU64,
    /// For how long it was not used before, in nanoseconds; 0 after the next answer.
    idle: AtomicU64,
}

impl LastUse {
    pub(crate) fn new() -> Self {
        Self {
            opened: Instant::now(),
            sent: AtomicU64::new(0),
            idle: AtomicU64::new(0),
        }
    }

    /// A request is sent at `now`.
    pub(crate) fn send(&self, now: Instant) {
        let now = self.nanos(now);
        let idle = now.saturating_sub(self.sent.swap(now, Relaxed));
        // Of requests that are sent at the same time, the first one knows.
        if idle >= IDLE_LIMIT {
            self.idle.store(idle, Relaxed);
        }
    }

    /// A request was answered: the connection lives.
    pub(crate) fn answered(&self) {
        if self.idle.load(Relaxed) != 0 {
            self.idle.store(0, Relaxed);
        }
    }

    /// Returns for how long the connection was idle before a request that is not answered yet.
    /// `None`: for so short a time that no server would have closed it for that.
    pub(crate) fn idle_before(&self) -> Option<Duration> {
        Some(self.idle.load(Relaxed))
            .filter(|&idle| idle != 0)
            .map(Duration::from_nanos)
    }

    /// Returns how long ago a request was sent last.
    pub(crate) fn unused_for(&self) -> Duration {
        Duration::from_nanos(self.nanos(Instant::now()).saturating_sub(self.sent.load(Relaxed)))
    }

    /// Saturates after 584 years.
    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.opened).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// In nanoseconds. No server closes connections that were idle for less; one that ended sooner had
/// another reason, such as the end of its pod, which says nothing about other pods.
const IDLE_LIMIT: u64 = 5_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_idle_time_counts_until_the_next_answer() {
        let last_use = LastUse::new();
        let pass = |milliseconds| tokio::time::advance(Duration::from_millis(milliseconds));
        pass(10).await;
        assert_eq!(last_use.unused_for(), Duration::from_millis(10));
        last_use.send(Instant::now());
        assert_eq!(last_use.unused_for(), Duration::ZERO);
        pass(1).await;
        last_use.send(Instant::now());
        assert_eq!(last_use.idle_before(), Some(Duration::from_millis(10)));
        last_use.answered();
        assert_eq!(last_use.idle_before(), None);
        pass(4).await;
        last_use.send(Instant::now());
        assert_eq!(last_use.idle_before(), None, "too short to be the cause of an end");
    }
}
