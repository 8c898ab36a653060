//! Pods that end their connections at any byte, over HTTP/1.1 and HTTP/2, plain and in TLS: no
//! request hangs, none gets the answer of another, no write is carried out twice, and what is said
//! to be unsent was not received.
//!
//! `HEADLESS_REQUESTS` sets the number of requests of each kind, `HEADLESS_SEED` the first seed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stderr, reason = "the seed repeats a failure")]

#[path = "common/pki.rs"]
mod pki;
#[path = "common/raw.rs"]
mod raw;

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use headless_http::{Client, Error, Protocol, RetryBudget, Tls, TlsProvider, Verify};
use headless_testkit::{RawConnection, RawPod};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use pki::{Ca, SERVICE, Server};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// How often the pods received each request.
type Ledger = Arc<Mutex<HashMap<String, u32>>>;

/// A stream that ends after so many bytes in a direction.
struct Limited {
    socket: TcpStream,
    bytes: Arc<BytesLeft>,
}

/// What may still be read and written. ORDERING: Relaxed, one task uses them.
struct BytesLeft {
    read: AtomicUsize,
    write: AtomicUsize,
}

impl BytesLeft {
    const fn unlimited() -> Self {
        Self {
            read: AtomicUsize::new(usize::MAX),
            write: AtomicUsize::new(usize::MAX),
        }
    }
}

fn take(left: &AtomicUsize, used: usize) {
    left.store(left.load(Relaxed) - used, Relaxed);
}

fn over<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl AsyncRead for Limited {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let most = self.bytes.read.load(Relaxed).min(buffer.remaining());
        if most == 0 {
            return over();
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        take(&self.bytes.read, read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Limited {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let most = self.bytes.write.load(Relaxed).min(bytes.len());
        if most == 0 {
            return over();
        }
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &bytes[..most]))?;
        take(&self.bytes.write, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Starts a pod that answers each request with its path. If it `cuts`, each of its connections ends
/// after some bytes, half of them with a reset.
fn pod(cuts: bool, tls: Option<Arc<ServerConfig>>, ledger: &Ledger, seed: u64) -> RawPod {
    let ledger = Arc::clone(ledger);
    let connections = AtomicU64::new(0);
    RawPod::start(move |connection: RawConnection| {
        let mut dice = fastrand::Rng::with_seed(seed + connections.fetch_add(1, Relaxed));
        let (tls, ledger) = (tls.clone(), Arc::clone(&ledger));
        async move {
            let socket = connection.into_stream();
            if cuts && dice.bool() {
                socket.set_zero_linger().unwrap();
            }
            let bytes = Arc::new(BytesLeft::unlimited());
            let cut = Limited {
                socket,
                bytes: Arc::clone(&bytes),
            };
            let mut limit = || {
                if cuts {
                    bytes.read.store(dice.usize(..4000), Relaxed);
                    bytes.write.store(dice.usize(..4000), Relaxed);
                }
            };
            match tls {
                None => {
                    limit();
                    serve(cut, ledger).await;
                }
                // A handshake that fails is a connection that was never there.
                Some(config) => {
                    if let Ok(stream) = TlsAcceptor::from(config).accept(cut).await {
                        limit();
                        serve(stream, ledger).await;
                    }
                }
            }
        }
    })
    .unwrap()
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, ledger: Ledger) {
    let service = service_fn(move |request: Request<Incoming>| {
        let ledger = Arc::clone(&ledger);
        async move {
            let path = request.uri().path().to_owned();
            *ledger.lock().unwrap().entry(path.clone()).or_default() += 1;
            // If it is cut off, the pod still answers if it can.
            let _ = request.into_body().collect().await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(path))))
        }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    // The client's side asserts what comes of its end.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// Has 16 callers send the requests with these numbers, some inside `block_on` and some in blocking
/// tasks, and returns the errors. Every second request is a POST.
fn send_all(client: &Client, runtime: &Runtime, requests: usize) -> Vec<(String, Error)> {
    const CALLERS: usize = 16;
    let call = |caller: usize| {
        let client = client.clone();
        async move {
            let mut errors = Vec::new();
            for number in (caller..requests).step_by(CALLERS) {
                let path = format!("/{number}");
                let sent = match is_post(&path) {
                    false => client.get(&path).await,
                    true => client.post(&path, "order").await,
                };
                let text = match sent {
                    Ok(reply) => reply.text().await,
                    Err(error) => Err(error),
                };
                match text {
                    Ok(text) => assert_eq!(text, path, "the answer of another request"),
                    Err(error) => errors.push((path, error)),
                }
            }
            errors
        }
    };
    let errors = runtime.block_on(async {
        let blocking = (0..CALLERS / 2).map(|caller| {
            let calls = call(2 * caller);
            spawn_blocking(move || Handle::current().block_on(calls))
        });
        let blocking: Vec<_> = blocking.collect();
        let mut errors = join_all((0..CALLERS / 2).map(|caller| call(2 * caller + 1))).await;
        errors.extend(join_all(blocking).await.into_iter().map(Result::unwrap));
        errors
    });
    errors.into_iter().flatten().collect()
}

fn is_post(path: &str) -> bool {
    path[1..].parse::<usize>().unwrap() / 16 % 2 == 1
}

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn nothing_is_lost_in_the_client(protocol: Protocol, with_tls: bool) {
    let requests = number_of("HEADLESS_REQUESTS").unwrap_or(8_000) as usize;
    let seed = number_of("HEADLESS_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    eprintln!("{protocol:?}, TLS {with_tls}, {requests} requests; HEADLESS_SEED={seed}");
    let ca = Ca::new("shop");
    let config = with_tls.then(|| Server::new(ca.issue(&[SERVICE])).config());
    let ledger = Ledger::default();
    let pods = [true, true, false].map(|cuts| pod(cuts, config.clone(), &ledger, seed));
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let client = runtime.block_on(async {
        let builder = raw::builder(&pods.each_ref().map(RawPod::addr)).await;
        let builder = builder.protocol(protocol).retry_budget(RetryBudget::unlimited());
        let builder = builder.request_timeout(HANGS);
        let tls = Tls::with_ca(ca.pem()).provider(TlsProvider::Ring);
        let builder = match with_tls {
            true => builder.tls(tls.verify(Verify::Name(SERVICE.into()))),
            false => builder,
        };
        builder.build().unwrap()
    });
    let errors = send_all(&client, &runtime, requests);
    let ledger = ledger.lock().unwrap();
    let times = |path: &str| ledger.get(path).copied().unwrap_or_default();
    for (path, error) in &errors {
        assert!(
            matches!(error, Error::Send { .. } | Error::Body { .. }),
            "{path}: {error:?}"
        );
        assert!(
            !error.is_not_sent() || times(path) == 0,
            "{path} was received: {error:?}"
        );
    }
    for number in 0..requests {
        let path = format!("/{number}");
        assert!(!is_post(&path) || times(&path) <= 1, "{path} was received twice");
    }
    let accepted: usize = pods[..2].iter().map(|pod| pod.stats().accepted).sum();
    eprintln!("{} failed; the pods that cut had {accepted} connections", errors.len());
    assert!(accepted > requests / 200, "the connections were cut");
}

/// By far more than any request takes.
const HANGS: Duration = Duration::from_secs(60);

#[test]
fn http1_loses_nothing_in_the_client() {
    nothing_is_lost_in_the_client(Protocol::Http1, false);
}

#[test]
fn http2_loses_nothing_in_the_client() {
    nothing_is_lost_in_the_client(Protocol::Http2, false);
}

#[test]
fn http1_in_tls_loses_nothing_in_the_client() {
    nothing_is_lost_in_the_client(Protocol::Http1, true);
}

#[test]
fn http2_in_tls_loses_nothing_in_the_client() {
    nothing_is_lost_in_the_client(Protocol::Http2, true);
}
