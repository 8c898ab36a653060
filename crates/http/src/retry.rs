//! [`Retries`]: whether and how one request is sent again.
//!
//! When is it, and which test shows it?
//!
//! * No connection to the pod: yes, inside `acquire`, without budget
//!   (`reads_survive_the_death_of_a_pod_with_idle_connections`).
//! * hyper returns it, so it was never sent: yes, whatever its method, its body and the limits
//!   (`a_write_that_never_left_goes_elsewhere`,
//!   `a_pod_that_closes_after_each_answer_loses_no_request`).
//! * The pod refused the connection after it was opened, in TLS 1.3: likewise, if the body is in
//!   memory, or if what was sent of it was kept
//!   (`a_refusal_that_meets_the_request_means_that_it_was_not_processed`).
//! * The pod refused the stream: likewise
//!   (`a_refused_stream_goes_elsewhere_whatever_the_method`, `a_short_stream_is_sent_again`).
//! * The stream is above the last one of a GOAWAY: likewise
//!   (`what_a_goaway_leaves_out_goes_elsewhere_once`).
//! * It failed otherwise, before the answer: likewise, if the method is safe or the request is
//!   marked (`a_write_that_may_have_been_processed_is_not_repeated`).
//! * The answer cannot be read: no (`an_answer_that_cannot_be_read_is_not_asked_for_again`).
//! * The request's own body failed: no (`a_body_that_fails_is_not_the_pods_fault`).
//! * It had no answer within `per_try_timeout`: as one that failed otherwise, on another pod
//!   (`with_a_timeout_for_each_try_a_read_leaves_a_pod_that_never_answers`).
//! * It was answered: no, unless the status is one of `retry_on`; then as one that failed
//!   otherwise, but only on a pod that was not tried
//!   (`an_answer_of_a_chosen_status_is_asked_for_elsewhere`).
//! * The request timeout passed: no, nor does a retry outlive it
//!   (`a_retry_does_not_outlive_the_request_timeout`).
//! * Pods that may have processed it: three, or as `max_retries` says
//!   (`a_request_that_kills_pods_reaches_three_of_them`, `retries_have_a_limit`).
//! * Every pod had it: no (`a_stream_that_every_pod_refuses_is_sent_to_each`).
//! * The retry budget is used up: no (`the_budget_bounds_all_requests_together`).
//!
//! A connection that ends before its first answer counts as a failed connect
//! (`reads_lose_nothing_and_soon_stay_away`), so few requests meet such a pod.
//!
//! A request that was never sent has cost no pod anything. So it takes nothing from the budget, and
//! is neither held against the pod nor against its other connections. Only the request timeout
//! bounds how often this happens on connections that have answered before: each of them has served
//! a request, so the requests as a whole advance. Of new connections, each pod gets one, and one
//! pod a last one.
//!
//! This is what lets a rolling restart lose nothing. What depends on the *answer* is off by
//! default, and what depends on more than its status is left to the caller (tower's `retry`, with
//! [`ExcludeEndpoints`]).

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use headless::{Acquire, Balancer, Endpoint, EndpointKey, Lease, Outcome, RetryBudget, Route, Timestamp};
use http::{Request, StatusCode};
use tokio::time::Instant;

use crate::classify::{Classification, classify, is_repeatable};
use crate::connection::Unanswered;
use crate::connector::Connector;
use crate::error::{AttemptTimedOut, BoxError, NoRetryReason, NotConnected, root};
use crate::framing;
use crate::options::chosen_endpoints;
use crate::origin::Origin;
use crate::protocol::Protocol;
use crate::request_body::{KeptBody, RequestBody, head_of, take};

/// How often the requests of a client are sent again.
pub(crate) struct RetryPolicy {
    /// `None`: [`MAX_RETRIES`] if the request may have been processed, otherwise as often as there
    /// are endpoints.
    max_retries: Option<usize>,
    budget: RetryBudget,
    /// The answers that are not the last word.
    retry_on: Box<[StatusCode]>,
    /// How much of a stream is kept.
    replay_buffer: usize,
    /// The zero of the budget's clock.
    start: Instant,
}

impl RetryPolicy {
    pub(crate) fn new(
        max_retries: Option<usize>,
        budget: RetryBudget,
        retry_on: Box<[StatusCode]>,
        replay_buffer: usize,
    ) -> Self {
        Self {
            max_retries,
            budget,
            retry_on,
            replay_buffer,
            start: Instant::now(),
        }
    }

    /// Remembers what is needed to send `request` again. It is not prepared yet.
    // What is made where it is returned is not copied.
    #[inline(always)]
    pub(crate) fn begin<'a>(&'a self, request: &mut Request<RequestBody>, origin: &'a Origin) -> Retries<'a> {
        let is_repeatable = is_repeatable(request);
        let (only, tried) = match request.extensions().is_empty() {
            true => (None, Vec::new()),
            false => chosen_endpoints(request.extensions()),
        };
        // Over HTTP/1.1, a request that is not repeatable is sent again only if hyper returns it,
        // which needs no copy.
        let needs_copy = self.max_retries != Some(0) && (is_repeatable || origin.protocol() == Protocol::Http2);
        Retries {
            policy: self,
            origin,
            is_repeatable,
            // WHY before it is prepared: few requests have headers of their own, and copying none
            // costs nothing.
            original: if needs_copy {
                self.copy(request, origin.protocol())
            } else {
                None
            },
            attempts: 0,
            sent: 0,
            maybe_processed: 0,
            only,
            excluded: tried.len(),
            tried,
        }
    }

    /// Returns whether an answer with this status may be asked for again elsewhere.
    pub(crate) fn retries_on(&self, status: StatusCode) -> bool {
        self.retry_on.contains(&status)
    }

    /// Copies a request, if its body allows.
    fn copy(&self, request: &mut Request<RequestBody>, protocol: Protocol) -> Option<Original> {
        let body = request.body_mut().keep(self.replay_buffer)?;
        let head = match protocol {
            Protocol::Http1 => Some(Box::new(whole_head_of(request))),
            Protocol::Http2 => None,
        };
        Some(Original { head, body })
    }

    /// Takes a retry from the budget, if it has one left.
    fn withdraw(&self) -> bool {
        self.budget.withdraw(Timestamp::from_elapsed(self.start.elapsed()))
    }
}

/// What a request is sent again from.
struct Original {
    /// `None`: the head stays where it is (HTTP/2).
    head: Option<Box<Request<()>>>,
    body: KeptBody,
}

/// The attempts of one request.
pub(crate) struct Retries<'a> {
    policy: &'a RetryPolicy,
    origin: &'a Origin,
    is_repeatable: bool,
    /// The request as the caller made it. `None` if it cannot be sent from a copy.
    original: Option<Original>,
    attempts: usize,
    /// Attempts in which a part of the request may have left.
    sent: usize,
    /// Attempts in which an endpoint may have acted on it.
    maybe_processed: usize,
    /// The endpoint that the caller insists on.
    only: Option<EndpointKey>,
    /// The endpoints that another attempt avoids: those that the caller excludes, and those that
    /// were tried.
    tried: Vec<EndpointKey>,
    /// How many of them the caller excludes.
    excluded: usize,
}

impl Retries<'_> {
    /// Counts the request itself, on which the budget depends.
    pub(crate) fn count_request(&self) {
        self.policy.budget.count_request();
    }

    /// Returns how many attempts have failed.
    pub(crate) fn attempts(&self) -> usize {
        self.attempts
    }

    /// Returns the endpoint that the caller insists on.
    pub(crate) fn only(&self) -> Option<&EndpointKey> {
        self.only.as_ref()
    }

    /// Acquires a connection for the next attempt: to the endpoint that the caller insists on, or
    /// to one that was not tried, if there is any.
    #[inline]
    pub(crate) fn acquire<'b>(&'b self, balancer: &'b Balancer<Connector>, route: Route) -> Acquire<'b, Connector> {
        match &self.only {
            Some(only) => balancer.acquire_from(route, slice::from_ref(only)),
            None if self.tried.is_empty() => balancer.acquire(route),
            None => balancer.acquire_excluding(route, &self.tried),
        }
    }

    /// Returns the endpoints that another attempt avoids.
    pub(crate) fn tried(&self) -> &[EndpointKey] {
        &self.tried
    }

    /// Returns the request for another attempt in place of the answer from `endpoint`, or `None` if
    /// the answer is the last word.
    pub(crate) fn instead_of_answer(
        &mut self,
        endpoint: &Endpoint,
        sent: &mut Request<RequestBody>,
    ) -> Option<Request<RequestBody>> {
        self.attempts += 1;
        self.sent += 1;
        self.maybe_processed += 1;
        let may_retry =
            self.only.is_none() && self.is_repeatable && self.is_within_limit(false) && self.avoid(endpoint);
        if !may_retry {
            return None;
        }
        let again = self.prepared(sent)?;
        self.policy.withdraw().then_some(again)
    }

    /// Remembers a prepared request that was not to be sent from a copy. The pod may still refuse
    /// the connection, and has then not processed it.
    pub(crate) fn keep(&mut self, prepared: &mut Request<RequestBody>) {
        if self.original.is_none() {
            self.original = self.policy.copy(prepared, self.origin.protocol());
        }
    }

    /// Returns the request for another attempt, or why there must not be one. `sent`: what the
    /// failed one has left of it.
    pub(crate) fn next(
        &mut self,
        failed: &mut FailedAttempt,
        sent: &mut Request<RequestBody>,
    ) -> Result<Request<RequestBody>, NoRetryReason> {
        self.attempts += 1;
        let unsent = match failed.returned.take() {
            // It was refused with its connection.
            None if failed.classification == Classification::Unsent => self.prepared(sent),
            returned => returned,
        };
        match unsent {
            Some(request) => self.after_unsent(failed, request),
            None => self.after_sent(failed, sent),
        }
    }

    /// The request was never sent: it goes on as it is.
    fn after_unsent(
        &mut self,
        failed: &FailedAttempt,
        request: Request<RequestBody>,
    ) -> Result<Request<RequestBody>, NoRetryReason> {
        match failed.was_kept || self.avoid(&failed.endpoint) {
            true => Ok(request),
            false => Err(NoRetryReason::AttemptsExhausted),
        }
    }

    /// A part of the request may have left: it is sent from a copy, within all limits.
    fn after_sent(
        &mut self,
        failed: &FailedAttempt,
        sent: &mut Request<RequestBody>,
    ) -> Result<Request<RequestBody>, NoRetryReason> {
        self.sent += 1;
        self.maybe_processed += usize::from(!failed.not_processed);
        if !self.is_repeatable && !failed.not_processed {
            return Err(NoRetryReason::NotIdempotent);
        }
        // A kept connection that died says little about its endpoint, which may be the only one.
        let had_died = failed.classification == Classification::Connection && failed.was_kept;
        if !(self.avoid(&failed.endpoint) || had_died) || !self.is_within_limit(failed.not_processed) {
            return Err(NoRetryReason::AttemptsExhausted);
        }
        let again = self.prepared(sent).ok_or(NoRetryReason::BodyConsumed)?;
        match self.policy.withdraw() {
            true => Ok(again),
            false => Err(NoRetryReason::BudgetExhausted),
        }
    }

    /// Has further attempts avoid the endpoint. Returns `false` if they did already: there was no
    /// other, and that attempt was the last.
    fn avoid(&mut self, endpoint: &Endpoint) -> bool {
        let is_new = !self.tried[self.excluded..].contains(endpoint.key());
        if is_new {
            self.tried.push(endpoint.key().clone());
        }
        is_new
    }

    /// Whether the limit on retries allows one more. `not_processed`: the last attempt had no
    /// effect.
    fn is_within_limit(&self, not_processed: bool) -> bool {
        match self.policy.max_retries {
            Some(limit) => self.sent <= limit,
            None => not_processed || self.maybe_processed <= MAX_RETRIES,
        }
    }

    /// The original request once more, in the form in which it is sent.
    fn prepared(&self, sent: &mut Request<RequestBody>) -> Option<Request<RequestBody>> {
        let Original { head, body } = self.original.as_ref()?;
        let body = body.again()?;
        let Some(head) = head else {
            let mut again = take(sent);
            *again.body_mut() = body;
            // The head is prepared, and the body is another.
            framing::settle(&mut again, self.origin.protocol()).ok()?;
            return Some(again);
        };
        let mut again = whole_head_of(head).map(|()| body);
        self.origin.prepare(&mut again).ok()?;
        Some(again)
    }
}

/// How often a request that may have been processed is sent again by default. A request that
/// crashes each pod it reaches then crashes three.
const MAX_RETRIES: usize = 2;

/// An attempt without an answer.
pub(crate) struct FailedAttempt {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) classification: Classification,
    /// No endpoint has acted on the request in this attempt.
    pub(crate) not_processed: bool,
    /// The connection was kept: it had answered an earlier request, or had been idle.
    was_kept: bool,
    /// For how long it had been idle, if that may be why it has ended.
    pub(crate) ended_after: Option<Duration>,
    /// The request, if it was never sent.
    returned: Option<Request<RequestBody>>,
    pub(crate) error: BoxError,
}

impl FailedAttempt {
    /// The connection says that there is no answer.
    pub(crate) fn end(lease: Lease<Connector>, unanswered: Unanswered) -> Self {
        let Unanswered { returned, error } = unanswered;
        let classification = match (&returned, &error) {
            (None, Some(error)) => classify(error),
            _ => Classification::Unsent,
        };
        let error = error.map_or_else(|| ENDED.into(), Into::into);
        Self::new(lease, classification, returned.map(|request| *request), error)
    }

    /// There was no answer within `limit`.
    #[cold]
    pub(crate) fn timed_out(lease: Lease<Connector>, limit: Option<Duration>) -> Self {
        let error = AttemptTimedOut(limit.unwrap_or_default());
        Self::new(lease, Classification::TimedOut, None, error.into())
    }

    /// Ends the lease with what the failure says about the endpoint and the connection.
    fn new(
        lease: Lease<Connector>,
        classification: Classification,
        returned: Option<Request<RequestBody>>,
        error: BoxError,
    ) -> Self {
        let endpoint = Arc::clone(lease.endpoint());
        let (had_answered, was_idle) = (lease.has_answered(), lease.was_idle());
        let ended_after = match classification {
            Classification::Connection => lease.last_use().idle_before(),
            _ => None,
        };
        if let Some(refused) = lease.take_refusal() {
            let error = NotConnected::Refused(refused.to_string().into());
            lease.refused(refused);
            return Self {
                endpoint,
                classification: Classification::Unsent,
                not_processed: true,
                was_kept: had_answered || was_idle,
                ended_after,
                returned,
                error: error.into(),
            };
        }
        let mut error = error;
        match classification {
            Classification::Unsent | Classification::NotProcessed | Classification::Connection
                if !had_answered && is_unanswered(classification, &lease) =>
            {
                let unanswered = NotConnected::Unanswered(error);
                lease.unanswered(root(&unanswered).to_string());
                error = unanswered.into();
            }
            // Dropping the lease closes this connection, and says nothing about the endpoint.
            Classification::Request => drop(lease),
            // The connection says that it takes no other request.
            Classification::Unsent => lease.finish(Outcome::Cancelled),
            Classification::NotProcessed | Classification::Stream | Classification::Answer => {
                lease.finish(Outcome::Failure);
            }
            Classification::Connection if was_idle => lease.broken(),
            Classification::Connection | Classification::Misbehaved => lease.close(Outcome::Failure),
            Classification::TimedOut => lease.cancel(Outcome::Failure),
        }
        let not_processed = matches!(classification, Classification::Unsent | Classification::NotProcessed);
        Self {
            endpoint,
            classification,
            not_processed,
            was_kept: had_answered || was_idle,
            ended_after,
            returned,
            error,
        }
    }
}

/// Whether a connection that never carried an answer has ended as if there was none. A server may
/// well close one that was not used for a while.
fn is_unanswered(classification: Classification, lease: &Lease<Connector>) -> bool {
    classification == Classification::Connection || lease.is_closed() && !lease.was_idle()
}

const ENDED: &str = "the connection had ended";

/// Copies the head of a request, with the extensions.
fn whole_head_of<B>(request: &Request<B>) -> Request<()> {
    let mut copy = head_of(request);
    copy.extensions_mut().clone_from(request.extensions());
    copy
}
