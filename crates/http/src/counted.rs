//! [`Counted`]: a body that must have the length that was declared for it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::error::BoxError;

/// A stream that fails when it has more or fewer bytes than declared.
///
/// Nothing beyond the declared length is passed on. The data that complete the body are passed on
/// after the stream has ended: the endpoint never receives a complete request whose body was cut.
pub(crate) struct Counted {
    body: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
    declared: u64,
    /// What has not come yet.
    left: u64,
    /// The stream has ended.
    has_ended: bool,
    /// The data that complete the body.
    last: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

/// A body and its declared length disagree.
#[derive(Debug, thiserror::Error)]
enum LengthError {
    #[error("the body has more than the {declared} bytes that were declared (`Content-Length`)")]
    TooLong { declared: u64 },
    #[error("the body ended after {received} of the {declared} bytes that were declared (`Content-Length`)")]
    TooShort { declared: u64, received: u64 },
}

impl Counted {
    pub(crate) fn new(body: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>, declared: u64) -> Self {
        Self {
            declared,
            left: declared,
            has_ended: body.is_end_stream(),
            body,
            last: None,
            trailers: None,
        }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let declared = this.declared;
        while !this.has_ended {
            let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)?) else {
                this.has_ended = true;
                break;
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    this.trailers = frame.into_trailers().ok().or(this.trailers.take());
                    continue;
                }
            };
            let Some(left) = this.left.checked_sub(data.len() as u64) else {
                return Poll::Ready(Some(Err(LengthError::TooLong { declared }.into())));
            };
            this.left = left;
            if left > 0 && !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if !data.is_empty() {
                this.last = Some(data);
            }
            this.has_ended = this.body.is_end_stream();
        }
        if this.left > 0 {
            let received = declared - this.left;
            return Poll::Ready(Some(Err(LengthError::TooShort { declared, received }.into())));
        }
        let last = this.last.take().map(Frame::data);
        Poll::Ready(last.or_else(|| this.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended && self.left == 0 && self.last.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.last.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(self.left + held as u64)
    }
}
