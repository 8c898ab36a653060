//! [`Balancer::stats`]: what every endpoint and its pool are doing, read at one time. No counters
//! of its own.

use std::sync::Arc;
use std::time::Duration;

use headless_core::{Connect, Endpoint, Role};

use crate::balancer::Balancer;
use crate::drain::DrainingEndpoint;
use crate::histogram::Histogram;
use crate::pool::{ClosedBy, ConnectError, Pool};

/// The state of a balancer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// The number of the snapshot in force ([`Generation`](crate::Generation)).
    pub generation: u64,
    /// The endpoints that take requests, in the order of their keys.
    pub endpoints: Vec<EndpointStats>,
    /// The endpoints that left and still have requests in flight.
    pub draining: Vec<DrainingEndpoint>,
}

impl Stats {
    /// Returns the figures of all pools together. Counters fall when an endpoint leaves, by its
    /// part.
    #[must_use]
    pub fn total(&self) -> PoolStats {
        let mut total = PoolStats::default();
        for endpoint in &self.endpoints {
            total.add(&endpoint.pool);
        }
        total
    }
}

/// The state of one endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointStats {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its role, if a rule gives it one.
    pub role: Option<Role>,
    /// Whether it takes requests only if no other endpoint can: it could not be connected to, or
    /// has not been yet.
    pub unhealthy: bool,
    /// Whether it is new, and being connected to before it takes its share.
    pub warming: bool,
    /// Why it could not be connected to, if the last attempt failed.
    pub last_failure: Option<ConnectError>,
    /// Requests in flight, from the pick on: including those that still wait for a connection.
    pub in_flight: u32,
    /// The latency figure, if the policy keeps one.
    pub latency: Option<Duration>,
    /// Its pool.
    pub pool: PoolStats,
}

/// The state of the pool of one endpoint, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Unused connections.
    pub idle: usize,
    /// Connections in use.
    pub busy: usize,
    /// Connections being opened.
    pub connecting: usize,
    /// Callers that wait for a connection.
    pub waiting: usize,
    /// Connections opened since the endpoint was added.
    pub opened: u64,
    /// Connections closed since then, by reason.
    pub closed: ClosedBy,
    /// How long the callers waited in this queue that found no idle connection. The others did not
    /// wait.
    pub wait_time: Histogram,
    /// How long opening a connection took, whether it succeeded or not.
    pub connect_time: Histogram,
}

impl PoolStats {
    fn of<C: Connect>(pool: &Pool<C>) -> Self {
        let counts = pool.counts();
        Self {
            idle: counts.idle,
            busy: counts.busy,
            connecting: counts.connecting,
            waiting: counts.waiting,
            opened: counts.opened,
            closed: counts.closed,
            wait_time: pool.wait_time().read(),
            connect_time: pool.connect_time().read(),
        }
    }

    /// Adds the figures of another pool.
    pub fn add(&mut self, other: &Self) {
        self.idle += other.idle;
        self.busy += other.busy;
        self.connecting += other.connecting;
        self.waiting += other.waiting;
        self.opened += other.opened;
        self.closed.add(&other.closed);
        self.wait_time.add(&other.wait_time);
        self.connect_time.add(&other.connect_time);
    }
}

impl<C: Connect> Balancer<C> {
    /// Returns the state of every endpoint and its pool. Takes each pool's lock for a moment; not
    /// to be called for every request.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let view = self.state.reconciler.view_full();
        let endpoints = view
            .backends
            .iter()
            .zip(&view.roles)
            .map(|(backend, role)| EndpointStats {
                endpoint: Arc::clone(&backend.endpoint),
                role: *role,
                unhealthy: backend.load.is_unhealthy(),
                warming: backend.is_warming(),
                last_failure: backend.last_failure(),
                in_flight: backend.load.in_flight(),
                latency: backend.load.latency().map(|latency| latency.cost()),
                pool: PoolStats::of(&backend.pool),
            });
        Stats {
            generation: view.generation.get(),
            endpoints: endpoints.collect(),
            draining: self.state.reconciler.draining(),
        }
    }
}
