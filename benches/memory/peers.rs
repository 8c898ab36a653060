//! The peers, as in their documentation. They know only the address of an endpoint, and have no
//! connections of their own.

use std::collections::BTreeSet;
use std::task::{Context, Waker};

use futures_util::FutureExt;
use headless_benches::peers::Pod;
use headless_benches::pods;
use pingora_load_balancing::discovery::Static;
use pingora_load_balancing::selection::RoundRobin;
use pingora_load_balancing::{Backend, Backends, LoadBalancer};
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower_service::Service;

/// With `PendingRequests`, and with all pods ready.
pub fn tower(count: usize) -> impl Sized + use<> {
    let service = |(_, addr)| PendingRequests::new(Pod(addr), CompleteOnResponse::default());
    let services: Vec<_> = pods::addresses(count).map(service).collect();
    let mut balance = Balance::<_, ()>::new(ServiceList::new::<()>(services));
    assert!(balance.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
    balance
}

/// After its first update, without a health check.
pub fn pingora(count: usize) -> LoadBalancer<RoundRobin> {
    let set: BTreeSet<_> = pods::addresses(count)
        .map(|(_, addr)| Backend::new(&addr.to_string()).unwrap())
        .collect();
    let balancer = LoadBalancer::from_backends(Backends::new(Static::new(set)));
    balancer.update().now_or_never().unwrap().unwrap();
    balancer
}
