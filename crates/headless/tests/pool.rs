//! The pools, with paused time and fakes: what they promise to callers that wait, to callers that
//! leave, and about unused connections.
//!
//! One module per promise, each in `pool/`: cancelling, connecting, the limit over all pods,
//! maintenance, warming up, figures.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "helpers of tests may panic, too; their modules are private"
)]

#[path = "pool/cancelling.rs"]
mod cancelling;
#[path = "pool/connecting.rs"]
mod connecting;
#[path = "pool/figures.rs"]
mod figures;
#[path = "pool/limit.rs"]
mod limit;
#[path = "pool/maintenance.rs"]
mod maintenance;
mod support;
#[path = "pool/warming.rs"]
mod warming;

use std::future::Future;
use std::pin::Pin;

use headless::policy::RoundRobin;
use headless::{AcquireError, Balancer, Endpoint, EndpointStats, Lease, Outcome, PoolConfig, Route};
use tokio::task::JoinHandle;

use self::support::{FakeDns, FakePods, found, pod, settle};

type Acquired = Result<Lease<FakePods>, AcquireError>;

struct Scene {
    dns: FakeDns,
    pods: FakePods,
    balancer: Balancer<FakePods>,
}

impl Scene {
    /// These pods, in turn, and pools with these settings.
    async fn with(
        set: impl IntoIterator<Item = Endpoint>,
        pods: FakePods,
        set_up: impl FnOnce(&mut PoolConfig),
    ) -> Self {
        let dns = FakeDns::new(found(set));
        let mut pool = PoolConfig::default();
        set_up(&mut pool);
        let balancer = Balancer::builder(dns.watch().await, pods.clone())
            .policy(RoundRobin::default())
            .pool(pool)
            .build()
            .unwrap();
        Self { dns, pods, balancer }
    }

    /// One pod, whose connections are exclusive.
    async fn of_one(set_up: impl FnOnce(&mut PoolConfig)) -> Self {
        Self::with([pod(0, 1)], FakePods::default(), set_up).await
    }

    async fn acquire(&self) -> Lease<FakePods> {
        self.balancer.acquire(Route::any()).await.unwrap()
    }

    async fn acquire_on(&self, pod: &Endpoint) -> Acquired {
        let only = [pod.key().clone()];
        self.balancer.acquire_from(Route::any(), &only).await
    }

    /// A caller of its own; returns when it waits, or has its connection.
    async fn spawn(&self) -> JoinHandle<Acquired> {
        let balancer = self.balancer.clone();
        let caller = tokio::spawn(async move { balancer.acquire(Route::any()).await });
        settle().await;
        caller
    }

    /// As [`spawn`](Self::spawn), for a caller that wants no other pod.
    async fn spawn_on(&self, pod: &Endpoint) -> JoinHandle<Acquired> {
        let (balancer, only) = (self.balancer.clone(), [pod.key().clone()]);
        let caller = tokio::spawn(async move { balancer.acquire_from(Route::any(), &only).await });
        settle().await;
        caller
    }

    /// So many connections at once, then all of them idle.
    async fn open_idle(&self, connections: usize) {
        let mut leases = Vec::new();
        for _ in 0..connections {
            leases.push(self.acquire().await);
        }
        leases.into_iter().for_each(|lease| lease.finish(Outcome::Success));
    }

    /// DNS says this; returns when the balancer has exactly these pods.
    async fn set_is(&self, set: impl IntoIterator<Item = Endpoint>) {
        let set: Vec<_> = set.into_iter().collect();
        self.dns.says(found(set.clone()));
        self.balancer.discovery().request_reresolution();
        let mut discovery = self.balancer.discovery().clone();
        let is_it = |snapshot: &headless::Snapshot| snapshot.iter().map(|e| e.key()).eq(set.iter().map(Endpoint::key));
        discovery.wait_for(is_it).await.unwrap();
    }

    fn stats_of(&self, pod: &Endpoint) -> EndpointStats {
        let all = self.balancer.stats().endpoints;
        all.into_iter().find(|stats| stats.endpoint.key() == pod.key()).unwrap()
    }

    /// The endpoints that left and still have requests, and how many.
    fn draining(&self) -> Vec<(String, usize)> {
        let draining = self.balancer.stats().draining;
        draining
            .iter()
            .map(|left| (left.endpoint.to_string(), left.requests))
            .collect()
    }

    /// Nothing in flight, waiting or being opened, nothing open but what is idle, and every
    /// connection opened is accounted for.
    async fn assert_clean(&self) {
        settle().await;
        let stats = self.balancer.stats();
        for pod in &stats.endpoints {
            let pool = &pod.pool;
            assert_eq!(
                (pod.in_flight, pool.busy, pool.waiting, pool.connecting),
                (0, 0, 0, 0),
                "{pod:?}"
            );
            assert_eq!(pool.opened, pool.closed.total() + pool.idle as u64, "{pod:?}");
        }
        assert!(stats.draining.is_empty(), "{:?}", stats.draining);
        assert_eq!(self.pods.open(), stats.total().idle);
    }
}

/// Polls once. It is not polled again until it is awaited.
async fn poll_once<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}
