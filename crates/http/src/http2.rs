//! One HTTP/2 connection: how it is opened and driven, and what its peer allows.
//! Which requests go there is the pool's decision.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, oneshot};

use crate::connection::Unanswered;
use crate::connector::HeadLimits;
use crate::frame_observer::{FrameObserver, observe};
use crate::request_body::{RequestBody, take};

/// A handle to an open connection. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Handle(Arc<ConnectionState>);

/// What all handles to a connection share.
struct ConnectionState {
    /// The driver owns it.
    ///
    /// WHY: a request that is handed over in the moment in which the driver ends can stay in the
    /// channel between the two, which lives as long as any sender. The driver's sender is the last
    /// one: it ends with the driver, and the channel then returns the request.
    sender: Weak<SendRequest<RequestBody>>,
    /// The number of streams that the peer allows. ORDERING: Relaxed, a number on its own. A
    /// request that reads the old one opens a stream that waits for its turn, or that the peer
    /// refuses.
    streams: AtomicUsize,
    /// ORDERING: Relaxed, a fact on its own.
    has_answered: AtomicBool,
    /// Closed with the last handle, which the driver notices.
    _last_handle: oneshot::Sender<Infallible>,
}

impl Handle {
    /// Returns how many streams the peer allows at a time, by its last SETTINGS.
    pub(crate) fn stream_limit(&self) -> usize {
        self.0.streams.load(Relaxed)
    }

    /// Returns whether the driver has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.sender.strong_count() == 0
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.0.has_answered.load(Relaxed)
    }

    /// Takes `request` out of its place, sends it, and waits for the head of its answer.
    pub(crate) async fn send(&self, request: &mut Request<RequestBody>) -> Result<Response<Incoming>, Unanswered> {
        let answer = match self.0.sender.upgrade() {
            // The copy of the sender is gone before the wait.
            Some(sender) => (*sender).clone().try_send_request(take(request)),
            None => return Err(Unanswered::ended(request)),
        };
        let answer = answer.await?;
        if !self.has_answered() {
            self.0.has_answered.store(true, Relaxed);
        }
        Ok(answer)
    }
}

/// Runs a connection until it is closed, by the peer or because its last handle was dropped.
///
/// After a GOAWAY it ends early: no new stream is opened, and hyper's own task carries the open
/// ones to their end.
pub(crate) struct Driver<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> {
    /// `None` after the last handle was dropped. It is dropped before the connection, so that a
    /// request that the connection returns finds it closed.
    sender: Option<Arc<SendRequest<RequestBody>>>,
    connection: http2::Connection<TokioIo<FrameObserver<S>>, RequestBody, TokioExecutor>,
    /// Notified after a frame about the connection as a whole.
    changed: Arc<Notify>,
    state: Weak<ConnectionState>,
    /// Is closed when the last handle was dropped.
    handles: oneshot::Receiver<Infallible>,
}

/// Begins HTTP/2, and waits for the peer's SETTINGS. Returns `None` if the peer closed the
/// connection before.
///
/// WHY it waits: only SETTINGS say how many requests the connection may carry, and that the peer
/// speaks HTTP/2 at all. SPEC(RFC 9113 3.4): a server sends them first, without being asked.
pub(crate) async fn open<S>(
    stream: S,
    keep_alive: Option<Duration>,
    limits: HeadLimits,
) -> hyper::Result<Option<(Handle, Driver<S>)>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (stream, changed) = observe(stream);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(keep_alive)
        .max_header_list_size(u32::try_from(limits.bytes).unwrap_or(u32::MAX));
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let sender = Arc::new(sender);
    let (last_handle, handles) = oneshot::channel();
    let handle = Handle(Arc::new(ConnectionState {
        sender: Arc::downgrade(&sender),
        streams: AtomicUsize::new(0),
        has_answered: AtomicBool::new(false),
        _last_handle: last_handle,
    }));
    let mut driver = Driver {
        sender: Some(sender),
        connection,
        changed,
        state: Arc::downgrade(&handle.0),
        handles,
    };
    match driver.until_changed().await {
        None => Ok(Some((handle, driver))),
        Some(end) => end.map(|()| None),
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Driver<S> {
    /// Drives the connection to its end.
    pub(crate) async fn run(mut self) -> hyper::Result<()> {
        loop {
            if let Some(end) = self.until_changed().await {
                return end;
            }
        }
    }

    /// Drives the connection until it has ended, or until the peer has changed it: then `None`.
    async fn until_changed(&mut self) -> Option<hyper::Result<()>> {
        let mut changed = pin!(self.changed.notified());
        let end = poll_fn(|cx| {
            if self.sender.is_some() && Pin::new(&mut self.handles).poll(cx).is_ready() {
                self.sender = None;
            }
            match pin!(&mut self.connection).poll(cx) {
                Poll::Ready(end) => Poll::Ready(Some(end)),
                Poll::Pending => changed.as_mut().poll(cx).map(|()| None),
            }
        })
        .await;
        if let Some(state) = self.state.upgrade() {
            state.streams.store(self.connection.current_max_send_streams(), Relaxed);
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use http::Request;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::yield_now;

    use super::*;
    use crate::classify::{Classification, classify};

    /// SETTINGS that allow `streams` streams.
    fn settings(streams: u8) -> [u8; 15] {
        [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, streams]
    }

    const NO_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

    /// The last stream is 1, and nothing is wrong.
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

    const LIMITS: HeadLimits = HeadLimits {
        fields: 256,
        bytes: 10_000,
    };

    async fn opened(first: &[u8]) -> (Handle, DuplexStream) {
        let (ours, mut theirs) = duplex(10_000);
        theirs.write_all(first).await.unwrap();
        let (handle, driver) = open(ours, None, LIMITS).await.unwrap().unwrap();
        tokio::spawn(driver.run());
        (handle, theirs)
    }

    fn order() -> Request<RequestBody> {
        Request::post("http://web/").body("order".into()).unwrap()
    }

    #[tokio::test]
    async fn the_limit_of_streams_is_known_at_once_and_stays_the_peers() {
        let (handle, mut peer) = opened(&settings(2)).await;
        assert_eq!(handle.stream_limit(), 2);
        let other = handle.clone();
        for limit in [7, 0, 200] {
            peer.write_all(&settings(limit)).await.unwrap();
            while other.stream_limit() != usize::from(limit) {
                yield_now().await;
            }
        }
        let (handle, _peer) = opened(&NO_SETTINGS).await;
        assert_eq!(handle.stream_limit(), usize::MAX);
    }

    #[tokio::test]
    async fn after_a_goaway_it_takes_no_more() {
        let (handle, mut peer) = opened(&NO_SETTINGS).await;
        assert!(!handle.is_closed());
        peer.write_all(&GOAWAY).await.unwrap();
        while !handle.is_closed() {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_peer_that_closes_at_once_is_no_connection() {
        let (ours, theirs) = duplex(10_000);
        let (opened, ()) = tokio::join!(open(ours, None, LIMITS), async move { drop(theirs) });
        assert!(!matches!(opened, Ok(Some(_))));
        let (ours, mut theirs) = duplex(10_000);
        theirs.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        assert!(
            !matches!(open(ours, None, LIMITS).await, Ok(Some(_))),
            "it does not speak HTTP/2"
        );
    }

    #[tokio::test]
    async fn a_request_that_an_ending_driver_holds_is_not_blamed_on_its_body() {
        let (handle, mut peer) = opened(&settings(1)).await;
        let (mut first, mut second) = (order(), order());
        // Only one of them may be open. The driver keeps the other, and takes no third.
        let mut requests = pin!(futures_util::future::join(
            handle.send(&mut first),
            handle.send(&mut second)
        ));
        for _ in 0..100 {
            assert!(poll!(requests.as_mut()).is_pending());
            yield_now().await;
        }
        peer.write_all(&GOAWAY).await.unwrap();
        drop(peer);
        let (_, second) = requests.await;
        let failure = second.unwrap_err();
        assert!(failure.returned.is_none());
        let error = failure.error.unwrap();
        assert!(error.is_user(), "{error:?}: does hyper classify this otherwise now?");
        assert_eq!(classify(&error), Classification::Connection);
    }

    #[tokio::test]
    async fn a_request_that_an_ended_driver_left_behind_comes_back() {
        let (ours, mut theirs) = duplex(10_000);
        theirs.write_all(&NO_SETTINGS).await.unwrap();
        let (handle, driver) = open(ours, None, LIMITS).await.unwrap().unwrap();
        // The copy of a request that is handed over while the driver ends.
        let late = handle.0.sender.upgrade().unwrap();
        let mut request = order();
        let mut sending = pin!(handle.send(&mut request));
        assert!(poll!(sending.as_mut()).is_pending());
        drop(driver);
        assert!(!handle.is_closed(), "the copy keeps the channel");
        drop(late);
        let failure = sending.await.unwrap_err();
        assert!(failure.returned.is_some_and(|request| request.body().is_replayable()));
        assert!(handle.is_closed(), "no handle keeps the channel");
        assert!(handle.send(&mut order()).await.unwrap_err().returned.is_some());
    }

    #[tokio::test]
    async fn the_last_handle_closes_the_connection() {
        let (handle, mut peer) = opened(&NO_SETTINGS).await;
        drop(handle.clone());
        assert!(!handle.is_closed());
        drop(handle);
        tokio::io::copy(&mut peer, &mut tokio::io::sink()).await.unwrap();
    }
}
