//! [`ExchangeTimeout`]: how long an exchange is waited for. What is exchanged, and what its failure
//! means, is not known here.
//!
//! WHY it is kept with the connection, from one exchange to the next: a new timer and a new
//! listener to a pod's health for each statement cost more than to find and check out its
//! connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::error::ExchangeError;
use crate::topology::Health;

/// A connection's timer, and its listener to the pod's health. Each may wake, once, a task that has
/// already got its answer.
pub(crate) struct ExchangeTimeout {
    /// Set for an exchange of the past, or for this one.
    timer: Pin<Box<Sleep>>,
    silence: Option<Silence>,
}

/// Ends when the pod no longer answers.
struct Silence {
    of: Arc<Health>,
    lost: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl ExchangeTimeout {
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new() -> Self {
        Self {
            timer: Box::pin(sleep(Duration::ZERO)),
            silence: None,
        }
    }

    /// The exchange, unless it takes longer than `limit`, or `watched` is found not to answer.
    ///
    /// # Cancel safety
    /// That of the exchange.
    pub(crate) async fn with_timeout<T>(
        &mut self,
        mut exchange: Pin<&mut impl Future<Output = Result<T, ExchangeError>>>,
        limit: Duration,
        watched: Option<&Arc<Health>>,
    ) -> Result<T, ExchangeError> {
        // Without a deadline where the clock does not reach that far.
        let deadline = Instant::now().checked_add(limit);
        poll_fn(|cx| {
            if let Poll::Ready(result) = exchange.as_mut().poll(cx) {
                Poll::Ready(result)
            } else if deadline.is_some_and(|deadline| self.is_over(deadline, cx)) {
                Poll::Ready(Err(ExchangeError::timed_out(limit)))
            } else if watched.is_some_and(|pod| self.is_silent(pod, cx)) {
                Poll::Ready(Err(ExchangeError::unresponsive()))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Whether it is past the deadline; if not, the task is woken then.
    fn is_over(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.timer.deadline() == deadline {
                return true;
            }
            // It was set for an earlier exchange.
            self.timer.as_mut().reset(deadline);
        }
        false
    }

    /// Whether this pod does not answer; if it does, the task is woken when it no longer does.
    fn is_silent(&mut self, pod: &Arc<Health>, cx: &mut Context<'_>) -> bool {
        let silence = match &mut self.silence {
            Some(silence) if Arc::ptr_eq(&silence.of, pod) => silence,
            other => other.insert(Silence::of(pod)),
        };
        let is_silent = silence.lost.as_mut().poll(cx).is_ready();
        if is_silent {
            self.silence = None;
        }
        is_silent
    }
}

impl Silence {
    fn of(pod: &Arc<Health>) -> Self {
        let health = Arc::clone(pod);
        Self {
            of: Arc::clone(pod),
            lost: Box::pin(async move { health.lost().await }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// An exchange that takes so long; `None`: for ever.
    async fn exchange(time: Option<Duration>) -> Result<(), ExchangeError> {
        match time {
            Some(time) => sleep(time).await,
            None => pending().await,
        }
        Ok(())
    }

    /// How long such an exchange is waited for, and what comes of it.
    async fn waited(
        timeout: &mut ExchangeTimeout,
        time: Option<Duration>,
        limit: Duration,
        watched: Option<&Arc<Health>>,
    ) -> (Duration, Result<(), ExchangeError>) {
        let start = Instant::now();
        let result = timeout.with_timeout(pin!(exchange(time)), limit, watched).await;
        (start.elapsed(), result)
    }

    #[tokio::test(start_paused = true)]
    async fn each_exchange_has_its_whole_time_whenever_the_timer_was_set() {
        let mut timeout = ExchangeTimeout::new();
        for seconds in [6, 9, 1, 9, 9] {
            let time = Duration::from_secs(seconds);
            let (took, result) = waited(&mut timeout, Some(time), LIMIT, None).await;
            assert_eq!(took, time);
            result.unwrap();
        }
        let (took, result) = waited(&mut timeout, None, LIMIT, None).await;
        assert_eq!(took, LIMIT);
        assert!(matches!(result, Err(ExchangeError::Lost(_))), "{result:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_limit_than_the_last_one_holds() {
        let mut timeout = ExchangeTimeout::new();
        let second = Duration::from_secs(1);
        let (_, result) = waited(&mut timeout, Some(second), LIMIT, None).await;
        result.unwrap();
        let (took, result) = waited(&mut timeout, None, second, None).await;
        assert_eq!(took, second);
        assert!(result.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_beyond_the_clock_is_none() {
        let mut timeout = ExchangeTimeout::new();
        let (_, result) = waited(&mut timeout, Some(LIMIT), Duration::MAX, None).await;
        result.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_silence_of_a_pod_ends_what_is_read_from_it() {
        let mut timeout = ExchangeTimeout::new();
        let pod = Health::new();
        // What it listens with is used again, after silence, too.
        for _ in 0..3 {
            let (_, result) = waited(&mut timeout, Some(LIMIT / 2), LIMIT, Some(&pod)).await;
            result.unwrap();
            let falls_silent = async {
                sleep(LIMIT / 4).await;
                pod.set_answers(false);
            };
            let ((took, result), ()) = tokio::join!(waited(&mut timeout, None, LIMIT, Some(&pod)), falls_silent);
            assert_eq!(took, LIMIT / 4);
            assert!(matches!(result, Err(ExchangeError::Lost(_))), "{result:?}");
            pod.set_answers(true);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_that_is_over_ends_nothing() {
        let mut timeout = ExchangeTimeout::new();
        let pod = Health::new();
        for _ in 0..3 {
            let (_, result) = waited(&mut timeout, Some(LIMIT / 2), LIMIT, Some(&pod)).await;
            result.unwrap();
            pod.set_answers(false);
            pod.set_answers(true);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_pod_that_is_watched_is_listened_to() {
        let mut timeout = ExchangeTimeout::new();
        let (silent, other) = (Health::new(), Health::new());
        silent.set_answers(false);
        let (took, result) = waited(&mut timeout, None, LIMIT, Some(&silent)).await;
        assert_eq!(took, Duration::ZERO);
        assert!(result.is_err());
        for watched in [Some(&other), None] {
            let (_, result) = waited(&mut timeout, Some(LIMIT / 2), LIMIT, watched).await;
            result.unwrap();
        }
    }
}
