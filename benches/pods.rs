//! A balancer over pods that do not exist, with connections that cost nothing: what is left is the
//! balancer.

use std::convert::Infallible;
use std::net::SocketAddr;

use headless::policy::Policy;
use headless::{Balancer, Connect, Discovery, Endpoint, Outcome, Route, StaticList};

/// Connects to each endpoint at once; a connection is a number.
#[derive(Debug)]
pub struct Nothing;

impl Connect for Nothing {
    type Conn = u64;
    type Error = Infallible;

    async fn connect(&self, endpoint: &Endpoint) -> Result<u64, Infallible> {
        Ok(endpoint.addr().port().into())
    }
}

/// Returns the names and addresses of `n` pods of a StatefulSet.
pub fn addresses(n: usize) -> impl Iterator<Item = (String, SocketAddr)> {
    (0..n).map(|k| {
        let [.., a, b, c] = k.to_be_bytes();
        (format!("web-{k}"), SocketAddr::from(([10, a, b, c], 80)))
    })
}

/// Returns `n` pods of a StatefulSet as endpoints.
pub fn endpoints(n: usize) -> Vec<Endpoint> {
    let endpoint = |(name, addr): (String, _)| Endpoint::new(addr).with_pod(name.parse().unwrap());
    addresses(n).map(endpoint).collect()
}

/// Builds a balancer over `n` pods without connections. The route is for reads if the policy knows
/// roles.
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

/// Opens `idle` connections to each pod that takes the route.
///
/// WHY one pod after the other instead of picks by the policy: the instructions of two runs are
/// compared, and this must take the same number in both.
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
