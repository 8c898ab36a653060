//! Answers that are not HTTP, or larger than the client allows. The pods are raw servers on
//! runtimes of their own.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use common::Web;
use futures_util::future::join_all;
use futures_util::stream;
use headless_http::{Client, Error, Protocol, RequestBody};
use headless_testkit::{App, Pod, RawPod};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::Barrier;

/// The head of an answer without a body that has `fields` header fields in all.
fn head(fields: usize) -> String {
    let mut head = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".to_owned();
    for number in 1..fields {
        write!(head, "x-{number}: {number}\r\n").unwrap();
    }
    head + "\r\n"
}

/// Starts a pod that answers `/bad` with `bad`, which `asked` counts, and `/all` when six requests
/// have come to all pods with the same `all`.
fn pod(bad: &str, asked: &Arc<AtomicUsize>, all: &Arc<Barrier>) -> RawPod {
    let (bad, asked, all) = (bad.to_owned(), Arc::clone(asked), Arc::clone(all));
    RawPod::start(move |mut connection| {
        let (bad, asked, all) = (bad.clone(), Arc::clone(&asked), Arc::clone(&all));
        async move {
            while let Some(request) = connection.request().await {
                let answer = match request.path() {
                    "/bad" => {
                        asked.fetch_add(1, Relaxed);
                        bad.clone()
                    }
                    _ => {
                        all.wait().await;
                        head(1)
                    }
                };
                connection.write(answer).await;
            }
        }
    })
    .unwrap()
}

fn idle(client: &Client) -> usize {
    client
        .balancer()
        .stats()
        .endpoints
        .iter()
        .map(|pod| pod.pool.idle)
        .sum()
}

fn invalidated(client: &Client) -> u64 {
    client
        .balancer()
        .stats()
        .endpoints
        .iter()
        .map(|pod| pod.pool.closed.invalidated)
        .sum()
}

fn assert_unreadable(error: &Error) {
    assert!(matches!(error, Error::InvalidResponse { .. }), "{error:?}");
    assert!(!error.is_not_sent(), "the pod has processed it");
    assert!(error.endpoint().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_cannot_be_read_is_not_asked_for_again() {
    let large = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: {}\r\n\r\n",
        "x".repeat(700_000)
    );
    for (bad, problem) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
            "content-length",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok", "content-length"),
        ("HTTP/1.1 200 OK\r\nx-a : 1\r\ncontent-length: 0\r\n\r\n", "header"),
        ("HTTP/1.1 20 OK\r\n\r\n", "status"),
        ("hello\r\n\r\n", "version"),
        (&head(257), "too large"),
        (&large, "too large"),
    ] {
        let (asked, all) = (Arc::default(), Arc::new(Barrier::new(6)));
        let pods = [(); 3].map(|()| pod(bad, &asked, &all));
        let client = raw::builder(&pods.each_ref().map(|pod| pod.addr()))
            .await
            .build()
            .unwrap();
        for reply in join_all((0..6).map(|_| client.get("/all"))).await {
            reply.unwrap().bytes().await.unwrap();
        }
        assert_eq!(idle(&client), 6);
        let error = client.get("/bad").await.unwrap_err();
        assert_unreadable(&error);
        assert!(error.to_string().contains(problem), "{error}");
        assert_eq!(asked.load(Relaxed), 1, "another pod would answer the same: {problem}");
        assert_eq!((idle(&client), invalidated(&client)), (5, 0), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_size_of_a_head_has_generous_limits_that_can_be_set() {
    let padded = |bytes| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: {}\r\n\r\n",
            "x".repeat(bytes)
        )
    };
    for (answer, fields, bytes, is_read) in [
        (head(101), None, None, true),
        (head(256), None, None, true),
        (head(101), Some(100), None, false),
        (head(300), Some(300), None, true),
        (head(20), Some(10), None, false),
        (padded(400_000), None, None, true),
        (padded(2000), None, Some(1000), false),
        (padded(900_000), None, Some(1_000_000), true),
    ] {
        let (asked, all) = (Arc::default(), Arc::new(Barrier::new(1)));
        let pod = pod(&answer, &asked, &all);
        let mut builder = raw::builder(&[pod.addr()]).await;
        if let Some(fields) = fields {
            builder = builder.max_response_headers(fields);
        }
        if let Some(bytes) = bytes {
            builder = builder.max_response_head_bytes(bytes);
        }
        match builder.build().unwrap().get("/bad").await {
            Ok(reply) => assert!(is_read, "{} bytes: {reply:?}", answer.len()),
            Err(error) => {
                assert_unreadable(&error);
                assert!(!is_read, "{} bytes: {error}", answer.len());
            }
        }
    }
}

#[tokio::test]
async fn a_limit_that_allows_no_answer_is_refused_by_name() {
    let addr = "127.0.0.1:1".parse().unwrap();
    for (builder, problem) in [
        (
            raw::builder(&[addr]).await.max_response_headers(0),
            "`max_response_headers` is 0",
        ),
        (
            raw::builder(&[addr]).await.max_response_headers(30_000),
            "`max_response_headers` is 30000",
        ),
        (
            raw::builder(&[addr]).await.max_response_head_bytes(0),
            "`max_response_head_bytes` is 0",
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[tokio::test]
async fn a_large_head_over_http2_is_the_answers_fault() {
    let serve = |_: Pod, socket| async move {
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let size: usize = request.uri().path()[1..].parse().unwrap();
            let answer = http::Response::builder().header("x", "x".repeat(size));
            drop(respond.send_response(answer.body(()).unwrap(), true));
        }
    };
    let web = Web::start_with(3, App::custom(serve)).await;
    let builder = || async { web.builder().await.protocol(Protocol::Http2) };
    let client = builder().await.build().unwrap();
    let reply = client.get("/70000").await.unwrap();
    assert_eq!(reply.headers()["x"].len(), 70_000);
    let connections = web.accepted();

    let client = builder().await.max_response_head_bytes(20_000).build().unwrap();
    let error = client.get("/25000").await.unwrap_err();
    assert_unreadable(&error);
    assert_eq!(web.accepted(), connections + 1, "it went to one pod");
    assert_eq!(invalidated(&client), 0);
    assert_eq!(client.get("/1000").await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_end_of_the_request_is_the_callers_though_the_pod_closes() {
    // What it has not read makes the kernel reset the connection.
    let pod = RawPod::start(|mut connection| async move {
        connection.head().await;
        connection
            .write("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno")
            .await;
    })
    .unwrap();
    let client = raw::builder(&[pod.addr()]).await.build().unwrap();
    let large = Bytes::from(vec![b'x'; 8 << 20]);
    for number in 0..40 {
        let body = match number % 2 {
            0 => RequestBody::from(large.clone()),
            _ => {
                let frames = (0..large.len()).step_by(1 << 16).map({
                    let large = large.clone();
                    move |start| Ok::<_, Infallible>(Frame::data(large.slice(start..start + (1 << 16))))
                });
                RequestBody::new(StreamBody::new(stream::iter(frames)))
            }
        };
        let reply = client.post("/", body).await.unwrap();
        assert_eq!(reply.status(), 413);
        assert_eq!(reply.text().await.unwrap(), "no");
    }
    assert_eq!(pod.stats().accepted, 40, "no connection was used again");
}
