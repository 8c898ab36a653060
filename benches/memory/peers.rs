//! The peers, each as its documentation has it. They know an endpoint by its address only, and have no connections of their own.

use std::collections::BTreeSet;
use std::task::{Context, Waker};

use futures_util::FutureExt;
use headless_benches::peers::Pod;
use pingora_load_balancing::discovery::Static;
use pingora_load_balancing::selection::RoundRobin;
use pingora_load_balancing::{Backend, Backends, LoadBalancer};
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower_service::Service;

use crate::pods;

/// Its pods counted as `PendingRequests`, and all of them ready.
pub fn tower(count: u32) -> impl Sized + use<> {
    let service = |(_, addr)| PendingRequests::new(Pod(addr), CompleteOnResponse::default());
    let services: Vec<_> = pods(count).map(service).collect();
    let mut balance = Balance::<_, ()>::new(ServiceList::new::<()>(services));
    assert!(balance.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
    balance
}

/// After its first update, without a health check.
pub fn pingora(count: u32) -> LoadBalancer<RoundRobin> {
    let set: BTreeSet<_> = pods(count)
        .map(|(_, addr)| Backend::new(&addr.to_string()).unwrap())
        .collect();
    let balancer = LoadBalancer::from_backends(Backends::new(Static::new(set)));
    balancer.update().now_or_never().unwrap().unwrap();
    balancer
}
