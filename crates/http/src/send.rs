//! [`Sender`]: one request, up to the head of its answer, from top to bottom: the form in which it
//! is sent, its route, a connection, sending it, and the answer or the next attempt.
//!
//! What is sent again is decided in `retry`; what a failure means, in `classify`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use headless::{Balancer, Endpoint, Route};
use http::Request;
use tokio::time::timeout;

use crate::classify::Classification;
use crate::connector::Connector;
use crate::error::{Error, NoRetryReason};
use crate::origin::Origin;
use crate::request_body::RequestBody;
use crate::response::Response;
use crate::retry::{FailedAttempt, RetryPolicy};
use crate::route::{RequestHead, RouteBy};

/// Sends the requests of a client and of its clones, under the settings that they share.
pub(crate) struct Sender {
    pub(crate) balancer: Balancer<Connector>,
    pub(crate) origin: Origin,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) retry_policy: RetryPolicy,
    /// `None`: the balancer's policy knows no roles.
    pub(crate) route_by: Option<RouteBy>,
}

impl Sender {
    /// Sends `request`, within the request timeout.
    ///
    /// WHY by reference, here and below: each `async fn` would move it twice, and it is large.
    pub(crate) async fn send(&self, request: &mut Request<RequestBody>) -> Result<Response, Error> {
        let mut maybe_processed_by = None;
        let limit = {
            // WHY: pinned here, because `timeout` would move it.
            let attempts = pin!(self.attempts(request, &mut maybe_processed_by));
            let Some(limit) = self.request_timeout else {
                return attempts.await;
            };
            match timeout(limit, attempts).await {
                Ok(result) => return result,
                Err(_elapsed) => limit,
            }
        };
        Err(Error::Timeout {
            limit,
            endpoint: maybe_processed_by,
        })
    }

    /// Sends `request` until it is answered or must not be sent again. `maybe_processed_by` is, at
    /// any time, the endpoint that may have acted on it.
    async fn attempts(
        &self,
        request: &mut Request<RequestBody>,
        maybe_processed_by: &mut Option<Arc<Endpoint>>,
    ) -> Result<Response, Error> {
        let mut retries = self.retry_policy.begin(request, &self.origin);
        self.origin.prepare(request)?;
        let route = self.route(request);
        retries.count_request();
        let mut lease = self.balancer.acquire(route).await?;
        loop {
            let before = maybe_processed_by.replace(Arc::clone(lease.endpoint()));
            let body_failure = request.body().failure();
            let mut failed = match lease.send(request).await {
                Ok(answer) => return Ok(Response::new(answer, lease, body_failure)),
                Err(error) => FailedAttempt::end(lease, error),
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
                *maybe_processed_by = before;
            }
            let no_retry_reason = match retries.next(&mut failed) {
                Ok(again) => match self.balancer.acquire_excluding(route, retries.tried()).await {
                    Ok(next) => {
                        tracing::debug!(
                            endpoint = %failed.endpoint,
                            error = %failed.error,
                            not_processed = failed.not_processed,
                            "sending again"
                        );
                        (*request, lease) = (again, next);
                        continue;
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

    fn route(&self, request: &Request<RequestBody>) -> Route {
        match &self.route_by {
            Some(route_by) => route_by(RequestHead::of(request)),
            None => Route::any(),
        }
    }
}
