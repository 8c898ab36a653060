//! Endpoints that accept connections and give no answer, with paused time: when they count as
//! unreachable, how they are probed, and what clears them.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod support;

use std::time::Duration;

use headless::policy::RoundRobin;
use headless::{Balancer, ConnectFault, EndpointStats, Lease, Outcome, PoolConfig, Route};
use tokio::time::Instant;

use self::support::{Dial, FakeDns, FakePods, Refused, found, pass, pod, settle};

const SECOND: Duration = Duration::from_secs(1);

/// The pods 0 to `pods - 1` in turn, and how they behave.
async fn scene(pods: u8, fakes: FakePods, set: impl FnOnce(&mut PoolConfig)) -> (Balancer<FakePods>, FakePods) {
    let dns = FakeDns::new(found((0..pods).map(|number| pod(number, number + 1))));
    let mut config = PoolConfig::default();
    set(&mut config);
    let balancer = Balancer::builder(dns.watch().await, fakes.clone())
        .policy(RoundRobin::default())
        .pool(config)
        .build();
    (balancer.unwrap(), fakes)
}

fn is_first(lease: &Lease<FakePods>) -> bool {
    lease.endpoint().key() == pod(0, 1).key()
}

fn first(balancer: &Balancer<FakePods>) -> EndpointStats {
    balancer.stats().endpoints[0].clone()
}

/// Sends `requests`, of which the first pod answers none. Returns how many it had.
async fn send(balancer: &Balancer<FakePods>, requests: usize) -> usize {
    let mut lost = 0;
    for _ in 0..requests {
        let lease = balancer.acquire(Route::any()).await.unwrap();
        match is_first(&lease) {
            true => {
                lost += 1;
                lease.unanswered("closed");
            }
            false => {
                lease.answered();
                lease.finish(Outcome::Success);
            }
        }
    }
    lost
}

#[tokio::test(start_paused = true)]
async fn three_connections_in_a_row_without_an_answer_make_a_pod_unreachable() {
    let (balancer, pods) = scene(3, FakePods::default(), |_| {}).await;
    assert_eq!(send(&balancer, 2000).await, 3);
    let stats = first(&balancer);
    assert!(stats.unhealthy);
    let failure = stats.last_failure.unwrap();
    assert!(matches!(failure.fault, ConnectFault::Unanswered { connections: 3, .. }));
    assert_eq!(
        failure.to_string(),
        "cannot connect to web-0 (10.0.0.1:80): it accepts connections and closes them before an answer (3 in a row); last: \
         closed"
    );
    // It accepts connections all the time.
    let before = pods.attempts();
    let mut lost = 0;
    for _ in 0..600 {
        pass(SECOND / 10).await;
        lost += send(&balancer, 3).await;
    }
    assert!((1..=9).contains(&lost), "{lost} requests in a minute");
    assert!(pods.attempts() - before <= 9, "each of them with one connection");
}

#[tokio::test(start_paused = true)]
async fn an_answer_on_the_way_begins_the_count_anew() {
    let (balancer, _) = scene(1, FakePods::default(), |_| {}).await;
    for _ in 0..10 {
        for _ in 0..2 {
            balancer.acquire(Route::any()).await.unwrap().unanswered("closed");
        }
        assert!(!first(&balancer).unhealthy);
        let lease = balancer.acquire(Route::any()).await.unwrap();
        lease.answered();
        // The next request has a connection of its own.
        lease.close(Outcome::Success);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_answers_again_is_taken_back_for_good() {
    let (balancer, _) = scene(2, FakePods::default(), |_| {}).await;
    assert_eq!(send(&balancer, 20).await, 3);
    while first(&balancer).unhealthy {
        pass(SECOND / 10).await;
    }
    assert!(first(&balancer).last_failure.is_some(), "not yet proved");
    for _ in 0..2 {
        let lease = balancer.acquire(Route::any()).await.unwrap();
        lease.answered();
        lease.finish(Outcome::Success);
    }
    assert!(first(&balancer).last_failure.is_none());
    assert_eq!(send(&balancer, 20).await, 3, "the count begins anew");
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_connection_is_closed_soon_brings_no_request() {
    let (balancer, pods) = scene(2, FakePods::default(), |_| {}).await;
    assert_eq!(send(&balancer, 20).await, 3);
    let probed = pods.attempts();
    for _ in 0..6000 {
        pass(SECOND / 100).await;
        pods.break_open(&pod(0, 1));
        assert_eq!(send(&balancer, 2).await, 0);
    }
    assert!(first(&balancer).unhealthy);
    assert!(
        (7..=9).contains(&(pods.attempts() - probed)),
        "{}",
        pods.attempts() - probed
    );
}

#[tokio::test(start_paused = true)]
async fn if_no_other_pod_is_left_it_is_used_all_the_same() {
    let (balancer, _) = scene(1, FakePods::default(), |_| {}).await;
    let start = Instant::now();
    assert_eq!(send(&balancer, 50).await, 50);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(first(&balancer).unhealthy);
    let lease = balancer.acquire(Route::any()).await.unwrap();
    lease.answered();
    lease.finish(Outcome::Success);
    assert!(!first(&balancer).unhealthy);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_such_a_pod_go_to_another() {
    let (balancer, pods) = scene(2, FakePods::default(), |pool| pool.max_connections_per_endpoint = 3).await;
    let (mut held, mut other) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        let lease = balancer.acquire(Route::any()).await.unwrap();
        match is_first(&lease) {
            true => held.push(lease),
            false => other.push(lease),
        }
    }
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let balancer = balancer.clone();
            tokio::spawn(async move {
                let lease = balancer.acquire(Route::any()).await.unwrap();
                let is_first = is_first(&lease);
                lease.finish(Outcome::Success);
                is_first
            })
        })
        .collect();
    settle().await;
    assert_eq!(first(&balancer).pool.waiting, 5);
    pods.set(&pod(0, 1), Dial::Hangs);
    for lease in held {
        lease.unanswered("closed");
    }
    for lease in other {
        lease.finish(Outcome::Success);
    }
    let start = Instant::now();
    for waiter in waiting {
        assert!(!waiter.await.unwrap());
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_streams_of_one_connection_are_one_end() {
    let (balancer, _) = scene(1, FakePods::with_streams(100), |_| {}).await;
    for _ in 0..2 {
        let mut leases = Vec::new();
        for _ in 0..100 {
            leases.push(balancer.acquire(Route::any()).await.unwrap());
        }
        leases.into_iter().for_each(|lease| lease.unanswered("GOAWAY"));
        assert!(!first(&balancer).unhealthy);
    }
    balancer.acquire(Route::any()).await.unwrap().unanswered("GOAWAY");
    assert!(first(&balancer).unhealthy);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_after_the_handshake_is_unreachable_at_once() {
    let (balancer, pods) = scene(2, FakePods::default(), |_| {}).await;
    let lease = loop {
        let lease = balancer.acquire(Route::any()).await.unwrap();
        if is_first(&lease) {
            break lease;
        }
        lease.finish(Outcome::Success);
    };
    lease.refused(Refused { for_good: true });
    let stats = first(&balancer);
    assert!(stats.unhealthy);
    assert!(matches!(
        stats.last_failure.unwrap().fault,
        ConnectFault::Misconfigured(_)
    ));
    let before = pods.attempts();
    assert_eq!(send(&balancer, 100).await, 0);
    let mut lost = 0;
    for _ in 0..600 {
        pass(SECOND / 10).await;
        lost += send(&balancer, 2).await;
    }
    assert!((1..=9).contains(&lost), "{lost}");
    assert!(pods.attempts() - before <= 9);
}
