//! One request, up to the head of its answer: acquire, send, and go to another pod when that is right.
//!
//! | what happened | is it sent again? | test |
//! |---|---|---|
//! | no connection to the pod | yes, inside `acquire`, without budget | `reads_survive_the_death_of_a_pod_with_idle_connections` |
//! | hyper gives it back: it never left | yes, whatever method and body | `a_write_that_never_left_goes_elsewhere` |
//! | the pod refused the stream | yes, if the body is in memory | `a_refused_stream_goes_elsewhere_whatever_the_method` |
//! | the stream is above the last one of a GOAWAY | as above | `what_a_goaway_leaves_out_goes_elsewhere_once` |
//! | it failed otherwise, before the answer | as above, if the method is safe or marked | `a_write_that_may_have_been_processed_is_not_repeated` |
//! | the request's own body failed | no | `a_body_that_fails_is_not_the_pods_fault` |
//! | the request timeout passed | no, nor does a retry outlive it | `a_retry_does_not_outlive_the_request_timeout` |
//! | every pod had it, or `max_retries` | no | `retries_have_a_limit` |
//! | the retry budget is used up | no | `the_budget_bounds_all_requests_together` |
//!
//! This is what lets a rolling restart lose nothing. Anything that depends on the *answer* is the caller's (tower's `retry`).

use std::pin::pin;
use std::sync::Arc;

use headless_core::{Endpoint, EndpointKey, Outcome};
use http::Request;
use tokio::time::timeout;

use crate::classify::{Fault, is_repeatable, outcome};
use crate::client::Inner;
use crate::{Error, NotRetried, Protocol, RequestBody, Response, ResponseBody};

/// Sends `request`, within the request timeout.
///
/// WHY by reference, here and below: each `async fn` would move it twice, and it is large.
pub(crate) async fn send(client: &Inner, request: &mut Request<RequestBody>) -> Result<Response, Error> {
    let mut holder = None;
    let limit = {
        // WHY: pinned here, because `timeout` would move it.
        let attempts = pin!(attempts(client, request, &mut holder));
        let Some(limit) = client.request_timeout else {
            return attempts.await;
        };
        match timeout(limit, attempts).await {
            Ok(result) => return result,
            Err(_elapsed) => limit,
        }
    };
    Err(Error::Timeout {
        limit,
        endpoint: holder,
    })
}

/// `holder` is kept up to date with the pod that may have acted on the request.
async fn attempts(
    client: &Inner,
    request: &mut Request<RequestBody>,
    holder: &mut Option<Arc<Endpoint>>,
) -> Result<Response, Error> {
    let repeatable = is_repeatable(request);
    // Over HTTP/1.1, what is not repeatable is only ever sent again if hyper gives it back, which takes no copy.
    let keep_copy = client.max_retries != Some(0) && (repeatable || client.protocol == Protocol::Http2);
    // WHY before it is prepared: few requests have headers of their own, and to copy none costs nothing.
    let kept = if keep_copy { copy(request) } else { None };
    client.prepare(request)?;
    let route = client.route(request);
    let mut tried: Vec<EndpointKey> = Vec::new();
    client.retry_budget.count_request();
    let mut lease = client.balancer.acquire(route).await?;
    loop {
        let held_before = holder.replace(Arc::clone(lease.endpoint()));
        let mut failure = match lease.send(request).await {
            Ok(answer) => {
                let outcome = outcome(answer.status());
                return Ok(Response(
                    answer.map(|incoming| ResponseBody::new(incoming, lease, outcome)),
                ));
            }
            Err(failure) => failure,
        };
        let endpoint = Arc::clone(lease.endpoint());
        let given_back = failure.take_message();
        let error = failure.into_error();
        let fault = match given_back {
            Some(_) if !lease.is_closed() => Fault::Unsettled,
            Some(_) => Fault::Connection,
            None => Fault::of(&error),
        };
        match fault {
            Fault::Ours => {
                // The lease is dropped: cancelled by ourselves.
                return Err(Error::RequestBody {
                    endpoint,
                    source: error.into(),
                });
            }
            // Dropped: this connection is closed, and says nothing about the pod's others.
            Fault::Unsettled => drop(lease),
            Fault::Unprocessed | Fault::Stream => lease.finish(Outcome::Failure),
            Fault::Connection => lease.broken(),
        }
        let untouched = given_back.is_some() || fault == Fault::Unprocessed;
        if untouched {
            *holder = held_before;
        }
        // A pod that comes a second time, because there is no other, is the last.
        let exhausted = tried.contains(endpoint.key()) || client.max_retries.is_some_and(|most| tried.len() >= most);
        tried.push(endpoint.key().clone());
        let again = match given_back.or_else(|| prepared(client, kept.as_ref()?)) {
            _ if !repeatable && !untouched => Err(NotRetried::NotIdempotent),
            _ if exhausted => Err(NotRetried::Exhausted),
            None => Err(NotRetried::BodyUsedUp),
            Some(_) if !client.take_retry() => Err(NotRetried::Budget),
            Some(again) => Ok(again),
        };
        let not_retried = match again {
            Err(not_retried) => not_retried,
            Ok(again) => match client.balancer.acquire_excluding(route, &tried).await {
                Ok(next) => {
                    tracing::debug!(%endpoint, %error, untouched, "sending again");
                    (*request, lease) = (again, next);
                    continue;
                }
                Err(error) => NotRetried::NoConnection(error.into()),
            },
        };
        return Err(Error::Send {
            endpoint,
            attempts: tried.len(),
            may_have_been_processed: holder.is_some(),
            not_retried,
            source: error.into(),
        });
    }
}

/// The same request once more, if its body allows.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let mut copy = Request::new(request.body().copy()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

/// The same request once more, of what was kept of it before it was prepared for the first time.
fn prepared(client: &Inner, kept: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let mut again = copy(kept)?;
    client.prepare(&mut again).ok()?;
    Some(again)
}
