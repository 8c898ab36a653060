//! When a connection carries another request, and what becomes of a request that its connection
//! leaves behind. The pods are raw servers on runtimes of their own.
//!
//! `HEADLESS_REQUESTS` sets the number of requests of each kind.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "common/raw.rs"]
mod raw;

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use headless::PoolStats;
use headless::policy::RoundRobin;
use headless_http::{Client, ClientBuilder, Error, Protocol, RequestBody, RetryBudget};
use headless_testkit::{RawConnection, RawPod};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Barrier, Notify};
use tokio::task::spawn_blocking;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The callers of one test, each of which sends one request after the other.
const CALLERS: usize = 8;

/// The number of requests of each caller in [`send_from_everywhere`]; `few` unless more are wanted.
fn requests_each(few: usize) -> usize {
    match std::env::var("HEADLESS_REQUESTS") {
        Ok(requests) => requests.parse::<usize>().unwrap() / (2 * CALLERS),
        Err(_) => few,
    }
}

fn two_workers() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Has [`CALLERS`] send requests, first inside `block_on`, then in blocking tasks that block on the
/// runtime, and returns the errors. Of two requests, one is a GET and the other a POST to a path of
/// its own.
fn send_from_everywhere(client: &Client, runtime: &Runtime, requests_each: usize) -> Vec<(String, Error)> {
    let call = |caller: usize| {
        let client = client.clone();
        async move {
            let mut errors = Vec::new();
            for number in 0..requests_each {
                let path = format!("/{caller}/{number}");
                let sent = match number % 2 {
                    0 => client.get(&path).await,
                    _ => client.post(&path, "order").await,
                };
                let text = match sent {
                    Ok(reply) => reply.text().await,
                    Err(error) => Err(error),
                };
                match text {
                    Ok(text) => assert_eq!(text, "ok"),
                    Err(error) => errors.push((path, error)),
                }
            }
            errors
        }
    };
    let mut errors = runtime.block_on(join_all((0..CALLERS).map(call)));
    errors.extend(runtime.block_on(async {
        let blocking = (CALLERS..2 * CALLERS).map(|caller| {
            let calls = call(caller);
            spawn_blocking(move || Handle::current().block_on(calls))
        });
        join_all(blocking)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect::<Vec<_>>()
    }));
    errors.into_iter().flatten().collect()
}

fn client(runtime: &Runtime, pods: &[&RawPod], set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    let pods: Vec<_> = pods.iter().map(|pod| pod.addr()).collect();
    runtime.block_on(async { set(raw::builder(&pods).await).build().unwrap() })
}

fn pool(client: &Client) -> PoolStats {
    client.balancer().stats().endpoints[0].pool.clone()
}

#[test]
fn a_pod_that_closes_after_each_answer_loses_no_request() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: x-trace, CLOSE\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: Close\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\n\r\nok",
    ] {
        let late = Arc::<AtomicUsize>::default();
        let seen = Arc::clone(&late);
        let pod = RawPod::start(move |mut connection| {
            let seen = Arc::clone(&seen);
            async move {
                let Some(request) = connection.request().await else {
                    return;
                };
                connection.write(answer).await;
                // One half is closed at once, the other half when the client has closed.
                if request.path().ends_with(['2', '3', '6', '7', '8']) {
                    return;
                }
                connection.finish().await;
                seen.fetch_add(connection.rest().await.len(), Relaxed);
            }
        })
        .unwrap();
        for max_retries in [None, Some(0)] {
            let runtime = two_workers();
            let client = client(&runtime, &[&pod], |builder| match max_retries {
                Some(limit) => builder.max_retries(limit).retry_budget(RetryBudget::new(0, 0)),
                None => builder,
            });
            let errors = send_from_everywhere(&client, &runtime, requests_each(100));
            assert!(
                errors.is_empty(),
                "{max_retries:?} {answer:?}: {} lost: {errors:?}",
                errors.len()
            );
            let pool = pool(&client);
            assert_eq!((pool.closed.broken, pool.closed.invalidated), (0, 0), "{answer:?}");
        }
        assert_eq!(
            late.load(Relaxed),
            0,
            "bytes were sent after the end was announced: {answer:?}"
        );
    }
}

/// Starts a pod that answers, and closes each connection after 50 answers without announcing it.
fn pod_with_keepalive_requests() -> RawPod {
    RawPod::start(|mut connection| async move {
        for _ in 0..50 {
            if connection.request().await.is_none() || !connection.write(OK).await {
                return;
            }
        }
    })
    .unwrap()
}

#[test]
fn a_pod_that_closes_each_50th_answer_unannounced_loses_no_read() {
    let pod = pod_with_keepalive_requests();
    let runtime = two_workers();
    let client = client(&runtime, &[&pod], |builder| builder);
    for (path, error) in send_from_everywhere(&client, &runtime, requests_each(500)) {
        // Each odd path is a POST. One that was provably not sent would have been sent again.
        assert!(!path.ends_with(['0', '2', '4', '6', '8']), "{path}: {error:?}");
        assert!(!error.is_not_sent(), "{path}: {error:?}");
    }
    let mut orders = HashSet::new();
    for request in pod.requests().iter().filter(|request| request.method() == "POST") {
        assert!(
            orders.insert(request.path().to_owned()),
            "a write reached the pod twice: {request:?}"
        );
    }
    assert!(orders.len() > 1000, "{}", orders.len());
}

#[test]
fn a_request_that_announces_the_end_is_the_last_on_its_connection() {
    let pod = RawPod::answering(OK).unwrap();
    let runtime = two_workers();
    let client = client(&runtime, &[&pod], |builder| builder.max_retries(0));
    runtime.block_on(async {
        for (connection, accepted) in [("keep-alive", 1), ("Close", 1), ("x-trace,close", 2), ("x-trace", 3)] {
            let request = Request::get("/")
                .header("connection", connection)
                .body(RequestBody::from(()));
            let reply = client.request(request.unwrap()).await.unwrap();
            assert_eq!(reply.text().await.unwrap(), "ok");
            assert_eq!(pod.stats().accepted, accepted, "{connection}");
        }
    });
}

/// Starts a pod whose answers wait: `/pair` for a second one, `/three` for two others, `/held` for
/// `release`, after which the connection is closed. `/dead` closes the connection. `/upload` is
/// answered before its body is read.
fn scripted_pod(release: Arc<Notify>) -> RawPod {
    let (pair, three) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(3)));
    RawPod::start(move |mut connection| {
        let (pair, three, release) = (Arc::clone(&pair), Arc::clone(&three), Arc::clone(&release));
        async move {
            while let Some(request) = connection.head().await {
                match request.path() {
                    "/pair" => _ = pair.wait().await,
                    "/three" => _ = three.wait().await,
                    "/held" => return release.notified().await,
                    "/dead" => return,
                    _ => {}
                }
                connection.write(OK).await;
                if request.path() == "/upload" {
                    return release.notified().await;
                }
            }
        }
    })
    .unwrap()
}

#[test]
fn a_request_that_was_never_sent_costs_nothing() {
    let pod = scripted_pod(Arc::default());
    let runtime = two_workers();
    let client = client(&runtime, &[&pod], |builder| {
        builder.max_retries(0).retry_budget(RetryBudget::new(0, 0))
    });
    runtime.block_on(async {
        let pair = [client.get("/pair"), client.get("/pair")];
        for reply in join_all(pair).await {
            reply.unwrap().text().await.unwrap();
        }
        let endless = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let upload = Request::post("/upload").body(RequestBody::new(endless)).unwrap();
        client.request(upload).await.unwrap().text().await.unwrap();
        assert_eq!(pool(&client).idle, 2, "one of them is still busy with the upload");
        let reply = client.post("/", ()).await.unwrap();
        reply.text().await.unwrap();
        let pool = pool(&client);
        assert_eq!((pool.idle, pool.closed.broken, pool.closed.invalidated), (1, 0, 0));
        assert_eq!(pod.stats().accepted, 2, "it went to the connection beside it");
    });
}

#[test]
fn only_the_death_of_an_idle_connection_makes_its_neighbours_suspect() {
    let release = Arc::<Notify>::default();
    let pod = scripted_pod(Arc::clone(&release));
    let runtime = two_workers();
    let client = client(&runtime, &[&pod], |builder| builder.max_retries(0));
    runtime.block_on(async {
        let three = join_all((0..3).map(|_| client.get("/three")));
        let held = client.post("/held", ());
        let neighbours = async {
            for reply in three.await {
                reply.unwrap().text().await.unwrap();
            }
            assert_eq!(pool(&client).idle, 3);
            release.notify_one();
        };
        let (held, ()) = tokio::join!(held, neighbours);
        assert!(!held.unwrap_err().is_not_sent());
        let after_new = pool(&client);
        assert_eq!((after_new.idle, after_new.closed.broken), (3, 1));
        assert_eq!(after_new.closed.invalidated, 0, "it had never been idle");

        assert!(!client.post("/dead", ()).await.unwrap_err().is_not_sent());
        let after_idle = pool(&client);
        assert_eq!((after_idle.idle, after_idle.closed.broken), (0, 2));
        assert_eq!(after_idle.closed.invalidated, 2);
    });
}

/// Starts two pods: one answers, the other accepts and closes. Over HTTP/2 it says before what it
/// allows.
fn pods_of_which_one_closes(protocol: Protocol) -> [RawPod; 2] {
    let works_over_http2 = |connection: RawConnection| async move {
        let Ok(mut streams) = h2::server::handshake(connection.into_stream()).await else {
            return;
        };
        while let Some(Ok((request, mut respond))) = streams.accept().await {
            tokio::spawn(async move {
                // h2 ends a connection on which many bodies are left unread.
                let mut order = request.into_body();
                while let Some(Ok(_)) = order.data().await {}
                if let Ok(mut body) = respond.send_response(http::Response::new(()), false) {
                    let _ = body.send_data(Bytes::from_static(b"ok"), true);
                }
            });
        }
    };
    let closes = move |mut connection: RawConnection| async move {
        if protocol == Protocol::Http2 {
            connection.write(SETTINGS).await;
        }
    };
    let works = match protocol {
        Protocol::Http2 => RawPod::start(works_over_http2),
        _ => RawPod::answering(OK),
    };
    [works.unwrap(), RawPod::start(closes).unwrap()]
}

/// SPEC(RFC 9113 6.5): a frame without a setting.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

#[test]
fn no_request_hangs_where_a_pod_accepts_and_closes() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let [works, closes] = pods_of_which_one_closes(protocol);
        let runtime = two_workers();
        let client = client(&runtime, &[&works, &closes], |builder| {
            let builder = builder.protocol(protocol).retry_budget(RetryBudget::unlimited());
            builder.request_timeout(Duration::from_secs(10))
        });
        for (path, error) in send_from_everywhere(&client, &runtime, requests_each(500)) {
            assert!(
                !matches!(error, Error::Timeout { .. }),
                "{protocol:?} {path}: {error:?}"
            );
            let is_read = path.ends_with(['0', '2', '4', '6', '8']);
            assert!(!is_read && !error.is_not_sent(), "{protocol:?} {path}: {error:?}");
        }
    }
}

#[tokio::test]
async fn idle_connections_that_end_together_lose_no_read() {
    // As a pod whose idle time is over when the second request comes.
    let answers_once = || {
        RawPod::start(|mut connection| async move {
            connection.request().await;
            connection.write(OK).await;
            connection.head().await;
        })
    };
    let pods: Vec<_> = (0..6).map(|_| answers_once().unwrap()).collect();
    let addrs: Vec<_> = pods.iter().map(RawPod::addr).collect();
    let client = raw::builder(&addrs)
        .await
        .policy(RoundRobin::default())
        .build()
        .unwrap();
    for reply in join_all(pods.iter().map(|_| client.get("/"))).await {
        reply.unwrap().text().await.unwrap();
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
    assert_eq!(pods.iter().map(|pod| pod.stats().open).sum::<usize>(), pods.len());
    let reply = client.get("/").await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "ok");
    let requests: usize = pods.iter().map(|pod| pod.stats().requests).sum();
    assert_eq!(
        requests,
        pods.len() + 2,
        "the second attempt had a connection of its own"
    );
}
