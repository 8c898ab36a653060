//! Answers whose body does not end, or does not go on.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "common/raw.rs"]
mod raw;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headless::PoolStats;
use headless_http::{BodyIdleTimeout, Client, ClientBuilder, Error, Protocol};
use headless_testkit::{RawConnection, RawPod};
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::sync::Notify;

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

const SHORT: Duration = Duration::from_millis(100);

/// Starts a pod of HTTP/1. The answer to `/stalls` goes on when `go_on` says so, and `ended` is
/// told when its connection ends before. `/endless` does not end; `/10` has as many bytes, in
/// pieces of 4, and `/10/chunked` too, without a length.
fn pod(go_on: &Arc<Notify>, ended: &Arc<Notify>) -> RawPod {
    let (go_on, ended) = (Arc::clone(go_on), Arc::clone(ended));
    RawPod::start(move |mut connection: RawConnection| {
        let (go_on, ended) = (Arc::clone(&go_on), Arc::clone(&ended));
        async move {
            while let Some(request) = connection.request().await {
                match request.path() {
                    "/stalls" => {
                        connection
                            .write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")
                            .await;
                        tokio::select! {
                            () = go_on.notified() => connection.write("def").await,
                            _ = connection.rest() => return ended.notify_one(),
                        };
                    }
                    "/endless" => {
                        connection
                            .write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                            .await;
                        while connection.write("4\r\nabcd\r\n").await {}
                        return;
                    }
                    _ => {
                        let mut parts = request.path()[1..].split('/');
                        let bytes: usize = parts.next().unwrap().parse().unwrap();
                        let is_chunked = parts.next().is_some();
                        let framing = match is_chunked {
                            true => "transfer-encoding: chunked".to_owned(),
                            false => format!("content-length: {bytes}"),
                        };
                        connection.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n")).await;
                        let text = "x".repeat(bytes);
                        for piece in text.as_bytes().chunks(4) {
                            let piece = std::str::from_utf8(piece).unwrap();
                            match is_chunked {
                                true => connection.write(format!("{:x}\r\n{piece}\r\n", piece.len())).await,
                                false => connection.write(piece).await,
                            };
                        }
                        if is_chunked {
                            connection.write("0\r\n\r\n").await;
                        }
                    }
                }
            }
        }
    })
    .unwrap()
}

/// Starts a pod of HTTP/2 that answers `/stalls` and `/endless` likewise. `ended` is told when a
/// stream is reset.
fn pod_of_http2(go_on: &Arc<Notify>, ended: &Arc<Notify>) -> RawPod {
    let (go_on, ended) = (Arc::clone(go_on), Arc::clone(ended));
    RawPod::start(move |connection: RawConnection| {
        let (go_on, ended) = (Arc::clone(&go_on), Arc::clone(&ended));
        async move {
            let mut streams = h2::server::handshake(connection.into_stream()).await.unwrap();
            while let Some(Ok((request, mut respond))) = streams.accept().await {
                let (go_on, ended) = (Arc::clone(&go_on), Arc::clone(&ended));
                tokio::spawn(async move {
                    let mut body = respond.send_response(Response::new(()), false).unwrap();
                    if request.uri().path() == "/endless" {
                        while body.send_data(Bytes::from_static(b"abcd"), false).is_ok() {
                            tokio::task::yield_now().await;
                        }
                        return;
                    }
                    body.send_data(Bytes::from_static(b"abc"), false).unwrap();
                    tokio::select! {
                        () = go_on.notified() => drop(body.send_data(Bytes::from_static(b"def"), true)),
                        _ = std::future::poll_fn(|cx| body.poll_reset(cx)) => ended.notify_one(),
                    }
                });
            }
        }
    })
    .unwrap()
}

struct Scene {
    client: Client,
    go_on: Arc<Notify>,
    ended: Arc<Notify>,
    _pod: RawPod,
}

impl Scene {
    async fn start(protocol: Protocol, set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        let (go_on, ended) = (Arc::default(), Arc::default());
        let pod = match protocol {
            Protocol::Http2 => pod_of_http2(&go_on, &ended),
            _ => pod(&go_on, &ended),
        };
        let builder = raw::builder(&[pod.addr()]).await.protocol(protocol);
        Self {
            client: set(builder).build().unwrap(),
            go_on,
            ended,
            _pod: pod,
        }
    }

    fn pool(&self) -> PoolStats {
        self.client.balancer().stats().endpoints[0].pool.clone()
    }
}

fn assert_stalled(error: &Error) {
    assert!(matches!(error, Error::Body { .. }) && error.is_timeout(), "{error:?}");
    assert!(!error.is_not_sent());
    let text = error.to_string();
    assert!(text.contains("nothing came for 100ms (`body_idle_timeout`)"), "{text}");
    assert!(error.source().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stalls_ends_with_an_error_and_the_pod_is_told() {
    for protocol in PROTOCOLS {
        let scene = Scene::start(protocol, |builder| builder.body_idle_timeout(SHORT)).await;
        let mut body = scene.client.get("/stalls").await.unwrap().into_http().into_body();
        let mut received = Vec::new();
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(frame) => received.extend_from_slice(&frame.into_data().unwrap()),
                Err(error) => break error,
            }
        };
        assert_eq!(received, b"abc", "{protocol:?}");
        assert_stalled(&error);
        assert!(body.frame().await.is_none());
        // Before the body is dropped.
        scene.ended.notified().await;
        assert_eq!(body.endpoint(), Some(error.endpoint().unwrap()));
        assert_eq!(scene.pool().busy, 0);
        let closed = usize::from(protocol == Protocol::Http1);
        assert_eq!(scene.pool().closed.cancelled, closed as u64, "{protocol:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_can_have_a_limit_of_its_own_or_none() {
    for protocol in PROTOCOLS {
        let by_default = Scene::start(protocol, |builder| builder.body_idle_timeout(SHORT)).await;
        let without = |limit| {
            let request = Request::get("/stalls").extension(BodyIdleTimeout(limit));
            request.body(()).unwrap()
        };
        let endless = by_default.client.request(without(None)).await.unwrap();
        let reading = tokio::spawn(endless.text());
        let error = by_default
            .client
            .get("/stalls")
            .await
            .unwrap()
            .text()
            .await
            .unwrap_err();
        assert_stalled(&error);
        assert!(!reading.is_finished(), "it began before the one that is over");
        by_default.go_on.notify_waiters();
        assert_eq!(reading.await.unwrap().unwrap(), "abcdef");

        let patient = Scene::start(protocol, |builder| builder.body_idle_timeout(None)).await;
        let reply = patient.client.request(without(Some(SHORT))).await.unwrap();
        assert_stalled(&reply.text().await.unwrap_err());
        let error = patient.client.request(without(Some(Duration::ZERO))).await.unwrap_err();
        assert!(error.to_string().contains("`BodyIdleTimeout` is 0"), "{error}");
    }
    let builder = raw::builder(&["127.0.0.1:1".parse().unwrap()]).await;
    let error = builder.body_idle_timeout(Duration::ZERO).build().unwrap_err();
    assert!(error.to_string().contains("`body_idle_timeout` is 0"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_within_the_limit_is_read_whole() {
    let scene = Scene::start(Protocol::Http1, |builder| builder).await;
    for path in ["/10", "/10/chunked", "/1", "/0", "/0/chunked"] {
        let bytes: usize = path[1..].split('/').next().unwrap().parse().unwrap();
        for limit in [bytes, bytes + 1, usize::MAX] {
            let reply = scene.client.get(path).await.unwrap();
            assert_eq!(reply.bytes_limited(limit).await.unwrap().len(), bytes, "{path} {limit}");
            let reply = scene.client.get(path).await.unwrap();
            assert_eq!(
                reply.text_limited(limit).await.unwrap(),
                "x".repeat(bytes),
                "{path} {limit}"
            );
        }
    }
    assert_eq!(scene.pool().opened, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_beyond_the_limit_is_an_error_that_names_it() {
    for protocol in PROTOCOLS {
        let scene = Scene::start(protocol, |builder| builder).await;
        let endless = scene.client.get("/endless").await.unwrap();
        let error = endless.bytes_limited(1000).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::BodyTooLarge {
                    limit: 1000,
                    declared: None,
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.to_string().contains("larger than 1000 bytes;"), "{error}");
        assert!(!error.is_timeout() && !error.is_not_sent() && error.endpoint().is_some());
        assert_eq!(scene.pool().busy, 0);
    }
    let scene = Scene::start(Protocol::Http1, |builder| builder).await;
    let chunked = scene.client.get("/10/chunked").await.unwrap();
    let error = chunked.text_limited(9).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::BodyTooLarge {
                limit: 9,
                declared: None,
                ..
            }
        ),
        "{error:?}"
    );
    // Its second half never comes: nothing is waited for.
    let declared = scene.client.get("/stalls").await.unwrap();
    let error = declared.text_limited(5).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::BodyTooLarge {
                limit: 5,
                declared: Some(6),
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("larger than 5 bytes (its length is 6)"),
        "{error}"
    );
    scene.ended.notified().await;
}
