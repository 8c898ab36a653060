//! HTTP/2 pods that write their frames themselves.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

// SPEC(RFC 9113 6): types of frames, and flags.
pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

// SPEC(RFC 9113 7)
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// A pod that writes its HTTP/2 frames itself.
pub(crate) struct Peer(pub(crate) TcpStream);

pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl Peer {
    /// Reads the client's preface, and allows any number of streams.
    pub(crate) async fn begin(socket: TcpStream) -> Self {
        let mut peer = Self::before_settings(socket).await;
        peer.write(SETTINGS, 0, 0, &[]).await;
        peer
    }

    /// Reads the client's preface.
    pub(crate) async fn before_settings(mut socket: TcpStream) -> Self {
        let mut preface = [0; 24];
        socket.read_exact(&mut preface).await.unwrap();
        Self(socket)
    }

    /// Allows so many streams.
    pub(crate) async fn allow(&mut self, streams: u32) {
        let [a, b, c, d] = streams.to_be_bytes();
        self.write(SETTINGS, 0, 0, &[0, 3, a, b, c, d]).await;
    }

    /// Answers each request when it has begun, until the client closes the connection.
    pub(crate) async fn answer_all(mut self) {
        while let Some(frame) = self.read().await {
            if frame.kind == HEADERS {
                self.answer(frame.stream).await;
            }
        }
    }

    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
        self.0.write_all(&frame).await.unwrap();
    }

    pub(crate) async fn go_away(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.write(GOAWAY, 0, 0, &payload).await;
    }

    /// Reads the next frame; `None` when the client has closed the connection.
    pub(crate) async fn read(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        self.0.read_exact(&mut header).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
        })
    }

    /// Reads until the client has acknowledged SETTINGS.
    pub(crate) async fn acknowledgement(&mut self) {
        while self
            .read()
            .await
            .is_some_and(|frame| (frame.kind, frame.flags) != (SETTINGS, ACK))
        {}
    }

    /// Reads until `count` requests have come to their ends, and returns their streams.
    pub(crate) async fn requests(&mut self, count: usize) -> Vec<u32> {
        let mut ended = Vec::new();
        while ended.len() < count {
            let frame = self.read().await.unwrap();
            if frame.stream > 0 && frame.flags & END_STREAM != 0 {
                ended.push(frame.stream);
            }
        }
        ended
    }

    /// Returns the streams that are opened until the client closes the connection.
    pub(crate) async fn rest(mut self) -> Vec<u32> {
        let mut opened = Vec::new();
        while let Some(frame) = self.read().await {
            if frame.kind == HEADERS {
                opened.push(frame.stream);
            }
        }
        opened
    }

    pub(crate) async fn answer(&mut self, stream: u32) {
        // SPEC(RFC 7541 A): entry 8 of the static table, `:status: 200`.
        self.write(HEADERS, END_STREAM | END_HEADERS, stream, &[0x88]).await;
    }
}
