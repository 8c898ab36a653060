//! [`Watched`]: the stream under an HTTP/2 connection, telling when a frame has come that is about the connection as a whole.
//!
//! WHY: hyper's driver sleeps while there is nothing to send. A new limit of streams, or a GOAWAY, is then found out with the next
//! request, which is one too late. Waking the driver for every frame would cost each request a turn; these frames are rare.
//!
//! Only frame headers are looked at. What a frame says is h2's business, which has read it by the time this tells.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// Passes everything through.
pub(crate) struct Watched<S> {
    stream: S,
    frames: Frames,
    news: Arc<Notify>,
    /// Such a frame is complete; h2 has not been back since.
    untold: bool,
}

impl<S> Watched<S> {
    /// The second half is notified after h2 has dealt with such frames.
    pub(crate) fn new(stream: S) -> (Self, Arc<Notify>) {
        let news = Arc::new(Notify::new());
        let watched = Self {
            stream,
            frames: Frames::default(),
            news: Arc::clone(&news),
            untold: false,
        };
        (watched, news)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Whoever reads on has dealt with what was read before.
        if std::mem::take(&mut self.untold) {
            self.news.notify_one();
        }
        let filled = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.untold = self.frames.read(&buf.filled()[filled..]);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Where in the stream of frames the reader is.
///
/// SPEC(RFC 9113 4.1): each frame begins with 9 bytes, of which the first three are the length of the rest and the fourth is the type.
#[derive(Default)]
struct Frames {
    header: [u8; HEADER],
    /// Bytes of the header that have come.
    have: usize,
    /// Bytes of the payload that have not.
    to_come: usize,
}

impl Frames {
    /// Whether `bytes` complete a frame about the connection.
    fn read(&mut self, mut bytes: &[u8]) -> bool {
        let mut found = false;
        while !bytes.is_empty() {
            let wanted = match self.have {
                HEADER => self.to_come,
                have => HEADER - have,
            };
            let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if self.have == HEADER {
                self.to_come -= part.len();
            } else {
                self.header[self.have..self.have + part.len()].copy_from_slice(part);
                self.have += part.len();
                let [high, middle, low, ..] = self.header;
                self.to_come = u32::from_be_bytes([0, high, middle, low]) as usize;
            }
            if self.have == HEADER && self.to_come == 0 {
                found |= [SETTINGS, GOAWAY].contains(&self.header[3]);
                self.have = 0;
            }
        }
        found
    }
}

const HEADER: usize = 9;

/// SPEC(RFC 9113 6.5)
const SETTINGS: u8 = 4;

/// SPEC(RFC 9113 6.8)
const GOAWAY: u8 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let [_, length @ ..] = u32::try_from(payload).unwrap().to_be_bytes();
        // A payload that looks like the header of a SETTINGS frame.
        [&length[..], &[kind, 0, 0, 0, 0, 1], &vec![4; payload]].concat()
    }

    #[test]
    fn frames_about_the_connection_are_found_however_the_bytes_come() {
        let (headers, data) = (frame(1, 30), frame(0, 70_000));
        for (kind, payload, expected) in [(4, 6, 1), (4, 0, 1), (7, 8, 1), (6, 8, 0), (8, 4, 0)] {
            let bytes = [&headers[..], &data, &frame(kind, payload), &data].concat();
            for size in [1, 2, 9, 10, 1000, bytes.len()] {
                let mut frames = Frames::default();
                let found = bytes.chunks(size).filter(|chunk| frames.read(chunk)).count();
                assert_eq!(found, expected, "type {kind} in chunks of {size}");
            }
        }
    }

    #[test]
    fn a_frame_is_not_told_before_it_is_complete() {
        let mut frames = Frames::default();
        let goaway = frame(7, 8);
        assert!(!frames.read(&goaway[..16]));
        assert!(frames.read(&goaway[16..]));
    }

    #[tokio::test]
    async fn it_is_told_when_the_reader_comes_back() {
        use tokio::io::AsyncReadExt;

        let bytes = [frame(4, 6), frame(0, 3)].concat();
        let (mut watched, news) = Watched::new(&bytes[..]);
        let told = news.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        let mut buffer = vec![0; 20];
        watched.read_exact(&mut buffer).await.unwrap();
        assert!(futures_util::poll!(told.as_mut()).is_pending(), "read, not dealt with");
        watched.read_u8().await.unwrap();
        assert!(futures_util::poll!(told.as_mut()).is_ready());
    }
}
