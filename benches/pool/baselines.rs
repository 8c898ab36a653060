//! The baselines: the least that could be written by a user.

use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use crate::implementation::Pool;

/// The baseline where no task waits: a stack of connections under a mutex. It must never run empty.
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

/// The baseline where tasks wait: the same stack behind tokio's semaphore, which is a queue of
/// waiters.
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
