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
use hyper::body::Incoming;

use crate::classify::{Classification, classify};
use crate::connector::Connector;
use crate::error::Error;

/// The body of an answer, streamed from the pod.
///
/// It holds the connection. After the body was read to its end, the connection serves the next
/// request, and the pod's load learns how long the exchange took. If the body is dropped earlier,
/// the request counts as cancelled: an HTTP/1 connection is closed, because the rest would still
/// come, and an HTTP/2 stream is reset. So read a short body even if it is not needed.
///
/// There is no timeout on the pace at which a body comes; put one around the reading.
pub struct ResponseBody {
    incoming: Incoming,
    endpoint: Arc<Endpoint>,
    /// `None` after the end.
    lease: Option<Lease<Connector>>,
    /// What to report at the end.
    outcome: Outcome,
}

impl ResponseBody {
    pub(crate) fn new(incoming: Incoming, lease: Lease<Connector>, outcome: Outcome) -> Self {
        let mut body = Self {
            incoming,
            endpoint: Arc::clone(lease.endpoint()),
            lease: Some(lease),
            outcome,
        };
        body.end_if_read();
        body
    }

    /// Returns the pod that it comes from.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn shared_endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

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

    fn fail(&mut self, error: hyper::Error) -> Error {
        if let Some(lease) = self.lease.take() {
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
        let next = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        Poll::Ready(match next {
            Some(Ok(frame)) => {
                // WHY: many readers do not ask for another frame if this one is known to be the
                // last.
                self.end_if_read();
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(self.fail(error))),
            None => {
                self.end();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none() || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("endpoint", &self.endpoint)
            .field("ended", &self.lease.is_none())
            .finish_non_exhaustive()
    }
}
