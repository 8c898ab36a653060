//! `headless`, through its public handles.

use std::sync::Mutex;
use std::time::Duration;

use headless::policy::RoundRobin;
use headless::{Answer, BoxFuture, Resolution};
use headless::{Balancer, Discovery, FoundBy, Outcome, RefreshConfig, Resolve, Route};
use headless_benches::pods::{self, Nothing};
use tokio::runtime::{Builder, Runtime};

/// Later than the end of this program, for each random moment of the first lookup in that time.
const LATER: Duration = Duration::from_secs(3600 * 24);

/// Starts a watch, with the runtime that it runs on.
pub fn watch(count: usize) -> (Discovery, Runtime) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let answer = Answer::new(pods::endpoints(count), Duration::from_secs(5), FoundBy::NamedPort);
    let mut once = RefreshConfig::default();
    (once.min_poll, once.max_poll, once.min_reresolve_interval) = (LATER, LATER, LATER);
    let watch = Discovery::builder(Once(Mutex::new(Some(answer)))).refresh(once);
    let discovery = runtime.block_on(watch.start()).unwrap();
    (discovery, runtime)
}

/// Builds a balancer with the default policy.
pub fn balancer(count: usize) -> (Balancer<Nothing>, Runtime) {
    let (discovery, runtime) = watch(count);
    let balancer = Balancer::builder(discovery, Nothing).build().unwrap();
    (balancer, runtime)
}

/// A balancer that gives each pod the same number of connections.
pub struct Pools {
    pods: usize,
    balancer: Balancer<Nothing>,
    runtime: Runtime,
}

impl Pools {
    pub fn new(pods: usize, connections: usize) -> Self {
        let (discovery, runtime) = watch(pods);
        let balancer = Balancer::builder(discovery, Nothing)
            .policy(RoundRobin::default())
            .max_connections_per_endpoint(connections)
            .build()
            .unwrap();
        Self {
            pods,
            balancer,
            runtime,
        }
    }

    /// Opens connections until each pod has `each` idle ones, by as many requests at once.
    pub fn open(&mut self, each: usize) {
        self.runtime.block_on(async {
            let mut leases = Vec::new();
            for _ in 0..each * self.pods {
                leases.push(self.balancer.acquire(Route::any()).await.unwrap());
            }
            leases.into_iter().for_each(|lease| lease.finish(Outcome::Success));
        });
        let pods = self.balancer.stats().endpoints;
        assert!(pods.iter().all(|pod| pod.pool.idle == each), "each pod has {each}");
    }
}

/// A resolver with one answer.
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
