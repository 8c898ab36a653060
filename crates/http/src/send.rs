//! [`Sender`]: one request, up to the head of its answer, from top to bottom: the form in which it
//! is sent, its route, a connection, sending it, and the answer or the next attempt.
//!
//! What is sent again is decided in `retry`; what a failure means, in `classify`, and an answer, in
//! `outcome`; how long all of it may take, in `timer`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use headless::{AcquireError, Balancer, Endpoint, Lease, Outcome, Route};
use http::{Request, Response as HttpResponse};

use crate::body::BodyRules;
use crate::classify::Classification;
use crate::connection::Unanswered;
use crate::connector::Connector;
use crate::error::{BoxError, Error, NoRetryReason};
use crate::idle::IdleTimer;
use crate::incoming::Incoming;
use crate::options::BodyIdleTimeout;
use crate::origin::Origin;
use crate::outcome::{Classify, ResponseHead};
use crate::request_body::{BodyFailure, RequestBody};
use crate::response::Response;
use crate::retry::{FailedAttempt, Retries, RetryPolicy};
use crate::route::{RequestHead, RouteBy};
use crate::timer::{TimeLimits, Timer};

/// Sends the requests of a client and of its clones, under the settings that they share.
pub(crate) struct Sender {
    pub(crate) balancer: Balancer<Connector>,
    pub(crate) origin: Origin,
    pub(crate) time_limits: TimeLimits,
    pub(crate) retry_policy: RetryPolicy,
    pub(crate) classify: Classify,
    /// `None`: the balancer's policy knows no roles.
    pub(crate) route_by: Option<RouteBy>,
}

impl Sender {
    /// Sends `request` until it is answered, its time is over, or it must not be sent again.
    ///
    /// WHY by reference: each `async fn` would move it twice, and it is large.
    pub(crate) async fn send(&self, request: &mut Request<RequestBody>) -> Result<Response, Error> {
        let mut retries = self.retry_policy.begin(request, &self.origin);
        let body_idle_timeout = self.check_marks(request, &retries)?;
        self.origin.prepare(request)?;
        let route = self.route(request);
        retries.count_request();
        let sleep = pin!(None);
        let mut timer = Timer::start(self.time_limits, sleep);
        let acquire = retries.acquire(&self.balancer, route);
        let acquire = match self.time_limits.request {
            Some(limit) => acquire.within(limit),
            None => acquire,
        };
        let mut lease = match acquire.await {
            Ok(lease) => lease,
            Err(error) => return Err(self.no_connection(error, &timer)),
        };
        // At any time, the endpoint that may have acted on the request.
        let mut maybe_processed_by = None;
        let mut last_error = None;
        loop {
            let before = maybe_processed_by.replace(Arc::clone(lease.endpoint()));
            let body_failure = request.body().failure();
            timer.begin_attempt(retries.attempts() == 0);
            let is_new = !lease.has_answered();
            if is_new && lease.may_be_refused() {
                retries.keep(request);
            }
            let mut failed = match attempt(&mut lease, request, &mut timer).await {
                Some(Ok(answer)) => {
                    if is_new {
                        lease.answered();
                    }
                    let is_last = !self.retry_policy.retries_on(answer.status());
                    let answer = self.response(answer, lease, body_idle_timeout, body_failure);
                    if is_last {
                        return Ok(answer);
                    }
                    // Boxed: seldom needed, and otherwise part of the future of every request.
                    match Box::pin(self.instead_of(answer, request, &mut retries, route, &timer)).await {
                        Ok(another) => (*request, lease) = another,
                        Err(answer) => return Ok(answer),
                    }
                    continue;
                }
                Some(Err(error)) => FailedAttempt::end(lease, error),
                None if timer.is_over() => {
                    lease.cancel(Outcome::Failure);
                    return Err(self.timed_out(maybe_processed_by, last_error));
                }
                None => FailedAttempt::timed_out(lease, self.time_limits.attempt),
            };
            match failed.classification {
                Classification::Request => {
                    let source = body_failure.and_then(|failure| failure.take());
                    return Err(Error::RequestBody {
                        endpoint: failed.endpoint,
                        source: source.unwrap_or(failed.error),
                    });
                }
                Classification::Answer => {
                    return Err(Error::InvalidResponse {
                        endpoint: failed.endpoint,
                        source: failed.error,
                    });
                }
                _ => {}
            }
            if failed.not_processed {
                maybe_processed_by = before;
            }
            let no_retry_reason = match retries.next(&mut failed, request) {
                Ok(again) => match self.acquire_again(&retries, route, &timer, failed.ended_after).await {
                    Ok(next) => {
                        tracing::debug!(
                            endpoint = %failed.endpoint,
                            error = %failed.error,
                            not_processed = failed.not_processed,
                            "sending again"
                        );
                        (*request, lease) = (again, next);
                        last_error = Some(failed.error);
                        continue;
                    }
                    Err(error) if timer.is_over() => {
                        let source = match maybe_processed_by {
                            Some(_) => failed.error,
                            None => error.into(),
                        };
                        return Err(self.timed_out(maybe_processed_by, Some(source)));
                    }
                    Err(error) => NoRetryReason::NoConnection(error.into()),
                },
                Err(reason) => reason,
            };
            return Err(Error::Send {
                endpoint: failed.endpoint,
                attempts: retries.attempts(),
                may_have_been_processed: maybe_processed_by.is_some(),
                no_retry_reason,
                source: failed.error,
            });
        }
    }

    /// Acquires a connection for another attempt. `ended_after`: the one before had been idle for
    /// so long, and has ended.
    ///
    /// WHY others that were idle for long are not used: the pods of a Service close idle
    /// connections after the same time, so each further attempt could meet the same end.
    async fn acquire_again(
        &self,
        retries: &Retries<'_>,
        route: Route,
        timer: &Timer<'_>,
        ended_after: Option<Duration>,
    ) -> Result<Lease<Connector>, AcquireError> {
        loop {
            let acquire = retries.acquire(&self.balancer, route);
            let next = match timer.left() {
                Some(left) => acquire.within(left).await?,
                None => acquire.await?,
            };
            let is_suspect = |ended_after| next.was_idle() && next.last_use().unused_for() > ended_after / 2;
            if !ended_after.is_some_and(is_suspect) {
                return Ok(next);
            }
            // The newest of an endpoint's idle connections is used first: the others are older.
            next.invalidate_older_idle();
            next.close(Outcome::Cancelled);
        }
    }

    /// Hands the lease to the body of the answer, which ends it.
    // What is made where it is returned is not copied.
    #[inline(always)]
    fn response(
        &self,
        answer: HttpResponse<Incoming>,
        lease: Lease<Connector>,
        idle_timeout: Option<Duration>,
        body_failure: Option<BodyFailure>,
    ) -> Response {
        let head = ResponseHead::of(&answer);
        let rules = BodyRules {
            outcome: head.classify(&self.classify),
            trailers: head.awaited_trailers(&self.classify),
            idle: idle_timeout.map(IdleTimer::new),
        };
        Response::new(answer, lease, rules, body_failure)
    }

    /// Another attempt in place of `answer`, or the answer if it is the last word. It is not given
    /// up before there is a connection to another endpoint.
    #[cold]
    async fn instead_of(
        &self,
        answer: Response,
        sent: &mut Request<RequestBody>,
        retries: &mut Retries<'_>,
        route: Route,
        timer: &Timer<'_>,
    ) -> Result<(Request<RequestBody>, Lease<Connector>), Response> {
        let Some(again) = retries.instead_of_answer(answer.endpoint(), sent) else {
            return Err(answer);
        };
        let limit = timer.left().map_or(ANSWER_WAITS, |left| left.min(ANSWER_WAITS));
        let other = self.balancer.acquire_other(route, retries.tried());
        let Ok(next) = other.within(limit).await else {
            return Err(answer);
        };
        tracing::debug!(endpoint = %answer.endpoint(), status = %answer.status(), "sending again");
        answer.discard();
        Ok((again, next))
    }

    /// Checks what the marks of the request ask for, and returns how long the body of its answer
    /// may stall.
    fn check_marks(&self, request: &Request<RequestBody>, retries: &Retries<'_>) -> Result<Option<Duration>, Error> {
        if let Some(only) = retries.only()
            && !self.balancer.contains(only)
        {
            return Err(Error::NoSuchEndpoint {
                service: self.origin.service().into(),
                endpoint: only.clone(),
            });
        }
        match request.extensions().get() {
            None => Ok(self.time_limits.body_idle),
            Some(BodyIdleTimeout(Some(Duration::ZERO))) => Err(Error::invalid(
                self.origin.service(),
                "`BodyIdleTimeout` is 0; it must be longer, and `None` sets no limit",
            )),
            Some(&BodyIdleTimeout(limit)) => Ok(limit),
        }
    }

    fn route(&self, request: &Request<RequestBody>) -> Route {
        match &self.route_by {
            Some(route_by) => route_by(RequestHead::of(request)),
            None => Route::any(),
        }
    }

    /// There was no connection for the first attempt.
    #[cold]
    fn no_connection(&self, error: AcquireError, timer: &Timer<'_>) -> Error {
        match timer.is_over() {
            true => self.timed_out(None, Some(error.into())),
            false => error.into(),
        }
    }

    #[cold]
    fn timed_out(&self, maybe_processed_by: Option<Arc<Endpoint>>, source: Option<BoxError>) -> Error {
        Error::Timeout {
            limit: self.time_limits.request.unwrap_or_default(),
            endpoint: maybe_processed_by,
            source,
        }
    }
}

/// Sends `request` on the connection of `lease`, and waits for the head of its answer. `None` if
/// the time is over before.
async fn attempt(
    lease: &mut Lease<Connector>,
    request: &mut Request<RequestBody>,
    timer: &mut Timer<'_>,
) -> Option<Result<HttpResponse<Incoming>, Unanswered>> {
    let mut waiting = Waiting {
        lease,
        timer,
        is_over: false,
    };
    let result = waiting.timer.bound(pin!(waiting.lease.send(request))).await;
    waiting.is_over = true;
    if result.is_none() && waiting.lease.is_silent() {
        waiting.lease.invalidate_older_idle();
    }
    result
}

/// An attempt that waits for the head of its answer. Its drop before that means that the caller has
/// given it up.
struct Waiting<'a, 'b> {
    lease: &'a mut Lease<Connector>,
    timer: &'a mut Timer<'b>,
    is_over: bool,
}

impl Drop for Waiting<'_, '_> {
    fn drop(&mut self) {
        if !self.is_over && self.lease.is_silent() && self.timer.elapsed() >= SUSPICIOUS {
            self.lease.invalidate_older_idle();
        }
    }
}

/// How long a pod must have been silent before a request that its caller gives up says anything
/// about it. A round trip in a cluster takes about a millisecond. Where the pod is just slow, idle
/// connections that were not used for so long are opened again.
const SUSPICIOUS: Duration = Duration::from_millis(50);

/// How long an answer in hand waits for a connection to another pod.
const ANSWER_WAITS: Duration = Duration::from_secs(1);
