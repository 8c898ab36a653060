//! What the statistics say, against what was done; and the two calls for a caller that knows more
//! about pods than the policy does.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headless::{AcquireError, ClosedBy, Outcome, PoolStats, Route};
use tokio::time::Instant;

use super::Scene;
use super::support::{Dial, FakePods, pass, pod, settle};

fn counts(pool: &PoolStats) -> (usize, usize, usize, usize, u64) {
    (pool.idle, pool.busy, pool.connecting, pool.waiting, pool.opened)
}

#[tokio::test(start_paused = true)]
async fn connections_and_callers_are_counted_where_they_are_and_the_total_is_their_sum() {
    let scene = Scene::with([pod(0, 1), pod(1, 2)], FakePods::default(), |pool| {
        pool.max_connections_per_endpoint = 3
    })
    .await;
    let (one, other) = (pod(0, 1), pod(1, 2));
    let _held = [
        scene.acquire_on(&one).await.unwrap(),
        scene.acquire_on(&one).await.unwrap(),
        scene.acquire_on(&one).await.unwrap(),
    ];
    let _waiting = [scene.spawn_on(&one).await, scene.spawn_on(&one).await];
    for lease in [scene.acquire_on(&other).await, scene.acquire_on(&other).await] {
        lease.unwrap().finish(Outcome::Success);
    }
    let _held_too = [
        scene.acquire_on(&other).await.unwrap(),
        scene.acquire_on(&other).await.unwrap(),
    ];
    scene.pods.set(&other, Dial::Hangs);
    let connecting = scene.spawn_on(&other).await;
    assert_eq!(counts(&scene.stats_of(&one).pool), (0, 3, 0, 2, 3));
    assert_eq!(counts(&scene.stats_of(&other).pool), (0, 2, 1, 1, 2));
    assert_eq!(
        (scene.stats_of(&one).in_flight, scene.stats_of(&other).in_flight),
        (5, 3)
    );
    assert_eq!(counts(&scene.balancer.stats().total()), (0, 5, 1, 3, 5));
    drop(connecting);
}

#[tokio::test(start_paused = true)]
async fn a_multiplexed_connection_counts_once_however_many_streams_it_has() {
    let scene = Scene::with([pod(0, 1)], FakePods::with_streams(10), |_| {}).await;
    let streams = [scene.acquire().await, scene.acquire().await, scene.acquire().await];
    let stats = scene.stats_of(&pod(0, 1));
    assert_eq!((counts(&stats.pool), stats.in_flight), ((0, 1, 0, 0, 1), 3));
    streams.into_iter().for_each(|stream| stream.finish(Outcome::Success));
    assert_eq!(counts(&scene.stats_of(&pod(0, 1)).pool), (1, 0, 0, 0, 1));
}

/// One connection of `web-0` is closed for each reason but one, which no figure outlives: the
/// removal of its pod.
#[tokio::test(start_paused = true)]
async fn each_closed_connection_is_counted_with_its_reason() {
    let (one, other) = (pod(0, 1), pod(1, 2));
    let scene = Scene::with([one.clone(), other.clone()], FakePods::default(), |pool| {
        pool.max_connections_total = Some(2);
        pool.max_lifetime = Some(Duration::from_secs(100));
    })
    .await;
    let mut expected = ClosedBy::default();

    drop(scene.acquire_on(&one).await.unwrap());
    expected.cancelled += 1;
    assert_eq!(scene.stats_of(&one).pool.closed, expected);

    let lease = scene.acquire_on(&one).await.unwrap();
    lease.usable.store(false, Ordering::SeqCst);
    lease.finish(Outcome::Success);
    expected.ended += 1;
    assert_eq!(scene.stats_of(&one).pool.closed, expected);

    scene.acquire_on(&one).await.unwrap().finish(Outcome::Success);
    scene.pods.break_open(&one);
    let both = [
        scene.acquire_on(&one).await.unwrap(),
        scene.acquire_on(&one).await.unwrap(),
    ];
    expected.ended += 1;
    assert_eq!(scene.stats_of(&one).pool.closed, expected, "found before it was held");

    let [broken, beside] = both;
    beside.finish(Outcome::Success);
    broken.broken();
    (expected.broken, expected.invalidated) = (1, 1);
    assert_eq!(scene.stats_of(&one).pool.closed, expected);

    scene.acquire_on(&one).await.unwrap().finish(Outcome::Success);
    pass(Duration::from_secs(80)).await;
    expected.idle += 1;
    assert_eq!(scene.stats_of(&one).pool.closed, expected);

    scene.acquire_on(&one).await.unwrap().finish(Outcome::Success);
    let others = [
        scene.acquire_on(&other).await.unwrap(),
        scene.acquire_on(&other).await.unwrap(),
    ];
    expected.evicted += 1;
    assert_eq!(scene.stats_of(&one).pool.closed, expected);
    others.into_iter().for_each(drop);

    let lease = scene.acquire_on(&one).await.unwrap();
    pass(Duration::from_secs(110)).await;
    lease.finish(Outcome::Success);
    scene.assert_clean().await;
    expected.lifetime += 1;
    assert_eq!(scene.stats_of(&one).pool.closed, expected);
    assert_eq!(expected.total(), 8);
    let total = scene.balancer.stats().total().closed;
    assert_eq!((total.total(), total.cancelled), (10, 3), "and two of the other pod");
}

#[tokio::test(start_paused = true)]
async fn the_times_of_callers_that_waited_are_told_and_of_those_that_gave_up_too() {
    let scene = Scene::of_one(|pool| pool.max_connections_per_endpoint = 1).await;
    let held = scene.acquire().await;
    assert_eq!(
        scene.stats_of(&pod(0, 1)).pool.wait_time.count(),
        1,
        "for the first dial"
    );
    let (served, gives_up) = (scene.spawn().await, scene.spawn().await);
    pass(Duration::from_secs(3)).await;
    gives_up.abort();
    settle().await;
    let waited = scene.stats_of(&pod(0, 1)).pool.wait_time;
    assert_eq!((waited.count(), waited.max()), (2, Duration::from_secs(3)));
    pass(Duration::from_secs(1)).await;
    held.finish(Outcome::Success);
    served.await.unwrap().unwrap().finish(Outcome::Success);
    scene.acquire().await.finish(Outcome::Success);
    let waited = scene.stats_of(&pod(0, 1)).pool.wait_time;
    assert_eq!(
        (waited.count(), waited.max(), waited.sum()),
        (3, Duration::from_secs(4), Duration::from_secs(7)),
        "a caller that finds an idle connection does not wait"
    );
}

#[tokio::test(start_paused = true)]
async fn the_times_of_dials_are_told_however_they_end() {
    let scene = Scene::of_one(|_| {}).await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let caller = scene.spawn().await;
    pass(Duration::from_millis(1500)).await;
    scene.pods.set(&pod(0, 1), Dial::Succeeds);
    caller.await.unwrap().unwrap().broken();
    scene.pods.set(&pod(0, 1), Dial::Refuses);
    let caller = scene.spawn().await;
    let dialled = scene.stats_of(&pod(0, 1)).pool.connect_time;
    assert_eq!(
        (dialled.count(), dialled.max(), dialled.sum()),
        (2, Duration::from_millis(1500), Duration::from_millis(1500))
    );
    caller.abort();
}

#[tokio::test(start_paused = true)]
async fn a_lease_says_whether_its_connection_was_idle() {
    for streams in [1, 10] {
        let scene = Scene::with([pod(0, 1)], FakePods::with_streams(streams), |pool| {
            pool.max_connections_per_endpoint = 1;
        })
        .await;
        let first = scene.acquire().await;
        assert!(!first.was_idle(), "it was opened for the caller");
        let second = match streams {
            1 => {
                let waiting = scene.spawn().await;
                first.finish(Outcome::Success);
                waiting.await.unwrap().unwrap()
            }
            _ => scene.acquire().await,
        };
        assert!(!second.was_idle(), "it was in use a moment ago");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_known_as_one_when_it_is_checked_out() {
    for streams in [1, 10] {
        let scene = Scene::with([pod(0, 1)], FakePods::with_streams(streams), |_| {}).await;
        scene.acquire().await.finish(Outcome::Success);
        let lease = scene.acquire().await;
        assert!(lease.was_idle(), "{streams} streams");
        lease.finish(Outcome::Success);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_can_close_its_connection_and_no_other() {
    let scene = Scene::of_one(|_| {}).await;
    let [one, other] = [scene.acquire().await, scene.acquire().await];
    other.finish(Outcome::Success);
    one.close(Outcome::Failure);
    let pool = scene.stats_of(&pod(0, 1)).pool;
    assert_eq!((pool.idle, pool.closed.broken, pool.closed.invalidated), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_names_pods_gets_one_of_them_or_none() {
    let scene = Scene::with([pod(0, 1), pod(1, 2), pod(2, 3)], FakePods::default(), |_| {}).await;
    let wanted = [
        pod(1, 2).key().clone(),
        pod(2, 3).key().clone(),
        pod(9, 9).key().clone(),
    ];
    let mut got = BTreeMap::new();
    for _ in 0..30 {
        let lease = scene.balancer.acquire_from(Route::any(), &wanted).await.unwrap();
        *got.entry(lease.addr).or_insert(0) += 1;
        lease.finish(Outcome::Success);
    }
    let all = [pod(1, 2).addr(), pod(2, 3).addr()];
    assert!(got.keys().eq(&all), "the policy chooses among them: {got:?}");
    scene.pods.set(&pod(1, 2), Dial::Refuses);
    scene.balancer.evict(pod(1, 2).key());
    let start = Instant::now();
    let error = scene.acquire_on(&pod(1, 2)).await.unwrap_err();
    assert!(matches!(error, AcquireError::Unreachable { tried: 1, .. }), "{error:?}");
    assert_eq!(
        start.elapsed(),
        Duration::from_secs(5),
        "never another pod, though two are idle"
    );
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_names_a_missing_pod_waits_for_it() {
    let scene = Scene::of_one(|_| {}).await;
    let caller = scene.spawn_on(&pod(1, 2)).await;
    scene.set_is([pod(0, 1), pod(1, 2)]).await;
    let lease = caller.await.unwrap().unwrap();
    assert_eq!(lease.addr, pod(1, 2).addr());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_names_a_pod_that_never_comes_is_told_so() {
    let scene = Scene::of_one(|_| {}).await;
    for pods in [vec![pod(1, 2).key().clone()], vec![]] {
        let error = scene.balancer.acquire_from(Route::any(), &pods).await.unwrap_err();
        let asked = pods.len();
        assert_eq!(
            error.to_string(),
            format!(
                "none of the {asked} pods asked for is among the 1 of web.shop.svc.cluster.local:http that fit (waited 5s)"
            )
        );
    }
}

#[tokio::test(start_paused = true)]
async fn evicting_closes_idle_connections_now_and_held_ones_when_they_come_back() {
    let scene = Scene::with([pod(0, 1), pod(1, 2)], FakePods::default(), |_| {}).await;
    let one = pod(0, 1);
    let (held, idle) = (
        scene.acquire_on(&one).await.unwrap(),
        scene.acquire_on(&one).await.unwrap(),
    );
    idle.finish(Outcome::Success);
    scene.acquire_on(&pod(1, 2)).await.unwrap().finish(Outcome::Success);
    assert!(scene.balancer.evict(one.key()));
    assert_eq!((scene.pods.open_to(&one), scene.pods.open_to(&pod(1, 2))), (1, 1));
    let new = scene.acquire_on(&one).await.unwrap();
    held.finish(Outcome::Success);
    assert_eq!(scene.pods.open_to(&one), 1, "only the new one");
    new.finish(Outcome::Success);
    assert_eq!(scene.stats_of(&one).pool.closed.invalidated, 2);
    assert!(!scene.stats_of(&one).unhealthy, "its pod is as good as any");
    assert!(!scene.balancer.evict(pod(9, 9).key()), "not in the set");
    scene.assert_clean().await;
}
