//! [`Retries`]: whether and how one request is sent again.
//!
//! When is it, and which test shows it?
//!
//! * No connection to the pod: yes, inside `acquire`, without budget
//!   (`reads_survive_the_death_of_a_pod_with_idle_connections`).
//! * hyper returns it, so it was never sent: yes, whatever its method and body
//!   (`a_write_that_never_left_goes_elsewhere`).
//! * The pod refused the stream: yes, if the body is in memory
//!   (`a_refused_stream_goes_elsewhere_whatever_the_method`).
//! * The stream is above the last one of a GOAWAY: likewise
//!   (`what_a_goaway_leaves_out_goes_elsewhere_once`).
//! * It failed otherwise, before the answer: likewise, if the method is safe or the request is
//!   marked (`a_write_that_may_have_been_processed_is_not_repeated`).
//! * The request's own body failed: no (`a_body_that_fails_is_not_the_pods_fault`).
//! * The request timeout passed: no, nor does a retry outlive it
//!   (`a_retry_does_not_outlive_the_request_timeout`).
//! * Every pod had it, or `max_retries`: no (`retries_have_a_limit`).
//! * The retry budget is used up: no (`the_budget_bounds_all_requests_together`).
//!
//! This is what lets a rolling restart lose nothing. What depends on the *answer* is left to the
//! caller (tower's `retry`).

use std::sync::Arc;

use headless::{Endpoint, EndpointKey, Lease, Outcome, RetryBudget, Timestamp};
use http::Request;
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use crate::classify::{Classification, classify, is_repeatable};
use crate::connector::Connector;
use crate::error::NoRetryReason;
use crate::origin::Origin;
use crate::protocol::Protocol;
use crate::request_body::RequestBody;

/// How often the requests of a client are sent again.
pub(crate) struct RetryPolicy {
    /// `None`: as often as there are endpoints.
    max_retries: Option<usize>,
    budget: RetryBudget,
    /// The zero of the budget's clock.
    start: Instant,
}

impl RetryPolicy {
    pub(crate) fn new(max_retries: Option<usize>, budget: RetryBudget) -> Self {
        Self {
            max_retries,
            budget,
            start: Instant::now(),
        }
    }

    /// Remembers what is needed to send `request` again. It is not prepared yet.
    pub(crate) fn begin<'a>(&'a self, request: &Request<RequestBody>, origin: &'a Origin) -> Retries<'a> {
        let is_repeatable = is_repeatable(request);
        // Over HTTP/1.1, a request that is not repeatable is sent again only if hyper returns it,
        // which needs no copy.
        let needs_copy = self.max_retries != Some(0) && (is_repeatable || origin.protocol() == Protocol::Http2);
        Retries {
            policy: self,
            origin,
            is_repeatable,
            // WHY before it is prepared: few requests have headers of their own, and copying none
            // costs nothing.
            original: if needs_copy { copy(request) } else { None },
            tried: Vec::new(),
        }
    }

    /// Takes a retry from the budget, if it has one left.
    fn withdraw(&self) -> bool {
        self.budget.withdraw(Timestamp::from_elapsed(self.start.elapsed()))
    }
}

/// The attempts of one request.
pub(crate) struct Retries<'a> {
    policy: &'a RetryPolicy,
    origin: &'a Origin,
    is_repeatable: bool,
    /// The request as the caller made it. `None` if it cannot be sent from a copy.
    original: Option<Request<RequestBody>>,
    tried: Vec<EndpointKey>,
}

impl Retries<'_> {
    /// Counts the request itself, on which the budget depends.
    pub(crate) fn count_request(&self) {
        self.policy.budget.count_request();
    }

    /// The endpoints of the attempts so far.
    pub(crate) fn tried(&self) -> &[EndpointKey] {
        &self.tried
    }

    /// Returns the request for another attempt, or why there must not be one.
    pub(crate) fn next(&mut self, failed: &mut FailedAttempt) -> Result<Request<RequestBody>, NoRetryReason> {
        let endpoint = failed.endpoint.key();
        // An endpoint is tried a second time only if there is no other, and that attempt is the
        // last.
        let is_exhausted =
            self.tried.contains(endpoint) || self.policy.max_retries.is_some_and(|limit| self.tried.len() >= limit);
        self.tried.push(endpoint.clone());
        if !self.is_repeatable && !failed.not_processed {
            return Err(NoRetryReason::NotIdempotent);
        }
        if is_exhausted {
            return Err(NoRetryReason::AttemptsExhausted);
        }
        let again = failed.returned.take().or_else(|| self.prepared());
        let again = again.ok_or(NoRetryReason::BodyConsumed)?;
        match self.policy.withdraw() {
            true => Ok(again),
            false => Err(NoRetryReason::BudgetExhausted),
        }
    }

    /// The original request once more, in the form in which it is sent.
    fn prepared(&self) -> Option<Request<RequestBody>> {
        let mut again = copy(self.original.as_ref()?)?;
        self.origin.prepare(&mut again).ok()?;
        Some(again)
    }
}

/// An attempt without an answer.
pub(crate) struct FailedAttempt {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) classification: Classification,
    /// No endpoint has acted on the request in this attempt.
    pub(crate) not_processed: bool,
    /// The request, if hyper returned it.
    returned: Option<Request<RequestBody>>,
    pub(crate) error: hyper::Error,
}

impl FailedAttempt {
    /// Ends the lease with what the failure says about the endpoint and the connection.
    pub(crate) fn end(lease: Lease<Connector>, mut error: TrySendError<Request<RequestBody>>) -> Self {
        let endpoint = Arc::clone(lease.endpoint());
        let returned = error.take_message();
        let error = error.into_error();
        let classification = match returned {
            Some(_) if !lease.is_closed() => Classification::Busy,
            Some(_) => Classification::Connection,
            None => classify(&error),
        };
        match classification {
            // Dropping the lease closes this connection, and says nothing about the endpoint.
            Classification::Request | Classification::Busy => drop(lease),
            Classification::NotProcessed | Classification::Stream => lease.finish(Outcome::Failure),
            Classification::Connection => lease.broken(),
        }
        Self {
            endpoint,
            classification,
            not_processed: returned.is_some() || classification == Classification::NotProcessed,
            returned,
            error,
        }
    }
}

/// Copies a request, if its body allows.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let mut copy = Request::new(request.body().copy()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}
