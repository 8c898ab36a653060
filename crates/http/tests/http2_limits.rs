//! HTTP/2 pods that break a rule on one stream, or keep to the rules in an unusual way: the streams
//! beside it go on.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::sync::Arc;

use common::frames::{ACK, END_HEADERS, END_STREAM, HEADERS, Peer, SETTINGS};
use headless_http::{Client, Error, Protocol};
use headless_testkit::{RawConnection, RawPod};
use http::Request;
use http_body::Body;
use tokio::sync::Notify;

const DATA: u8 = 0;

/// `:status: 200`, from the static table. SPEC(RFC 7541 A)
const OK: &[u8] = &[0x88];

async fn client(pod: &RawPod) -> Client {
    let builder = raw::builder(&[pod.addr()]).await.protocol(Protocol::Http2);
    builder.max_connections_per_endpoint(1).build().unwrap()
}

/// 200 with a `content-length` of four digits, by its number in the static table.
fn ok_with_length(digits: &[u8; 4]) -> Vec<u8> {
    [OK, &[0x0f, 0x0d, 4], digits].concat()
}

/// Many more than the 1,024 after which h2 would end the connection.
#[tokio::test]
async fn answers_that_break_the_rules_harm_no_other_stream() {
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let pod = RawPod::start(move |connection: RawConnection| {
        let release = Arc::clone(&released);
        async move {
            let mut peer = Peer::begin(connection.into_stream()).await;
            loop {
                tokio::select! {
                    frame = peer.read() => {
                        let Some(frame) = frame else { return };
                        if frame.kind == HEADERS && frame.stream > 1 {
                            peer.write(HEADERS, END_HEADERS, frame.stream, &ok_with_length(b"5000")).await;
                            peer.write(DATA, END_STREAM, frame.stream, b"short").await;
                        }
                    }
                    () = release.notified() => peer.answer(1).await,
                }
            }
        }
    })
    .unwrap();
    let client = client(&pod).await;
    let held = tokio::spawn({
        let client = client.clone();
        async move { client.post("/held", "order").await.map(|reply| reply.status()) }
    });
    pod.wait_stats(|stats| stats.accepted == 1).await.unwrap();
    // The first stream is the one that is held.
    tokio::task::yield_now().await;
    for _ in 0..1_200 {
        let error = match client.get("/").await {
            Ok(reply) => reply.bytes().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(
            matches!(error, Error::Body { .. } | Error::InvalidResponse { .. }),
            "{error:?}"
        );
    }
    release.notify_one();
    assert_eq!(held.await.unwrap().unwrap(), 200);
    assert_eq!(pod.stats().accepted, 1);
}

#[tokio::test]
async fn a_slow_reader_of_short_messages_gets_all_of_them() {
    const MESSAGES: usize = 50_000;
    let sent = Arc::new(Notify::new());
    let all_sent = Arc::clone(&sent);
    let pod = RawPod::start(move |connection: RawConnection| {
        let sent = Arc::clone(&all_sent);
        async move {
            let mut peer = Peer::begin(connection.into_stream()).await;
            while let Some(frame) = peer.read().await {
                // The window is larger from then on.
                if frame.kind == SETTINGS && frame.flags != ACK {
                    peer.write(SETTINGS, ACK, 0, &[]).await;
                }
                if frame.kind == HEADERS {
                    peer.write(HEADERS, END_HEADERS, frame.stream, OK).await;
                    for _ in 1..MESSAGES {
                        peer.write(DATA, 0, frame.stream, &[b'm'; 20]).await;
                    }
                    peer.write(DATA, END_STREAM, frame.stream, &[b'm'; 20]).await;
                    sent.notify_one();
                }
            }
        }
    })
    .unwrap();
    let builder = raw::builder(&[pod.addr()]).await.protocol(Protocol::Http2);
    let client = builder.http2_max_concurrent_streams(1).build().unwrap();
    let reply = client.get("/").await.unwrap();
    // All of it is within the window, and is held while nothing is read.
    let body = reply.into_http().into_body();
    sent.notified().await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let all = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    assert_eq!(all.len(), MESSAGES * 20);
}

#[tokio::test]
async fn the_answer_to_a_head_has_no_body_whatever_its_length_says() {
    let pod = RawPod::start(|connection: RawConnection| async move {
        let mut peer = Peer::begin(connection.into_stream()).await;
        while let Some(frame) = peer.read().await {
            if frame.kind == HEADERS {
                peer.write(HEADERS, END_HEADERS, frame.stream, &ok_with_length(b"5000"))
                    .await;
                peer.write(DATA, END_STREAM, frame.stream, b"").await;
            }
        }
    })
    .unwrap();
    let client = client(&pod).await;
    let head = || Request::head("/").body(()).unwrap();
    let reply = client.request(head()).await.unwrap();
    assert_eq!(reply.headers()["content-length"], "5000");
    assert!(reply.bytes_limited(100).await.unwrap().is_empty());
    let body = client.request(head()).await.unwrap().into_http().into_body();
    assert_eq!(body.size_hint().exact(), Some(0));
}
