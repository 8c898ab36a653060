//! [`Connection`]: the half of an open connection that sends requests.

use std::fmt;

use headless::CapacityChanged;
use http::{Request, Response};
use hyper::client::conn::TrySendError;

use crate::abort::AbortHandle;
use crate::error::ConnectorError;
use crate::first_bytes::WrongProtocol;
use crate::http2::UnansweredPing;
use crate::incoming::Incoming;
use crate::last_use::LastUse;
use crate::protocol::Protocol;
use crate::refusal::Refusal;
use crate::request_body::{BodyFailed, RequestBody, take};
use crate::{http1, http2};

/// An open HTTP connection to one endpoint, or a handle to a shared one. Dropping the last handle
/// closes it.
pub struct Connection {
    half: Half,
    /// The pool takes a copy when the connection is opened. Further handles to it have none.
    abort: Option<AbortHandle>,
    /// Of a connection over TLS.
    refusal: Option<Refusal>,
}

pub(crate) enum Half {
    Http1(http1::Handle),
    Http2(http2::Handle),
}

/// A request without an answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// The request, if it was never sent.
    ///
    /// WHY boxed: an answer has the size of what may come in its place.
    pub(crate) returned: Option<Box<Request<RequestBody>>>,
    /// `None`: the connection had ended before.
    pub(crate) error: Option<ExchangeError>,
}

/// What ended an exchange.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error(transparent)]
    Http1(#[from] hyper::Error),
    #[error(transparent)]
    Http2(#[from] h2::Error),
    /// The endpoint has answered in another protocol, and acted on nothing.
    #[error(transparent)]
    WrongProtocol(#[from] WrongProtocol),
    /// The driver of an HTTP/2 connection has given it up.
    #[error(transparent)]
    UnansweredPing(#[from] UnansweredPing),
    /// The reason is in the [`BodyFailure`](crate::request_body::BodyFailure).
    #[error(transparent)]
    RequestBody(#[from] BodyFailed),
}

impl Unanswered {
    /// The connection had ended before `request` was handed over.
    pub(crate) fn ended(request: &mut Request<RequestBody>) -> Self {
        Self {
            returned: Some(Box::new(take(request))),
            error: None,
        }
    }
}

impl From<TrySendError<Request<RequestBody>>> for Unanswered {
    fn from(mut error: TrySendError<Request<RequestBody>>) -> Self {
        Self {
            returned: error.take_message().map(Box::new),
            error: Some(error.into_error().into()),
        }
    }
}

/// A part of the request may have left.
impl From<ExchangeError> for Unanswered {
    fn from(error: ExchangeError) -> Self {
        Self {
            returned: None,
            error: Some(error),
        }
    }
}

impl Connection {
    pub(crate) const fn new(half: Half, abort: AbortHandle) -> Self {
        Self {
            half,
            abort: Some(abort),
            refusal: None,
        }
    }

    /// It may turn out that the endpoint has refused it.
    pub(crate) fn refusable(mut self, refusal: Refusal) -> Self {
        self.refusal = Some(refusal);
        self
    }

    /// Returns whether the endpoint may still refuse it. It is then told once, however the exchange
    /// fails ([`take_refusal`](Self::take_refusal)), and nothing was processed.
    pub(crate) fn may_be_refused(&self) -> bool {
        self.refusal.is_some() && !self.has_answered()
    }

    /// Takes why the endpoint has refused it after it was opened, if it has.
    pub(crate) fn take_refusal(&self) -> Option<ConnectorError> {
        self.refusal.as_ref().filter(|_| self.may_be_refused())?.take()
    }

    /// Returns whether it takes no other request: it is closed, or its end is announced.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.half {
            Half::Http1(handle) => handle.is_closed() || self.abort.as_ref().is_some_and(AbortHandle::takes_no_more),
            Half::Http2(handle) => handle.is_closed(),
        }
    }

    pub(crate) fn last_use(&self) -> &LastUse {
        match &self.half {
            Half::Http1(handle) => handle.last_use(),
            Half::Http2(handle) => handle.last_use(),
        }
    }

    /// Returns whether a request was answered on it.
    pub(crate) fn has_answered(&self) -> bool {
        match &self.half {
            Half::Http1(handle) => handle.has_answered(),
            Half::Http2(handle) => handle.has_answered(),
        }
    }

    /// Returns a further handle, if the connection can carry several requests, is open, and is not
    /// suspect.
    pub(crate) fn share(&self) -> Option<Self> {
        match &self.half {
            Half::Http1(_) => None,
            Half::Http2(handle) => (!handle.is_closed() && !handle.is_suspect()).then(|| Self {
                half: Half::Http2(handle.clone()),
                abort: None,
                refusal: self.refusal.clone(),
            }),
        }
    }

    /// Returns how many requests it can carry at a time.
    pub(crate) fn stream_limit(&self) -> usize {
        match &self.half {
            Half::Http1(_) => 1,
            Half::Http2(handle) => handle.stream_limit(),
        }
    }

    /// Has `changed` called when it takes more or fewer requests than before.
    pub(crate) fn watch(&self, changed: CapacityChanged) {
        if let Half::Http2(handle) = &self.half {
            handle.watch(changed);
        }
    }

    pub(crate) fn abort_handle(&self) -> Option<AbortHandle> {
        self.abort.clone()
    }

    /// Returns whether nothing was received since the last request was sent. An HTTP/2 connection,
    /// which carries other requests at the same time, finds that out for itself.
    pub(crate) fn is_silent(&self) -> bool {
        match (&self.half, &self.abort) {
            (Half::Http1(_), Some(abort)) => abort.is_silent(),
            _ => false,
        }
    }

    /// Sends `request`, and waits for the head of its answer. Its body is taken out of it, and over
    /// HTTP/1 its head too. An error that returns it means that it was never sent.
    pub(crate) async fn send(&mut self, request: &mut Request<RequestBody>) -> Result<Response<Incoming>, Unanswered> {
        match &mut self.half {
            Half::Http1(handle) => {
                if let Some(abort) = &self.abort {
                    abort.expect_answer();
                }
                match handle.send(request).await {
                    Ok(answer) => Ok(answer.map(Incoming::Http1)),
                    Err(unanswered) => Err(self.explain(unanswered)),
                }
            }
            Half::Http2(handle) => handle.send(request).await,
        }
    }
}

impl Connection {
    /// hyper's error does not tell that the answer was in another protocol; nor does the end of the
    /// driver, which may come before the request.
    fn explain(&self, unanswered: Unanswered) -> Unanswered {
        let wrong = self.abort.as_ref().and_then(AbortHandle::wrong_protocol);
        wrong.map_or(unanswered, |wrong| ExchangeError::from(wrong).into())
    }
}

/// WHY: hyper's driver goes on as long as there is something to send, even if nothing else holds
/// the connection. A pod that has answered and does not read the rest of a request would keep it,
/// the socket and the body for good.
impl Drop for Connection {
    fn drop(&mut self) {
        if let (Half::Http1(handle), Some(abort)) = (&self.half, &self.abort)
            && handle.is_sending()
        {
            headless::AbortHandle::abort(abort);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match &self.half {
            Half::Http1(_) => Protocol::Http1,
            Half::Http2(_) => Protocol::Http2,
        };
        f.debug_struct("Connection")
            .field("protocol", &protocol)
            .field("closed", &self.is_closed())
            .finish()
    }
}
