//! One request on an HTTP/2 connection, from its head to the head of its answer, in the task of the
//! caller: there is no channel to a driver, and no task, unless a stream is still being sent when
//! the answer begins.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::SendStream;
use h2::client::SendRequest;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use super::driver::UnansweredPing;
use super::incoming::{Incoming, declared_length};
use super::upload::Upload;
use super::waiting::Waiting;
use super::{ConnectionState, Handle};
use crate::connection::{ExchangeError, Unanswered};
use crate::incoming::Incoming as AnyIncoming;
use crate::request_body::{BodyFailed, RequestBody, head_of, take};
use crate::sync::lock;

impl Handle {
    /// Sends `request`, of which the head stays, and waits for the head of its answer.
    ///
    /// # Cancel safety
    /// Dropping the future resets the stream.
    pub(crate) async fn send(&self, request: &mut Request<RequestBody>) -> Result<Response<AnyIncoming>, Unanswered> {
        let state = &*self.0;
        declare_length(request);
        let is_whole = request.body().is_end_stream();
        let now = Instant::now();
        state.last_use.send(now);
        let mut sender = state.sender.clone();
        // WHY a copy: h2 keeps it whatever happens.
        let (mut response, mut stream) = match sender.send_request(head_of(request), is_whole) {
            Ok(sent) => sent,
            Err(error) if takes_streams(&mut sender) => return Err(ExchangeError::Http2(error).into()),
            Err(error) => {
                state.close();
                return Err(Unanswered {
                    returned: Some(Box::new(take(request))),
                    error: Some(error.into()),
                });
            }
        };
        drop(sender);
        let mut waiting = Waiting::new(Arc::clone(&self.0), now);
        let mut upload = match () {
            () if is_whole => None,
            // WHY only what fits: what h2 holds keeps its place among the streams that the peer
            // allows, even after the answer, until the peer takes it.
            () if fits(&mut stream, request.body()) => {
                let bytes = request.body_mut().take_bytes().unwrap_or_default();
                // It fails if the stream has ended, which the answer explains.
                let _ = stream.send_data(bytes, true);
                None
            }
            () => Some(Box::new(Upload::new(
                stream,
                mem::replace(request.body_mut(), ().into()),
            ))),
        };
        let answer = poll_fn(|cx| {
            if let Some(sending) = &mut upload
                && let Poll::Ready(sent) = sending.poll(cx)
            {
                upload = None;
                if sent.is_err() {
                    return Poll::Ready(Err(ExchangeError::RequestBody(BodyFailed)));
                }
            }
            Pin::new(&mut response).poll(cx).map_err(|error| state.explain(error))
        })
        .await;
        waiting.end();
        let answer = answer?;
        let length = match has_no_body(request.method(), answer.status()) {
            true => Some(0),
            false => declared_length(answer.headers()),
        };
        state.last_use.answered();
        if !state.has_answered.load(Relaxed) {
            state.has_answered.store(true, Relaxed);
        }
        // The rest of a stream is sent while the answer is read, or is not read.
        let upload = upload.map(|upload| state.runtime.spawn(upload).abort_handle());
        Ok(answer.map(|stream| AnyIncoming::Http2(Incoming::new(stream, length, upload, waiting))))
    }
}

impl ConnectionState {
    /// An exchange ended with `error`. Notes what it says about the connection.
    fn explain(&self, error: h2::Error) -> ExchangeError {
        if error.is_reset() {
            return ExchangeError::Http2(error);
        }
        // Perhaps sooner than the driver says so.
        self.close();
        match *lock(&self.unanswered_ping) {
            Some(timeout) if !error.is_go_away() => UnansweredPing(timeout).into(),
            _ => ExchangeError::Http2(error),
        }
    }
}

/// Whether the body is in memory, and the peer takes all of it now.
fn fits(stream: &mut SendStream<Bytes>, body: &RequestBody) -> bool {
    let Some(length) = body.bytes_left() else { return false };
    stream.reserve_capacity(length);
    stream.capacity() >= length
}

/// SPEC(RFC 9110 6.4.1): such an answer has no content, whatever its `Content-Length` says.
fn has_no_body(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

/// Whether h2 opens another stream: there was no GOAWAY, and numbers for streams are left.
pub(super) fn takes_streams(sender: &mut SendRequest<Bytes>) -> bool {
    let ready = sender.poll_ready(&mut Context::from_waker(Waker::noop()));
    matches!(ready, Poll::Ready(Ok(())))
}

/// SPEC(RFC 9110 8.6): the length is sent if it is known, unless the method has no body by itself
/// and there is none.
fn declare_length(request: &mut Request<RequestBody>) {
    let Some(length) = request.body().size_hint().exact() else {
        return;
    };
    let has_no_body = [Method::GET, Method::HEAD, Method::DELETE, Method::CONNECT].contains(request.method());
    if length > 0 || !has_no_body {
        request
            .headers_mut()
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
}
