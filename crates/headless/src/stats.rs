//! [`Balancer::stats`]: what every pod and its pool are doing, read at one time. No counters of its own.

use std::sync::Arc;
use std::time::Duration;

use headless_core::{Connect, Endpoint, Role};

use crate::balancer::Balancer;

/// The state of a balancer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Which snapshot is in force.
    pub generation: u64,
    /// The pods that take requests, in the order of their keys.
    pub pods: Vec<PodStats>,
    /// The pods that left and still have requests in flight, and how many.
    pub draining: Vec<(Arc<Endpoint>, usize)>,
}

/// The state of one pod.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PodStats {
    /// Who it is.
    pub endpoint: Arc<Endpoint>,
    /// Its role, if a rule gives it one.
    pub role: Option<Role>,
    /// Whether it is avoided, because it could not be connected to.
    pub avoided: bool,
    /// Requests in flight, from the pick on: including those that still wait for a connection.
    pub in_flight: u32,
    /// The latency figure, if the policy keeps one.
    pub latency: Option<Duration>,
    /// Connections that nobody uses.
    pub idle: usize,
    /// Connections in use.
    pub busy: usize,
    /// Connections being opened.
    pub dialling: usize,
    /// Callers that wait for a connection.
    pub waiting: usize,
    /// Connections opened since the pod was added.
    pub opened: u64,
}

impl<C: Connect> Balancer<C> {
    /// The state of every pod and its pool. Takes each pool's lock for a moment; not for every request.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let view = self.shared.view.load_full();
        let pods = view.backends.iter().zip(&view.roles).map(|(backend, role)| {
            let counts = backend.counts();
            PodStats {
                endpoint: Arc::clone(&backend.endpoint),
                role: *role,
                avoided: backend.load.is_avoided(),
                in_flight: backend.load.in_flight(),
                latency: backend.load.latency().map(|latency| latency.cost()),
                idle: counts.idle,
                busy: counts.busy,
                dialling: counts.dialling,
                waiting: counts.waiting,
                opened: counts.opened,
            }
        });
        Stats {
            generation: view.generation.get(),
            pods: pods.collect(),
            draining: self.shared.draining(),
        }
    }
}
