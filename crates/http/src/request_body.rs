//! [`RequestBody`]: the one body type that goes to hyper, so that the client has no type parameter.
//! Bytes in memory stay bytes, so that the request can be sent again; anything else is a boxed
//! stream.

use std::any::Any;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};

use crate::counted::Counted;
use crate::error::BoxError;
use crate::framing;
use crate::replay::Recording;
use crate::sync::lock;

/// The body of a request: nothing, bytes in memory, or a stream.
///
/// A body in memory can be sent a second time, and so can a stream as long as what was sent of it
/// fits into the [`replay_buffer_bytes`](crate::ClientBuilder::replay_buffer_bytes). Only such a
/// request is ever repeated after a part of it may have left (see
/// [`Client`](crate::Client#retries)).
///
/// A stream must have as many bytes as its `Content-Length`, or its own exact size, declares. It is
/// counted while it is sent, and its last bytes leave when it has ended. If it has more or fewer,
/// the request fails with [`Error::RequestBody`](crate::Error::RequestBody), and the pod never
/// receives it as complete.
///
/// It is made from `()`, [`Bytes`], `Vec<u8>`, `String` or `&'static str` (`From`), and from any
/// other [`Body`] by [`new`](Self::new). [`Client::request`](crate::Client::request) and
/// [`Client::post`](crate::Client::post) take what it can be made from, so a stream is wrapped with
/// `RequestBody::new`; the client as a tower service takes any `Body`.
///
/// ```
/// use headless_http::RequestBody;
///
/// assert!(RequestBody::from(()).is_replayable());
/// assert!(RequestBody::from("qty=2").is_replayable());
/// ```
///
/// An upload in pieces, as they come out of a channel, by `StreamBody` of `http_body_util`, which
/// makes a body of any stream of frames. Its size is not known, so HTTP/1.1 sends it in chunks:
///
/// ```no_run
/// # async fn run(client: headless_http::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use std::io;
///
/// use bytes::Bytes;
/// use futures_util::stream;
/// use headless_http::RequestBody;
/// use http_body::Frame;
/// use http_body_util::StreamBody;
/// use tokio::sync::mpsc;
///
/// let (pieces, mut received) = mpsc::channel::<io::Result<Frame<Bytes>>>(4);
/// tokio::spawn(async move {
///     for line in ["one\n", "two\n"] {
///         // An `Err` here makes the request fail. The channel is closed if it has ended already.
///         if pieces.send(Ok(Frame::data(Bytes::from(line)))).await.is_err() {
///             return;
///         }
///     }
/// });
/// let frames = stream::poll_fn(move |cx| received.poll_recv(cx));
/// let body = RequestBody::new(StreamBody::new(frames));
/// let reply = client.request(http::Request::put("/uploads/7").body(body)?).await?;
/// println!("{}", reply.status());
/// # Ok(())
/// # }
/// ```
pub struct RequestBody(Kind);

enum Kind {
    /// `None`: empty, or sent already.
    Full(Option<Bytes>),
    Streaming {
        body: BoxedStream,
        failure: BodyFailure,
    },
}

pub(crate) type BoxedStream = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// What is kept of a body, to send it again.
pub(crate) enum KeptBody {
    Bytes(Bytes),
    Stream(Recording),
}

impl KeptBody {
    /// Returns the same body once more; `None` if too much of it was sent to be kept.
    pub(crate) fn again(&self) -> Option<RequestBody> {
        match self {
            Self::Bytes(bytes) => Some(bytes.clone().into()),
            Self::Stream(recording) => recording.again().map(RequestBody::streaming),
        }
    }
}

/// What hyper is told when a request's body fails: it tells that from hyper's own errors. The
/// reason is in [`BodyFailure`].
#[derive(Debug, thiserror::Error)]
#[error("the body of the request failed")]
pub(crate) struct BodyFailed;

/// Why a stream failed while it was sent, once it has: for the exchange that it belongs to.
///
/// WHY beside hyper's error: over HTTP/2, and once the answer has begun, that only says that the
/// exchange ended.
#[derive(Clone, Default)]
pub(crate) struct BodyFailure(Arc<Mutex<Option<BoxError>>>);

impl BodyFailure {
    pub(crate) fn take(&self) -> Option<BoxError> {
        lock(&self.0).take()
    }
}

impl RequestBody {
    /// Takes a body of any type. One that is empty, or `http_body_util`'s `Full<Bytes>`, is kept as
    /// bytes and not boxed.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::from(());
        }
        let mut slot = Some(body);
        if let Some(own) = taken::<Self>(&mut slot) {
            return own;
        }
        if let Some(full) = taken::<Full<Bytes>>(&mut slot) {
            return Self::from(bytes_of(full));
        }
        match slot {
            Some(body) => Self::streaming(body.map_err(Into::into)),
            None => Self::from(()),
        }
    }

    fn streaming(body: impl Body<Data = Bytes, Error = BoxError> + Send + 'static) -> Self {
        Self(Kind::Streaming {
            body: Box::pin(body),
            failure: BodyFailure::default(),
        })
    }

    /// Returns how many bytes are left in memory; `None` for a stream.
    pub(crate) fn bytes_left(&self) -> Option<usize> {
        match &self.0 {
            Kind::Full(bytes) => Some(bytes.as_ref().map_or(0, Bytes::len)),
            Kind::Streaming { .. } => None,
        }
    }

    /// Returns whether it is in memory and can be sent again.
    #[must_use]
    pub const fn is_replayable(&self) -> bool {
        matches!(self.0, Kind::Full(_))
    }

    /// Keeps it to be sent again: bytes in memory, or up to `limit` bytes of a stream while it is
    /// sent. `None` for a stream of which nothing is kept.
    pub(crate) fn keep(&mut self, limit: usize) -> Option<KeptBody> {
        match mem::replace(self, Self::from(())).0 {
            Kind::Full(bytes) => {
                let kept = KeptBody::Bytes(bytes.clone().unwrap_or_default());
                self.0 = Kind::Full(bytes);
                Some(kept)
            }
            Kind::Streaming { body, failure } if limit == 0 => {
                self.0 = Kind::Streaming { body, failure };
                None
            }
            Kind::Streaming { body, failure } => {
                let (recording, recorded) = Recording::of(body, limit);
                self.0 = Kind::Streaming {
                    body: Box::pin(recorded),
                    failure,
                };
                Some(KeptBody::Stream(recording))
            }
        }
    }

    /// Takes the bytes out of a body in memory; `None` for a stream.
    pub(crate) fn take_bytes(&mut self) -> Option<Bytes> {
        match &mut self.0 {
            Kind::Full(bytes) => Some(bytes.take().unwrap_or_default()),
            Kind::Streaming { .. } => None,
        }
    }

    /// Lets a stream fail unless it has this length. Bytes in memory have theirs.
    pub(crate) fn declare_length(&mut self, length: u64) {
        let body = mem::replace(self, Self::from(()));
        *self = match body.0 {
            Kind::Streaming { body, failure } => Self(Kind::Streaming {
                body: Box::pin(Counted::new(body, length)),
                failure,
            }),
            full @ Kind::Full(_) => Self(full),
        };
    }

    /// Returns the place that tells why it failed; `None` for bytes in memory, which cannot fail.
    pub(crate) fn failure(&self) -> Option<BodyFailure> {
        match &self.0 {
            Kind::Full(_) => None,
            Kind::Streaming { failure, .. } => Some(failure.clone()),
        }
    }
}

/// Takes a request out of its place, and leaves an empty one.
pub(crate) fn take(request: &mut Request<RequestBody>) -> Request<RequestBody> {
    mem::replace(request, Request::new(().into()))
}

/// Copies the head of a request, without the extensions.
pub(crate) fn head_of<B>(request: &Request<B>) -> Request<()> {
    let mut head = Request::new(());
    head.method_mut().clone_from(request.method());
    head.uri_mut().clone_from(request.uri());
    *head.version_mut() = request.version();
    if !request.headers().is_empty() {
        head.headers_mut().clone_from(request.headers());
    }
    head
}

/// Takes the content out of `slot` if it is a `T`. Both types are known when this is compiled, so
/// it costs nothing.
fn taken<T: 'static>(slot: &mut dyn Any) -> Option<T> {
    slot.downcast_mut::<Option<T>>().and_then(Option::take)
}

/// A `Full` has all its bytes in its first frame, and never waits.
fn bytes_of(mut full: Full<Bytes>) -> Bytes {
    match Pin::new(&mut full).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Streaming { body, failure } => Poll::Ready(match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(mut frame)) => {
                    if let Some(trailers) = frame.trailers_mut() {
                        framing::settle_trailers(trailers);
                    }
                    Some(Ok(frame))
                }
                Some(Err(error)) => {
                    *lock(&failure.0) = Some(error);
                    Some(Err(BodyFailed.into()))
                }
                None => None,
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Streaming { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Streaming { body, .. } => body.size_hint(),
        }
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Full((!bytes.is_empty()).then_some(bytes)))
    }
}

impl From<()> for RequestBody {
    fn from((): ()) -> Self {
        Self(Kind::Full(None))
    }
}

impl From<Vec<u8>> for RequestBody {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for RequestBody {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for RequestBody {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Full(bytes) => write!(f, "RequestBody({} bytes)", bytes.as_ref().map_or(0, Bytes::len)),
            Kind::Streaming { .. } => f.write_str("RequestBody(stream)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_is_not_boxed() {
        assert!(RequestBody::new(http_body_util::Empty::new()).is_replayable());
        assert!(RequestBody::new(Full::new(Bytes::new())).is_replayable());
        let full = RequestBody::new(Full::new(Bytes::from_static(b"12345")));
        assert!(full.is_replayable());
        assert_eq!(full.size_hint().exact(), Some(5));
        let mut own = RequestBody::new(RequestBody::from("12345"));
        assert_eq!(own.size_hint().exact(), Some(5));
        let kept = own.keep(0).unwrap().again().unwrap();
        assert_eq!((own.size_hint().exact(), kept.size_hint().exact()), (Some(5), Some(5)));
    }

    #[test]
    fn anything_else_is_a_stream() {
        let frames = Full::new(Bytes::from_static(b"12345")).map_frame(|frame| frame);
        let mut stream = RequestBody::new(frames);
        assert!(!stream.is_replayable());
        assert!(stream.keep(0).is_none());
        let kept = stream.keep(1).unwrap().again().unwrap();
        assert!(!kept.is_replayable());
        assert_eq!(format!("{stream:?}"), "RequestBody(stream)");
    }
}
