//! A balancer over pods that do not exist, with connections that cost nothing: what is left is the balancer.

use std::convert::Infallible;

use headless::policy::Policy;
use headless::{Balancer, Connect, Discovery, Endpoint, Outcome, Route, StaticList};

/// Connects to anything at once; a connection is a number.
#[derive(Debug)]
pub struct Nothing;

impl Connect for Nothing {
    type Conn = u64;
    type Error = Infallible;

    async fn connect(&self, endpoint: &Endpoint) -> Result<u64, Infallible> {
        Ok(endpoint.addr().port().into())
    }
}

/// So many pods of a StatefulSet, each with an address of its own.
pub fn endpoints(n: usize) -> Vec<Endpoint> {
    let endpoint = |k: usize| {
        let [.., a, b, c] = k.to_be_bytes();
        Endpoint::new(([10, a, b, c], 80).into()).with_pod(format!("web-{k}").parse().unwrap())
    };
    (0..n).map(endpoint).collect()
}

/// A balancer over so many pods, none of them connected to yet, and the route to ask it for: reads, if the policy knows roles.
pub async fn balancer(n: usize, policy: impl Policy) -> (Balancer<Nothing>, Route) {
    let discovery = Discovery::builder(StaticList::new("web", endpoints(n))).start();
    let builder = Balancer::builder(discovery.await.unwrap(), Nothing).policy(policy);
    let balancer = builder.build().unwrap();
    let route = if balancer.is_role_aware() {
        Route::read()
    } else {
        Route::any()
    };
    (balancer, route)
}

/// Gives every pod that takes the route so many idle connections.
///
/// WHY one pod after the other, and not by the policy until each has had its turn: the instructions of two runs are compared, and this must
/// take the same number in both.
pub async fn connect(balancer: &Balancer<Nothing>, route: Route, idle: usize) {
    let pods = balancer.stats().endpoints.into_iter();
    for pod in pods.filter(|pod| route.role().is_none() || pod.role == route.role()) {
        let only = [pod.endpoint.key().clone()];
        let mut held = Vec::new();
        for _ in 0..idle {
            held.push(balancer.acquire_from(route, &only).await.unwrap());
        }
        held.into_iter().for_each(|lease| lease.finish(Outcome::Success));
    }
}
