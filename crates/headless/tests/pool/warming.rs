//! A pod that joins others takes no request before a connection to it is open. Where there are no
//! others, it takes them at once.

use std::time::Duration;

use headless::policy::{Fallback, RoleAware, RoundRobin};
use headless::{Balancer, Outcome, Route};
use tokio::time::Instant;

use super::Scene;
use super::support::{Dial, FakeDns, FakePods, found, pass, pod, settle};

/// Two pods that take requests.
async fn two() -> Scene {
    let scene = Scene::with([pod(0, 1), pod(1, 2)], FakePods::default(), |_| {}).await;
    for _ in 0..2 {
        scene.acquire().await.finish(Outcome::Success);
    }
    scene
}

impl Scene {
    /// `web-2` joins the two.
    async fn third_joins(&self) {
        self.set_is([pod(0, 1), pod(1, 2), pod(2, 3)]).await;
    }

    /// How many of twelve requests `web-2` gets. No caller waits.
    async fn share_of_third(&self) -> usize {
        let (start, mut share) = (Instant::now(), 0);
        for _ in 0..12 {
            let lease = self.acquire().await;
            share += usize::from(lease.addr == pod(2, 3).addr());
            lease.finish(Outcome::Success);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        share
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_joins_takes_its_share_as_soon_as_it_is_connected_to_and_not_before() {
    let scene = two().await;
    scene.pods.set(&pod(2, 3), Dial::Hangs);
    scene.third_joins().await;
    let stats = scene.stats_of(&pod(2, 3));
    assert!(stats.warming && stats.unhealthy, "{stats:?}");
    assert_eq!(stats.pool.connecting, 1, "one connection, whatever the minimum");
    assert_eq!(scene.share_of_third().await, 0);
    pass(Duration::from_secs(1)).await;
    scene.pods.set(&pod(2, 3), Dial::Succeeds);
    settle().await;
    let stats = scene.stats_of(&pod(2, 3));
    assert!(!stats.warming && !stats.unhealthy, "{stats:?}");
    assert_eq!(scene.share_of_third().await, 4);
    assert_eq!(
        scene.balancer.stats().total().wait_time.count(),
        2,
        "the first two of all"
    );
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_joins_and_cannot_be_connected_to_is_probed_and_costs_no_caller_anything() {
    for fails in [Dial::Refuses, Dial::Hangs, Dial::Panics, Dial::OpensDead] {
        let scene = two().await;
        scene.pods.set(&pod(2, 3), fails);
        scene.third_joins().await;
        pass(Duration::from_secs(3)).await;
        let stats = scene.stats_of(&pod(2, 3));
        assert!(
            !stats.warming && stats.unhealthy && stats.last_failure.is_some(),
            "{fails:?}: {stats:?}"
        );
        for _ in 0..60 {
            assert_eq!(scene.share_of_third().await, 0, "{fails:?}");
            pass(Duration::from_secs(1)).await;
        }
        let attempts = scene.pods.attempts() - 2;
        assert!(
            (8..=30).contains(&attempts),
            "{fails:?}: {attempts} attempts in a minute, one at a time, 0.2 s growing to 5 s apart"
        );
        assert_eq!(scene.pods.most_connecting(), 1);
        scene.pods.set(&pod(2, 3), Dial::Succeeds);
        pass(Duration::from_secs(8)).await;
        assert_eq!(scene.share_of_third().await, 4, "{fails:?}");
        scene.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_pods_take_requests_at_once_and_are_not_dialled_before() {
    let scene = Scene::with([], FakePods::default(), |_| {}).await;
    scene.set_is([pod(0, 1), pod(1, 2)]).await;
    assert!(
        scene
            .balancer
            .stats()
            .endpoints
            .iter()
            .all(|pod| !pod.warming && !pod.unhealthy)
    );
    assert_eq!(scene.pods.attempts(), 0);
    scene.acquire().await.finish(Outcome::Success);
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_joins_pods_which_cannot_be_reached_takes_requests_at_once() {
    let scene = Scene::of_one(|_| {}).await;
    scene.pods.set(&pod(0, 1), Dial::Refuses);
    let caller = scene.spawn().await;
    assert!(scene.stats_of(&pod(0, 1)).unhealthy);
    scene.pods.set(&pod(1, 2), Dial::Hangs);
    scene.set_is([pod(0, 1), pod(1, 2)]).await;
    let stats = scene.stats_of(&pod(1, 2));
    assert!(!stats.warming && !stats.unhealthy, "{stats:?}");
    scene.pods.set(&pod(1, 2), Dial::Succeeds);
    let lease = caller.await.unwrap().unwrap();
    assert_eq!(lease.addr, pod(1, 2).addr());
    lease.finish(Outcome::Success);
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_only_pod_with_the_role_is_waited_for_while_it_warms_up() {
    let (dns, pods) = (FakeDns::new(found([pod(1, 2), pod(2, 3)])), FakePods::default());
    let balancer = Balancer::builder(dns.watch().await, pods.clone())
        .policy(RoleAware::new(RoundRobin::default()).fallback(Fallback::Strict))
        .build()
        .unwrap();
    balancer.acquire(Route::read()).await.unwrap().finish(Outcome::Success);
    pods.set(&pod(0, 1), Dial::Hangs);
    let scene = Scene { dns, pods, balancer };
    scene.set_is([pod(0, 1), pod(1, 2), pod(2, 3)]).await;
    assert!(scene.stats_of(&pod(0, 1)).warming);
    let write = tokio::spawn({
        let balancer = scene.balancer.clone();
        async move { balancer.acquire(Route::write()).await.unwrap() }
    });
    settle().await;
    assert_eq!(
        scene.stats_of(&pod(0, 1)).pool.connecting,
        1,
        "it waits for the dial that is under way"
    );
    scene.pods.set(&pod(0, 1), Dial::Succeeds);
    let write = write.await.unwrap();
    assert_eq!(write.addr, pod(0, 1).addr());
    write.finish(Outcome::Success);
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_joins_opens_its_minimum_and_is_warm_with_the_first_of_them() {
    let scene = Scene::with([pod(0, 1)], FakePods::default(), |pool| pool.min_idle_per_endpoint = 12).await;
    settle().await;
    scene.pods.set(&pod(1, 2), Dial::Hangs);
    scene.set_is([pod(0, 1), pod(1, 2)]).await;
    settle().await;
    assert_eq!(scene.pods.connecting(), 8, "`max_connecting_per_endpoint`");
    scene.pods.set(&pod(1, 2), Dial::Succeeds);
    settle().await;
    let stats = scene.stats_of(&pod(1, 2));
    assert_eq!((stats.pool.idle, stats.warming, stats.unhealthy), (12, false, false));
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_leaves_while_it_warms_up_takes_its_dial_along() {
    let scene = Scene::with([pod(0, 1)], FakePods::default(), |pool| {
        pool.max_connections_total = Some(2)
    })
    .await;
    scene.acquire().await.finish(Outcome::Success);
    scene.pods.set(&pod(1, 2), Dial::Hangs);
    scene.set_is([pod(0, 1), pod(1, 2)]).await;
    settle().await;
    assert_eq!(scene.pods.connecting(), 1);
    scene.set_is([pod(0, 1)]).await;
    settle().await;
    assert_eq!(scene.pods.connecting(), 0);
    let attempts = scene.pods.attempts();
    pass(Duration::from_secs(60)).await;
    assert_eq!(scene.pods.attempts(), attempts, "nor does it leave a probe behind");
    scene.open_idle(2).await;
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_left_alone_while_it_warms_up_takes_the_requests() {
    let scene = Scene::with([pod(0, 1)], FakePods::default(), |_| {}).await;
    scene.acquire().await.finish(Outcome::Success);
    scene.pods.set(&pod(1, 2), Dial::Hangs);
    scene.set_is([pod(0, 1), pod(1, 2)]).await;
    scene.set_is([pod(1, 2)]).await;
    let caller = scene.spawn().await;
    scene.pods.set(&pod(1, 2), Dial::Succeeds);
    caller.await.unwrap().unwrap().finish(Outcome::Success);
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn no_caller_waits_while_all_pods_are_replaced_at_once() {
    let scene = two().await;
    let new = [pod(5, 11), pod(6, 12)];
    scene.dns.says(found(new.clone()));
    for _ in 0..200 {
        let start = Instant::now();
        scene.acquire().await.finish(Outcome::Success);
        assert_eq!(start.elapsed(), Duration::ZERO);
        pass(Duration::from_millis(100)).await;
    }
    let pods = scene.balancer.stats().endpoints;
    assert!(
        pods.iter()
            .map(|pod| pod.endpoint.key())
            .eq(new.iter().map(|pod| pod.key()))
    );
    assert!(
        pods.iter().all(|pod| pod.pool.wait_time.count() == 0),
        "the old ones served until then: {pods:?}"
    );
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn pods_of_the_same_names_that_replace_all_at_once_take_requests_unconnected() {
    let scene = two().await;
    scene.pods.set(&pod(0, 11), Dial::Hangs);
    // A pod's name is given to a new pod only when the old one is gone: there is no other.
    scene.set_is([pod(0, 11), pod(1, 12)]).await;
    assert!(
        scene
            .balancer
            .stats()
            .endpoints
            .iter()
            .all(|pod| !pod.warming && !pod.unhealthy)
    );
    let callers = [scene.spawn().await, scene.spawn().await];
    scene.pods.set(&pod(0, 11), Dial::Succeeds);
    for caller in callers {
        caller.await.unwrap().unwrap().finish(Outcome::Success);
    }
    scene.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_for_which_no_permit_is_left_takes_requests_unconnected() {
    let scene = Scene::with([pod(0, 1)], FakePods::default(), |pool| {
        pool.max_connections_total = Some(1)
    })
    .await;
    let held = scene.acquire().await;
    scene.set_is([pod(0, 1), pod(1, 2)]).await;
    let stats = scene.stats_of(&pod(1, 2));
    assert!(!stats.warming && !stats.unhealthy, "{stats:?}");
    let caller = scene.spawn_on(&pod(1, 2)).await;
    held.finish(Outcome::Success);
    caller.await.unwrap().unwrap().finish(Outcome::Success);
    scene.assert_clean().await;
}
