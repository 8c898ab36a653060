//! `headless`, through its public handle: [`Balancer::pick`], and the end of the request.
//!
//! [`Balancer::pick`]: headless::Balancer::pick

use headless::Outcome;
use headless::policy::{Policy, PowerOfTwo, RoleAware, RoundRobin};
use headless_benches::harness::micro::{Micro, repeated};
use headless_benches::pods;

pub const POWER_OF_TWO: &str = "headless, power of two";
pub const LATENCY: &str = "headless, by latency";
pub const ROUND_ROBIN: &str = "headless, round robin";
pub const ROLE_AWARE: &str = "headless, role-aware";
pub const ALL: [&str; 4] = [POWER_OF_TWO, LATENCY, ROUND_ROBIN, ROLE_AWARE];

pub fn implementations(n: usize) -> [Micro; 4] {
    [
        implementation(POWER_OF_TWO, n, PowerOfTwo::default),
        implementation(LATENCY, n, PowerOfTwo::latency),
        implementation(ROUND_ROBIN, n, RoundRobin::default),
        implementation(ROLE_AWARE, n, || RoleAware::new(PowerOfTwo::default())),
    ]
}

fn implementation<P: Policy>(name: &'static str, n: usize, policy: fn() -> P) -> Micro {
    Micro::shared(name, move |runtime| {
        let (balancer, route) = runtime.block_on(pods::balancer(n, policy()));
        repeated(move || balancer.pick(route).unwrap().finish(Outcome::Success))
    })
}
