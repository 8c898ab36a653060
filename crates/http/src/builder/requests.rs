//! The settings of a client that say how a request is sent: how long it may take, when it is sent
//! again, and what its answer means.

use std::sync::Arc;
use std::time::Duration;

use headless::{Outcome, RetryBudget};
use http::StatusCode;

use super::ClientBuilder;
use crate::outcome::ResponseHead;
use crate::timer::TimeLimits;

/// How a request is sent, and what its answer means.
impl ClientBuilder {
    /// Sets how long a request may take up to the head of its answer, with waiting and retries.
    /// Default: 30 s, because every wait has a bound and few servers let a request live longer.
    ///
    /// `None` sets no limit, for long polling, and neither does [`Duration::MAX`]; 0 is refused by
    /// [`build`](Self::build). The body is not included, because a stream may be endless.
    pub fn request_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.request_timeout = limit.into();
        self
    }

    /// Sets how long one attempt may take, from the time at which its connection is ready to the
    /// head of the answer. Default: `None`, no limit of its own.
    ///
    /// [`build`](Self::build) refuses 0, and a limit that is not shorter than the
    /// [`request_timeout`](Self::request_timeout), which is 30 s by default. So
    /// [`Duration::MAX`], which sets no limit, needs a request timeout of `None`.
    ///
    /// Opening a connection (TCP, TLS handshake, HTTP/2 preface) is not part of it. That is bounded
    /// by [`connect_timeout`](Self::connect_timeout), 2 s by default.
    ///
    /// When it passes, the attempt is given up. A request that may be [sent
    /// again](crate::Client#retries) goes to another pod, within the limits of all retries. Any
    /// other fails with [`Error::Send`](crate::Error::Send), because the pod may have processed it.
    /// A pod that accepts connections and never answers a request then costs each request this
    /// time, not the whole request timeout.
    ///
    /// There is none by default, as in Envoy (`per_try_timeout`): only the application knows how
    /// slow an answer may be, and a limit below that turns one slow request into several. Set it
    /// well above the slowest answer that is expected.
    pub fn per_try_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.per_try_timeout = limit.into();
        self
    }

    /// Sets how long the body of an answer may stall: how long its reader waits while nothing
    /// comes. Default: 5 minutes.
    ///
    /// Then reading fails with [`Error::Body`](crate::Error::Body), and the exchange ends, because
    /// a pod that vanished would be waited for without end. The default is Envoy's
    /// (`stream_idle_timeout`), and far beyond the pauses of streams that send heartbeats. A stream
    /// that may be quiet for longer has [`BodyIdleTimeout(None)`](crate::BodyIdleTimeout) with its
    /// request; `None` here sets no limit for any, and neither does [`Duration::MAX`]. 0 is refused
    /// by [`build`](Self::build).
    pub fn body_idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.body_idle_timeout = limit.into();
        self
    }

    /// Sets how often one request is sent again at most after a part of it may have left
    /// ([when](crate::Client#retries)).
    ///
    /// Default: 2 if it may have been processed, so that a request that crashes each pod it reaches
    /// crashes three of them. If the pods say that they did not process it, as often as there are
    /// pods. The [retry budget](Self::retry_budget) bounds all requests together.
    ///
    /// 0 turns these retries off, and saves each request the copy of its head. What was never sent
    /// is sent again all the same.
    pub fn max_retries(mut self, limit: usize) -> Self {
        self.max_retries = Some(limit);
        self
    }

    /// Sets how many bytes of a streamed request body are kept until the answer begins, so that the
    /// request can be sent again. Default: 64 KiB, which a unary gRPC call seldom exceeds; 0 keeps
    /// nothing.
    ///
    /// A stream that has sent more is not sent again. Sending is not delayed, the bytes are not
    /// copied, and a request that cannot be [sent again](crate::Client#retries) keeps none. A body
    /// in memory has no limit.
    pub fn replay_buffer_bytes(mut self, limit: usize) -> Self {
        self.replay_buffer_bytes = limit;
        self
    }

    /// Sets how many retries all requests of this client together may have. Default: 20 % of the
    /// requests of the last 10 s, plus 10 per second. [`RetryBudget::unlimited`] sets no limit.
    /// [`build`](Self::build) refuses a share above 1000 %.
    ///
    /// Pods that cannot be connected to, and requests that were never sent, take nothing from it
    /// ([why](crate::Client#retries)).
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.retry_budget = budget;
        self
    }

    /// Sets which answers are asked for again on another pod. Default: none, because only the
    /// application knows what a status means. Where gateways or probes answer for the pods, 502,
    /// 503 and 504 are usual.
    ///
    /// It has an effect only on requests that may be [sent again](crate::Client#retries), within
    /// the limits of all retries, and only if there is a pod that was not tried. The answer is kept
    /// until another pod has a connection (for at most 1 s). If there is to be no further attempt,
    /// the caller gets the last answer.
    ///
    /// [`build`](Self::build) refuses statuses below 400.
    pub fn retry_on(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.retry_on = statuses.into_iter().collect();
        self
    }

    /// Sets how an answer counts for its pod, by the head of the answer. The policy then knows
    /// which pods do well. What the caller gets is not changed.
    ///
    /// By default:
    ///
    /// | answer | counts as |
    /// |---|---|
    /// | 429, 503 | [`Outcome::Overloaded`], with `Retry-After` (at most 5 minutes) if there is one |
    /// | other 5xx | [`Outcome::Failure`] |
    /// | any other | [`Outcome::Success`] |
    ///
    /// An answer of gRPC over HTTP/2 with status 200 counts by its `grpc-status`, in the head or in
    /// the trailers:
    ///
    /// | code | counts as |
    /// |---|---|
    /// | `RESOURCE_EXHAUSTED` | [`Outcome::Overloaded`], with `grpc-retry-pushback-ms` |
    /// | `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL` | [`Outcome::Failure`] |
    /// | `UNAVAILABLE`, `DATA_LOSS`, no code at all | [`Outcome::Failure`] |
    /// | `CANCELLED` | [`Outcome::Cancelled`] |
    /// | any other | [`Outcome::Success`] |
    ///
    /// For an answer of gRPC whose head has no code, `classify` is called once more with the
    /// [trailers](ResponseHead::is_trailers), which decide.
    ///
    /// ```no_run
    /// # fn run(discovery: headless::Discovery) {
    /// use headless_http::{Client, Outcome};
    ///
    /// // This Service answers 404 while it loads its data.
    /// let builder = Client::builder(discovery).classify(|head| match head.status().as_u16() {
    ///     404 if head.headers().contains_key("x-loading") => Outcome::Failure,
    ///     _ => head.default_outcome(),
    /// });
    /// # drop(builder);
    /// # }
    /// ```
    pub fn classify(mut self, classify: impl Fn(ResponseHead<'_>) -> Outcome + Send + Sync + 'static) -> Self {
        self.classify = Some(Arc::new(classify));
        self
    }

    /// Checks the limits of time. An error is the setting that cannot work, and its rule.
    pub(super) fn time_limits(&self) -> Result<TimeLimits, String> {
        let limits = TimeLimits {
            request: self.request_timeout,
            attempt: self.per_try_timeout,
            body_idle: self.body_idle_timeout,
        };
        limits.check().map(|()| limits)
    }

    /// Checks the settings of retries. An error is the setting that cannot work, and its rule.
    pub(super) fn check_retries(&self) -> Result<(), String> {
        if let Some(status) = self.retry_on.iter().find(|status| status.as_u16() < 400) {
            return Err(format!(
                "`retry_on` has {status}, which is no error; it takes statuses from 400"
            ));
        }
        self.retry_budget.check().map_err(|error| error.to_string())
    }
}

pub(super) const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

pub(super) const REPLAY_BUFFER_BYTES: usize = 64 * 1024;

pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
