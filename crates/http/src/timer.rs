//! [`Timer`]: the time that a request may take, and one attempt of it. There is one timer for both,
//! which is not started before something has to be waited for.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The limits on the time of a client's requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimits {
    /// From the beginning to the head of the answer. `None`: no limit.
    pub(crate) request: Option<Duration>,
    /// From a connection to the head of the answer. `None`: no limit of its own.
    pub(crate) attempt: Option<Duration>,
    /// How long the body of an answer may stall, which is another timer's business (`idle`).
    /// `None`: no limit.
    pub(crate) body_idle: Option<Duration>,
}

impl TimeLimits {
    /// An error is the setting that cannot work, and its rule.
    pub(crate) fn check(self) -> Result<(), String> {
        for (name, limit) in [
            ("request_timeout", self.request),
            ("per_try_timeout", self.attempt),
            ("body_idle_timeout", self.body_idle),
        ] {
            if limit.is_some_and(|limit| limit.is_zero()) {
                return Err(format!("`{name}` is 0; it must be longer, and `None` sets no limit"));
            }
        }
        match (self.attempt, self.request) {
            (Some(attempt), Some(request)) if attempt >= request => Err(format!(
                "`per_try_timeout` is {attempt:?}; it must be shorter than `request_timeout`, which is {request:?}"
            )),
            _ => Ok(()),
        }
    }
}

/// The time of one request.
pub(crate) struct Timer<'a> {
    limits: TimeLimits,
    /// When the current attempt began; for the first, when the request did.
    began: Instant,
    /// When the time of the request is over.
    end: Option<Instant>,
    /// The next of the two ends. `None`: not needed so far.
    sleep: Pin<&'a mut Option<Sleep>>,
}

impl<'a> Timer<'a> {
    /// A request begins. `sleep` is a place for the timer.
    pub(crate) fn start(limits: TimeLimits, sleep: Pin<&'a mut Option<Sleep>>) -> Self {
        let began = Instant::now();
        Self {
            limits,
            began,
            // A limit beyond what the clock counts is none.
            end: limits.request.and_then(|limit| began.checked_add(limit)),
            sleep,
        }
    }

    /// Returns how long the current attempt has been under way.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns what is left for the request; `None` if it has no limit.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.end.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Returns whether the time of the request is over.
    pub(crate) fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// An attempt has a connection. `is_first`: it needs no clock of its own unless it has a limit.
    pub(crate) fn begin_attempt(&mut self, is_first: bool) {
        if !is_first || self.limits.attempt.is_some() {
            self.began = Instant::now();
        }
        let own_end = self.limits.attempt.and_then(|limit| self.began.checked_add(limit));
        let next = match (self.end, own_end) {
            (Some(end), Some(own)) => Some(end.min(own)),
            (end, own) => end.or(own),
        };
        let Some(next) = next else { return };
        match self.sleep.as_mut().as_pin_mut() {
            Some(sleep) => sleep.reset(next),
            None => self.sleep.set(Some(sleep_until(next))),
        }
    }

    /// Waits for `attempt`; `None` if its time or that of the request is over before.
    pub(crate) async fn bound<T>(&mut self, mut attempt: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        poll_fn(|cx| {
            if let Poll::Ready(done) = attempt.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            match self.sleep.as_mut().as_pin_mut() {
                Some(sleep) => sleep.poll(cx).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await
    }
}
