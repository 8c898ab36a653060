//! A refusal of the other side that comes after the handshake.
//!
//! In TLS 1.3 the client has finished the handshake before the server has seen its certificate. A
//! server that refuses it says so with an alert, which meets whatever the client has sent by then.
//! Such a connection is none: nothing was processed, and no other one would be accepted. So
//! [`settled`] waits a little for the server's decision when it asked for a certificate, and
//! [`Guarded`] recognizes one that comes later, as long as nothing else was received.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{HandshakeKind, ProtocolVersion};

use super::client_auth::ClientAuth;
use super::explain::is_refusal;
use crate::error::ConnectorError;
use crate::refusal::Refusal;

/// Waits until a server that asked for a client certificate has accepted it, or for long enough.
///
/// WHY a ticket tells: a server sends one after it has verified the client (SPEC(RFC 8446 4.6.1)),
/// and most send one at once. The others cost each such connection the whole wait.
pub(super) async fn settled<S>(stream: &mut TlsStream<S>, client_auth: &ClientAuth) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (_, session) = stream.get_ref();
    // In TLS 1.2 the server finishes last. A resumed session was accepted before.
    let is_open = session.protocol_version() == Some(ProtocolVersion::TLSv1_3)
        && session.handshake_kind() != Some(HandshakeKind::Resumed);
    if !is_open || !client_auth.was_asked() {
        return Ok(());
    }
    let decision = std::future::poll_fn(|cx| {
        // What is read here stays in the stream's buffer.
        let read = pin!(&mut *stream).poll_fill_buf(cx).map_ok(|bytes| bytes.is_empty());
        match read {
            Poll::Ready(Ok(true)) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(result) => Poll::Ready(result.map(drop)),
            Poll::Pending if stream.get_ref().1.tls13_tickets_received() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    });
    timeout(DECISION_TIMEOUT, decision).await.unwrap_or(Ok(()))
}

/// A round trip and the verification of a signature take a few milliseconds.
const DECISION_TIMEOUT: Duration = Duration::from_millis(100);

/// A TLS stream that remembers if the other side refuses the connection before it sends anything
/// else.
pub(crate) struct Guarded<S> {
    stream: S,
    /// `None` after anything was received.
    watch: Option<Watch>,
}

struct Watch {
    refusal: Refusal,
    explain: Box<dyn Fn(io::Error) -> ConnectorError + Send>,
}

impl<S> Guarded<S> {
    /// Watches `stream`; `explain` says what its error means.
    pub(super) fn new(
        stream: S,
        refusal: Refusal,
        explain: impl Fn(io::Error) -> ConnectorError + Send + 'static,
    ) -> Self {
        let explain = Box::new(explain);
        Self {
            stream,
            watch: Some(Watch { refusal, explain }),
        }
    }

    /// Passes an error on, and remembers it if it is a refusal.
    fn note(&mut self, error: io::Error) -> io::Error {
        let Some(watch) = self.watch.take_if(|_| is_refusal(&error)) else {
            return error;
        };
        let refusal = (watch.explain)(error);
        let error = io::Error::new(io::ErrorKind::ConnectionRefused, refusal.to_string());
        watch.refusal.set(refusal);
        error
    }
}

impl<S: AsyncBufRead + Unpin> Guarded<S> {
    /// A write has failed. The reason may have been received: an alert, before the reset.
    fn write_failed(&mut self, cx: &mut Context<'_>, error: io::Error) -> io::Error {
        if self.watch.is_none() {
            return error;
        }
        // What was received stays in the stream's buffer.
        match Pin::new(&mut self.stream).poll_fill_buf(cx) {
            Poll::Ready(Err(reason)) if is_refusal(&reason) => self.note(reason),
            _ => error,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        match ready!(Pin::new(&mut self.stream).poll_read(cx, buf)) {
            Ok(()) => {
                if buf.filled().len() > filled {
                    self.watch = None;
                }
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(self.note(error))),
        }
    }
}

impl<S: AsyncBufRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        Poll::Ready(written.map_err(|error| self.write_failed(cx, error)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(flushed.map_err(|error| self.write_failed(cx, error)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        Poll::Ready(written.map_err(|error| self.write_failed(cx, error)))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
