//! [`Cuttable`]: a stream that can be closed from outside while somebody uses it, and [`Cut`], the grip on it. Above it is HTTP, or TLS.
//!
//! hyper's HTTP/2 spreads over several tasks, so ending one of them would not do; ending the stream under all of them does.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use headless_core::AbortHandle;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// A TCP stream that fails with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) once it is cut.
pub(crate) struct Cuttable {
    stream: TcpStream,
    /// `None` once it has fired, or once nobody can fire it any more.
    cut: Option<oneshot::Receiver<()>>,
    is_cut: bool,
    /// Nothing was read yet, and TLS would be an answer that nobody above understands.
    expects_plain: bool,
}

/// Cuts one [`Cuttable`].
#[derive(Clone)]
pub(crate) struct Cut(Arc<Mutex<Option<oneshot::Sender<()>>>>);

impl Cuttable {
    pub(crate) fn new(stream: TcpStream, expects_plain: bool) -> (Self, Cut) {
        let (sender, receiver) = oneshot::channel();
        let cut = Cut(Arc::new(Mutex::new(Some(sender))));
        let stream = Self {
            stream,
            cut: Some(receiver),
            is_cut: false,
            expects_plain,
        };
        (stream, cut)
    }

    /// Asked by every read: the driver of a connection always has one pending, so it is woken by a cut.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(cut) = &mut self.cut
            && let Poll::Ready(fired) = Pin::new(cut).poll(cx)
        {
            self.cut = None;
            self.is_cut = fired.is_ok();
        }
        self.check()
    }

    fn check(&self) -> io::Result<()> {
        if self.is_cut {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the pod left, and its drain deadline passed",
            ));
        }
        Ok(())
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
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
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _closed_already = sender.send(());
        }
    }

    fn is_finished(&self) -> bool {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().is_none_or(oneshot::Sender::is_closed)
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
