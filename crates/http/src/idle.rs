//! [`IdleTimer`]: notices a body that stalls. As long as there is something to read, it costs
//! nothing; no timer is started or moved per frame.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The time for which a body may have nothing to read while its reader waits.
pub(crate) struct IdleTimer {
    limit: Duration,
    /// Since when the reader has waited for the next frame.
    since: Option<Instant>,
    /// Made when the reader has to wait for the first time, and moved only when it fires.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    pub(crate) const fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: None,
            sleep: None,
        }
    }

    /// Returns the limit.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    /// There was something to read.
    pub(crate) const fn progressed(&mut self) {
        self.since = None;
    }

    /// The reader has to wait. Is ready when it has waited for as long as it may.
    pub(crate) fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        // A limit beyond what the clock counts is none.
        let Some(end) = since.checked_add(self.limit) else {
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= end {
                return Poll::Ready(());
            }
            // There was something to read since it was set.
            sleep.as_mut().reset(end);
        }
    }
}
