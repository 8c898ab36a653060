//! Opening connections: bounded, counted, shared by the waiters, and never the end of a pool,
//! whatever the connector does.

use std::time::Duration;

use headless::{Balancer, ConnectFault, Outcome, PoolConfig, Route};
use tokio::time::Instant;

use super::Scene;
use super::support::{Check, Dial, FakeDns, FakePods, found, pass, pod, settle};

const DIAL: Duration = Duration::from_secs(2);

fn text(acquired: super::Acquired) -> String {
    acquired.unwrap_err().to_string()
}

/// What the pod was last found to be, by the statistics.
fn last_fault(scene: &Scene) -> ConnectFault {
    scene.stats_of(&pod(0, 1)).last_failure.unwrap().fault
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_never_ends_is_given_up_at_the_connect_timeout_and_the_pod_comes_back() {
    let scene = Scene::of_one(|_| {}).await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let caller = scene.spawn().await;
    pass(DIAL).await;
    settle().await;
    let stats = scene.stats_of(&pod(0, 1));
    assert!(matches!(last_fault(&scene), ConnectFault::TimedOut(DIAL)), "{stats:?}");
    assert!(stats.unhealthy && !stats.warming, "{stats:?}");
    assert_eq!(
        (stats.pool.connect_time.count(), stats.pool.connect_time.max()),
        (1, DIAL)
    );
    scene.pods.set(&pod(0, 1), Dial::Succeeds);
    caller.await.unwrap().unwrap().finish(Outcome::Success);
    assert!(scene.stats_of(&pod(0, 1)).last_failure.is_none());
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_a_pod_that_never_answers_is_told_so_at_its_deadline() {
    let scene = Scene::of_one(|_| {}).await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let text = text(scene.balancer.acquire(Route::any()).await);
    assert_eq!(
        text,
        "no pod of web.shop.svc.cluster.local:http can be reached (1 tried, waited 5s); last: cannot connect to \
         web-0 (10.0.0.1:80): no connection within 2s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_before_the_connect_timeout_says_what_was_waited_for() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1)])), FakePods::default());
    pods.set(&pod(0, 1), Dial::Hangs);
    let balancer = Balancer::builder(dns.watch().await, pods.clone())
        .acquire_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let acquire = || balancer.acquire(Route::any());
    for (acquire, waited) in [
        (acquire().within(Duration::MAX), "1s"),
        (acquire().within(Duration::from_millis(300)), "300ms"),
    ] {
        assert_eq!(
            acquire.await.unwrap_err().to_string(),
            format!(
                "no connection to web-0 (10.0.0.1:80) within {waited}: waiting for one to be opened (0 in use, 1 being \
                 opened, 0 others waiting, limit 64); opening it takes too long: the pod hangs, or a network policy drops \
                 its packets"
            )
        );
    }
    assert_eq!(
        balancer.stats().endpoints[0].pool.connecting,
        1,
        "the dial outlives its caller"
    );
    pods.set(&pod(0, 1), Dial::Succeeds);
    settle().await;
    assert_eq!(balancer.stats().endpoints[0].pool.idle, 1);
}

#[tokio::test(start_paused = true)]
async fn an_acquire_timeout_beyond_the_clock_waits_as_long_as_it_takes() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1)])), FakePods::default());
    let balancer = Balancer::builder(dns.watch().await, pods).acquire_timeout(Duration::MAX);
    let balancer = balancer.build().unwrap();
    balancer.acquire(Route::any()).await.unwrap().finish(Outcome::Success);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_the_queue_tells_the_last_failed_attempt_to_connect() {
    let scene = Scene::of_one(|pool| pool.max_connections_per_endpoint = 2).await;
    let _held = scene.acquire().await;
    scene.pods.set(&pod(0, 1), Dial::Refuses);
    assert_eq!(
        text(scene.balancer.acquire(Route::any()).await),
        "no connection to web-0 (10.0.0.1:80) within 5s: waiting for one to be opened (1 in use, 0 being opened, 0 others \
         waiting, limit 2); the pod is slow, or `max_connections_per_endpoint` is too small; last failed attempt to connect: cannot connect to \
         web-0 (10.0.0.1:80): connection refused"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_during_a_validation_says_so() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1)])), FakePods::default());
    let mut pool = PoolConfig::default();
    pool.validate_after_idle = Some(Duration::from_millis(500));
    let balancer = Balancer::builder(dns.watch().await, pods.clone())
        .pool(pool)
        .acquire_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    balancer.acquire(Route::any()).await.unwrap().finish(Outcome::Success);
    pass(Duration::from_secs(1)).await;
    pods.checks(Check::Hangs);
    let error = balancer.acquire(Route::any()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no connection to web-0 (10.0.0.1:80) within 1s: checking an idle one (0 in use"),
        "{error}"
    );
    assert_eq!(
        pods.open(),
        0,
        "a connection in the middle of a check is of no use to others"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_fails_that_dial_and_returns_its_permit() {
    let scene = Scene::of_one(|pool| pool.max_connections_total = Some(1)).await;
    scene.pods.set(&pod(0, 1), Dial::Panics);
    assert_eq!(
        text(scene.balancer.acquire(Route::any()).await),
        "no pod of web.shop.svc.cluster.local:http can be reached (1 tried, waited 5s); last: cannot connect to \
         web-0 (10.0.0.1:80): the connector panicked"
    );
    scene.pods.set(&pod(0, 1), Dial::Succeeds);
    scene.acquire().await.finish(Outcome::Success);
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dead_when_it_opens_is_a_failed_dial() {
    let scene = Scene::of_one(|pool| pool.max_connections_total = Some(1)).await;
    scene.pods.set(&pod(0, 1), Dial::OpensDead);
    assert_eq!(
        text(scene.balancer.acquire(Route::any()).await),
        "no pod of web.shop.svc.cluster.local:http can be reached (1 tried, waited 5s); last: cannot connect to \
         web-0 (10.0.0.1:80): the connection was closed as soon as it was open"
    );
    assert!(matches!(last_fault(&scene), ConnectFault::Dead));
    assert_eq!((scene.pods.open(), scene.stats_of(&pod(0, 1)).pool.opened), (0, 0));
    scene.pods.set(&pod(0, 1), Dial::Succeeds);
    scene.acquire().await.finish(Outcome::Success);
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_validation_that_panics_costs_its_connection_and_nothing_else() {
    let scene = Scene::of_one(|pool| {
        pool.max_connections_total = Some(1);
        pool.validate_after_idle = Some(Duration::from_secs(1));
    })
    .await;
    scene.open_idle(1).await;
    pass(Duration::from_secs(2)).await;
    scene.pods.checks(Check::Panics);
    let panicked = scene.spawn().await.await.unwrap_err();
    assert!(
        panicked.is_panic(),
        "the caller runs the check, and sees that it panics"
    );
    assert_eq!(scene.pods.open(), 0);
    scene.pods.checks(Check::Passes);
    scene.acquire().await.finish(Outcome::Success);
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_cannot_be_looked_at_without_a_panic_is_closed() {
    for streams in [None, Some(10)] {
        let pods = streams.map_or_else(FakePods::default, FakePods::with_streams);
        let scene = Scene::with([pod(0, 1)], pods, |pool| pool.max_connections_total = Some(2)).await;
        let lease = scene.acquire().await;
        scene.open_idle(1).await;
        scene.pods.is_shy(true);
        assert!(scene.balancer.try_acquire(Route::any()).is_none());
        lease.finish(Outcome::Success);
        scene.pods.is_shy(false);
        scene.assert_clean().await;
        assert_eq!(scene.pods.open(), 0, "{streams:?}");
        scene.open_idle(2).await;
        scene.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_for_a_dial_is_served_by_a_connection_that_comes_back_first() {
    let scene = Scene::of_one(|_| {}).await;
    let held = scene.acquire().await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let caller = scene.spawn().await;
    assert_eq!(scene.stats_of(&pod(0, 1)).pool.connecting, 1);
    held.finish(Outcome::Success);
    let lease = caller.await.unwrap().unwrap();
    assert_eq!((lease.number, scene.pods.most_connecting()), (1, 1));
    assert_eq!(
        scene.stats_of(&pod(0, 1)).pool.connecting,
        1,
        "and its dial goes on, for the next"
    );
    lease.finish(Outcome::Success);
    scene.pods.set(&pod(0, 1), Dial::Succeeds);
    scene.assert_clean().await;
    assert_eq!(scene.pods.open(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_for_a_connection_in_use_is_served_by_a_dial_that_ends_first() {
    let scene = Scene::of_one(|_| {}).await;
    let held = scene.acquire().await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let caller = scene.spawn().await;
    scene.pods.set(&pod(0, 1), Dial::Succeeds);
    let lease = caller.await.unwrap().unwrap();
    assert_eq!((held.number, lease.number), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn waiting_and_dialling_have_limits_of_their_own() {
    let scene = Scene::of_one(|_| {}).await;
    let held = scene.acquire().await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let (start, caller) = (Instant::now(), scene.spawn().await);
    pass(Duration::from_secs(4)).await;
    assert!(
        !caller.is_finished(),
        "its dial was given up after 2 s; the other connection can still come back"
    );
    held.finish(Outcome::Success);
    caller.await.unwrap().unwrap().finish(Outcome::Success);
    assert_eq!(start.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_crowd_opens_no_more_connections_at_a_time_than_allowed() {
    let scene = Scene::of_one(|pool| {
        pool.max_connections_per_endpoint = 10;
        pool.max_connecting_per_endpoint = 3;
    })
    .await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(scene.spawn().await);
    }
    let stats = scene.stats_of(&pod(0, 1));
    assert_eq!(
        (stats.pool.connecting, stats.pool.waiting, stats.in_flight),
        (3, 20, 20)
    );
    scene.pods.set(&pod(0, 1), Dial::Succeeds);
    for caller in crowd {
        caller.await.unwrap().unwrap().finish(Outcome::Success);
    }
    assert_eq!((scene.pods.most_connecting(), scene.pods.attempts()), (3, 10));
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn callers_that_leave_stop_no_dial_and_start_no_other() {
    let scene = Scene::of_one(|_| {}).await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    for _ in 0..5 {
        let caller = scene.spawn().await;
        caller.abort();
        settle().await;
    }
    assert_eq!(
        scene.pods.attempts(),
        1,
        "the dial of the first is there for the others"
    );
    scene.pods.set(&pod(0, 1), Dial::Succeeds);
    scene.assert_clean().await;
    assert_eq!(scene.pods.open(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_dial_tells_the_waiters_that_nothing_else_can_serve() {
    let scene = Scene::with([pod(0, 1), pod(1, 2)], FakePods::default(), |_| {}).await;
    let held = scene.acquire_on(&pod(0, 1)).await.unwrap();
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let (first, second) = (scene.spawn_on(&pod(0, 1)).await, scene.spawn_on(&pod(0, 1)).await);
    scene.pods.set(&pod(0, 1), Dial::Refuses);
    settle().await;
    let stats = scene.stats_of(&pod(0, 1));
    assert_eq!(
        (stats.pool.waiting, stats.unhealthy),
        (1, true),
        "one connection can come back, for one of the two"
    );
    held.finish(Outcome::Success);
    first.await.unwrap().unwrap().finish(Outcome::Success);
    let start = Instant::now();
    second.await.unwrap().unwrap().finish(Outcome::Success);
    assert!(
        start.elapsed() <= Duration::from_secs(1),
        "it tries again in the next round"
    );
}
