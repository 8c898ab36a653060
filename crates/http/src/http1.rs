//! One HTTP/1.1 connection as its user holds it: when it takes a request, and when it takes no
//! more.
//!
//! Two things are decided here, and not left to hyper, because hyper's driver is another task and
//! knows them later than the user of an answer:
//!
//! * A message that announces the end of the connection is the last one on it, from the moment its
//!   head is read.
//! * A request that the driver leaves behind when it ends comes back ([`Handle::send`]).

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::connection::Unanswered;
use crate::connector::HeadLimits;
use crate::framing::tokens;
use crate::last_use::LastUse;
use crate::request_body::{RequestBody, take};

/// The only handle to an open connection.
pub(crate) struct Handle {
    /// `None` after the driver has ended.
    sender: Option<SendRequest<RequestBody>>,
    /// Is closed when the driver has ended.
    driver: oneshot::Receiver<Infallible>,
    /// The exchange so far allows no other one.
    is_closing: bool,
    has_answered: bool,
    /// The endpoint answered in HTTP/1.0, so hyper sends in HTTP/1.0 too.
    is_http10: bool,
    last_use: LastUse,
}

impl Handle {
    /// `driver` is the other half of what the driver's task drops when it ends.
    pub(crate) fn new(sender: SendRequest<RequestBody>, driver: oneshot::Receiver<Infallible>) -> Self {
        Self {
            sender: Some(sender),
            driver,
            is_closing: false,
            has_answered: false,
            is_http10: false,
            last_use: LastUse::new(),
        }
    }

    pub(crate) const fn last_use(&self) -> &LastUse {
        &self.last_use
    }

    /// Returns whether it takes no other request.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closing || self.sender.as_ref().is_none_or(SendRequest::is_closed)
    }

    /// Returns whether the driver still has something to send, or to receive.
    pub(crate) fn is_sending(&self) -> bool {
        self.sender
            .as_ref()
            .is_some_and(|sender| !sender.is_ready() && !sender.is_closed())
    }

    pub(crate) const fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Takes `request` out of its place, sends it, and waits for the head of its answer.
    ///
    /// WHY it watches the driver: a request that is handed over in the moment in which the driver
    /// ends can stay in the channel between the two, which lives as long as the sender. So the
    /// sender is dropped when the driver has ended, and the channel returns the request.
    pub(crate) async fn send(&mut self, request: &mut Request<RequestBody>) -> Result<Response<Incoming>, Unanswered> {
        let Some(sender) = &mut self.sender else {
            return Err(Unanswered::ended(request));
        };
        // HTTP/1.0 has no chunks, and hyper would leave out the body. A new connection takes it.
        if self.is_http10 && request.headers().contains_key(TRANSFER_ENCODING) {
            self.is_closing = true;
            return Err(Unanswered::ended(request));
        }
        // WHY: hyper hands out the last bytes of an answer a moment before its driver is ready for
        // the next request. Waiting here costs no task per request, and no connection.
        if !sender.is_ready() {
            // A failure shows when the request is sent, which returns it.
            let _ = timeout(READY_TIMEOUT, sender.ready()).await;
        }
        self.last_use.send(Instant::now());
        // Until the answer says otherwise.
        self.is_closing = true;
        let is_last = lists(request.headers(), &CONNECTION, "close");
        let mut answer = pin!(sender.try_send_request(take(request)));
        let result = poll_fn(|cx| {
            if let Poll::Ready(result) = answer.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if self.sender.is_some() && Pin::new(&mut self.driver).poll(cx).is_ready() {
                self.sender = None;
                return answer.as_mut().poll(cx);
            }
            Poll::Pending
        })
        .await;
        let answer = result?;
        self.is_closing = is_last || ends_connection(&answer);
        self.has_answered = true;
        self.last_use.answered();
        self.is_http10 = answer.version() < Version::HTTP_11;
        Ok(answer)
    }
}

/// Returns what opens connections.
pub(crate) fn builder(limits: HeadLimits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_headers(limits.fields)
        .max_header_size(limits.bytes)
        // A head must fit into the buffer, with a little of the body behind it.
        .max_buf_size(limits.bytes.max(MIN_BUFFER).saturating_add(MIN_BUFFER));
    builder
}

/// The smallest buffer that hyper accepts.
const MIN_BUFFER: usize = 8192;

/// Whether nothing may be sent after this answer.
///
/// SPEC(RFC 9112 9.3, 9.6): `close` announces the end, and HTTP/1.0 ends unless it says otherwise.
/// SPEC(RFC 9112 6.3): a body without a length ends with the connection.
fn ends_connection<B: Body>(answer: &Response<B>) -> bool {
    let headers = answer.headers();
    lists(headers, &CONNECTION, "close")
        || answer.version() < Version::HTTP_11 && !lists(headers, &CONNECTION, "keep-alive")
        || answer.status() == StatusCode::SWITCHING_PROTOCOLS
        || answer.body().size_hint().exact().is_none() && !lists(headers, &TRANSFER_ENCODING, "chunked")
}

/// Whether the list in the fields `name` contains `option`, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, option: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(option.as_bytes()))
}

/// How long a request waits for the exchange before it to end, which usually takes microseconds. It
/// takes long only if the pod answered before it had read the request, and leaves the rest unread;
/// the connection is then given up.
const READY_TIMEOUT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{Either, Full, StreamBody};
    use hyper::client::conn::http1::handshake;
    use hyper_util::rt::TokioIo;
    use tokio::io::duplex;

    use super::*;

    fn answer(version: Version, fields: &[(&'static str, &'static str)], has_length: bool) -> bool {
        let frames = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>();
        let body = match has_length {
            true => Either::Left(Full::new(Bytes::new())),
            false => Either::Right(StreamBody::new(frames)),
        };
        let mut answer = Response::new(body);
        *answer.version_mut() = version;
        for (name, value) in fields {
            answer.headers_mut().append(*name, value.parse().unwrap());
        }
        ends_connection(&answer)
    }

    #[test]
    fn an_answer_says_whether_it_is_the_last() {
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        for (version, fields, has_length, expected) in [
            (new, &[][..], true, false),
            (new, &[("connection", "close")], true, true),
            (new, &[("connection", "Close")], true, true),
            (new, &[("connection", "x-trace ,  CLOSE")], true, true),
            (
                new,
                &[("connection", "keep-alive"), ("connection", "close")],
                true,
                true,
            ),
            (new, &[("connection", "closed, not-close")], true, false),
            (new, &[("connection", "keep-alive")], true, false),
            (old, &[], true, true),
            (old, &[("connection", "Keep-Alive")], true, false),
            (old, &[("connection", "keep-alive, close")], true, true),
            (new, &[], false, true),
            (new, &[("transfer-encoding", "gzip, Chunked")], false, false),
            (
                new,
                &[("transfer-encoding", "chunked"), ("connection", "close")],
                false,
                true,
            ),
        ] {
            assert_eq!(answer(version, fields, has_length), expected, "{version:?} {fields:?}");
        }
    }

    #[tokio::test]
    async fn a_request_that_an_ended_driver_left_behind_comes_back() {
        let (ours, _theirs) = duplex(1000);
        let (sender, mut driver) = handshake(TokioIo::new(ours)).await.unwrap();
        assert!(futures_util::poll!(&mut driver).is_pending(), "ready for a request");
        let (runs, ended) = oneshot::channel();
        let mut handle = Handle::new(sender, ended);
        let mut request = Request::post("/").body(RequestBody::from("order")).unwrap();
        {
            // The driver does not run again, so the request stays in the channel.
            let mut sending = pin!(handle.send(&mut request));
            assert!(futures_util::poll!(sending.as_mut()).is_pending());
            drop(runs);
            assert!(futures_util::poll!(sending.as_mut()).is_pending());
            drop(driver);
            let failed = sending.await.unwrap_err();
            assert!(failed.returned.is_some_and(|request| request.body().is_replayable()));
        }
        assert!(handle.sender.is_none(), "the channel would live on with it");
        assert!(handle.is_closed());
        let failed = handle.send(&mut request).await.unwrap_err();
        assert!(failed.returned.is_some());
    }
}
