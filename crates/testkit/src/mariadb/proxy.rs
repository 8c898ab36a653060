//! A proxy in front of a server that can drop the answer to a request: the client never learns
//! whether it was executed.
//!
//! Must not live here: which pods have one (`builder`).

use std::{
    io,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::lock::lock;

/// The request whose answer is dropped, if there is one.
#[derive(Debug, Default)]
pub(super) struct CutAnswer(Mutex<Option<Vec<u8>>>);

impl CutAnswer {
    /// Drops the answer to the next request with this text in it, in any case of ASCII letters.
    pub(super) fn arm(&self, text: &str) {
        let mut armed = lock(&self.0);
        *armed = Some(text.to_ascii_lowercase().into_bytes());
    }

    /// Whether this is the request; disarms if so.
    fn matches(&self, request: &[u8]) -> bool {
        let mut armed = lock(&self.0);
        let matched = armed.as_ref().is_some_and(|text| {
            let request = request.to_ascii_lowercase();
            request.windows(text.len().max(1)).any(|part| part == text.as_slice())
        });
        if matched {
            *armed = None;
        }
        matched
    }
}

/// Serves one connection until either side ends it, or an answer is cut.
///
/// A request is expected to arrive in one piece, as short statements do.
pub(super) async fn forward(mut client: TcpStream, server: SocketAddr, cut: &CutAnswer) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let cut_next = AtomicBool::new(false);
    let requests = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            let request = read(&mut from_client, &mut buffer).await?;
            if cut.matches(request) {
                // ORDERING: Relaxed: both halves run in this task, one at a time.
                cut_next.store(true, Ordering::Relaxed);
            }
            to_server.write_all(request).await?;
        }
    };
    let answers = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            let answer = read(&mut from_server, &mut buffer).await?;
            // The server has answered, so the request is executed.
            if cut_next.load(Ordering::Relaxed) {
                return Ok(());
            }
            to_client.write_all(answer).await?;
        }
    };
    tokio::select! {
        end = requests => end,
        end = answers => end,
    }
}

/// What has arrived; the end of the stream is an error.
async fn read<'b>(from: &mut (impl AsyncReadExt + Unpin), buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    match from.read(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        length => Ok(&buffer[..length]),
    }
}

const BUFFER: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_loses_its_answer() {
        let cut = CutAnswer::default();
        assert!(!cut.matches(b"COMMIT"));
        cut.arm("Commit");
        assert!(!cut.matches(b"\x04\0\0\0\x03SELECT 1"));
        assert!(cut.matches(b"\x07\0\0\0\x03COMMIT"));
        assert!(!cut.matches(b"\x07\0\0\0\x03COMMIT"));
    }
}
