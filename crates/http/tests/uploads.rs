//! Answers that end before the request was sent: what becomes of the rest of it, of its connection,
//! and of the requests beside it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use common::frames::{HEADERS, Peer};
use futures_util::stream;
use headless_http::{Client, Protocol, RequestBody};
use headless_testkit::{RawConnection, RawPod};
use http_body::Frame;
use http_body_util::StreamBody;

/// Answers each request at once, with the end of the stream, and takes no data. Five streams at a
/// time are allowed.
fn early_over_http2() -> RawPod {
    RawPod::start(|connection: RawConnection| async move {
        let mut peer = Peer::before_settings(connection.into_stream()).await;
        peer.allow(5).await;
        while let Some(frame) = peer.read().await {
            if frame.kind == HEADERS {
                peer.answer(frame.stream).await;
            }
        }
    })
    .unwrap()
}

/// Answers each request after its head, leaves the rest unread, and closes nothing.
fn early_over_http1(answer: &'static str) -> RawPod {
    RawPod::start(move |mut connection| async move {
        while connection.head().await.is_some() {
            connection.write(answer).await;
        }
        connection.stall().await;
    })
    .unwrap()
}

async fn client(pod: &RawPod, protocol: Protocol) -> Client {
    raw::builder(&[pod.addr()]).await.protocol(protocol).build().unwrap()
}

/// Counts its drop.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A body with some data, which then has nothing to send and does not end.
fn waiting(dropped: &Arc<AtomicUsize>) -> RequestBody {
    let counted = Counted(Arc::clone(dropped));
    let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"order")))]);
    let rest = stream::poll_fn(move |_| {
        let _held = &counted;
        std::task::Poll::Pending
    });
    RequestBody::new(StreamBody::new(futures_util::StreamExt::chain(first, rest)))
}

#[tokio::test]
async fn over_http2_an_answered_request_gives_its_place_back_though_its_body_was_not_taken() {
    let pod = early_over_http2();
    let client = client(&pod, Protocol::Http2).await;
    for number in 0..20 {
        let body = match number % 2 {
            0 => RequestBody::from(vec![b'x'; 200_000]),
            _ => waiting(&Arc::default()),
        };
        client.post("/", body).await.unwrap().bytes().await.unwrap();
    }
    assert_eq!(client.get("/").await.unwrap().status(), 200);
    assert_eq!(pod.stats().accepted, 1);
}

#[tokio::test]
async fn nothing_of_an_unfinished_request_outlives_the_client() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    const LAST: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    for (pod, protocol) in [
        (early_over_http1(OK), Protocol::Http1),
        (early_over_http1(LAST), Protocol::Http1),
        (early_over_http2(), Protocol::Http2),
    ] {
        let dropped = Arc::default();
        let client = client(&pod, protocol).await;
        for number in 0..6 {
            let body = match number {
                0 => RequestBody::from(vec![b'x'; 10 << 20]),
                _ => waiting(&dropped),
            };
            client.post("/", body).await.unwrap().bytes().await.unwrap();
        }
        client.balancer().shutdown(Duration::from_secs(10)).await;
        drop(client);
        let accepted = pod.stats().accepted;
        while dropped.load(Relaxed) < 5 || tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(accepted <= 6, "{protocol:?}: {accepted}");
    }
}
