//! [`ResponseBody`]: the body of an answer, which keeps the lease of its connection to its end.
//!
//! This is where load is counted to the end of the body: while a body is read, its endpoint has a
//! request in flight.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use headless::{Endpoint, Lease, Outcome};
use http_body::{Body, Frame, SizeHint};

use crate::classify::{Classification, classify};
use crate::connection::ExchangeError;
use crate::connector::Connector;
use crate::error::Error;
use crate::incoming::Incoming;
use crate::request_body::BodyFailure;

/// The body of an answer, streamed from the pod.
///
/// It holds the connection. After the body was read to its end, the connection serves the next
/// request, and the pod's load learns how long the exchange took. If the body is dropped earlier,
/// the request counts as cancelled: an HTTP/1 connection is closed, because the rest would still
/// come, and an HTTP/2 stream is reset. So read a short body even if it is not needed.
///
/// There is no timeout on the pace at which a body comes; put one around the reading.
///
/// The default one is empty and of no pod. It is for layers that answer in the client's place, such
/// as an interceptor that refuses a request.
#[derive(Default)]
pub struct ResponseBody(Option<Received>);

/// The body of an answer that came.
struct Received {
    incoming: Incoming,
    endpoint: Arc<Endpoint>,
    /// `None` after the end.
    lease: Option<Lease<Connector>>,
    /// What to report at the end.
    outcome: Outcome,
    /// The body of the request may still be sent, and fail.
    body_failure: Option<BodyFailure>,
}

impl ResponseBody {
    pub(crate) fn new(
        incoming: Incoming,
        lease: Lease<Connector>,
        outcome: Outcome,
        body_failure: Option<BodyFailure>,
    ) -> Self {
        let mut received = Received {
            incoming,
            endpoint: Arc::clone(lease.endpoint()),
            lease: Some(lease),
            outcome,
            body_failure,
        };
        received.end_if_read();
        Self(Some(received))
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
    fn end_if_read(&mut self) {
        if self.incoming.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.finish(self.outcome);
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
                Classification::Connection => lease.close(Outcome::Failure),
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
        let next = ready!(Pin::new(&mut received.incoming).poll_frame(cx));
        Poll::Ready(match next {
            Some(Ok(frame)) => {
                // WHY: many readers do not ask for another frame if this one is known to be the
                // last.
                received.end_if_read();
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
            Some(received) => received.lease.is_none() || received.incoming.is_end_stream(),
            None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some(received) => received.incoming.size_hint(),
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
