//! `headless`, through its public handle: [`Balancer::acquire`], and the end of the request.

use std::hint::black_box;
use std::sync::Arc;

use headless::policy::{LeastLoaded, Policy, PowerOfTwo, Random, RoleAware, RoundRobin};
use headless::{Balancer, Outcome, Route};
use headless_benches::harness::micro::{Micro, repeated};
use headless_benches::pods::{self, Nothing};
use tokio::runtime::Runtime;

pub const POWER_OF_TWO: &str = "headless, power of two";
pub const TRY: &str = "headless, power of two, try_acquire";
pub const LATENCY: &str = "headless, by latency";
pub const ROUND_ROBIN: &str = "headless, round robin";
pub const RANDOM: &str = "headless, random";
pub const ROLE_AWARE: &str = "headless, role-aware";
pub const LEAST_LOADED: &str = "headless, least loaded";
pub const ALL: [&str; 7] = [
    POWER_OF_TWO,
    TRY,
    LATENCY,
    ROUND_ROBIN,
    RANDOM,
    ROLE_AWARE,
    LEAST_LOADED,
];

/// The most pods for a policy that compares all of them.
const FEW: usize = 3;

pub fn implementations(n: usize, idle: usize) -> Vec<Micro> {
    let mut all = vec![
        implementation(POWER_OF_TWO, n, idle, PowerOfTwo::default),
        try_acquire(n, idle),
        implementation(LATENCY, n, idle, PowerOfTwo::latency),
        implementation(ROUND_ROBIN, n, idle, RoundRobin::default),
        implementation(RANDOM, n, idle, || Random),
        implementation(ROLE_AWARE, n, idle, || RoleAware::new(PowerOfTwo::default())),
    ];
    if n <= FEW {
        all.push(implementation(LEAST_LOADED, n, idle, || LeastLoaded));
    }
    all
}

fn implementation<P: Policy>(name: &'static str, n: usize, idle: usize, policy: fn() -> P) -> Micro {
    Micro::shared(name, move |runtime| {
        let (balancer, route) = connected(runtime, n, idle, policy());
        let runtime = Arc::clone(runtime);
        move |operations| {
            runtime.block_on(async {
                for _ in 0..operations {
                    let lease = balancer.acquire(route).await.unwrap();
                    black_box(*lease);
                    lease.finish(Outcome::Success);
                }
            });
        }
    })
}

/// For callers that do something else when no connection is idle.
fn try_acquire(n: usize, idle: usize) -> Micro {
    Micro::shared(TRY, move |runtime| {
        let (balancer, route) = connected(runtime, n, idle, PowerOfTwo::default());
        repeated(move || {
            let lease = balancer.try_acquire(route).unwrap();
            black_box(*lease);
            lease.finish(Outcome::Success);
        })
    })
}

fn connected(runtime: &Runtime, n: usize, idle: usize, policy: impl Policy) -> (Balancer<Nothing>, Route) {
    runtime.block_on(async {
        let (balancer, route) = pods::balancer(n, policy).await;
        pods::connect(&balancer, route, idle).await;
        (balancer, route)
    })
}
