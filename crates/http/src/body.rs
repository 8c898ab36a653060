//! [`ResponseBody`]: the body of an answer, which keeps the lease of its connection to its end.
//!
//! This is where load is counted to the end of the body: while a body is read, its endpoint has a
//! request in flight.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use headless::{Endpoint, Lease, Outcome};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::classify::{Classification, classify};
use crate::connection::ExchangeError;
use crate::connector::Connector;
use crate::error::{BodyStalled, Error};
use crate::idle::IdleTimer;
use crate::incoming::Incoming;
use crate::outcome::AwaitedTrailers;
use crate::request_body::BodyFailure;

/// The body of an answer, streamed from the pod.
///
/// It holds the connection. After the body was read to its end, the connection serves the next
/// request, and the pod's load learns how long the exchange took. If the body is dropped earlier,
/// the request counts as cancelled: an HTTP/1 connection is closed, because the rest would still
/// come, and an HTTP/2 stream is reset. So read a short body even if it is not needed.
///
/// A body that stalls while it is waited for ends with [`Error::Body`] after the
/// [`body_idle_timeout`](crate::ClientBuilder::body_idle_timeout). There is no limit on the whole
/// body; put a timeout around the reading.
///
/// The default one is empty and of no pod. It is for layers that answer in the client's place, such
/// as an interceptor that refuses a request.
#[derive(Default)]
pub struct ResponseBody(Option<Received>);

/// What the end of a body says, and how long it may stall.
pub(crate) struct BodyRules {
    /// What to report at the end.
    pub(crate) outcome: Outcome,
    /// The trailers decide it.
    pub(crate) trailers: Option<AwaitedTrailers>,
    /// `None`: there is no limit.
    pub(crate) idle: Option<IdleTimer>,
}

/// The body of an answer that came.
struct Received {
    /// `None` after it has stalled.
    incoming: Option<Incoming>,
    endpoint: Arc<Endpoint>,
    /// `None` after the end.
    lease: Option<Lease<Connector>>,
    rules: BodyRules,
    /// The body of the request may still be sent, and fail.
    body_failure: Option<BodyFailure>,
}

impl ResponseBody {
    #[inline(always)]
    pub(crate) fn new(
        incoming: Incoming,
        lease: Lease<Connector>,
        rules: BodyRules,
        body_failure: Option<BodyFailure>,
    ) -> Self {
        let mut received = Received {
            incoming: Some(incoming),
            endpoint: Arc::clone(lease.endpoint()),
            lease: Some(lease),
            rules,
            body_failure,
        };
        received.end_if_read();
        Self(Some(received))
    }

    /// Ends the exchange here, with the outcome that the answer has so far. Where the rest of a
    /// short body is here already, the connection can serve another request.
    pub(crate) fn discard(mut self) {
        if let Some(received) = &mut self.0 {
            received.rules.idle = None;
        }
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..DISCARDED_FRAMES {
            let Poll::Ready(Some(Ok(_))) = Pin::new(&mut self).poll_frame(&mut cx) else {
                break;
            };
        }
        if let Some(received) = self.0
            && let Some(lease) = received.lease
        {
            lease.cancel(received.rules.outcome);
        }
    }

    /// Returns the pod that it comes from; `None` for the default body.
    ///
    /// Every answer of a client also has its pod as an extension, of type `Arc<Endpoint>`, which
    /// stays within reach when a layer wraps the body.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.0.as_ref().map(|received| &*received.endpoint)
    }
}

impl Received {
    fn is_read(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn end_if_read(&mut self) {
        if self.is_read() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(trailers) = self.rules.trailers.take() {
            self.rules.outcome = trailers.outcome(&HeaderMap::new());
        }
        if let Some(lease) = self.lease.take() {
            lease.finish(self.rules.outcome);
        }
    }

    /// Notes what a frame says of the end, and ends there if this was it.
    fn received(&mut self, frame: &Frame<Bytes>) {
        if let Some(idle) = &mut self.rules.idle {
            idle.progressed();
        }
        if let Some(trailers) = frame.trailers_ref()
            && let Some(awaited) = self.rules.trailers.take()
        {
            self.rules.outcome = awaited.outcome(trailers);
        }
        // WHY: many readers do not ask for another frame if this one is known to be the last.
        self.end_if_read();
    }

    /// Nothing came for as long as it may: the exchange ends here.
    #[cold]
    fn stalled(&mut self, limit: Duration) -> Error {
        // Ends the stream, or the connection that it is alone on.
        self.incoming = None;
        if let Some(lease) = self.lease.take() {
            lease.invalidate_older_idle();
            lease.cancel(Outcome::Failure);
        }
        Error::Body {
            endpoint: Arc::clone(&self.endpoint),
            source: BodyStalled(limit).into(),
        }
    }

    fn fail(&mut self, error: ExchangeError) -> Error {
        let lease = self.lease.take();
        // The pod did nothing wrong, and dropping the lease says nothing about it.
        if let Some(source) = self.body_failure.as_ref().and_then(BodyFailure::take) {
            return Error::RequestBody {
                endpoint: Arc::clone(&self.endpoint),
                source,
            };
        }
        if let Some(lease) = lease {
            match classify(&error) {
                // It had answered, so its end says nothing about the connections beside it.
                Classification::Connection | Classification::Misbehaved => lease.close(Outcome::Failure),
                _ => lease.finish(Outcome::Failure),
            }
        }
        Error::Body {
            endpoint: Arc::clone(&self.endpoint),
            source: error.into(),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(received) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let Some(incoming) = &mut received.incoming else {
            return Poll::Ready(None);
        };
        let Poll::Ready(next) = Pin::new(incoming).poll_frame(cx) else {
            let Some(idle) = &mut received.rules.idle else {
                return Poll::Pending;
            };
            ready!(idle.poll_stalled(cx));
            let limit = idle.limit();
            return Poll::Ready(Some(Err(received.stalled(limit))));
        };
        Poll::Ready(match next {
            Some(Ok(frame)) => {
                received.received(&frame);
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(received.fail(error))),
            None => {
                received.end();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Some(received) => received.lease.is_none() || received.is_read(),
            None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.as_ref().and_then(|received| received.incoming.as_ref()) {
            Some(incoming) => incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("endpoint", &self.endpoint())
            .field("ended", &self.is_end_stream())
            .finish_non_exhaustive()
    }
}

/// How much of a body is read to keep its connection.
const DISCARDED_FRAMES: usize = 4;
