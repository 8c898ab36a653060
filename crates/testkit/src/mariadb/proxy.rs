//! A proxy in front of a server that can lose the answer to a request: the client never learns whether it was carried out.
//!
//! Must not live here: which pods have one (`builder`).

use std::{
    io,
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The request whose answer is to be lost, if there is one.
#[derive(Debug, Default)]
pub(super) struct Cut(Mutex<Option<Vec<u8>>>);

impl Cut {
    /// The answer to the next request with this text in it, in any case of ASCII letters, will be lost.
    pub(super) fn arm(&self, text: &str) {
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *armed = Some(text.to_ascii_lowercase().into_bytes());
    }

    /// Whether this is the request. Then no other one is.
    fn strikes(&self, request: &[u8]) -> bool {
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let strikes = armed.as_ref().is_some_and(|text| {
            let request = request.to_ascii_lowercase();
            request.windows(text.len().max(1)).any(|part| part == text.as_slice())
        });
        if strikes {
            *armed = None;
        }
        strikes
    }
}

/// Serves one connection until either side ends it, or an answer is cut.
///
/// A request is expected to arrive in one piece, as short statements do.
pub(super) async fn forward(mut client: TcpStream, server: SocketAddr, cut: &Cut) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let struck = AtomicBool::new(false);
    let requests = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            let request = read(&mut from_client, &mut buffer).await?;
            if cut.strikes(request) {
                // ORDERING: Relaxed: both halves run in this task, one at a time.
                struck.store(true, Ordering::Relaxed);
            }
            to_server.write_all(request).await?;
        }
    };
    let answers = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            let answer = read(&mut from_server, &mut buffer).await?;
            // The server has answered, so the request is carried out.
            if struck.load(Ordering::Relaxed) {
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
    fn one_request_is_struck() {
        let cut = Cut::default();
        assert!(!cut.strikes(b"COMMIT"));
        cut.arm("Commit");
        assert!(!cut.strikes(b"\x04\0\0\0\x03SELECT 1"));
        assert!(cut.strikes(b"\x07\0\0\0\x03COMMIT"));
        assert!(!cut.strikes(b"\x07\0\0\0\x03COMMIT"));
    }
}
