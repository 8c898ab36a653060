//! One HTTP/2 connection: how it is opened and driven, and what its peer allows.
//! Which requests go there is the pool's decision.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use crate::frame_observer::{FrameObserver, observe};
use crate::request_body::RequestBody;

/// A handle to an open connection. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) sender: SendRequest<RequestBody>,
    /// The number of streams that the peer allows. ORDERING: Relaxed, a number on its own. A
    /// request that reads the old one opens a stream that waits for its turn, or that the peer
    /// refuses.
    streams: Arc<AtomicUsize>,
}

impl Handle {
    /// Returns how many streams the peer allows at a time, by its last SETTINGS.
    pub(crate) fn stream_limit(&self) -> usize {
        self.streams.load(Relaxed)
    }
}

/// Runs a connection until it is closed.
///
/// After a GOAWAY it ends early: no new stream is opened, and hyper's own task carries the open
/// ones to their end.
pub(crate) struct Driver<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> {
    connection: http2::Connection<TokioIo<FrameObserver<S>>, RequestBody, TokioExecutor>,
    /// Notified after a frame about the connection as a whole.
    changed: Arc<Notify>,
    streams: Arc<AtomicUsize>,
}

/// Begins HTTP/2, and waits for the peer's SETTINGS. Returns `None` if the peer closed the
/// connection before.
///
/// WHY it waits: only SETTINGS say how many requests the connection may carry, and that the peer
/// speaks HTTP/2 at all. SPEC(RFC 9113 3.4): a server sends them first, without being asked.
pub(crate) async fn open<S>(stream: S, keep_alive: Option<Duration>) -> hyper::Result<Option<(Handle, Driver<S>)>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (stream, changed) = observe(stream);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(keep_alive);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let streams = Arc::new(AtomicUsize::new(0));
    let handle = Handle {
        sender,
        streams: Arc::clone(&streams),
    };
    let mut driver = Driver {
        connection,
        changed,
        streams,
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
        let end = poll_fn(|cx| match pin!(&mut self.connection).poll(cx) {
            Poll::Ready(end) => Poll::Ready(Some(end)),
            Poll::Pending => changed.as_mut().poll(cx).map(|()| None),
        })
        .await;
        self.streams.store(self.connection.current_max_send_streams(), Relaxed);
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

    async fn opened(first: &[u8]) -> (Handle, DuplexStream) {
        let (ours, mut theirs) = duplex(10_000);
        theirs.write_all(first).await.unwrap();
        let (handle, driver) = open(ours, None).await.unwrap().unwrap();
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
        assert!(!handle.sender.is_closed());
        peer.write_all(&GOAWAY).await.unwrap();
        while !handle.sender.is_closed() {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_peer_that_closes_at_once_is_no_connection() {
        let (ours, theirs) = duplex(10_000);
        let (opened, ()) = tokio::join!(open(ours, None), async move { drop(theirs) });
        assert!(!matches!(opened, Ok(Some(_))));
        let (ours, mut theirs) = duplex(10_000);
        theirs.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        assert!(
            !matches!(open(ours, None).await, Ok(Some(_))),
            "it does not speak HTTP/2"
        );
    }

    #[tokio::test]
    async fn a_request_that_an_ending_driver_holds_is_not_blamed_on_its_body() {
        let (mut handle, mut peer) = opened(&settings(1)).await;
        let mut other = handle.clone();
        // Only one of them may be open. The driver keeps the other, and takes no third.
        let mut requests = pin!(futures_util::future::join(
            handle.sender.try_send_request(order()),
            other.sender.try_send_request(order())
        ));
        for _ in 0..100 {
            assert!(poll!(requests.as_mut()).is_pending());
            yield_now().await;
        }
        peer.write_all(&GOAWAY).await.unwrap();
        drop(peer);
        let (_, second) = requests.await;
        let mut failure = second.unwrap_err();
        assert!(failure.take_message().is_none());
        let error = failure.into_error();
        assert!(error.is_user(), "{error:?}: does hyper classify this otherwise now?");
        assert_eq!(classify(&error), Classification::Connection);
    }
}
