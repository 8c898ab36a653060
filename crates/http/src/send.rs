//! One request, up to the head of its answer: acquire, send, and go to another pod when that is right.
//!
//! | what happened | is it sent again? |
//! |---|---|
//! | no connection to the pod | yes, inside `acquire` |
//! | the connection was closed before the request left: hyper gives it back | yes, whatever the method |
//! | the pod refused the stream (RFC 9113 8.7: not processed) | yes, whatever the method, if the body is in memory |
//! | the connection or the stream failed before the answer | only a safe method with a body in memory |
//! | the request's own body failed, or the request timeout passed | no |
//!
//! Each time on a pod that was not tried yet, as long as there is one; a Service of one pod gets a new connection. This is what
//! lets a rolling restart lose nothing. Budgets, and anything that depends on the *answer*, are the caller's (tower's `retry`).

use std::sync::Arc;

use headless_core::{Endpoint, EndpointKey, Outcome};
use http::Request;
use tokio::time::timeout;

use crate::classify::{Fault, is_safe, outcome};
use crate::client::Inner;
use crate::error::BoxError;
use crate::{Error, Protocol, RequestBody, Response, ResponseBody};

/// Sends `request`, within the request timeout.
pub(crate) async fn send(client: &Inner, request: Request<RequestBody>) -> Result<Response, Error> {
    let mut holder = None;
    let Some(limit) = client.request_timeout else {
        return attempts(client, request, &mut holder).await;
    };
    match timeout(limit, attempts(client, request, &mut holder)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Error::Timeout {
            limit,
            endpoint: holder,
        }),
    }
}

/// `holder` is kept up to date with the pod that may have acted on the request.
async fn attempts(
    client: &Inner,
    request: Request<RequestBody>,
    holder: &mut Option<Arc<Endpoint>>,
) -> Result<Response, Error> {
    let (mut head, body) = request.into_parts();
    client.name.prepare(&mut head, client.protocol, client.service())?;
    let route = client.route(&head);
    let safe = is_safe(&head.method);
    // Over HTTP/1.1, an unsafe request is only ever sent again if hyper gives it back, which takes no copy.
    let keep_copy = safe || client.protocol == Protocol::Http2;
    let mut request = Request::from_parts(head, body);
    let mut tried: Vec<EndpointKey> = Vec::new();
    let mut lease = client.balancer.acquire(route).await?;
    loop {
        let retries_left = tried.len() < client.max_retries;
        let copy = match retries_left && keep_copy {
            true => copy(&request),
            false => None,
        };
        let endpoint = Arc::clone(lease.endpoint());
        let held_before = holder.replace(Arc::clone(&endpoint));
        let mut failure = match lease.send(request).await {
            Ok(answer) => {
                let outcome = outcome(answer.status());
                return Ok(Response(
                    answer.map(|incoming| ResponseBody::new(incoming, lease, outcome)),
                ));
            }
            Err(failure) => failure,
        };
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
            Fault::Refused | Fault::Stream => lease.finish(Outcome::Failure),
            Fault::Connection => lease.broken(),
        }
        let untouched = given_back.is_some() || fault == Fault::Refused;
        if untouched {
            *holder = held_before;
        }
        let failed = |source: BoxError| Error::Send {
            endpoint: Arc::clone(&endpoint),
            attempts: tried.len() + 1,
            may_have_been_processed: holder.is_some(),
            source,
        };
        request = match (given_back, copy) {
            (Some(request), _) if retries_left => request,
            (None, Some(copy)) if safe || untouched => copy,
            _ => return Err(failed(error.into())),
        };
        tracing::debug!(%endpoint, %error, untouched, "sending again");
        let failed = failed(error.into());
        tried.push(endpoint.key().clone());
        lease = match client.balancer.acquire_after(route, &tried).await {
            Ok(lease) => lease,
            Err(error) => {
                tracing::debug!(%error, "no connection to send again");
                return Err(failed);
            }
        };
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
