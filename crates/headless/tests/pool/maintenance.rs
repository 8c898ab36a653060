//! Unused connections: kept, expired, replaced before they are too old, checked, and closed when
//! one of them proves dead.

use std::sync::atomic::Ordering;
use std::time::Duration;

use headless::{Outcome, Route};
use tokio::time::Instant;

use super::Scene;
use super::support::{Check, Dial, FakePods, pass, pod, settle};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_minimum_is_opened_with_the_pod_and_outlives_the_idle_timeout() {
    let scene = Scene::of_one(|pool| pool.min_idle_per_endpoint = 3).await;
    settle().await;
    assert_eq!(scene.stats_of(&pod(0, 1)).pool.idle, 3, "before any request");
    scene.open_idle(7).await;
    pass(Duration::from_secs(80)).await;
    assert_eq!((scene.pods.open(), scene.stats_of(&pod(0, 1)).pool.closed.idle), (3, 4));
    pass(Duration::from_secs(600)).await;
    assert_eq!(scene.pods.attempts(), 7, "the three that stay are still the same");
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_minimum_is_restored_when_a_connection_ends_and_later_when_they_break() {
    let scene = Scene::of_one(|pool| pool.min_idle_per_endpoint = 3).await;
    settle().await;
    drop(scene.acquire().await);
    settle().await;
    assert_eq!(scene.pods.open(), 3, "at once");
    scene.acquire().await.broken();
    settle().await;
    assert_eq!(scene.pods.open(), 0, "a pod whose connections break is not stormed");
    pass(16 * SECOND).await;
    assert_eq!(scene.pods.open(), 3, "with the next upkeep");
}

#[tokio::test(start_paused = true)]
async fn lifetimes_differ_and_each_replacement_comes_before_its_predecessor_goes() {
    let scene = Scene::of_one(|pool| {
        pool.min_idle_per_endpoint = 20;
        pool.max_lifetime = Some(100 * SECOND);
        // Upkeep comes once a second.
        pool.idle_timeout = 4 * SECOND;
    })
    .await;
    settle().await;
    assert_eq!(
        (scene.pods.open(), scene.pods.least_open()),
        (20, 0),
        "from now on, the least is asked for"
    );
    pass(79 * SECOND).await;
    assert!(scene.pods.lives().is_empty());
    pass(23 * SECOND).await;
    let mut lives = scene.pods.lives();
    assert_eq!((lives.len(), scene.pods.open(), scene.pods.least_open()), (20, 20, 20));
    lives.sort();
    assert!(lives[0] >= 80 * SECOND && lives[19] <= 102 * SECOND, "{lives:?}");
    lives.dedup();
    assert!(lives.len() >= 8, "they do not end together: {lives:?}");
    assert_eq!(scene.stats_of(&pod(0, 1)).pool.closed.lifetime, 20);
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn no_caller_waits_for_a_dial_when_a_connection_grows_old_under_load() {
    let scene = Scene::of_one(|pool| {
        pool.min_idle_per_endpoint = 1;
        pool.max_lifetime = Some(20 * SECOND);
        pool.idle_timeout = 4 * SECOND;
    })
    .await;
    settle().await;
    for _ in 0..2000 {
        let lease = scene.balancer.try_acquire(Route::any()).expect("one is always there");
        pass(Duration::from_millis(90)).await;
        lease.finish(Outcome::Success);
        pass(Duration::from_millis(10)).await;
    }
    let pool = scene.stats_of(&pod(0, 1)).pool;
    assert!(
        (18..=24).contains(&pool.closed.lifetime),
        "one in use and one idle, ten lifetimes each: {pool:?}"
    );
    assert!(
        pool.opened <= pool.closed.lifetime + 2,
        "each is replaced by one: {pool:?}"
    );
    assert!(scene.pods.most() <= 3, "these two, and a new one");
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_held_when_its_replacement_comes_is_replaced_once() {
    let scene = Scene::of_one(|pool| pool.max_lifetime = Some(100 * SECOND)).await;
    let lease = scene.acquire().await;
    pass(110 * SECOND).await;
    lease.finish(Outcome::Success);
    let again = scene.acquire().await;
    settle().await;
    assert_eq!(
        (again.number, scene.pods.open()),
        (1, 2),
        "the old one serves until the new one is there"
    );
    again.finish(Outcome::Success);
    scene.assert_clean().await;
    assert_eq!((scene.pods.open(), scene.pods.attempts()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_multiplexed_connection_that_is_old_ends_with_its_streams_and_new_ones_are_on_its_replacement() {
    let scene = Scene::with([pod(0, 1)], FakePods::with_streams(10), |pool| {
        pool.max_lifetime = Some(100 * SECOND);
    })
    .await;
    let long = scene.acquire().await;
    pass(120 * SECOND).await;
    let new = scene.acquire().await;
    assert_eq!((long.number, new.number, scene.pods.open()), (1, 2, 2));
    long.finish(Outcome::Success);
    assert_eq!(
        (scene.pods.open(), scene.stats_of(&pod(0, 1)).pool.closed.lifetime),
        (1, 1)
    );
    new.finish(Outcome::Success);
    scene.assert_clean().await;
    assert_eq!(scene.pods.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn at_the_limit_the_old_connection_goes_first_and_the_new_one_is_dialled_at_once() {
    let scene = Scene::of_one(|pool| {
        pool.max_connections_per_endpoint = 1;
        pool.max_lifetime = Some(100 * SECOND);
        pool.idle_timeout = 100 * SECOND;
    })
    .await;
    let lease = scene.acquire().await;
    pass(110 * SECOND).await;
    lease.finish(Outcome::Success);
    settle().await;
    let stats = scene.stats_of(&pod(0, 1));
    assert_eq!(
        (scene.pods.most(), stats.pool.idle, stats.pool.opened),
        (1, 1, 2),
        "{stats:?}"
    );
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_stays_while_its_replacement_cannot_be_had() {
    let scene = Scene::of_one(|pool| {
        pool.min_idle_per_endpoint = 1;
        pool.max_lifetime = Some(100 * SECOND);
    })
    .await;
    settle().await;
    scene.pods.set(&pod(0, 1), Dial::Refuses);
    pass(200 * SECOND).await;
    assert_eq!(scene.pods.open(), 1, "it still works");
    scene.acquire().await.finish(Outcome::Success);
    scene.pods.set(&pod(0, 1), Dial::Succeeds);
    pass(30 * SECOND).await;
    assert_eq!(
        (scene.pods.open(), scene.stats_of(&pod(0, 1)).pool.closed.lifetime),
        (1, 1)
    );
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_needed_grows_idle_and_what_is_used_stays() {
    let scene = Scene::of_one(|_| {}).await;
    scene.open_idle(3).await;
    for _ in 0..9 {
        pass(10 * SECOND).await;
        scene.acquire().await.finish(Outcome::Success);
    }
    let pool = scene.stats_of(&pod(0, 1)).pool;
    assert_eq!((scene.pods.open(), pool.closed.idle, pool.opened), (1, 2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_dead_idle_connection_is_found_before_it_is_held_and_takes_its_siblings_along() {
    for streams in [None, Some(1_000_000)] {
        let pods = streams.map_or_else(FakePods::default, FakePods::with_streams);
        let scene = Scene::with([pod(0, 1)], pods, |pool| pool.validate_after_idle = Some(SECOND)).await;
        let idle = streams.map_or(3, |_| 1);
        scene.open_idle(idle).await;
        pass(2 * SECOND).await;
        scene.pods.kill_silently(&pod(0, 1));
        let start = Instant::now();
        let lease = scene.acquire().await;
        assert_eq!(
            (lease.number, start.elapsed()),
            (idle + 1, Duration::ZERO),
            "a working one, in the same call"
        );
        assert_eq!(scene.pods.checked().len(), 1, "one is enough to know");
        assert_eq!(scene.pods.open(), 1);
        let closed = scene.stats_of(&pod(0, 1)).pool.closed;
        assert_eq!((closed.broken, closed.invalidated), (1, idle as u64 - 1), "{streams:?}");
        lease.finish(Outcome::Success);
        scene.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_was_idle_for_long_is_validated_and_never_without_leave_to_wait() {
    let scene = Scene::of_one(|pool| pool.validate_after_idle = Some(SECOND)).await;
    scene.open_idle(1).await;
    pass(SECOND / 2).await;
    scene.acquire().await.finish(Outcome::Success);
    assert!(scene.pods.checked().is_empty(), "fresh");
    pass(SECOND).await;
    assert!(scene.balancer.try_acquire(Route::any()).is_none());
    assert_eq!(
        scene.stats_of(&pod(0, 1)).pool.idle,
        1,
        "it stays for a caller that can wait"
    );
    scene.acquire().await.finish(Outcome::Success);
    scene.acquire().await.finish(Outcome::Success);
    assert_eq!(scene.pods.checked(), [1], "proven once, fresh again");
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_validation_that_never_ends_is_given_up_at_the_connect_timeout() {
    let scene = Scene::of_one(|pool| pool.validate_after_idle = Some(SECOND)).await;
    scene.open_idle(1).await;
    pass(2 * SECOND).await;
    scene.pods.checks(Check::Hangs);
    let start = Instant::now();
    let lease = scene.acquire().await;
    assert_eq!((lease.number, start.elapsed()), (2, 2 * SECOND));
    assert_eq!(scene.stats_of(&pod(0, 1)).pool.closed.broken, 1);
}

#[tokio::test(start_paused = true)]
async fn every_connection_that_is_kept_idle_is_kept_alive() {
    for streams in [None, Some(1)] {
        let pods = streams.map_or_else(FakePods::default, FakePods::with_streams);
        let scene = Scene::with([pod(0, 1)], pods, |pool| {
            pool.min_idle_per_endpoint = 3;
            pool.keep_alive = Some(10 * SECOND);
        })
        .await;
        settle().await;
        pass(9 * SECOND).await;
        assert!(scene.pods.checked().is_empty());
        pass(51 * SECOND).await;
        let mut checked = scene.pods.checked();
        checked.sort_unstable();
        checked.dedup();
        assert_eq!(checked, [1, 2, 3], "{streams:?}");
        scene.assert_clean().await;
        assert_eq!(scene.pods.open(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn keeping_alive_is_no_use_of_a_connection() {
    let scene = Scene::of_one(|pool| pool.keep_alive = Some(10 * SECOND)).await;
    scene.open_idle(1).await;
    pass(55 * SECOND).await;
    assert!(scene.pods.checked().len() >= 3);
    pass(15 * SECOND).await;
    assert_eq!((scene.pods.open(), scene.stats_of(&pod(0, 1)).pool.closed.idle), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dead_idle_connection_is_found_in_the_background_before_a_request_meets_it() {
    let scene = Scene::of_one(|pool| pool.keep_alive = Some(10 * SECOND)).await;
    scene.open_idle(3).await;
    let resolved = scene.dns.resolutions();
    scene.pods.kill_silently(&pod(0, 1));
    pass(16 * SECOND).await;
    let closed = scene.stats_of(&pod(0, 1)).pool.closed;
    assert_eq!((closed.broken, closed.invalidated, scene.pods.open()), (1, 2, 0));
    assert!(scene.dns.resolutions() > resolved);
    let lease = scene.acquire().await;
    assert_eq!(lease.number, 4);
    lease.finish(Outcome::Success);
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_background_validation_that_hangs_or_panics_holds_up_no_caller() {
    for check in [Check::Hangs, Check::Panics] {
        let scene = Scene::of_one(|pool| pool.keep_alive = Some(10 * SECOND)).await;
        scene.open_idle(1).await;
        scene.pods.checks(check);
        while scene.pods.checked().is_empty() {
            pass(SECOND).await;
        }
        let start = Instant::now();
        scene.acquire().await.finish(Outcome::Success);
        assert_eq!(start.elapsed(), Duration::ZERO, "{check:?}");
        pass(3 * SECOND).await;
        scene.pods.checks(Check::Passes);
        scene.assert_clean().await;
        let drained = scene.balancer.shutdown(Duration::ZERO).await;
        assert!(drained.unfinished.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_background_validation_is_no_unfinished_request() {
    let scene = Scene::of_one(|pool| pool.keep_alive = Some(10 * SECOND)).await;
    scene.open_idle(1).await;
    scene.pods.checks(Check::Hangs);
    while scene.pods.checked().is_empty() {
        pass(SECOND / 4).await;
    }
    let start = Instant::now();
    let drained = scene.balancer.shutdown(SECOND).await;
    assert!(drained.unfinished.is_empty(), "{drained:?}");
    assert_eq!((start.elapsed(), scene.pods.open()), (Duration::ZERO, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_in_use_condemns_those_that_were_open_beside_it() {
    for streams in [None, Some(1)] {
        let pods = streams.map_or_else(FakePods::default, FakePods::with_streams);
        let scene = Scene::with([pod(0, 1)], pods, |_| {}).await;
        let (broken, held, idle) = (scene.acquire().await, scene.acquire().await, scene.acquire().await);
        idle.finish(Outcome::Success);
        broken.broken();
        assert_eq!(scene.pods.open(), 1, "the one that is held");
        let new = scene.acquire().await;
        held.finish(Outcome::Success);
        assert_eq!(scene.pods.open(), 1, "it was not kept");
        new.finish(Outcome::Success);
        assert_eq!(scene.acquire().await.number, 4, "but what was opened afterwards is");
    }
}

#[tokio::test(start_paused = true)]
async fn a_multiplexed_connection_that_ends_takes_no_new_stream_and_closes_with_its_last() {
    let scene = Scene::with([pod(0, 1)], FakePods::with_streams(2), |_| {}).await;
    let streams = [scene.acquire().await, scene.acquire().await, scene.acquire().await];
    assert_eq!(streams.each_ref().map(|stream| stream.number), [1, 1, 2]);
    let [first, second, other] = streams;
    first.usable.store(false, Ordering::SeqCst);
    let next = [scene.acquire().await, scene.acquire().await];
    assert_eq!(next.each_ref().map(|stream| stream.number), [2, 3]);
    first.finish(Outcome::Success);
    assert_eq!(scene.pods.open(), 3, "the second stream may finish");
    second.finish(Outcome::Success);
    assert_eq!(
        (scene.pods.open(), scene.stats_of(&pod(0, 1)).pool.closed.ended),
        (2, 1)
    );
    next.into_iter()
        .chain([other])
        .for_each(|stream| stream.finish(Outcome::Success));
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn streams_are_as_many_as_the_peer_allows_now() {
    let scene = Scene::with([pod(0, 1)], FakePods::with_streams(100), |pool| {
        pool.max_connections_per_endpoint = 1
    })
    .await;
    scene.pods.allow_streams(1);
    let held = scene.acquire().await;
    let (waiting, other) = (scene.spawn().await, scene.spawn().await);
    assert_eq!(scene.stats_of(&pod(0, 1)).pool.waiting, 2);
    scene.pods.allow_streams(3);
    held.finish(Outcome::Success);
    let streams = [waiting.await.unwrap().unwrap(), other.await.unwrap().unwrap()];
    assert_eq!(scene.pods.attempts(), 1, "both, on the one connection");
    streams.into_iter().for_each(|stream| stream.finish(Outcome::Success));
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_crowd_opens_as_many_multiplexed_connections_as_its_streams_need() {
    let scene = Scene::with([pod(0, 1)], FakePods::with_streams(4), |_| {}).await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let mut crowd = Vec::new();
    for _ in 0..10 {
        crowd.push(scene.spawn().await);
    }
    assert_eq!(scene.stats_of(&pod(0, 1)).pool.connecting, 3);
    scene.pods.set(&pod(0, 1), Dial::Succeeds);
    for caller in crowd {
        caller.await.unwrap().unwrap().finish(Outcome::Success);
    }
    scene.assert_clean().await;
    assert_eq!(scene.pods.attempts(), 3);
}
