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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::poll;
    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    async fn is_stalled(timer: &mut IdleTimer) -> bool {
        poll!(poll_fn(|cx| timer.poll_stalled(cx))).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_time_begins_it_anew() {
        let mut timer = IdleTimer::new(LIMIT);
        for _ in 0..20 {
            assert!(!is_stalled(&mut timer).await);
            advance(Duration::from_secs(9)).await;
            assert!(!is_stalled(&mut timer).await);
            timer.progressed();
        }
        assert!(!is_stalled(&mut timer).await);
        advance(Duration::from_secs(9)).await;
        assert!(!is_stalled(&mut timer).await);
        advance(Duration::from_secs(1)).await;
        assert!(is_stalled(&mut timer).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_something_else_is_not_the_bodys_fault() {
        let mut timer = IdleTimer::new(LIMIT);
        assert!(!is_stalled(&mut timer).await);
        timer.progressed();
        advance(Duration::from_secs(3600)).await;
        assert!(!is_stalled(&mut timer).await, "it waits only from now on");
    }

    #[tokio::test(start_paused = true)]
    async fn the_reader_is_woken() {
        let mut timer = IdleTimer::new(LIMIT);
        let start = Instant::now();
        assert!(!is_stalled(&mut timer).await);
        timer.progressed();
        advance(Duration::from_secs(5)).await;
        poll_fn(|cx| timer.poll_stalled(cx)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(15));
    }

    #[tokio::test]
    async fn without_a_wait_there_is_no_timer() {
        let mut timer = IdleTimer::new(LIMIT);
        timer.progressed();
        assert!(timer.sleep.is_none());
        let mut timer = IdleTimer::new(Duration::MAX);
        assert!(!is_stalled(&mut timer).await);
        assert!(timer.sleep.is_none());
    }
}
