//! HTTP/1.1: reuse of connections, names, and the lease that lasts to the end of the body.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::time::Duration;

use common::{Web, get, in_flight};
use headless::PoolConfig;
use headless::policy::RoundRobin;
use headless_http::{Client, Protocol};
use http::Request;
use http_body_util::BodyExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequential_requests_share_one_connection() {
    let web = Web::start(1).await;
    let client = web.client().await;
    for _ in 0..300 {
        get(&client).await.unwrap();
        client.post("/echo", "body").await.unwrap().bytes().await.unwrap();
        // No body at all, and one that is not read to its end.
        let head = Request::head("/").body(()).unwrap();
        assert_eq!(client.request(head).await.unwrap().status(), 200);
        let mut body = client.get("/").await.unwrap().into_http().into_body();
        body.frame().await.unwrap().unwrap();
    }
    assert_eq!(web.accepted(), 1);
    assert_eq!(in_flight(&client), 0);
}

#[tokio::test]
async fn requests_are_balanced_over_the_pods() {
    let web = Web::start(3).await;
    let client = web.builder().await.policy(RoundRobin::default()).build().unwrap();
    for _ in 0..30 {
        get(&client).await.unwrap();
    }
    assert!(
        web.requests().values().all(|&count| count == 10),
        "{:?}",
        web.requests()
    );
    assert_eq!(web.accepted(), 3);
}

#[tokio::test]
async fn the_pod_sees_the_services_name() {
    let web = Web::start(1).await;
    let seen = async |client: &Client, path: &str| {
        let text = client.get(path).await.unwrap().text().await.unwrap();
        let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
        (line("host: "), line("path: "))
    };
    let named = web.client().await;
    assert_eq!(
        seen(&named, "/echo?x=1").await,
        ("web.shop.svc.cluster.local".into(), "/echo?x=1".into())
    );
    assert_eq!(
        seen(&named, "http://web.shop.svc/echo").await,
        ("web.shop.svc.cluster.local".into(), "/echo".into()),
        "an absolute URI in one of the Service's names goes out as a path"
    );
    let numbered = Client::builder(web.discover("web.shop.svc:8080").await)
        .build()
        .unwrap();
    assert_eq!(seen(&numbered, "/echo").await.0, "web.shop.svc.cluster.local:8080");
    let renamed = web.builder().await.authority("shop.example:81").build().unwrap();
    assert_eq!(seen(&renamed, "/echo").await.0, "shop.example:81");
    let own = Request::get("/echo").header("host", "own.example").body(()).unwrap();
    let text = named.request(own).await.unwrap().text().await.unwrap();
    assert!(text.contains("host: own.example\n"), "{text}");
}

#[tokio::test]
async fn the_lease_lives_to_the_end_of_the_body() {
    let web = Web::start(1).await;
    let pod = web.set.pod("web-0").unwrap();
    let client = web.client().await;
    let reply = client.get("/stream?chunks=2&bytes=10&step").await.unwrap();
    let mut body = reply.into_http().into_body();
    assert_eq!(in_flight(&client), 1);
    pod.release_chunks(1);
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 10);
    assert_eq!(in_flight(&client), 1);
    assert_eq!(client.balancer().stats().endpoints[0].pool.busy, 1);
    pod.release_chunks(1);
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 10);
    assert_eq!(in_flight(&client), 0);
    get(&client).await.unwrap();
    assert_eq!(web.accepted(), 1, "the connection serves on");
}

#[tokio::test]
async fn a_body_that_comes_in_pieces_is_read_whole() {
    let web = Web::start(1).await;
    let client = web.client().await;
    for (chunks, length) in [(0, 0), (1, 10), (3, 30)] {
        let path = format!("/stream?chunks={chunks}&bytes=10");
        let body = client.get(&path).await.unwrap().bytes().await.unwrap();
        assert_eq!(body.len(), length, "{chunks} chunks");
        assert_eq!(in_flight(&client), 0);
    }
}

#[tokio::test]
async fn a_body_dropped_early_closes_its_connection() {
    let web = Web::start(1).await;
    let pod = web.set.pod("web-0").unwrap();
    let client = web.client().await;
    let mut body = client
        .get("/stream?chunks=2&step")
        .await
        .unwrap()
        .into_http()
        .into_body();
    pod.release_chunks(1);
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(in_flight(&client), 0);
    pod.wait_stats(|stats| stats.open == 0).await.unwrap();
    get(&client).await.unwrap();
    assert_eq!(web.accepted(), 2);
}

#[tokio::test]
async fn a_cancelled_request_closes_its_connection_and_leaves_no_trace() {
    let web = Web::start(1).await;
    let pod = web.set.pod("web-0").unwrap();
    let client = web.client().await;
    pod.hold();
    let request = tokio::spawn({
        let client = client.clone();
        async move { client.get("/").await.map(|reply| reply.status()) }
    });
    pod.wait_stats(|stats| stats.in_flight == 1).await.unwrap();
    assert_eq!(in_flight(&client), 1);
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    assert_eq!(in_flight(&client), 0);
    pod.release();
    get(&client).await.unwrap();
    pod.wait_stats(|stats| stats.open == 1).await.unwrap();
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_no_end() {
    let web = Web::start(2).await;
    let client = web.client().await;
    let reply = client.get("/stream?chunks=2&step").await.unwrap();
    let pod = reply.endpoint().pod().unwrap().to_string();
    web.set.kill(&pod).await.unwrap();
    let error = reply.bytes().await.unwrap_err();
    assert!(error.to_string().contains(&format!("from {pod} (")), "{error}");
    assert!(error.to_string().ends_with("is incomplete"), "{error}");
    assert!(!error.is_not_sent());
    assert_eq!(in_flight(&client), 0);
}

#[tokio::test]
async fn what_a_removed_pod_has_not_finished_by_the_drain_deadline_is_aborted() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let web = Web::start(2).await;
        let mut pool = PoolConfig::default();
        pool.drain_timeout = Duration::from_millis(10);
        let client = web.builder().await.protocol(protocol).pool(pool).build().unwrap();
        let reply = client.get("/stream?chunks=2&bytes=10&step").await.unwrap();
        let pod = reply.endpoint().pod().unwrap().to_string();
        let mut body = reply.into_http().into_body();
        web.set.set_ready(&pod, false).unwrap();
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(
            error.endpoint().unwrap().pod().unwrap().to_string(),
            pod,
            "{protocol:?}: {error}"
        );
        assert_eq!(client.balancer().stats().draining, []);
    }
}

#[tokio::test]
async fn tcp_options_that_cannot_be_set_are_refused_by_name() {
    let web = Web::start(1).await;
    let keep_alive = web.builder().await.tcp_keep_alive(Duration::ZERO);
    let user_timeout = web.builder().await.tcp_user_timeout(Duration::MAX);
    for (builder, says) in [
        (keep_alive, "`tcp_keep_alive` is 0ns; it must be from 1 s to 32767s"),
        (
            user_timeout,
            "`tcp_user_timeout` is 18446744073709551615.999999999s; it must be",
        ),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let none = web.builder().await.tcp_keep_alive(None).tcp_user_timeout(None);
    get(&none.build().unwrap()).await.unwrap();
}
