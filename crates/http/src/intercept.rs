//! [`Intercepted`]: a stream of bytes with something between it and its user. What that is differs
//! (`abort`, `http2`); passing the rest through is the same, and is here.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose reads and writes pass through an interceptor.
pub(crate) struct Intercepted<S, I> {
    stream: S,
    interceptor: I,
}

/// What happens around the reads and before the writes of a stream.
pub(crate) trait Intercept: Unpin {
    /// Is called when a read has to wait.
    fn read_pending(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Is called with what was read; with nothing at the end of the stream.
    fn after_read(&mut self, read: &[u8]) -> io::Result<()>;

    /// Is called before each write. An error is the result of the write.
    fn before_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Is called when a write has failed. With `Ok`, what was to be written counts as written.
    fn write_failed(&mut self, error: io::Error) -> io::Result<()> {
        Err(error)
    }
}

impl<S, I> Intercepted<S, I> {
    pub(crate) const fn new(stream: S, interceptor: I) -> Self {
        Self { stream, interceptor }
    }
}

impl<S: AsyncRead + Unpin, I: Intercept> AsyncRead for Intercepted<S, I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, interceptor } = &mut *self;
        let filled = buf.filled().len();
        match Pin::new(stream).poll_read(cx, buf)? {
            Poll::Ready(()) => Poll::Ready(interceptor.after_read(&buf.filled()[filled..])),
            Poll::Pending => {
                interceptor.read_pending(cx)?;
                Poll::Pending
            }
        }
    }
}

impl<S: AsyncWrite + Unpin, I: Intercept> AsyncWrite for Intercepted<S, I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.interceptor.before_write()?;
        match ready!(Pin::new(&mut self.stream).poll_write(cx, buf)) {
            Ok(written) => Poll::Ready(Ok(written)),
            Err(error) => Poll::Ready(self.interceptor.write_failed(error).map(|()| buf.len())),
        }
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
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.interceptor.before_write()?;
        match ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)) {
            Ok(written) => Poll::Ready(Ok(written)),
            Err(error) => {
                let all = bufs.iter().map(|buf| buf.len()).sum();
                Poll::Ready(self.interceptor.write_failed(error).map(|()| all))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
