//! [`AbortableStream`]: a TCP stream that can be closed from outside while it is in use, and
//! [`AbortHandle`], which does so, and which knows whether anything was received. Above it is HTTP,
//! or TLS.
//!
//! The driver of a connection, which owns the stream, is another task. Ending the stream under it
//! lets every request on it fail with the reason.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Waker};

use tokio::net::TcpStream;

use crate::first_bytes::{FirstBytes, WrongProtocol};
use crate::intercept::{Intercept, Intercepted};
use crate::protocol::Protocol;
use crate::sync::lock;

/// A TCP stream that fails with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) once it is
/// aborted.
pub(crate) type AbortableStream = Intercepted<TcpStream, AbortCheck>;

/// Makes `stream` abortable. If it is to carry HTTP in plain text, `plain` says which: an answer in
/// another protocol is an error that says so.
pub(crate) fn abortable(stream: TcpStream, plain: Option<Protocol>) -> (AbortableStream, AbortHandle) {
    let (state, received) = (Arc::<State>::default(), Arc::<Received>::default());
    let handle = AbortHandle {
        state: Arc::downgrade(&state),
        received: Arc::clone(&received),
    };
    let check = AbortCheck {
        state,
        received,
        reader: None,
        first: plain.map(FirstBytes::new),
    };
    (Intercepted::new(stream, check), handle)
}

/// Stands between a stream and its user.
pub(crate) struct AbortCheck {
    state: Arc<State>,
    received: Arc<Received>,
    /// The task that an abort wakes, as in `state`: compared at every read, and usually the same.
    reader: Option<Waker>,
    /// What was read may still be another protocol.
    first: Option<FirstBytes>,
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
            lock(&self.state.reader).clone_from(&self.reader);
        }
        self.state.check()
    }

    fn after_read(&mut self, read: &[u8]) -> io::Result<()> {
        self.state.check()?;
        if !read.is_empty() {
            self.received.anything.store(true, Relaxed);
        }
        match self.first.as_mut().and_then(|first| first.push(read)) {
            None => Ok(()),
            Some(told) => {
                self.first = None;
                told.map_err(|wrong| {
                    // It is set once.
                    let _ = self.received.wrong_protocol.set(wrong);
                    io::Error::new(io::ErrorKind::InvalidData, wrong)
                })
            }
        }
    }

    fn before_write(&mut self) -> io::Result<()> {
        self.state.check()
    }

    /// The peer takes no more. What it has said before may still be there to read, an answer to the
    /// part of the request that it had: the reader decides how the connection ended.
    ///
    /// SPEC(RFC 9112 9.5): a client that is sending a body looks for an answer all the while.
    fn write_failed(&mut self, error: io::Error) -> io::Result<()> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match error.kind() {
            BrokenPipe | ConnectionReset => {
                self.received.takes_no_more.store(true, Relaxed);
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// Aborts one [`AbortableStream`].
#[derive(Clone)]
pub(crate) struct AbortHandle {
    state: Weak<State>,
    received: Arc<Received>,
}

/// What was received.
#[derive(Default)]
struct Received {
    /// Anything since [`expect_answer`](AbortHandle::expect_answer). ORDERING: Relaxed, a fact on
    /// its own.
    anything: AtomicBool,
    /// A write has failed. ORDERING: Relaxed, likewise.
    takes_no_more: AtomicBool,
    wrong_protocol: OnceLock<WrongProtocol>,
}

impl AbortHandle {
    /// A request is sent: what was received before says nothing about it.
    pub(crate) fn expect_answer(&self) {
        self.received.anything.store(false, Relaxed);
    }

    /// Returns whether nothing was received since [`expect_answer`](Self::expect_answer).
    pub(crate) fn is_silent(&self) -> bool {
        !self.received.anything.load(Relaxed)
    }

    /// Returns whether the peer takes no more bytes.
    pub(crate) fn takes_no_more(&self) -> bool {
        self.received.takes_no_more.load(Relaxed)
    }

    /// Returns which other protocol the endpoint has answered in.
    pub(crate) fn wrong_protocol(&self) -> Option<WrongProtocol> {
        self.received.wrong_protocol.get().copied()
    }
}

impl headless::AbortHandle for AbortHandle {
    fn abort(&self) {
        if let Some(state) = self.state.upgrade() {
            state.is_aborted.store(true, Relaxed);
            if let Some(reader) = lock(&state.reader).take() {
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
        let (stream, handle) = abortable(stream.unwrap(), Some(Protocol::Http1));
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
