//! The life of leases, pods and watches, with paused time: how they end, and what a change of the
//! set does to them. What cancelling leaves behind is in `pool/cancelling.rs`.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::support::{FakeDns, FakePods, failed, found, nothing, pass, pod, settle};
use headless::{
    Balancer, BoxFuture, Discovery, Endpoint, Mode, Outcome, PeerMismatch, RefreshConfig, Route, VerifyPeer,
};

struct Scene {
    dns: FakeDns,
    pods: FakePods,
    balancer: Balancer<FakePods>,
}

impl Scene {
    /// One pod, one connection at most.
    async fn new() -> Self {
        let (dns, pods) = (FakeDns::new(found([pod(0, 1)])), FakePods::default());
        let balancer = Balancer::builder(dns.watch().await, pods.clone())
            .max_connections_per_endpoint(1)
            .build()
            .unwrap();
        Self { dns, pods, balancer }
    }

    /// The pod is replaced by another; returns when the balancer has seen it.
    async fn replace_pod(&self) {
        self.dns.says(found([pod(0, 2)]));
        self.balancer.discovery().request_reresolution();
        let mut discovery = self.balancer.discovery().clone();
        discovery
            .wait_for(|snapshot| snapshot.iter().all(|e| *e.key() == *pod(0, 2).key()))
            .await
            .unwrap();
    }

    /// Nothing counted, nothing queued, nothing open but idle connections, and the pool still
    /// works.
    async fn assert_clean(&self) {
        settle().await;
        let stats = self.balancer.stats();
        for pod in &stats.endpoints {
            assert_eq!(
                (pod.in_flight, pod.pool.busy, pod.pool.waiting, pod.pool.connecting),
                (0, 0, 0, 0),
                "{pod:?}"
            );
        }
        assert!(stats.draining.is_empty(), "{:?}", stats.draining);
        assert_eq!(
            self.pods.open(),
            stats.endpoints.iter().map(|pod| pod.pool.idle).sum::<usize>()
        );
    }

    async fn assert_usable(&self) {
        self.balancer
            .acquire(Route::any())
            .await
            .unwrap()
            .finish(Outcome::Success);
        self.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_dropped_in_the_middle_closes_its_connection() {
    let scene = Scene::new().await;
    drop(scene.balancer.acquire(Route::any()).await.unwrap());
    assert_eq!(scene.pods.open(), 0, "it may still carry parts of the exchange");
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_takes_the_idle_ones_along_and_asks_dns_soon() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1)])), FakePods::default());
    let balancer = Balancer::builder(dns.watch().await, pods.clone()).build().unwrap();
    let leases = [
        balancer.acquire(Route::any()).await.unwrap(),
        balancer.acquire(Route::any()).await.unwrap(),
    ];
    let [broken, fine] = leases;
    fine.finish(Outcome::Success);
    assert_eq!(pods.open(), 2);
    let resolved = dns.resolutions();
    broken.broken();
    assert_eq!(pods.open(), 0);
    pass(Duration::from_millis(1100)).await;
    assert_eq!(
        dns.resolutions(),
        resolved + 1,
        "a re-resolution, a second after the last"
    );
}

#[tokio::test(start_paused = true)]
async fn idle_connections_close_after_the_idle_timeout() {
    let scene = Scene::new().await;
    scene
        .balancer
        .acquire(Route::any())
        .await
        .unwrap()
        .finish(Outcome::Success);
    pass(Duration::from_secs(40)).await;
    assert_eq!(scene.pods.open(), 1);
    pass(Duration::from_secs(40)).await;
    assert_eq!(scene.pods.open(), 0);
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_past_its_deadline_is_cut_and_forgotten() {
    let scene = Scene::new().await;
    let lease = scene.balancer.acquire(Route::any()).await.unwrap();
    scene.replace_pod().await;
    assert_eq!(scene.balancer.stats().draining.len(), 1);
    pass(Duration::from_secs(29)).await;
    assert!(
        !lease.aborted.load(Ordering::SeqCst),
        "it may finish until the deadline"
    );
    pass(Duration::from_secs(2)).await;
    assert!(lease.aborted.load(Ordering::SeqCst));
    assert!(scene.balancer.stats().draining.is_empty());
    lease.finish(Outcome::Success);
    scene.assert_usable().await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_spares_the_same_pod_that_came_back_meanwhile() {
    let scene = Scene::new().await;
    let old = scene.balancer.acquire(Route::any()).await.unwrap();
    scene.replace_pod().await;
    scene.dns.says(found([pod(0, 1)]));
    scene.balancer.discovery().request_reresolution();
    let mut discovery = scene.balancer.discovery().clone();
    discovery
        .wait_for(|snapshot| snapshot.iter().any(|e| *e.key() == *pod(0, 1).key()))
        .await
        .unwrap();
    let new = scene.balancer.acquire(Route::any()).await.unwrap();
    pass(Duration::from_secs(31)).await;
    assert!(old.aborted.load(Ordering::SeqCst));
    assert!(
        !new.aborted.load(Ordering::SeqCst),
        "same name, same address, another life"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reused_address_under_another_name_gets_new_connections() {
    let scene = Scene::new().await;
    scene
        .balancer
        .acquire(Route::any())
        .await
        .unwrap()
        .finish(Outcome::Success);
    scene.dns.says(found([pod(7, 1)]));
    let mut discovery = scene.balancer.discovery().clone();
    discovery
        .wait_for(|snapshot| snapshot.iter().any(|e| *e.key() == *pod(7, 1).key()))
        .await
        .unwrap();
    assert_eq!(scene.pods.open(), 0, "the other peer never sees the old connection");
    let lease = scene.balancer.acquire(Route::any()).await.unwrap();
    assert_eq!(lease.endpoint().pod().unwrap().as_str(), "web-7");
    assert_eq!(scene.pods.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn everything_stops_when_the_last_handle_is_dropped() {
    let scene = Scene::new().await;
    scene
        .balancer
        .acquire(Route::any())
        .await
        .unwrap()
        .finish(Outcome::Success);
    let Scene { dns, pods, balancer } = scene;
    drop(balancer);
    settle().await;
    assert_eq!(pods.open(), 0);
    let resolved = dns.resolutions();
    pass(Duration::from_secs(60)).await;
    assert_eq!(dns.resolutions(), resolved, "DNS is not asked any more");
}

#[tokio::test(start_paused = true)]
async fn a_lease_outlives_its_balancer() {
    let scene = Scene::new().await;
    let lease = scene.balancer.acquire(Route::any()).await.unwrap();
    let pods = scene.pods.clone();
    drop(scene);
    settle().await;
    assert_eq!(lease.addr, pod(0, 1).addr());
    lease.finish(Outcome::Success);
    assert_eq!(pods.open(), 0);
}

/// Says that an address belongs to another peer, until told otherwise.
#[derive(Clone, Default)]
struct Check(Arc<AtomicBool>);

impl VerifyPeer for Check {
    fn verify_peer<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, Result<(), PeerMismatch>> {
        let fine = self.0.load(Ordering::SeqCst);
        Box::pin(async move {
            if fine {
                Ok(())
            } else {
                Err(PeerMismatch::new("it belongs to web-9"))
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_of_another_peer_is_refused_before_anything_is_sent() {
    let (dns, pods, check) = (FakeDns::new(found([pod(0, 1)])), FakePods::default(), Check::default());
    let balancer = Balancer::builder(dns.watch().await, pods.clone())
        .verify_peer(check.clone())
        .build()
        .unwrap();
    let error = balancer.acquire(Route::any()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(
            "cannot connect to web-0 (10.0.0.1:80): the address is not this pod's any more: it belongs to web-9"
        ),
        "{text}"
    );
    assert_eq!(pods.open(), 0);
    check.0.store(true, Ordering::SeqCst);
    balancer.acquire(Route::any()).await.unwrap().finish(Outcome::Success);
}

#[tokio::test(start_paused = true)]
async fn a_shared_connection_that_ends_in_use_asks_dns_soon() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1)])), FakePods::with_streams(10));
    let balancer = Balancer::builder(dns.watch().await, pods.clone()).build().unwrap();
    let lease = balancer.acquire(Route::any()).await.unwrap();
    let resolved = dns.resolutions();
    lease.usable.store(false, Ordering::SeqCst);
    lease.finish(Outcome::Success);
    pass(Duration::from_millis(1100)).await;
    assert_eq!(dns.resolutions(), resolved + 1);
}

#[tokio::test(start_paused = true)]
async fn shared_watches_of_one_service_cost_one_poll() {
    let dns = FakeDns::new(found([pod(0, 1)]));
    let mut watches = Vec::new();
    for _ in 0..100 {
        watches.push(Discovery::builder(dns.clone()).shared().start().await.unwrap());
    }
    assert_eq!(dns.resolutions(), 1);
    pass(Duration::from_secs(30)).await;
    assert!(
        (5..=7).contains(&dns.resolutions()),
        "{} lookups of all hundred in 30 s",
        dns.resolutions()
    );
    dns.says(found([pod(0, 1), pod(1, 2)]));
    for watch in &mut watches {
        assert_eq!(watch.wait_for(|snapshot| snapshot.len() == 2).await.unwrap().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_watch_ends_with_its_last_handle_and_can_be_started_anew() {
    let dns = FakeDns::new(found([pod(0, 1)]));
    for round in 1..=3 {
        let watch = Discovery::builder(dns.clone()).shared().start().await.unwrap();
        assert_eq!(dns.resolutions(), round);
        drop(watch);
        settle().await;
    }
    pass(Duration::from_secs(60)).await;
    assert_eq!(dns.resolutions(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_start_with_more_pods_than_allowed_says_so() {
    let dns = FakeDns::new(found([pod(0, 1), pod(1, 2), pod(2, 3)]));
    let mut refresh = RefreshConfig::default();
    refresh.max_endpoints = 2;
    let error = Discovery::builder(dns).refresh(refresh).start().await.unwrap_err();
    assert!(error.to_string().contains("max_endpoints"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_status_says_whether_dns_confirms_what_is_believed() {
    let dns = FakeDns::new(found([pod(0, 1)]));
    let discovery = dns.watch().await;
    assert_eq!(discovery.status().mode, Mode::Fresh);
    for (says, mode) in [
        (failed(), Mode::StaleOnError),
        (nothing(), Mode::StaleOnNegative),
        (found([pod(0, 1)]), Mode::Fresh),
    ] {
        dns.says(says);
        pass(Duration::from_secs(6)).await;
        assert_eq!(discovery.status().mode, mode);
    }
    dns.says(nothing());
    pass(Duration::from_secs(60)).await;
    assert_eq!(discovery.status().mode, Mode::Empty);
}
