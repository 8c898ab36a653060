//! `headless`, through its public handle.

use headless::{Balancer, Discovery, Endpoint, Outcome, PoolConfig, Route, StaticList};
use headless_benches::pods::Nothing;

use crate::implementation::Pool;

/// One pod, so that the balancer has no choice; it still picks, counts and measures, as in use.
#[derive(Clone)]
pub struct Headless(Balancer<Nothing>);

impl Headless {
    pub async fn new(connections: usize) -> Self {
        let pod = Endpoint::new(([10, 0, 0, 1], 80).into());
        let discovery = Discovery::builder(StaticList::new("web", vec![pod]))
            .start()
            .await
            .unwrap();
        let mut pool = PoolConfig::default();
        pool.max_connections_per_endpoint = connections;
        Self(Balancer::builder(discovery, Nothing).pool(pool).build().unwrap())
    }
}

impl Pool for Headless {
    async fn with<F: Future<Output = ()> + Send>(&mut self, work: impl FnOnce(u64) -> F + Send) {
        let lease = self.0.acquire(Route::any()).await.unwrap();
        work(*lease).await;
        lease.finish(Outcome::Success);
    }
}
