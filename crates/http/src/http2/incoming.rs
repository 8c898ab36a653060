//! [`Incoming`]: the body of an answer over HTTP/2.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};
use tokio::task::AbortHandle;

use super::waiting::Waiting;

/// A body that is received. With its end, or if it is dropped before, the rest of the request is
/// not sent any more, and the stream is reset.
pub(crate) struct Incoming {
    stream: RecvStream,
    /// What has not come yet, if the length was declared. That they agree is checked by h2.
    left: Option<u64>,
    /// Only trailers may follow.
    data_ended: bool,
    has_ended: bool,
    /// Sends the rest of the request's body.
    upload: Option<AbortHandle>,
    waiting: Waiting,
}

impl Incoming {
    /// `length`: of the whole body, if it was declared.
    pub(super) fn new(stream: RecvStream, length: Option<u64>, upload: Option<AbortHandle>, waiting: Waiting) -> Self {
        let mut incoming = Self {
            left: match stream.is_end_stream() {
                true => Some(0),
                false => length,
            },
            stream,
            data_ended: false,
            has_ended: false,
            upload,
            waiting,
        };
        incoming.end_upload();
        incoming
    }

    /// SPEC(RFC 9113 8.1): after a complete answer, the rest of the request need not be sent. It
    /// would keep its place among the streams that the peer allows.
    fn end_upload(&mut self) {
        if self.upload.is_some()
            && self.is_end_stream()
            && let Some(upload) = self.upload.take()
        {
            upload.abort();
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        while !self.data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // It is the reader's now, so the peer may send as much again.
                    self.stream.flow_control().release_capacity(data.len())?;
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    // SPEC(RFC 9113 6.1): a frame without data means nothing, or the end.
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Some(Err(error)) => return Poll::Ready(self.after(error)),
                None => self.data_ended = true,
            }
        }
        Poll::Ready(match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => self.after(error),
        })
    }

    /// The peer has reset the stream before it marked the end.
    ///
    /// SPEC(RFC 9113 8.1): NO_ERROR asks for the rest of the request not to be sent, after a
    /// complete answer.
    fn after<T>(&self, error: h2::Error) -> Option<Result<T, h2::Error>> {
        let is_complete = self.left.is_none_or(|left| left == 0);
        let is_no_error = error.is_reset() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR);
        (!is_complete || !is_no_error).then_some(Err(error))
    }
}

/// Returns the length of a body by the head of its answer.
pub(super) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(next) = self.poll_next(cx) else {
            self.waiting.begin();
            return Poll::Pending;
        };
        self.waiting.end();
        self.has_ended = next.as_ref().is_none_or(|next| match next {
            Ok(frame) => frame.is_trailers(),
            Err(_) => true,
        });
        self.end_upload();
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        // WHY the length first: h2 answers under the lock of the connection. What is left to come
        // has not come.
        self.has_ended || self.left.is_none_or(|left| left == 0) && self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("left", &self.left)
            .field("ended", &self.is_end_stream())
            .finish_non_exhaustive()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.abort();
        }
    }
}
