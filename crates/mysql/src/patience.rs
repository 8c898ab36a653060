//! [`Patience`]: how long an exchange is waited for. What is exchanged, and what its failure means, is `conn.rs`.
//!
//! WHY kept with the connection, from one exchange to the next: to set a timer and to listen to a pod's health anew for each
//! statement costs more than to find and lend its connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::faults::Fault;
use crate::topology::Health;

/// A connection's timer, and its ear for the pod's silence. Both may wake a task that has long had its answer: once.
pub(crate) struct Patience {
    /// Set for an exchange of the past, or for this one.
    timer: Pin<Box<Sleep>>,
    silence: Option<Silence>,
}

/// Ends when the pod no longer answers.
struct Silence {
    of: Arc<Health>,
    lost: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl Patience {
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new() -> Self {
        Self {
            timer: Box::pin(sleep(Duration::ZERO)),
            silence: None,
        }
    }

    /// The exchange, unless it takes longer than `limit`, or the pod is found not to answer anybody.
    ///
    /// # Cancel safety
    /// That of the exchange.
    pub(crate) async fn wait_for<T>(
        &mut self,
        mut exchange: Pin<&mut impl Future<Output = Result<T, Fault>>>,
        limit: Duration,
        watched: Option<&Arc<Health>>,
    ) -> Result<T, Fault> {
        // Without a deadline where the clock does not reach that far.
        let deadline = Instant::now().checked_add(limit);
        poll_fn(|cx| {
            if let Poll::Ready(result) = exchange.as_mut().poll(cx) {
                Poll::Ready(result)
            } else if deadline.is_some_and(|deadline| self.is_over(deadline, cx)) {
                Poll::Ready(Err(Fault::timed_out(limit)))
            } else if watched.is_some_and(|pod| self.is_silent(pod, cx)) {
                Poll::Ready(Err(Fault::silent()))
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
    async fn exchange(time: Option<Duration>) -> Result<(), Fault> {
        match time {
            Some(time) => sleep(time).await,
            None => pending().await,
        }
        Ok(())
    }

    /// How long such an exchange is waited for, and what comes of it.
    async fn waited(
        patience: &mut Patience,
        time: Option<Duration>,
        limit: Duration,
        watched: Option<&Arc<Health>>,
    ) -> (Duration, Result<(), Fault>) {
        let start = Instant::now();
        let result = patience.wait_for(pin!(exchange(time)), limit, watched).await;
        (start.elapsed(), result)
    }

    #[tokio::test(start_paused = true)]
    async fn each_exchange_has_its_whole_time_whenever_the_timer_was_set() {
        let mut patience = Patience::new();
        for seconds in [6, 9, 1, 9, 9] {
            let time = Duration::from_secs(seconds);
            let (took, result) = waited(&mut patience, Some(time), LIMIT, None).await;
            assert_eq!(took, time);
            result.unwrap();
        }
        let (took, result) = waited(&mut patience, None, LIMIT, None).await;
        assert_eq!(took, LIMIT);
        assert!(matches!(result, Err(Fault::Lost(_))), "{result:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_limit_than_the_last_one_holds() {
        let mut patience = Patience::new();
        let second = Duration::from_secs(1);
        let (_, result) = waited(&mut patience, Some(second), LIMIT, None).await;
        result.unwrap();
        let (took, result) = waited(&mut patience, None, second, None).await;
        assert_eq!(took, second);
        assert!(result.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_beyond_the_clock_is_none() {
        let mut patience = Patience::new();
        let (_, result) = waited(&mut patience, Some(LIMIT), Duration::MAX, None).await;
        result.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_silence_of_a_pod_ends_what_is_read_from_it() {
        let mut patience = Patience::new();
        let pod = Health::new();
        // What it listens with is used again, after silence, too.
        for _ in 0..3 {
            let (_, result) = waited(&mut patience, Some(LIMIT / 2), LIMIT, Some(&pod)).await;
            result.unwrap();
            let falls_silent = async {
                sleep(LIMIT / 4).await;
                pod.set_answers(false);
            };
            let ((took, result), ()) = tokio::join!(waited(&mut patience, None, LIMIT, Some(&pod)), falls_silent);
            assert_eq!(took, LIMIT / 4);
            assert!(matches!(result, Err(Fault::Lost(_))), "{result:?}");
            pod.set_answers(true);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_that_is_over_ends_nothing() {
        let mut patience = Patience::new();
        let pod = Health::new();
        for _ in 0..3 {
            let (_, result) = waited(&mut patience, Some(LIMIT / 2), LIMIT, Some(&pod)).await;
            result.unwrap();
            pod.set_answers(false);
            pod.set_answers(true);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_pod_that_is_watched_is_listened_to() {
        let mut patience = Patience::new();
        let (silent, other) = (Health::new(), Health::new());
        silent.set_answers(false);
        let (took, result) = waited(&mut patience, None, LIMIT, Some(&silent)).await;
        assert_eq!(took, Duration::ZERO);
        assert!(result.is_err());
        for watched in [Some(&other), None] {
            let (_, result) = waited(&mut patience, Some(LIMIT / 2), LIMIT, watched).await;
            result.unwrap();
        }
    }
}
