//! `headless`, through its public handles.

use std::sync::Mutex;
use std::time::Duration;

use headless::policy::RoundRobin;
use headless::{Balancer, Discovery, Endpoint, FoundBy, Outcome, RefreshConfig, Resolve, Route};
use headless_benches::pods::Nothing;
use headless_core::{Answer, BoxFuture, Resolution};
use tokio::runtime::{Builder, Runtime};

use crate::{CONNECTIONS, pods};

/// Not in this program's life, wherever in that time the first look falls by chance.
const LATER: Duration = Duration::from_secs(3600 * 24);

/// A watch, with the runtime that it runs on.
pub fn watch(count: u32) -> (Discovery, Runtime) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let endpoint = |(name, addr): (String, _)| Endpoint::new(addr).with_pod(name.parse().unwrap());
    let answer = Answer::new(
        pods(count).map(endpoint).collect(),
        Duration::from_secs(5),
        FoundBy::NamedPort,
    );
    let mut once = RefreshConfig::default();
    (once.min_poll, once.max_poll, once.min_reresolve_interval) = (LATER, LATER, LATER);
    let watch = Discovery::builder(Once(Mutex::new(Some(answer)))).refresh(once);
    let discovery = runtime.block_on(watch.start()).unwrap();
    (discovery, runtime)
}

/// A balancer with the default policy.
pub fn balancer(count: u32) -> (Balancer<Nothing>, Runtime) {
    let (discovery, runtime) = watch(count);
    let balancer = Balancer::builder(discovery, Nothing).build().unwrap();
    (balancer, runtime)
}

/// A balancer that gives each pod the same number of connections.
pub struct Pools {
    pods: u32,
    balancer: Balancer<Nothing>,
    runtime: Runtime,
}

impl Pools {
    pub fn new(pods: u32) -> Self {
        let (discovery, runtime) = watch(pods);
        let balancer = Balancer::builder(discovery, Nothing)
            .policy(RoundRobin::default())
            .max_connections_per_endpoint(CONNECTIONS)
            .build()
            .unwrap();
        Self {
            pods,
            balancer,
            runtime,
        }
    }

    /// Until each pod has so many idle: so many requests at once on each.
    pub fn open(&mut self, each: usize) {
        self.runtime.block_on(async {
            let mut leases = Vec::new();
            for _ in 0..each * self.pods as usize {
                leases.push(self.balancer.acquire(Route::any()).await.unwrap());
            }
            leases.into_iter().for_each(|lease| lease.finish(Outcome::Success));
        });
        let pods = self.balancer.stats().endpoints;
        assert!(pods.iter().all(|pod| pod.pool.idle == each), "each pod has {each}");
    }
}

/// Knows one answer.
struct Once(Mutex<Option<Answer>>);

impl Resolve for Once {
    fn resolve(&self) -> BoxFuture<'_, Resolution> {
        let answer = self.0.lock().unwrap().take().unwrap();
        Box::pin(std::future::ready(Resolution::Found(answer)))
    }

    fn service(&self) -> String {
        "web".to_owned()
    }
}
