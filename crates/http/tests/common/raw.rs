//! A server of raw bytes, on a runtime of its own, and clients of such servers.

#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use headless::{Discovery, Endpoint, StaticList};
use headless_http::{Client, ClientBuilder};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

/// Runs a script for each connection until it is dropped.
pub(crate) struct RawServer {
    pub(crate) addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

impl RawServer {
    pub(crate) fn start<F, R>(serve: F) -> Self
    where
        F: Fn(RawConnection) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&accepted);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Relaxed);
                socket.set_nodelay(true).unwrap();
                tokio::spawn(serve(RawConnection(BufReader::new(socket))));
            }
        });
        Self {
            addr,
            accepted,
            runtime: Some(runtime),
        }
    }

    /// Connections accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Relaxed)
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One accepted connection.
pub(crate) struct RawConnection(pub(crate) BufReader<TcpStream>);

impl RawConnection {
    /// Reads the head of a request, and returns its path; `None` after the last one.
    pub(crate) async fn head(&mut self) -> Option<(String, usize)> {
        let (mut path, mut length, mut line) = (None, 0, String::new());
        loop {
            line.clear();
            let read = self.0.read_line(&mut line).await.ok()?;
            let text = line.trim_end().to_ascii_lowercase();
            match text.strip_prefix("content-length: ") {
                _ if read == 0 => return None,
                _ if text.is_empty() => return Some((path?, length)),
                Some(value) => length = value.parse().unwrap(),
                None if path.is_none() => path = text.split(' ').nth(1).map(str::to_owned),
                None => {}
            }
        }
    }

    /// Reads a request with its body, and returns its path; `None` after the last one.
    pub(crate) async fn request(&mut self) -> Option<String> {
        let (path, length) = self.head().await?;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.ok()?;
        Some(path)
    }

    /// Reads to the end, and returns how many bytes came.
    pub(crate) async fn rest(mut self) -> usize {
        let mut rest = Vec::new();
        // A reset ends it, too.
        let _ = self.0.read_to_end(&mut rest).await;
        rest.len()
    }
}

/// Returns a builder for a client whose Service is these addresses.
pub(crate) async fn builder(pods: &[SocketAddr]) -> ClientBuilder {
    let endpoints = pods.iter().copied().map(Endpoint::new).collect();
    Client::builder(
        Discovery::builder(StaticList::new("web", endpoints))
            .start()
            .await
            .unwrap(),
    )
}
