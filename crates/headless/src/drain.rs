//! The endpoints that left: no new request; requests under way finish; idle connections close. At
//! the deadline the rest is aborted and reported.

use std::fmt;
use std::sync::Arc;

use headless_core::{Connect, Endpoint, Timestamp};

use crate::backend::Backend;

/// An endpoint that left the set and still has requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainingEndpoint {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// How many requests use its connections.
    pub requests: usize,
}

/// Backends that are in no view any more, and whose connections are still in use.
pub(crate) struct Draining<C: Connect>(Vec<(Arc<Backend<C>>, Timestamp)>);

impl<C: Connect> Draining<C> {
    /// Closes the pool: idle connections now, those in use when they are returned.
    pub(crate) fn begin(&mut self, backend: &Arc<Backend<C>>, deadline: Timestamp) {
        backend.pool.close();
        if backend.pool.in_use() > 0 {
            self.0.push((Arc::clone(backend), deadline));
        }
    }

    /// Forgets backends that have finished. Aborts those past their deadline, and returns them with
    /// the requests that they still had.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<DrainingEndpoint> {
        let mut late = Vec::new();
        self.0.retain(|(backend, deadline)| {
            let draining = DrainingEndpoint::of(backend);
            let finished = draining.requests == 0;
            if !finished && *deadline <= now {
                late.push(draining);
                backend.pool.abort();
            }
            !finished && *deadline > now
        });
        late
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.0.iter().map(|(_, deadline)| *deadline).min()
    }

    pub(crate) fn remaining(&self) -> Vec<DrainingEndpoint> {
        let all = self.0.iter().map(|(backend, _)| DrainingEndpoint::of(backend));
        all.filter(|draining| draining.requests > 0).collect()
    }
}

impl DrainingEndpoint {
    fn of<C: Connect>(backend: &Backend<C>) -> Self {
        Self {
            endpoint: Arc::clone(&backend.endpoint),
            requests: backend.pool.in_use(),
        }
    }
}

impl<C: Connect> Default for Draining<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C: Connect> fmt::Debug for Draining<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self.0.iter().map(|(backend, _)| &backend.endpoint);
        f.debug_list().entries(endpoints).finish()
    }
}
