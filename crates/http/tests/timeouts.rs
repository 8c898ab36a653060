//! Pods that do not answer: what a request costs, and what its end says about the connections
//! beside it. The pods are raw servers on runtimes of their own.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "common/raw.rs"]
mod raw;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use headless::PoolStats;
use headless::policy::RoundRobin;
use headless_http::{Client, ClientBuilder, Error, Idempotent, RetryBudget};
use headless_testkit::{RawConnection, RawPod};
use http::Request;
use tokio::sync::{Barrier, Notify};
use tokio::time::timeout;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The idle connections to one pod, in most of these tests.
const IDLE: usize = 30;

/// The time that a request gets where its end is what the test is about.
const SHORT: Duration = Duration::from_millis(500);

/// A pod that can vanish: its connections stay open and are silent from then on. New ones work.
struct Vanishing {
    server: RawPod,
    lives: Arc<AtomicUsize>,
}

impl Vanishing {
    /// Its answers to `/all` wait for `together` requests.
    fn start(together: usize) -> Self {
        let (lives, all) = (Arc::<AtomicUsize>::default(), Arc::new(Barrier::new(together)));
        let now = Arc::clone(&lives);
        let server = RawPod::start(move |mut connection: RawConnection| {
            let (lives, all) = (Arc::clone(&now), Arc::clone(&all));
            let life = lives.load(Relaxed);
            async move {
                while let Some(request) = connection.request().await {
                    if lives.load(Relaxed) != life {
                        connection.rest().await;
                        return;
                    }
                    if request.path() == "/all" {
                        all.wait().await;
                    }
                    connection.write(OK).await;
                }
            }
        })
        .unwrap();
        Self { server, lives }
    }

    fn vanish(&self) {
        self.lives.fetch_add(1, Relaxed);
    }
}

async fn client(pods: &[&RawPod], set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    let pods: Vec<_> = pods.iter().map(|pod| pod.addr()).collect();
    set(raw::builder(&pods).await.policy(RoundRobin::default()))
        .build()
        .unwrap()
}

fn pools(client: &Client) -> Vec<PoolStats> {
    let endpoints = client.balancer().stats().endpoints;
    endpoints.into_iter().map(|endpoint| endpoint.pool).collect()
}

async fn get(client: &Client, path: &str) -> Result<(), Error> {
    client.get(path).await?.bytes().await.map(drop)
}

/// Opens [`IDLE`] connections to each of `pods`.
async fn fill(client: &Client, pods: usize) {
    for reply in join_all((0..pods * IDLE).map(|_| get(client, "/all"))).await {
        reply.unwrap();
    }
    assert!(pools(client).iter().all(|pool| pool.idle == IDLE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_pod_has_vanished_its_idle_connections_cost_one_request_its_time() {
    for count in [1, 3] {
        for is_dropped in [false, true] {
            let pods: Vec<_> = (0..count).map(|_| Vanishing::start(IDLE)).collect();
            let servers: Vec<_> = pods.iter().map(|pod| &pod.server).collect();
            let client = client(&servers, |builder| match is_dropped {
                true => builder.request_timeout(None),
                false => builder.request_timeout(SHORT),
            })
            .await;
            fill(&client, count).await;
            pods[0].vanish();
            let mut lost = 0;
            for _ in 0..count * IDLE {
                let sent = match is_dropped {
                    true => timeout(SHORT, get(&client, "/")).await,
                    false => Ok(get(&client, "/").await),
                };
                match sent {
                    Ok(Err(error)) => assert!(error.is_timeout(), "{error:?}"),
                    Ok(Ok(())) => continue,
                    Err(_elapsed) => {}
                }
                lost += 1;
            }
            // One, and another on a machine that stands still for a moment.
            assert!(
                (1..=2).contains(&lost),
                "{lost} of {count} pods, given up by the caller: {is_dropped}"
            );
            let invalidated: Vec<_> = pools(&client).iter().map(|pool| pool.closed.invalidated).collect();
            assert!(invalidated.iter().sum::<u64>() >= IDLE as u64 - 1, "{invalidated:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_timeout_for_each_try_no_read_is_lost_when_a_pod_vanishes() {
    for count in [1, 3] {
        let pods: Vec<_> = (0..count).map(|_| Vanishing::start(IDLE)).collect();
        let servers: Vec<_> = pods.iter().map(|pod| &pod.server).collect();
        let client = client(&servers, |builder| builder.per_try_timeout(SHORT)).await;
        fill(&client, count).await;
        pods[0].vanish();
        for _ in 0..count * IDLE {
            get(&client, "/").await.unwrap();
        }
        let cancelled: u64 = pools(&client).iter().map(|pool| pool.closed.cancelled).sum();
        assert!(
            (1..=2).contains(&cancelled),
            "one attempt finds out for all: {cancelled}, {count} pods"
        );
    }
}

/// Starts a pod that does not answer `/silent`, but says `first` there. What was asked is counted.
fn pod_that_says(first: &'static str, asked: &Arc<Notify>, together: usize) -> RawPod {
    let (asked, all) = (Arc::clone(asked), Arc::new(Barrier::new(together)));
    RawPod::start(move |mut connection: RawConnection| {
        let (asked, all) = (Arc::clone(&asked), Arc::clone(&all));
        async move {
            while let Some(request) = connection.request().await {
                match request.path() {
                    "/silent" => {
                        connection.write(first.as_bytes()).await;
                        asked.notify_one();
                        connection.rest().await;
                        return;
                    }
                    "/all" => _ = all.wait().await,
                    _ => {}
                }
                connection.write(OK).await;
            }
        }
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_answered_since_is_kept() {
    let asked = Arc::default();
    let pod = pod_that_says("", &asked, 6);
    let client = client(&[&pod], |builder| builder.request_timeout(SHORT)).await;
    join_all((0..6).map(|_| get(&client, "/all"))).await;
    let used_meanwhile = async {
        asked.notified().await;
        // Two of the five others, at the same time.
        let both = tokio::join!(client.get("/"), client.get("/"));
        for reply in [both.0, both.1] {
            reply.unwrap().bytes().await.unwrap();
        }
    };
    let (silent, ()) = tokio::join!(get(&client, "/silent"), used_meanwhile);
    assert!(silent.unwrap_err().is_timeout());
    let pool = &pools(&client)[0];
    assert_eq!((pool.idle, pool.closed.invalidated, pool.closed.cancelled), (2, 3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_has_said_something_makes_nothing_suspect() {
    for first in ["HTTP/1.1 102 Processing\r\n\r\n", "HTTP/1.1 200 OK\r\n", "H"] {
        let pod = pod_that_says(first, &Arc::default(), 4);
        let client = client(&[&pod], |builder| builder.request_timeout(SHORT)).await;
        join_all((0..4).map(|_| get(&client, "/all"))).await;
        assert!(get(&client, "/silent").await.unwrap_err().is_timeout());
        let pool = &pools(&client)[0];
        assert_eq!((pool.idle, pool.closed.invalidated), (3, 0), "{first:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_its_caller_gives_up_at_once_makes_nothing_suspect() {
    let pod = pod_that_says("", &Arc::default(), 4);
    let client = client(&[&pod], |builder| builder).await;
    join_all((0..4).map(|_| get(&client, "/all"))).await;
    for _ in 0..2 {
        assert!(get(&client, "/silent").now_or_never().is_none());
    }
    let pool = &pools(&client)[0];
    assert_eq!((pool.idle, pool.closed.invalidated, pool.closed.cancelled), (2, 0, 2));
}

/// Starts a pod that accepts connections and reads, and never answers.
fn mute() -> RawPod {
    RawPod::start(|mut connection: RawConnection| async move {
        connection.rest().await;
    })
    .unwrap()
}

fn answers() -> RawPod {
    Vanishing::start(1).server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_timeout_for_each_try_a_read_leaves_a_pod_that_never_answers() {
    let pods = [mute(), answers(), answers()];
    let client = client(&[&pods[0], &pods[1], &pods[2]], |builder| {
        builder.per_try_timeout(SHORT)
    })
    .await;
    for _ in 0..12 {
        let reply = client.get("/").await.unwrap();
        assert_ne!(reply.endpoint().addr(), pods[0].addr());
        reply.bytes().await.unwrap();
    }
    assert!(pods[0].stats().accepted >= 4, "its turn comes in each round");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_sent_twice_fails_with_the_time_of_the_try() {
    let (pods, works) = ([mute(), mute()], answers());
    let mutes = [&pods[0], &pods[1]];
    let tries = |builder: ClientBuilder| builder.per_try_timeout(SHORT);
    let error = client(&mutes, tries).await.post("/", "order").await.unwrap_err();
    let text = error.to_string();
    assert!(error.is_timeout() && !error.is_not_sent(), "{error:?}");
    assert!(error.endpoint().is_some());
    assert!(
        text.contains("no answer within 500ms (`per_try_timeout`), and the request may have been processed"),
        "{text}"
    );
    assert_eq!(pods[0].stats().accepted + pods[1].stats().accepted, 1);

    let marked = Request::post("/").extension(Idempotent).body("order").unwrap();
    let reply = client(&[&pods[0], &pods[1], &works], tries).await.request(marked).await;
    assert_eq!(reply.unwrap().endpoint().addr(), works.addr());

    let once = |builder| tries(builder).max_retries(1);
    let error = get(&client(&mutes, once).await, "/").await.unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("attempt 2"), "{error}");

    let no_budget = |builder| tries(builder).retry_budget(RetryBudget::new(0, 0));
    let error = get(&client(&mutes, no_budget).await, "/").await.unwrap_err();
    assert!(error.to_string().contains("budget is used up"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_request_timeout_ends_all_tries_and_tells_the_one_before() {
    let pods = [mute(), mute()];
    let client = client(&[&pods[0], &pods[1]], |builder| {
        builder
            .per_try_timeout(Duration::from_millis(300))
            .request_timeout(SHORT)
    })
    .await;
    let error = get(&client, "/").await.unwrap_err();
    let Error::Timeout {
        limit,
        endpoint,
        source,
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!((*limit, endpoint.is_some()), (SHORT, true));
    assert!(
        source.as_ref().unwrap().to_string().contains("`per_try_timeout`"),
        "{error}"
    );
    assert!(!error.is_not_sent());
}

#[tokio::test]
async fn times_that_cannot_be_meant_are_refused_by_name() {
    let (zero, one, two) = (Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2));
    let addr = "127.0.0.1:1".parse().unwrap();
    for (request, attempt, problem) in [
        (Some(zero), None, "`request_timeout` is 0"),
        (Some(one), Some(zero), "`per_try_timeout` is 0"),
        (None, Some(zero), "`per_try_timeout` is 0"),
        (
            Some(one),
            Some(one),
            "`per_try_timeout` is 1s; it must be shorter than `request_timeout`, which is 1s",
        ),
        (Some(one), Some(two), "`per_try_timeout` is 2s"),
        (Some(one), Some(Duration::MAX), "`per_try_timeout` is"),
    ] {
        let builder = raw::builder(&[addr])
            .await
            .request_timeout(request)
            .per_try_timeout(attempt);
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_beyond_the_clock_are_no_limit() {
    let pod = answers();
    for (request, attempt) in [
        (Some(Duration::MAX), None),
        (None, Some(Duration::MAX)),
        (Some(Duration::MAX), Some(Duration::from_secs(u64::MAX))),
        (Some(Duration::MAX), Some(Duration::from_secs(3600))),
    ] {
        let set = |builder: ClientBuilder| {
            let builder = builder.request_timeout(request).per_try_timeout(attempt);
            builder.acquire_timeout(Duration::MAX)
        };
        get(&client(&[&pod], set).await, "/").await.unwrap();
    }
}
