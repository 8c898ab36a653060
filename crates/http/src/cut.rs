//! [`Cuttable`]: a stream that can be closed from outside while somebody uses it, and [`Cut`], the grip on it. Above it is HTTP, or TLS.
//!
//! hyper's HTTP/2 spreads over several tasks, so ending one of them would not do; ending the stream under all of them does.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use headless_core::AbortHandle;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP stream that fails with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) once it is cut.
pub(crate) struct Cuttable {
    stream: TcpStream,
    state: Arc<State>,
    /// Whom a cut wakes, as `state` knows it too: asked with every read, and usually the same.
    reader: Option<Waker>,
    /// Nothing was read yet, and TLS would be an answer that nobody above understands.
    expects_plain: bool,
}

/// What a stream and its [`Cut`] share.
#[derive(Default)]
struct State {
    /// ORDERING: Relaxed. Set before `reader` is locked to wake, read after it was locked to register: one of the two sees the other.
    is_cut: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

/// Cuts one [`Cuttable`].
#[derive(Clone)]
pub(crate) struct Cut(Weak<State>);

impl Cuttable {
    pub(crate) fn new(stream: TcpStream, expects_plain: bool) -> (Self, Cut) {
        let state = Arc::<State>::default();
        let cut = Cut(Arc::downgrade(&state));
        let stream = Self {
            stream,
            state,
            reader: None,
            expects_plain,
        };
        (stream, cut)
    }

    /// Has a cut wake whoever waits for a read. The driver of a connection always does.
    fn register(&mut self, reader: &Waker) {
        if !self.reader.as_ref().is_some_and(|known| known.will_wake(reader)) {
            self.reader = Some(reader.clone());
            self.state.lock().clone_from(&self.reader);
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.state.is_cut.load(Relaxed) {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the pod left, and its drain deadline passed",
            ));
        }
        Ok(())
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if Pin::new(&mut self.stream).poll_read(cx, buf)?.is_pending() {
            self.register(cx.waker());
            self.check()?;
            return Poll::Pending;
        }
        self.check()?;
        match std::mem::take(&mut self.expects_plain) && buf.filled().get(before) == Some(&TLS_ALERT) {
            true => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, SPEAKS_TLS))),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl AbortHandle for Cut {
    fn abort(&self) {
        if let Some(state) = self.0.upgrade() {
            state.is_cut.store(true, Relaxed);
            if let Some(reader) = state.lock().take() {
                reader.wake();
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.0.upgrade().is_none_or(|state| state.is_cut.load(Relaxed))
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cut").field("finished", &self.is_finished()).finish()
    }
}

/// SPEC(RFC 8446 5.1): the content type of an alert, which is what a TLS server has to say to plain HTTP. No answer of HTTP/1 begins
/// with it, and no HTTP/2 connection: it would be a first frame of more than a megabyte.
const TLS_ALERT: u8 = 21;

const SPEAKS_TLS: &str =
    "the pod answered with an alert of TLS; use the port for plain HTTP, or make the client with `tls(..)`";

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn connected() -> (Cuttable, Cut, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (stream, pod) = tokio::join!(connect, listener.accept());
        let (stream, cut) = Cuttable::new(stream.unwrap(), true);
        (stream, cut, pod.unwrap().0)
    }

    #[tokio::test]
    async fn a_cut_wakes_the_reader_and_fails_all_that_follows() {
        let (mut stream, cut, _pod) = connected().await;
        // Whoever waited before is not the one who waits now.
        assert!(poll!(pin!(stream.read_u8())).is_pending());
        let reader = tokio::spawn(async move {
            let read = stream.read_u8().await;
            (read, stream)
        });
        tokio::task::yield_now().await;
        assert!(!cut.is_finished());
        cut.abort();
        assert!(cut.is_finished());
        let (read, mut stream) = reader.await.unwrap();
        for result in [
            read.map(drop),
            stream.read_u8().await.map(drop),
            stream.write_u8(1).await,
        ] {
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        }
    }

    #[tokio::test]
    async fn what_is_there_to_read_is_not_read_after_a_cut() {
        let (mut stream, cut, mut pod) = connected().await;
        pod.write_u8(1).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 1);
        pod.write_u8(2).await.unwrap();
        cut.abort();
        assert!(stream.read_u8().await.is_err());
    }

    #[tokio::test]
    async fn a_stream_that_is_gone_has_nothing_to_cut() {
        let (stream, cut, _pod) = connected().await;
        drop(stream);
        assert!(cut.is_finished());
        cut.abort();
    }
}
