//! The peers, as in their documentation. A pod is a service that is ready at once and answers at
//! once.

use std::convert::Infallible;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use headless_benches::harness::micro::{Micro, repeated};
use headless_benches::peers::Pod;
use headless_benches::pods;
use pingora_load_balancing::LoadBalancer;
use pingora_load_balancing::selection::RoundRobin;
use tokio::runtime::Runtime;
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PeakEwma, PendingRequests};
use tower::{Service, ServiceExt};

pub const BUFFER: &str = "tower Buffer<Balance>, pending";
pub const BUFFER_EWMA: &str = "tower Buffer<Balance>, peak EWMA";
pub const BALANCE: &str = "tower Balance, pending";
pub const BALANCE_EWMA: &str = "tower Balance, peak EWMA";
pub const PINGORA: &str = "pingora, round robin";

pub fn implementations(n: usize) -> [Micro; 5] {
    [
        Micro::exclusive(BALANCE, move |runtime| alone(runtime, balance(n, pending))),
        Micro::exclusive(BALANCE_EWMA, move |runtime| alone(runtime, balance(n, peak_ewma))),
        Micro::shared(BUFFER, move |runtime| buffered(runtime, balance(n, pending))),
        Micro::shared(BUFFER_EWMA, move |runtime| buffered(runtime, balance(n, peak_ewma))),
        Micro::shared(PINGORA, move |_| pingora(n)),
    ]
}

/// tower's balancer over a list that never changes: its discovery is empty after the first poll.
fn balance<S>(n: usize, measured: fn(Pod<usize>) -> S) -> Balance<ServiceList<Vec<S>>, ()>
where
    S: Service<(), Error = Infallible>,
{
    let pods: Vec<_> = (0..n).map(|pod| measured(Pod(pod))).collect();
    Balance::new(ServiceList::new::<()>(pods))
}

fn pending(pod: Pod<usize>) -> PendingRequests<Pod<usize>> {
    PendingRequests::new(pod, CompleteOnResponse::default())
}

/// With the first guess and the decay of tower's own example.
fn peak_ewma(pod: Pod<usize>) -> PeakEwma<Pod<usize>> {
    let (guess, decay) = (Duration::from_millis(30), Duration::from_secs(10));
    PeakEwma::new(pod, guess, decay.as_nanos() as f64, CompleteOnResponse::default())
}

/// One task owns it: nothing is shared, and nothing is waited for.
fn alone<S>(runtime: &Arc<Runtime>, mut balance: S) -> impl FnMut(usize) + Send + use<S>
where
    S: Service<(), Response = usize, Error = tower::BoxError, Future: Send> + Send + 'static,
{
    let runtime = Arc::clone(runtime);
    move |operations| runtime.block_on(call(&mut balance, operations))
}

/// Tasks share it: each has a clone, and calls are sent to the task that owns it.
fn buffered<S>(runtime: &Arc<Runtime>, balance: S) -> impl FnMut(usize) + Clone + Send + use<S>
where
    S: Service<(), Response = usize, Error = tower::BoxError, Future: Send + 'static> + Send + 'static,
{
    let runtime = Arc::clone(runtime);
    let inside = runtime.enter();
    let buffer = Buffer::new(balance, BOUND);
    drop(inside);
    move |operations| {
        let mut buffer = buffer.clone();
        // WHY a task: outside the runtime every answer would wake a sleeping thread, unlike in use.
        let caller = runtime.spawn(async move { call(&mut buffer, operations).await });
        runtime.block_on(caller).unwrap();
    }
}

/// Makes complete calls: ready, call, answer.
async fn call<S>(service: &mut S, operations: usize)
where
    S: Service<(), Response = usize, Error = tower::BoxError>,
{
    for _ in 0..operations {
        black_box(service.ready().await.unwrap().call(()).await.unwrap());
    }
}

/// Chooses, and counts nothing.
fn pingora(n: usize) -> impl FnMut(usize) + Clone + Send + 'static {
    let pods = pods::endpoints(n);
    let pods = pods.iter().map(headless::Endpoint::addr);
    let pods = LoadBalancer::<RoundRobin>::try_from_iter(pods.collect::<Vec<SocketAddr>>()).unwrap();
    let pods = Arc::new(pods);
    // Key and bound are those of its documentation; round robin does not use the key.
    repeated(move || pods.select(b"", 256).unwrap())
}

/// Room for every caller, so that none waits for the buffer.
const BOUND: usize = 1024;
