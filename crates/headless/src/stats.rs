//! [`Balancer::stats`]: what every pod and its pool are doing, read at one time. No counters of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use headless_core::{Connect, Endpoint, Role};

use crate::backend::Backend;
use crate::balancer::Balancer;
use crate::histogram::Histogram;
use crate::pool::{ClosedBy, ConnectError};

/// The state of a balancer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Which snapshot is in force.
    pub generation: u64,
    /// The pods that take requests, in the order of their keys.
    pub endpoints: Vec<EndpointStats>,
    /// The pods that left and still have requests in flight, and how many.
    pub draining: Vec<(Arc<Endpoint>, usize)>,
}

impl Stats {
    /// The pools of all pods together. Counters fall when a pod leaves, with the pod's part.
    #[must_use]
    pub fn total(&self) -> PoolStats {
        let mut total = PoolStats::default();
        for pod in &self.endpoints {
            total.add(&pod.pool);
        }
        total
    }
}

/// The state of one pod.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Who it is.
    pub endpoint: Arc<Endpoint>,
    /// Its role, if a rule gives it one.
    pub role: Option<Role>,
    /// Whether it takes requests only if no other pod can: it could not be connected to, or not yet.
    pub unhealthy: bool,
    /// Whether it is new, and being connected to before it takes its share.
    pub warming: bool,
    /// Why it could not be connected to, if the last dial failed.
    pub last_failure: Option<ConnectError>,
    /// Requests in flight, from the pick on: including those that still wait for a connection.
    pub in_flight: u32,
    /// The latency figure, if the policy keeps one.
    pub latency: Option<Duration>,
    /// Its pool.
    pub pool: PoolStats,
}

/// The state of one pod's pool, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Connections that nobody uses.
    pub idle: usize,
    /// Connections in use.
    pub busy: usize,
    /// Connections being opened.
    pub connecting: usize,
    /// Callers that wait for a connection.
    pub waiting: usize,
    /// Connections opened since the pod was added.
    pub opened: u64,
    /// Connections closed since then, by reason.
    pub closed: ClosedBy,
    /// How long those callers waited that found no idle connection, in this queue. The others waited for nothing.
    pub waited: Histogram,
    /// How long opening a connection took, whether it succeeded or not.
    pub dialled: Histogram,
}

impl PoolStats {
    fn of<C: Connect>(backend: &Backend<C>) -> Self {
        let counts = backend.counts();
        Self {
            idle: counts.idle,
            busy: counts.busy,
            connecting: counts.connecting,
            waiting: counts.waiting,
            opened: counts.opened,
            closed: counts.closed,
            waited: backend.waited.read(),
            dialled: backend.dialled.read(),
        }
    }

    /// Adds another pool's figures.
    pub fn add(&mut self, other: &Self) {
        self.idle += other.idle;
        self.busy += other.busy;
        self.connecting += other.connecting;
        self.waiting += other.waiting;
        self.opened += other.opened;
        self.closed.add(&other.closed);
        self.waited.add(&other.waited);
        self.dialled.add(&other.dialled);
    }
}

impl<C: Connect> Balancer<C> {
    /// The state of every pod and its pool. Takes each pool's lock for a moment; not for every request.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let view = self.shared.view.load_full();
        let endpoints = view
            .backends
            .iter()
            .zip(&view.roles)
            .map(|(backend, role)| EndpointStats {
                endpoint: Arc::clone(&backend.endpoint),
                role: *role,
                unhealthy: backend.load.is_unhealthy(),
                warming: backend.warming.load(Relaxed),
                last_failure: backend.last_failure(),
                in_flight: backend.load.in_flight(),
                latency: backend.load.latency().map(|latency| latency.cost()),
                pool: PoolStats::of(backend),
            });
        Stats {
            generation: view.generation.get(),
            endpoints: endpoints.collect(),
            draining: self.shared.draining(),
        }
    }
}
