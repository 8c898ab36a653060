//! [`Connection`]: the half of an open connection that sends requests.

use std::fmt;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};

use crate::abort::AbortHandle;
use crate::http2;
use crate::protocol::Protocol;
use crate::request_body::{RequestBody, take};

/// An open HTTP connection to one endpoint, or a handle to a shared one. Dropping the last handle
/// closes it.
pub struct Connection {
    half: Half,
    /// The pool takes a copy when the connection is opened. Further handles to it have none.
    abort: Option<AbortHandle>,
}

pub(crate) enum Half {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::Handle),
}

impl Connection {
    pub(crate) const fn new(half: Half, abort: AbortHandle) -> Self {
        Self {
            half,
            abort: Some(abort),
        }
    }

    /// Returns whether it is known to be closed.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.half {
            Half::Http1(sender) => sender.is_closed(),
            Half::Http2(handle) => handle.sender.is_closed(),
        }
    }

    /// Returns a further handle, if the connection can carry several requests and is open.
    pub(crate) fn share(&self) -> Option<Self> {
        match &self.half {
            Half::Http1(_) => None,
            Half::Http2(handle) => (!self.is_closed()).then(|| Self {
                half: Half::Http2(handle.clone()),
                abort: None,
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

    pub(crate) fn abort_handle(&self) -> Option<AbortHandle> {
        self.abort.clone()
    }

    /// Takes `request` out of its place, sends it, and waits for the head of its answer. An error
    /// that returns the request means that it was never sent.
    pub(crate) async fn send(
        &mut self,
        request: &mut Request<RequestBody>,
    ) -> Result<http::Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match &mut self.half {
            Half::Http1(sender) => {
                // WHY: hyper hands out the last bytes of an answer a moment before its driver is
                // ready for the next request. Waiting here costs no task per request, and no
                // connection.
                if !sender.is_ready() {
                    // A failure shows when the request is sent, which returns it.
                    let _ = tokio::time::timeout(READY_TIMEOUT, sender.ready()).await;
                }
                sender.try_send_request(take(request)).await
            }
            Half::Http2(handle) => handle.sender.try_send_request(take(request)).await,
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

/// How long a request waits for the exchange before it to end, which usually takes microseconds. It
/// takes long only if the pod answered before it had read the request, and leaves the rest unread;
/// the connection is then given up.
const READY_TIMEOUT: Duration = Duration::from_millis(100);
