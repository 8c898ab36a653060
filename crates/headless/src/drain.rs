//! The pods that left: no new request, finish what is under way, close when idle; at the deadline the rest is cut and reported.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless_core::{Connect, Endpoint, Timestamp};
use tokio::time::{Instant, timeout_at};

use crate::backend::Backend;
use crate::balancer::Balancer;

/// Backends that are no longer in the view and still lend connections.
pub(crate) struct Draining<C: Connect>(Vec<(Arc<Backend<C>>, Timestamp)>);

impl<C: Connect> Default for Draining<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C: Connect> Draining<C> {
    /// Closes the pool: idle connections go now, lent ones when they come back.
    pub(crate) fn begin(&mut self, backend: &Arc<Backend<C>>, deadline: Timestamp) {
        backend.close();
        if backend.in_use() > 0 {
            self.0.push((Arc::clone(backend), deadline));
        }
    }

    /// Forgets what has finished; cuts what has had its time, and returns it with the requests that it still had.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<(Arc<Endpoint>, usize)> {
        let mut late = Vec::new();
        self.0.retain(|(backend, deadline)| {
            let requests = backend.in_use();
            if requests > 0 && *deadline <= now {
                late.push((Arc::clone(&backend.endpoint), requests));
                backend.cut();
            }
            requests > 0 && *deadline > now
        });
        late
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.0.iter().map(|(_, deadline)| *deadline).min()
    }

    pub(crate) fn remaining(&self) -> Vec<(Arc<Endpoint>, usize)> {
        let left = self
            .0
            .iter()
            .map(|(backend, _)| (Arc::clone(&backend.endpoint), backend.in_use()));
        left.filter(|(_, requests)| *requests > 0).collect()
    }
}

impl<C: Connect> fmt::Debug for Draining<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(backend, _)| &backend.endpoint))
            .finish()
    }
}

/// How a [`Balancer::shutdown`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Pods with requests still in flight at the deadline, and how many; empty if everything finished.
    pub unfinished: Vec<(Arc<Endpoint>, usize)>,
}

impl<C: Connect> Balancer<C> {
    /// Stops giving out connections and waits until those lent have come back, `limit` at most.
    ///
    /// Every `acquire` from now on, and those waiting, end with [`AcquireError::ShutDown`](crate::AcquireError::ShutDown).
    /// What is unfinished at the limit is cut, if the connector can, and reported.
    ///
    /// # Cancel safety
    /// The shutdown itself happens at once; dropping the future only stops the waiting.
    pub async fn shutdown(&self, limit: Duration) -> Drained {
        let deadline = Instant::now() + limit;
        self.shared.shut_down();
        loop {
            // Made before it is asked: a return in between is not missed.
            let drained = self.shared.env.drained.notified();
            let unfinished = self.shared.draining();
            if unfinished.is_empty() || timeout_at(deadline, drained).await.is_err() {
                return Drained {
                    unfinished: self.shared.cut_draining(),
                };
            }
        }
    }
}
