//! [`Upload`]: sends the body of a request that is a stream.
//!
//! The body is asked for more when the peer has taken what there was, and window is reserved for
//! the data at hand only: a slow body keeps nothing from the other streams of its connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, SendStream};
use http::HeaderMap;
use http_body::Body;

use crate::request_body::{BodyFailed, RequestBody};

/// A body on its way. The future ends when the body has been handed to h2, or when the peer takes
/// no more of it, which the answer explains.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: RequestBody,
    /// Data that the peer has not taken yet.
    data: Bytes,
    /// After the last data.
    has_ended: bool,
}

impl Upload {
    pub(super) const fn new(stream: SendStream<Bytes>, body: RequestBody) -> Self {
        Self {
            stream,
            body,
            data: Bytes::new(),
            has_ended: false,
        }
    }

    /// Sends on. An error means that the body failed; the stream is then reset.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyFailed>> {
        // `None`: h2 takes no more.
        while let Some(step) = ready!(self.poll_step(cx)) {
            match step {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(failed) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(failed));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// One frame. Returns whether it was the last one.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<bool, BodyFailed>>> {
        if self.data.has_remaining() {
            self.stream.reserve_capacity(self.data.len());
            // h2 tells only what has become more.
            while self.stream.capacity() == 0 {
                let Some(Ok(_)) = ready!(self.stream.poll_capacity(cx)) else {
                    return Poll::Ready(None);
                };
            }
            let part = self.data.split_to(self.stream.capacity().min(self.data.len()));
            let is_last = self.has_ended && self.data.is_empty();
            let sent = self.stream.send_data(part, is_last);
            return Poll::Ready(sent.ok().map(|()| Ok(is_last)));
        }
        // A body that has nothing to send does not notice that the peer wants nothing.
        if self.stream.poll_reset(cx).is_ready() {
            return Poll::Ready(None);
        }
        let sent = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => self.stream.send_data(Bytes::new(), true),
            Some(Err(_)) => return Poll::Ready(Some(Err(BodyFailed))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    (self.data, self.has_ended) = (data, self.body.is_end_stream());
                    if !self.has_ended || self.data.has_remaining() {
                        return Poll::Ready(Some(Ok(false)));
                    }
                    self.stream.send_data(Bytes::new(), true)
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_else(|_| HeaderMap::new());
                    self.stream.send_trailers(trailers)
                }
            },
        };
        Poll::Ready(sent.ok().map(|()| Ok(true)))
    }
}

impl Future for Upload {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Why a body failed is told by itself.
        Self::poll(&mut self, cx).map(|_sent| ())
    }
}
