//! HTTP/2 with prior knowledge: many requests share a connection.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use common::{Web, get, in_flight};
use futures_util::future::join_all;
use headless_http::{Client, Protocol};
use headless_testkit::{App, Pod};
use http_body_util::BodyExt;
use tokio::sync::Barrier;

async fn client(web: &Web, max_streams: usize) -> Client {
    let builder = web.builder().await.protocol(Protocol::Http2);
    builder.http2_max_concurrent_streams(max_streams).build().unwrap()
}

#[tokio::test]
async fn concurrent_requests_share_one_connection() {
    let web = Web::start(1).await;
    let pod = web.set.pod("web-0").unwrap();
    let client = client(&web, 100).await;
    get(&client).await.unwrap();
    pod.hold();
    let all = join_all((0..50).map(|_| get(&client)));
    let release = async {
        pod.wait_stats(|stats| stats.in_flight == 50).await.unwrap();
        assert_eq!(in_flight(&client), 50);
        pod.release();
    };
    let (all, ()) = tokio::join!(all, release);
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(web.accepted(), 1);
    assert_eq!(in_flight(&client), 0);
}

#[tokio::test]
async fn a_full_connection_is_joined_by_another() {
    let web = Web::start(1).await;
    let pod = web.set.pod("web-0").unwrap();
    let client = client(&web, 4).await;
    pod.hold();
    let all = join_all((0..10).map(|_| get(&client)));
    let release = async {
        pod.wait_stats(|stats| stats.in_flight == 10).await.unwrap();
        pod.release();
    };
    let (all, ()) = tokio::join!(all, release);
    assert!(all.iter().all(Result::is_ok));
    assert!((3..=10).contains(&web.accepted()), "{} connections", web.accepted());
}

/// The pod allows two requests on a connection, and answers when it has six.
#[tokio::test]
async fn a_connection_that_is_full_by_the_pods_settings_is_joined_by_another() {
    let all = Arc::new(Barrier::new(6));
    let most = Arc::new(AtomicU64::new(0));
    let most_seen = Arc::clone(&most);
    let serve = move |_: Pod, socket| {
        let (all, most) = (Arc::clone(&all), Arc::clone(&most));
        async move {
            let mut builder = h2::server::Builder::new();
            let handshake = builder.max_concurrent_streams(2).handshake(socket);
            let mut connection: h2::server::Connection<_, bytes::Bytes> = handshake.await.unwrap();
            let mut requests = 0;
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                requests += 1;
                most.fetch_max(requests, Relaxed);
                let all = Arc::clone(&all);
                tokio::spawn(async move {
                    all.wait().await;
                    respond.send_response(http::Response::new(()), true).unwrap();
                });
            }
        }
    };
    let web = Web::start_with(1, App::custom(serve)).await;
    let client = client(&web, 100).await;
    let replies = join_all((0..6).map(|_| client.get("/"))).await;
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    assert_eq!(most_seen.load(Relaxed), 2);
    assert!(web.accepted() >= 3);
}

#[tokio::test]
async fn the_authority_is_the_services_name() {
    let web = Web::start(1).await;
    let client = client(&web, 100).await;
    let text = client.get("/echo?x=1").await.unwrap().text().await.unwrap();
    assert!(text.contains("host: web.shop.svc.cluster.local\n"), "{text}");
    assert!(text.contains("path: /echo?x=1\n"), "{text}");
    assert!(text.contains("version: HTTP/2.0\n"), "{text}");
    let own = http::Request::get("/echo")
        .header("host", "own.example")
        .body(())
        .unwrap();
    let text = client.request(own).await.unwrap().text().await.unwrap();
    assert!(text.contains("host: own.example\n"), "{text}");
}

#[tokio::test]
async fn a_body_dropped_early_ends_its_stream_only() {
    let web = Web::start(1).await;
    let pod = web.set.pod("web-0").unwrap();
    let client = client(&web, 100).await;
    let mut body = client
        .get("/stream?chunks=2&step")
        .await
        .unwrap()
        .into_http()
        .into_body();
    pod.release_chunks(1);
    body.frame().await.unwrap().unwrap();
    assert_eq!(in_flight(&client), 1);
    drop(body);
    assert_eq!(in_flight(&client), 0);
    pod.wait_stats(|stats| stats.in_flight == 0).await.unwrap();
    get(&client).await.unwrap();
    assert_eq!(web.accepted(), 1);
}
