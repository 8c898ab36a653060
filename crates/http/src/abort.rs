//! [`AbortableStream`]: a TCP stream that can be closed from outside while it is in use, and
//! [`AbortHandle`], which does so, and which knows whether anything was received. Above it is HTTP,
//! or TLS.
//!
//! The driver of a connection, which owns the stream, is another task. Ending the stream under it
//! lets every request on it fail with the reason.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};

use tokio::net::TcpStream;

use crate::intercept::{Intercept, Intercepted};

/// A TCP stream that fails with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) once it is
/// aborted.
pub(crate) type AbortableStream = Intercepted<TcpStream, AbortCheck>;

/// Makes `stream` abortable. With `expects_plain`, an answer in TLS is an error that says so.
pub(crate) fn abortable(stream: TcpStream, expects_plain: bool) -> (AbortableStream, AbortHandle) {
    let (state, received) = (Arc::<State>::default(), Arc::default());
    let handle = AbortHandle {
        state: Arc::downgrade(&state),
        received: Arc::clone(&received),
    };
    let check = AbortCheck {
        state,
        received,
        reader: None,
        expects_plain,
    };
    (Intercepted::new(stream, check), handle)
}

/// Stands between a stream and its user.
pub(crate) struct AbortCheck {
    state: Arc<State>,
    received: Arc<AtomicBool>,
    /// The task that an abort wakes, as in `state`: compared at every read, and usually the same.
    reader: Option<Waker>,
    /// Nothing was read yet, and nothing above understands TLS.
    expects_plain: bool,
}

/// What a stream and its [`AbortHandle`] share.
#[derive(Default)]
struct State {
    /// ORDERING: Relaxed. It is set before `reader` is locked to wake, and read after `reader` was
    /// locked to register: one of the two sees the other.
    is_aborted: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> io::Result<()> {
        if self.is_aborted.load(Relaxed) {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the pod left, and its drain deadline passed",
            ));
        }
        Ok(())
    }
}

impl Intercept for AbortCheck {
    /// Has an abort wake the reader. The driver of a connection always is one.
    fn read_pending(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let reader = cx.waker();
        if !self.reader.as_ref().is_some_and(|known| known.will_wake(reader)) {
            self.reader = Some(reader.clone());
            self.state.lock().clone_from(&self.reader);
        }
        self.state.check()
    }

    fn after_read(&mut self, read: &[u8]) -> io::Result<()> {
        self.state.check()?;
        if !read.is_empty() {
            self.received.store(true, Relaxed);
        }
        match std::mem::take(&mut self.expects_plain) && read.first() == Some(&TLS_ALERT) {
            true => Err(io::Error::new(io::ErrorKind::InvalidData, SPEAKS_TLS)),
            false => Ok(()),
        }
    }

    fn before_write(&mut self) -> io::Result<()> {
        self.state.check()
    }
}

/// Aborts one [`AbortableStream`].
#[derive(Clone)]
pub(crate) struct AbortHandle {
    state: Weak<State>,
    /// Something was received since [`expect_answer`](Self::expect_answer). ORDERING: Relaxed, a
    /// fact on its own.
    received: Arc<AtomicBool>,
}

impl AbortHandle {
    /// A request is sent: what was received before says nothing about it.
    pub(crate) fn expect_answer(&self) {
        self.received.store(false, Relaxed);
    }

    /// Returns whether nothing was received since [`expect_answer`](Self::expect_answer).
    pub(crate) fn is_silent(&self) -> bool {
        !self.received.load(Relaxed)
    }
}

impl headless::AbortHandle for AbortHandle {
    fn abort(&self) {
        if let Some(state) = self.state.upgrade() {
            state.is_aborted.store(true, Relaxed);
            if let Some(reader) = state.lock().take() {
                reader.wake();
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.state.upgrade().is_none_or(|state| state.is_aborted.load(Relaxed))
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finished = headless::AbortHandle::is_finished(self);
        f.debug_struct("AbortHandle").field("finished", &finished).finish()
    }
}

/// SPEC(RFC 8446 5.1): the content type of an alert, which is how a TLS server answers plain HTTP.
/// No answer of HTTP/1 begins with it, and no HTTP/2 connection: it would be a first frame of more
/// than a megabyte.
const TLS_ALERT: u8 = 21;

const SPEAKS_TLS: &str = "the pod answered with an alert of TLS; use the port for plain HTTP, or make the client with \
                          `tls(..)`";

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use headless::AbortHandle as _;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn connected() -> (AbortableStream, AbortHandle, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (stream, pod) = tokio::join!(connect, listener.accept());
        let (stream, handle) = abortable(stream.unwrap(), true);
        (stream, handle, pod.unwrap().0)
    }

    #[tokio::test]
    async fn an_abort_wakes_the_reader_and_fails_all_that_follows() {
        let (mut stream, handle, _pod) = connected().await;
        // A task that waited before is not the one that waits now.
        assert!(poll!(pin!(stream.read_u8())).is_pending());
        let reader = tokio::spawn(async move {
            let read = stream.read_u8().await;
            (read, stream)
        });
        tokio::task::yield_now().await;
        assert!(!handle.is_finished());
        handle.abort();
        assert!(handle.is_finished());
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
    async fn what_is_there_to_read_is_not_read_after_an_abort() {
        let (mut stream, handle, mut pod) = connected().await;
        pod.write_u8(1).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 1);
        pod.write_u8(2).await.unwrap();
        handle.abort();
        assert!(stream.read_u8().await.is_err());
    }

    #[tokio::test]
    async fn it_is_silent_until_something_is_received() {
        let (mut stream, handle, mut pod) = connected().await;
        for _ in 0..2 {
            handle.expect_answer();
            stream.write_u8(1).await.unwrap();
            assert!(handle.is_silent());
            pod.write_u8(2).await.unwrap();
            stream.read_u8().await.unwrap();
            assert!(!handle.is_silent());
        }
        handle.expect_answer();
        drop(pod);
        assert!(stream.read_u8().await.is_err());
        assert!(handle.is_silent(), "the end is no byte");
    }

    #[tokio::test]
    async fn a_stream_that_is_gone_has_nothing_to_abort() {
        let (stream, handle, _pod) = connected().await;
        drop(stream);
        assert!(handle.is_finished());
        handle.abort();
    }
}
