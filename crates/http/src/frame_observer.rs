//! [`FrameObserver`]: the stream under an HTTP/2 connection, which tells when a frame was read that
//! is about the connection as a whole.
//!
//! WHY: hyper's driver sleeps while there is nothing to send. It would notice a new limit of
//! streams, or a GOAWAY, with the next request, which is one too late. Waking the driver for every
//! frame would cost each request a turn; these frames are rare.
//!
//! Only frame headers are read here. What a frame says is h2's business, which has processed it by
//! the time this tells.

use std::io;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::intercept::{Intercept, Intercepted};

/// Passes everything through, and observes what is read.
pub(crate) type FrameObserver<S> = Intercepted<S, FrameWatch>;

/// Observes `stream`. The second half is notified after h2 has processed a frame about the
/// connection.
pub(crate) fn observe<S>(stream: S) -> (FrameObserver<S>, Arc<Notify>) {
    let processed = Arc::new(Notify::new());
    let watch = FrameWatch {
        position: FramePosition::default(),
        processed: Arc::clone(&processed),
        is_unprocessed: false,
    };
    (Intercepted::new(stream, watch), processed)
}

/// Stands between a stream and h2.
pub(crate) struct FrameWatch {
    position: FramePosition,
    processed: Arc<Notify>,
    /// Such a frame is complete, and h2 has not read on since.
    is_unprocessed: bool,
}

impl Intercept for FrameWatch {
    /// A reader that reads on has processed what was read before.
    fn before_read(&mut self) {
        if std::mem::take(&mut self.is_unprocessed) {
            self.processed.notify_one();
        }
    }

    fn after_read(&mut self, read: &[u8]) -> io::Result<()> {
        self.is_unprocessed = self.position.advance(read);
        Ok(())
    }
}

/// The reader's position in the stream of frames.
///
/// SPEC(RFC 9113 4.1): each frame begins with 9 bytes. The first three are the length of the rest,
/// and the fourth is the type.
#[derive(Default)]
struct FramePosition {
    header: [u8; HEADER],
    /// Bytes of the header that were read.
    header_read: usize,
    /// Bytes of the payload that are still to be read.
    payload_left: usize,
}

impl FramePosition {
    /// Moves on by `bytes`, and returns whether they complete a frame about the connection.
    fn advance(&mut self, mut bytes: &[u8]) -> bool {
        let mut found = false;
        while !bytes.is_empty() {
            let length = match self.header_read {
                HEADER => self.payload_left,
                read => HEADER - read,
            };
            let (part, rest) = bytes.split_at(length.min(bytes.len()));
            bytes = rest;
            if self.header_read == HEADER {
                self.payload_left -= part.len();
            } else {
                self.header[self.header_read..self.header_read + part.len()].copy_from_slice(part);
                self.header_read += part.len();
                let [high, middle, low, ..] = self.header;
                self.payload_left = u32::from_be_bytes([0, high, middle, low]) as usize;
            }
            if self.header_read == HEADER && self.payload_left == 0 {
                found |= [SETTINGS, GOAWAY].contains(&self.header[3]);
                self.header_read = 0;
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
        // The payload resembles the header of a SETTINGS frame.
        [&length[..], &[kind, 0, 0, 0, 0, 1], &vec![4; payload]].concat()
    }

    #[test]
    fn frames_about_the_connection_are_found_however_the_bytes_are_split() {
        let (headers, data) = (frame(1, 30), frame(0, 70_000));
        for (kind, payload, expected) in [(4, 6, 1), (4, 0, 1), (7, 8, 1), (6, 8, 0), (8, 4, 0)] {
            let bytes = [&headers[..], &data, &frame(kind, payload), &data].concat();
            for size in [1, 2, 9, 10, 1000, bytes.len()] {
                let mut position = FramePosition::default();
                let found = bytes.chunks(size).filter(|chunk| position.advance(chunk)).count();
                assert_eq!(found, expected, "type {kind} in chunks of {size}");
            }
        }
    }

    #[test]
    fn a_frame_is_not_told_before_it_is_complete() {
        let mut position = FramePosition::default();
        let goaway = frame(7, 8);
        assert!(!position.advance(&goaway[..16]));
        assert!(position.advance(&goaway[16..]));
    }

    #[tokio::test]
    async fn it_is_told_when_the_reader_reads_on() {
        use tokio::io::AsyncReadExt;

        let bytes = [frame(4, 6), frame(0, 3)].concat();
        let (mut stream, processed) = observe(&bytes[..]);
        let told = processed.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        let mut buffer = vec![0; 20];
        stream.read_exact(&mut buffer).await.unwrap();
        assert!(futures_util::poll!(told.as_mut()).is_pending(), "read, not processed");
        stream.read_u8().await.unwrap();
        assert!(futures_util::poll!(told.as_mut()).is_ready());
    }
}
