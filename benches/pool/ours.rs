//! `headless`, through its public handle, and the limits: the least that could be written by hand.

use std::sync::{Arc, Mutex};

use headless::{Balancer, Discovery, Endpoint, Outcome, PoolConfig, Route, StaticList};
use headless_benches::pods::Nothing;
use tokio::sync::Semaphore;

use crate::contender::Pool;

/// The limit where nobody waits: a stack of connections under a mutex. It must never run empty.
#[derive(Clone)]
pub struct Stack(Arc<Mutex<Vec<u64>>>);

impl Stack {
    pub fn new(connections: usize) -> Self {
        Self(Arc::new(Mutex::new((0..connections as u64).collect())))
    }
}

impl Pool for Stack {
    async fn with<F: Future<Output = ()> + Send>(&mut self, work: impl FnOnce(u64) -> F + Send) {
        let conn = self.0.lock().unwrap().pop().unwrap();
        work(conn).await;
        self.0.lock().unwrap().push(conn);
    }
}

/// The limit where tasks wait: the same stack behind tokio's semaphore, which is a queue of waiters.
#[derive(Clone)]
pub struct Queue {
    permits: Arc<Semaphore>,
    stack: Stack,
}

impl Queue {
    pub fn new(connections: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(connections)),
            stack: Stack::new(connections),
        }
    }
}

impl Pool for Queue {
    async fn with<F: Future<Output = ()> + Send>(&mut self, work: impl FnOnce(u64) -> F + Send) {
        let _permit = self.permits.acquire().await.unwrap();
        self.stack.with(work).await;
    }
}

/// One pod, so that the balancer has nothing to choose; but it asks, counts and measures all the same, as in use.
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
