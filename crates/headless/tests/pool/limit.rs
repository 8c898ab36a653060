//! One limit over all pods: never above it, and what one pod does not need another pod gets.

use std::time::Duration;

use headless::{AcquireError, Outcome, PoolConfig, Stage};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::Scene;
use super::support::{Dial, FakePods, pass, pod, settle};

async fn scene(pods: u8, limit: usize) -> Scene {
    let set = (0..pods).map(|k| pod(k, k + 1));
    Scene::with(set, FakePods::default(), |pool| {
        pool.max_connections_total = Some(limit)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_crowd_over_three_pods_never_opens_more_than_allowed_and_is_all_served() {
    let scene = scene(3, 4).await;
    let mut crowd = Vec::new();
    for _ in 0..60 {
        let balancer = scene.balancer.clone();
        crowd.push(tokio::spawn(async move {
            let lease = balancer.acquire(headless::Route::any()).await?;
            for _ in 0..3 {
                yield_now().await;
            }
            lease.finish(Outcome::Success);
            Ok::<_, AcquireError>(())
        }));
    }
    for caller in crowd {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(scene.pods.most(), 4, "open or being opened");
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_gives_way_to_a_caller_of_another_pod_at_once() {
    let scene = scene(3, 2).await;
    for k in 0..2 {
        scene.acquire_on(&pod(k, k + 1)).await.unwrap().finish(Outcome::Success);
    }
    let start = Instant::now();
    let lease = scene.acquire_on(&pod(2, 3)).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(
        (scene.balancer.stats().total().closed.evicted, scene.pods.most()),
        (1, 2)
    );
    lease.finish(Outcome::Success);
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_multiplexed_connection_gives_way_too_and_one_in_use_when_its_last_stream_ends() {
    let (one, other) = (pod(0, 1), pod(1, 2));
    let scene = Scene::with([one.clone(), other.clone()], FakePods::with_streams(8), |pool| {
        pool.max_connections_total = Some(1);
    })
    .await;
    scene.acquire_on(&one).await.unwrap().finish(Outcome::Success);
    let streams = [
        scene.acquire_on(&other).await.unwrap(),
        scene.acquire_on(&other).await.unwrap(),
    ];
    let caller = scene.spawn_on(&one).await;
    let [first, second] = streams;
    first.finish(Outcome::Success);
    settle().await;
    assert!(!caller.is_finished());
    second.finish(Outcome::Success);
    caller.await.unwrap().unwrap().finish(Outcome::Success);
    assert_eq!((scene.pods.attempts(), scene.pods.most()), (3, 1));
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_place_of_a_connection_that_comes_back_goes_to_the_pod_that_has_none() {
    for end in ["finish", "broken", "drop"] {
        let scene = scene(2, 1).await;
        let held = scene.acquire_on(&pod(0, 1)).await.unwrap();
        let caller = scene.spawn_on(&pod(1, 2)).await;
        assert_eq!(scene.stats_of(&pod(1, 2)).pool.waiting, 1);
        match end {
            "finish" => held.finish(Outcome::Success),
            "broken" => held.broken(),
            _ => drop(held),
        }
        let start = Instant::now();
        caller.await.unwrap().unwrap().finish(Outcome::Success);
        assert_eq!(start.elapsed(), Duration::ZERO, "{end}");
        let closed = scene.stats_of(&pod(0, 1)).pool.closed;
        let reasons = (closed.evicted, closed.broken, closed.cancelled);
        assert_eq!(
            reasons,
            (
                u64::from(end == "finish"),
                u64::from(end == "broken"),
                u64::from(end == "drop")
            )
        );
        assert_eq!(scene.pods.most(), 1);
        scene.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_place_of_a_dial_that_fails_goes_to_another_pod() {
    let scene = scene(2, 1).await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let _hopeless = scene.spawn_on(&pod(0, 1)).await;
    let (start, caller) = (Instant::now(), scene.spawn_on(&pod(1, 2)).await);
    caller.await.unwrap().unwrap().finish(Outcome::Success);
    assert_eq!(start.elapsed(), Duration::from_secs(2), "the connect timeout");
}

#[tokio::test(start_paused = true)]
async fn the_places_of_a_pod_that_leaves_go_to_the_others() {
    let scene = scene(2, 2).await;
    let leases = [
        scene.acquire_on(&pod(0, 1)).await.unwrap(),
        scene.acquire_on(&pod(0, 1)).await.unwrap(),
    ];
    let caller = scene.spawn_on(&pod(1, 2)).await;
    scene.set_is([pod(1, 2)]).await;
    assert!(
        !caller.is_finished(),
        "a draining pod's connections count until they close"
    );
    leases.into_iter().for_each(|lease| lease.finish(Outcome::Success));
    caller.await.unwrap().unwrap().finish(Outcome::Success);
    scene.assert_clean().await;
}

/// What is not promised: a share. A pod keeps its connections while its own callers wait, and those
/// of other pods wait until their deadline; what is promised is the first connection that comes
/// back to a pod without callers of its own.
#[tokio::test(start_paused = true)]
async fn the_callers_of_a_busy_pod_come_first_and_those_of_another_as_soon_as_none_of_them_waits() {
    let scene = scene(2, 1).await;
    let mut held = scene.acquire_on(&pod(0, 1)).await.unwrap();
    let other = scene.spawn_on(&pod(1, 2)).await;
    for _ in 0..40 {
        let next = scene.spawn_on(&pod(0, 1)).await;
        pass(Duration::from_millis(100)).await;
        held.finish(Outcome::Success);
        held = next.await.unwrap().unwrap();
        assert!(!other.is_finished());
    }
    held.finish(Outcome::Success);
    other.await.unwrap().unwrap().finish(Outcome::Success);
    assert_eq!(
        (scene.pods.attempts(), scene.pods.most()),
        (2, 1),
        "and no connection was changed for another before"
    );
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_recovers_is_found_though_the_others_have_every_permit() {
    let scene = scene(2, 1).await;
    scene.pods.set(&pod(1, 2), Dial::Refuses);
    for _ in 0..2 {
        scene.acquire().await.finish(Outcome::Success);
    }
    assert!(scene.stats_of(&pod(1, 2)).unhealthy);
    scene.acquire_on(&pod(0, 1)).await.unwrap().finish(Outcome::Success);
    scene.pods.set(&pod(1, 2), Dial::Succeeds);
    for _ in 0..100 {
        scene.acquire().await.finish(Outcome::Success);
        pass(Duration::from_millis(100)).await;
    }
    assert!(!scene.stats_of(&pod(1, 2)).unhealthy);
    assert_eq!(scene.pods.most(), 1);
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_takes_its_claim_along() {
    let scene = scene(2, 1).await;
    let held = scene.acquire_on(&pod(0, 1)).await.unwrap();
    let caller = scene.spawn_on(&pod(1, 2)).await;
    caller.abort();
    settle().await;
    held.finish(Outcome::Success);
    assert_eq!(scene.stats_of(&pod(0, 1)).pool.idle, 1, "no other pod needs its place");
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_for_want_of_a_permit_says_so() {
    let scene = scene(2, 1).await;
    let _held = scene.acquire_on(&pod(0, 1)).await.unwrap();
    let error = scene.acquire_on(&pod(1, 2)).await.unwrap_err();
    assert!(
        matches!(
            error,
            AcquireError::Timeout {
                stage: Stage::AwaitingPermit,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "no connection to web-1 (10.0.0.2:80) within 5s: waiting for another pod to give up one (0 in use, 0 being opened, 0 \
         others waiting, limit 64); the other pods are slow, or `max_connections_total` is too small"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_idle_never_takes_the_place_of_a_caller() {
    let scene = Scene::with([pod(0, 1), pod(1, 2)], FakePods::default(), |pool: &mut PoolConfig| {
        pool.max_connections_total = Some(2);
        pool.min_idle_per_endpoint = 2;
    })
    .await;
    settle().await;
    assert_eq!(scene.pods.open(), 2, "as many as may be, not as many as are wished for");
    let start = Instant::now();
    let leases = [
        scene.acquire_on(&pod(1, 2)).await.unwrap(),
        scene.acquire_on(&pod(1, 2)).await.unwrap(),
    ];
    assert_eq!((start.elapsed(), scene.pods.most()), (Duration::ZERO, 2));
    leases.into_iter().for_each(|lease| lease.finish(Outcome::Success));
    pass(Duration::from_secs(60)).await;
    assert_eq!(scene.pods.most(), 2);
    scene.assert_clean().await;
}
