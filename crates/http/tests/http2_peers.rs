//! HTTP/2 pods that allow no streams for a while, fall silent, or whose answers are held unread.
//! They write their frames themselves, on runtimes of their own.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::frames::{END_HEADERS, END_STREAM, HEADERS, Peer};
use futures_util::future::{join, join_all};
use headless_http::{Client, ClientBuilder, Error, Protocol, RequestBody};
use headless_testkit::{RawConnection, RawPod};
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

async fn builder(pods: &[&RawPod]) -> ClientBuilder {
    let addrs: Vec<_> = pods.iter().map(|pod| pod.addr()).collect();
    raw::builder(&addrs).await.protocol(Protocol::Http2)
}

/// Allows no stream on any connection, and as many as are added to `more`, one after the other.
fn reluctant(more: &Arc<Semaphore>) -> RawPod {
    let more = Arc::clone(more);
    RawPod::start(move |connection: RawConnection| {
        let more = Arc::clone(&more);
        async move {
            let mut peer = Peer::before_settings(connection.into_stream()).await;
            peer.allow(0).await;
            let permit = more.acquire().await.unwrap();
            peer.allow(20).await;
            drop(permit);
            peer.answer_all().await;
        }
    })
    .unwrap()
}

fn settings(of: &str, builder: ClientBuilder) -> Client {
    match of {
        "one connection" => builder.max_connections_per_endpoint(1),
        "one stream" => builder.http2_max_concurrent_streams(1).max_connections_per_endpoint(1),
        _ => builder,
    }
    .build()
    .unwrap()
}

/// SPEC(RFC 9113 6.5.2): a limit of zero is for a short time.
#[tokio::test]
async fn requests_wait_for_a_pod_that_allows_no_streams_yet() {
    for of in ["one connection", "one stream", "the defaults"] {
        let more = Arc::new(Semaphore::new(0));
        let pod = reluctant(&more);
        let client = settings(of, builder(&[&pod]).await);
        let gets = join_all((0..5).map(|_| client.get("/")));
        let raise = async {
            pod.wait_stats(|stats| stats.accepted >= 1).await.unwrap();
            // They are refused by the pod, and wait.
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            more.add_permits(1);
        };
        let (replies, ()) = join(gets, raise).await;
        for reply in replies {
            assert_eq!(reply.unwrap().status(), 200, "{of}");
        }
        assert!(pod.stats().accepted <= 2, "{of}: {:?}", pod.stats());
    }
}

#[tokio::test]
async fn while_one_pod_allows_no_streams_another_serves() {
    let pods = [
        reluctant(&Arc::new(Semaphore::new(0))),
        reluctant(&Arc::new(Semaphore::new(1))),
    ];
    let client = builder(&[&pods[0], &pods[1]]).await.build().unwrap();
    for _ in 0..20 {
        let reply = client.get("/").await.unwrap();
        assert_eq!(reply.endpoint().addr(), pods[1].addr());
    }
    assert!(pods[0].stats().accepted <= 1);
}

#[tokio::test]
async fn a_pod_that_never_allows_a_stream_is_named_at_the_end() {
    let pod = reluctant(&Arc::new(Semaphore::new(0)));
    let client = builder(&[&pod])
        .await
        .acquire_timeout(Duration::from_millis(200))
        .build();
    let error = client.unwrap().get("/").await.unwrap_err();
    assert!(matches!(error, Error::Acquire(_)) && error.is_not_sent(), "{error:?}");
    assert!(error.to_string().contains("MAX_CONCURRENT_STREAMS is 0"), "{error}");
    assert_eq!(pod.stats().accepted, 1);
}

/// The limit is lowered to none while a stream is open, which goes on, and raised again.
#[tokio::test]
async fn a_limit_that_is_lowered_to_none_lets_open_streams_end() {
    let (lower, raise) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let lowered = (Arc::clone(&lower), Arc::clone(&raise));
    let pod = RawPod::start(move |connection: RawConnection| {
        let (lower, raise) = lowered.clone();
        async move {
            let mut peer = Peer::begin(connection.into_stream()).await;
            peer.requests(1).await;
            peer.allow(0).await;
            // The first SETTINGS were acknowledged before the request.
            peer.acknowledgement().await;
            lower.notify_one();
            raise.notified().await;
            peer.answer(1).await;
            peer.allow(1).await;
            peer.answer_all().await;
        }
    })
    .unwrap();
    let client = builder(&[&pod]).await.build().unwrap();
    let (first, second) = join(client.get("/"), async {
        lower.notified().await;
        join(client.get("/"), async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            raise.notify_one();
        })
        .await
        .0
    })
    .await;
    assert_eq!(
        (first.unwrap().status(), second.unwrap().status()),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    assert_eq!(pod.stats().accepted, 1);
}

#[tokio::test]
async fn a_limit_that_is_raised_serves_those_that_wait_on_the_same_connection() {
    let begun = Arc::new(Notify::new());
    let raise = Arc::clone(&begun);
    let pod = RawPod::start(move |connection: RawConnection| {
        let raise = Arc::clone(&raise);
        async move {
            let mut peer = Peer::before_settings(connection.into_stream()).await;
            peer.allow(1).await;
            let first = peer.requests(1).await;
            raise.notified().await;
            peer.allow(2).await;
            let second = peer.requests(1).await;
            for stream in [second, first].concat() {
                peer.answer(stream).await;
            }
            peer.rest().await;
        }
    })
    .unwrap();
    let builder = builder(&[&pod]).await.max_connections_per_endpoint(1);
    let client = builder.build().unwrap();
    let gets = join_all((0..2).map(|_| client.get("/")));
    let (replies, ()) = join(gets, async {
        while client.balancer().stats().endpoints[0].pool.waiting == 0 {
            tokio::task::yield_now().await;
        }
        begun.notify_one();
    })
    .await;
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    assert_eq!(pod.stats().accepted, 1);
}

/// The first connection answers once, and then nothing, not even PINGs.
fn falls_silent() -> RawPod {
    RawPod::start(|connection: RawConnection| async move {
        let is_first = connection.number() == 0;
        let mut peer = Peer::begin(connection.into_stream()).await;
        if is_first {
            let [stream] = peer.requests(1).await[..] else { panic!() };
            peer.answer(stream).await;
            peer.rest().await;
        } else {
            peer.answer_all().await;
        }
    })
    .unwrap()
}

#[tokio::test]
async fn a_connection_that_falls_silent_costs_one_timeout() {
    for of in ["one connection", "one stream", "keep-alive", "the defaults"] {
        let pods = [
            falls_silent(),
            RawPod::start(answers).unwrap(),
            RawPod::start(answers).unwrap(),
        ];
        for count in [1, 3] {
            let pods: Vec<_> = pods[..count].iter().collect();
            let builder = builder(&pods).await.request_timeout(Duration::from_millis(300));
            let client = match of {
                "keep-alive" => builder
                    .http2_keep_alive_interval(Duration::from_secs(60))
                    .build()
                    .unwrap(),
                _ => settings(of, builder),
            };
            let mut timeouts = 0;
            for _ in 0..30 {
                match client.get("/").await {
                    Ok(reply) => assert_eq!(reply.status(), 200),
                    Err(Error::Timeout { .. }) => timeouts += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
            assert!(timeouts <= 1, "{of}, {count} pods: {timeouts} timeouts");
        }
    }
}

async fn answers(connection: RawConnection) {
    Peer::begin(connection.into_stream()).await.answer_all().await;
}

/// Also while another request still waits on it, which is given up later.
#[tokio::test]
async fn a_silent_connection_in_use_takes_no_other_request() {
    let pod = falls_silent();
    let client = builder(&[&pod]).await.request_timeout(None).build().unwrap();
    drop(client.get("/").await.unwrap());
    let (waiting, ()) = join(timeout(Duration::from_millis(200), client.get("/long")), async {
        assert!(timeout(Duration::from_millis(100), client.get("/")).await.is_err());
        for _ in 0..10 {
            drop(client.get("/").await.unwrap());
        }
    })
    .await;
    assert!(waiting.is_err());
    assert_eq!(pod.stats().accepted, 2);
}

/// Answers with a body of as many bytes as the path says, on h2.
fn streams() -> RawPod {
    RawPod::start(|connection: RawConnection| async move {
        let mut connection = h2::server::handshake(connection.into_stream()).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let bytes: usize = request.uri().path()[1..].parse().unwrap();
            let mut stream = respond.send_response(http::Response::new(()), bytes == 0).unwrap();
            if bytes > 0 {
                stream.send_data(vec![7; bytes].into(), true).unwrap();
            }
        }
    })
    .unwrap()
}

#[tokio::test]
async fn answers_that_are_held_unread_delay_no_other() {
    for (held, bytes, max_streams, window) in [
        (3, 4_000_000, 100, None),
        (60, 100_000, 100, None),
        (30, 2_000_000, 31, None),
        (300, 100_000, 301, Some(65_535)),
    ] {
        let pod = streams();
        let builder = builder(&[&pod]).await.max_connections_per_endpoint(1);
        let mut builder = builder.http2_max_concurrent_streams(max_streams);
        if let Some(window) = window {
            builder = builder.http2_stream_window(window);
        }
        let client = builder.build().unwrap();
        let path = format!("/{bytes}");
        let unread: Vec<_> = join_all((0..held).map(|_| client.get(&path))).await;
        let get = async { client.get("/1000").await.unwrap().bytes().await.unwrap().len() };
        let read = timeout(Duration::from_secs(10), get).await;
        assert_eq!(read.ok(), Some(1000), "behind {held} of {bytes} bytes");
        // And they come to their ends.
        let all = join_all(
            unread
                .into_iter()
                .map(async |reply| reply.unwrap().bytes().await.unwrap().len()),
        );
        assert!(all.await.into_iter().all(|read| read == bytes));
        assert_eq!(pod.stats().accepted, 1);
    }
}

/// The pod reads none of a large upload, and the windows of streams are smaller than that of the
/// connection.
#[tokio::test]
async fn an_upload_that_the_pod_does_not_read_delays_no_other_request() {
    let pod = RawPod::start(|connection: RawConnection| async move {
        let mut builder = h2::server::Builder::new();
        builder
            .initial_connection_window_size(1_000_000)
            .initial_window_size(100_000);
        let mut connection: h2::server::Connection<_, Bytes> =
            builder.handshake(connection.into_stream()).await.unwrap();
        let mut held = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            match request.uri().path() {
                "/hold" => held.push((request, respond)),
                _ => {
                    tokio::spawn(async move {
                        let mut body = request.into_body();
                        let mut read = 0;
                        while let Some(Ok(data)) = body.data().await {
                            body.flow_control().release_capacity(data.len()).unwrap();
                            read += data.len();
                        }
                        let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
                        stream.send_data(read.to_string().into(), true).unwrap();
                    });
                }
            }
        }
    })
    .unwrap();
    let client = builder(&[&pod]).await.max_connections_per_endpoint(1).build().unwrap();
    let stream = || {
        let chunks = (0..100).map(|_| Ok::<_, Error>(http_body::Frame::data(Bytes::from(vec![1; 10_000]))));
        RequestBody::new(StreamBody::new(futures_util::stream::iter(chunks)))
    };
    let held = join_all([stream(), vec![1; 1_000_000].into()].map(|body| client.post("/hold", body)));
    let others = async {
        for body in [().into(), "order".into(), stream(), vec![1; 1_000_000].into()] {
            let expected = match RequestBody::is_replayable(&body) {
                true => http_body::Body::size_hint(&body).exact().unwrap(),
                false => 1_000_000,
            };
            let reply = client.post("/read", body).await.unwrap().text().await.unwrap();
            assert_eq!(reply, expected.to_string());
        }
    };
    tokio::select! {
        _ = held => panic!("they are never answered"),
        () = others => {}
    }
    assert_eq!(pod.stats().accepted, 1);
}

/// An answer that begins while the request is still sent, and ends after it.
#[tokio::test]
async fn both_directions_flow_at_the_same_time() {
    let pod = RawPod::start(|connection: RawConnection| async move {
        let mut connection = h2::server::handshake(connection.into_stream()).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            tokio::spawn(async move {
                let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
                let mut body = request.into_body();
                while let Some(Ok(data)) = body.data().await {
                    stream.send_data(data, false).unwrap();
                }
                let trailers = body.trailers().await.unwrap();
                stream.send_trailers(trailers.unwrap()).unwrap();
            });
        }
    })
    .unwrap();
    let client = builder(&[&pod]).await.build().unwrap();
    let (send, receive) = tokio::sync::mpsc::unbounded_channel();
    let body = StreamBody::new(futures_util::stream::unfold(receive, async |mut receive| {
        let frame: http_body::Frame<Bytes> = receive.recv().await?;
        Some((Ok::<_, Error>(frame), receive))
    }));
    let reply = client.post("/echo", RequestBody::new(Box::pin(body))).await.unwrap();
    let mut answer = reply.into_http().into_body();
    for word in ["to", "and", "fro"] {
        send.send(http_body::Frame::data(Bytes::from(word))).unwrap();
        let frame = answer.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), word);
    }
    let trailers = http::HeaderMap::from_iter([(http::header::ETAG, "7".parse().unwrap())]);
    send.send(http_body::Frame::trailers(trailers.clone())).unwrap();
    drop(send);
    let frame = answer.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap(), trailers);
    assert!(answer.frame().await.is_none());
}

/// A pod that answers before it has read the request, and wants no more of it.
#[tokio::test]
async fn an_early_answer_with_a_reset_that_is_no_error_is_an_answer() {
    const RST_STREAM: u8 = 3;
    const DATA: u8 = 0;
    let pod = RawPod::start(|connection: RawConnection| async move {
        let mut peer = Peer::begin(connection.into_stream()).await;
        while let Some(frame) = peer.read().await {
            if frame.kind == HEADERS {
                peer.write(HEADERS, END_HEADERS, frame.stream, &[0x88]).await;
                peer.write(DATA, END_STREAM, frame.stream, b"enough").await;
                peer.write(RST_STREAM, 0, frame.stream, &[0; 4]).await;
            }
        }
    })
    .unwrap();
    let client = builder(&[&pod]).await.build().unwrap();
    for _ in 0..20 {
        let endless = futures_util::stream::repeat_with(|| Ok::<_, Error>(http_body::Frame::data(Bytes::from("more"))));
        let reply = client
            .post("/", RequestBody::new(StreamBody::new(endless)))
            .await
            .unwrap();
        assert_eq!(reply.text().await.unwrap(), "enough");
    }
    assert_eq!(pod.stats().accepted, 1);
}
