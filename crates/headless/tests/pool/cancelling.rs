//! What is left behind when the caller, the pod or the balancer goes: nothing, at any stage. The
//! table, a test per cell: {before the first poll, while waiting, while connecting, while checking,
//! after the hand-off, in use} × {the caller drops, the pod drains, the balancer closes}.
//!
//! Two permits are all there are, over all pods: each cell ends by having two connections at once,
//! on new pods.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headless::{AcquireError, Outcome, Route};
use tokio::time::Instant;

use super::support::{Check, Dial, pass, pod, settle};
use super::{Acquired, Scene, poll_once};

/// One connection at most to each pod, two in all; idle ones are checked after a second.
async fn scene() -> Scene {
    Scene::of_one(|pool| {
        pool.max_connections_per_endpoint = 1;
        pool.max_connections_total = Some(2);
        pool.validate_after_idle = Some(Duration::from_secs(1));
    })
    .await
}

impl Scene {
    async fn replace_pod(&self) {
        self.set_is([pod(0, 2)]).await;
    }

    /// Another caller is served now, and no permit was lost.
    async fn assert_usable(&self) {
        let start = Instant::now();
        self.acquire().await.finish(Outcome::Success);
        assert_eq!(start.elapsed(), Duration::ZERO, "the next caller need not wait");
        self.assert_clean().await;
        let new = [pod(3, 13), pod(4, 14)];
        self.set_is(new.clone()).await;
        let leases = [self.acquire_on(&new[0]).await, self.acquire_on(&new[1]).await];
        for lease in leases {
            lease.unwrap().finish(Outcome::Success);
        }
        self.assert_clean().await;
    }

    /// The balancer closes, and gives its callers `limit` to finish: how many had not.
    async fn close(&self, limit: Duration) -> usize {
        let drained = self.balancer.shutdown(limit).await;
        drained.unfinished.iter().map(|left| left.requests).sum()
    }

    /// After the end: no caller is served, and nothing is open.
    async fn assert_closed(&self) {
        let refused = self.balancer.acquire(Route::any()).await;
        assert!(matches!(refused, Err(AcquireError::ShutDown { .. })), "{refused:?}");
        self.assert_clean().await;
        assert_eq!(self.pods.open(), 0);
    }

    /// One connection, idle for so long that it must be checked, and a check that does not end.
    async fn make_checks_hang(&self) {
        self.open_idle(1).await;
        pass(Duration::from_secs(2)).await;
        self.pods.checks(Check::Hangs);
    }
}

fn is_told_of_the_end(acquired: &Acquired) -> bool {
    matches!(acquired, Err(AcquireError::ShutDown { .. }))
}

#[tokio::test(start_paused = true)]
async fn before_poll_the_caller_drops() {
    let scene = scene().await;
    drop(scene.balancer.acquire(Route::any()));
    assert_eq!(scene.pods.attempts(), 0);
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn before_poll_the_pod_drains() {
    let scene = scene().await;
    let acquire = scene.balancer.acquire(Route::any());
    scene.replace_pod().await;
    let lease = acquire.await.unwrap();
    assert_eq!(lease.addr, pod(0, 2).addr(), "it picks when it is polled");
    lease.finish(Outcome::Success);
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn before_poll_the_balancer_closes() {
    let scene = scene().await;
    let acquire = scene.balancer.acquire(Route::any());
    assert_eq!(scene.close(Duration::ZERO).await, 0);
    assert!(is_told_of_the_end(&acquire.await));
    scene.assert_closed().await;
}

#[tokio::test(start_paused = true)]
async fn while_waiting_the_caller_drops() {
    let scene = scene().await;
    let held = scene.acquire().await;
    let (first, second) = (scene.spawn().await, scene.spawn().await);
    first.abort();
    settle().await;
    assert_eq!(scene.stats_of(&pod(0, 1)).pool.waiting, 1);
    held.finish(Outcome::Success);
    second.await.unwrap().unwrap().finish(Outcome::Success);
    assert_eq!(scene.pods.attempts(), 1, "all on the same connection");
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn while_waiting_the_pod_drains() {
    let scene = scene().await;
    let held = scene.acquire().await;
    let waiting = scene.spawn().await;
    scene.replace_pod().await;
    let lease = waiting.await.unwrap().unwrap();
    assert_eq!(
        lease.addr,
        pod(0, 2).addr(),
        "a waiter of a pod that leaves goes to another"
    );
    lease.finish(Outcome::Success);
    assert_eq!(scene.draining(), [(held.endpoint().to_string(), 1)]);
    held.finish(Outcome::Success);
    assert_eq!(scene.pods.open_to(&pod(0, 1)), 0, "closed when it came back");
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn while_waiting_the_balancer_closes() {
    let scene = scene().await;
    let held = scene.acquire().await;
    let waiting = scene.spawn().await;
    assert_eq!(
        scene.close(Duration::from_secs(1)).await,
        1,
        "the one held, not the one that waited"
    );
    assert!(held.aborted.load(Ordering::SeqCst), "cut, and reported");
    assert!(is_told_of_the_end(&waiting.await.unwrap()));
    held.finish(Outcome::Success);
    scene.assert_closed().await;
}

#[tokio::test(start_paused = true)]
async fn while_dialling_the_caller_drops() {
    let scene = scene().await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let acquire = scene.spawn().await;
    acquire.abort();
    settle().await;
    assert_eq!(scene.stats_of(&pod(0, 1)).in_flight, 0);
    scene.pods.set(&pod(0, 1), Dial::Succeeds);
    settle().await;
    assert_eq!(
        scene.stats_of(&pod(0, 1)).pool.idle,
        1,
        "the dial went on; its connection serves the next"
    );
    scene.acquire().await.finish(Outcome::Success);
    assert_eq!(scene.pods.attempts(), 1);
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn while_dialling_the_pod_drains() {
    let scene = scene().await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let (start, acquire) = (Instant::now(), scene.spawn().await);
    scene.replace_pod().await;
    acquire.await.unwrap().unwrap().finish(Outcome::Success);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "when the pod left, not at the connect timeout"
    );
    assert_eq!(
        (scene.pods.open_to(&pod(0, 1)), scene.pods.connecting()),
        (0, 0),
        "the dial ended with its pod"
    );
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn while_dialling_the_balancer_closes() {
    let scene = scene().await;
    scene.pods.set(&pod(0, 1), Dial::Hangs);
    let acquire = scene.spawn().await;
    let start = Instant::now();
    assert_eq!(scene.close(Duration::from_secs(1)).await, 0);
    assert!(is_told_of_the_end(&acquire.await.unwrap()));
    assert_eq!(start.elapsed(), Duration::ZERO);
    scene.assert_closed().await;
    assert_eq!(scene.pods.connecting(), 0, "the dial ended, too");
}

#[tokio::test(start_paused = true)]
async fn while_validating_the_caller_drops() {
    let scene = scene().await;
    scene.make_checks_hang().await;
    let acquire = scene.spawn().await;
    acquire.abort();
    settle().await;
    assert_eq!(scene.pods.open(), 0, "it may still carry parts of the exchange");
    assert_eq!(scene.stats_of(&pod(0, 1)).pool.closed.cancelled, 1);
    scene.pods.checks(Check::Passes);
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn while_validating_the_pod_drains() {
    let scene = scene().await;
    scene.make_checks_hang().await;
    let (start, acquire) = (Instant::now(), scene.spawn().await);
    scene.replace_pod().await;
    let lease = acquire.await.unwrap().unwrap();
    assert_eq!(lease.addr, pod(0, 2).addr());
    lease.finish(Outcome::Success);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "when the pod left, not when the check gave up"
    );
    assert_eq!(scene.pods.open_to(&pod(0, 1)), 0);
    scene.pods.checks(Check::Passes);
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn while_validating_the_balancer_closes() {
    let scene = scene().await;
    scene.make_checks_hang().await;
    let acquire = scene.spawn().await;
    let start = Instant::now();
    assert_eq!(scene.close(Duration::from_secs(1)).await, 0, "no request was under way");
    assert!(is_told_of_the_end(&acquire.await.unwrap()));
    assert_eq!(start.elapsed(), Duration::ZERO);
    scene.assert_closed().await;
}

#[tokio::test(start_paused = true)]
async fn after_hand_off_the_caller_drops() {
    let scene = scene().await;
    let held = scene.acquire().await;
    let (waiting, next) = (scene.spawn().await, scene.spawn().await);
    held.finish(Outcome::Success);
    // The connection is in the waiter's hand, and the waiter is never polled again.
    waiting.abort();
    next.await.unwrap().unwrap().finish(Outcome::Success);
    assert_eq!(scene.pods.attempts(), 1, "the next waiter got it");
    assert_eq!(scene.stats_of(&pod(0, 1)).pool.idle, 1);
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn after_hand_off_the_pod_drains() {
    let scene = scene().await;
    let held = scene.acquire().await;
    let mut acquire = pin!(scene.balancer.acquire(Route::any()));
    assert!(poll_once(acquire.as_mut()).await.is_none());
    held.finish(Outcome::Success);
    scene.replace_pod().await;
    assert_eq!(scene.balancer.stats().draining.len(), 1, "handed over is checked out");
    let lease = acquire.await.unwrap();
    assert_eq!(lease.addr, pod(0, 1).addr(), "a working connection is not taken back");
    lease.finish(Outcome::Success);
    assert_eq!(scene.pods.open_to(&pod(0, 1)), 0);
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn after_hand_off_the_balancer_closes() {
    let scene = scene().await;
    let held = scene.acquire().await;
    {
        let mut acquire = pin!(scene.balancer.acquire(Route::any()));
        assert!(poll_once(acquire.as_mut()).await.is_none());
        held.finish(Outcome::Success);
        assert_eq!(scene.close(Duration::ZERO).await, 1, "handed over is checked out");
        let lease = acquire.await.unwrap();
        assert!(lease.aborted.load(Ordering::SeqCst), "cut, as any that is held");
    }
    scene.assert_closed().await;
}

#[tokio::test(start_paused = true)]
async fn in_use_the_caller_drops() {
    let scene = scene().await;
    let held = scene.acquire().await;
    let waiting = scene.spawn().await;
    drop(held);
    waiting.await.unwrap().unwrap().finish(Outcome::Success);
    assert_eq!(
        scene.pods.attempts(),
        2,
        "the first may still carry parts of the exchange; the waiter got a new one"
    );
    assert_eq!(scene.stats_of(&pod(0, 1)).pool.closed.cancelled, 1);
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn in_use_the_pod_drains() {
    let scene = scene().await;
    let lease = scene.acquire().await;
    scene.replace_pod().await;
    assert_eq!(scene.draining(), [(lease.endpoint().to_string(), 1)]);
    lease.finish(Outcome::Success);
    assert_eq!(scene.pods.open_to(&pod(0, 1)), 0);
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn in_use_the_balancer_closes() {
    let scene = scene().await;
    let lease = scene.acquire().await;
    let closing = tokio::spawn({
        let balancer = scene.balancer.clone();
        async move { balancer.shutdown(Duration::from_secs(60)).await }
    });
    settle().await;
    assert!(!closing.is_finished(), "it waits for the lease");
    lease.finish(Outcome::Success);
    assert!(closing.await.unwrap().unfinished.is_empty());
    scene.assert_closed().await;
}
