//! The cost of a change: the allocations of the membership and of a balancer grow with the change,
//! not with the size of the set. They are counted.
//!
//! Through the public API, on one thread, so that the counter of this thread includes the
//! discovery's task. Answers are prepared and moved out; no connection is opened.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

#[path = "support/alloc.rs"]
mod counting;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::ready;
use std::sync::Mutex;
use std::time::Duration;

use headless::policy::{LeastLoaded, Policy, PowerOfTwo, Random, RoleAware, RoundRobin};
use headless::{
    Answer, Balancer, BoxFuture, Connect, Discovery, Endpoint, Event, FoundBy, Refresh, RefreshConfig, Resolution,
    Resolve, Timestamp,
};

/// The pods `web-0` … `web-<size - 1>`, of which the first `changed` have their `life`-th address.
fn answer(size: u32, changed: u32, life: u8) -> Resolution {
    let pod = |k: u32| {
        let [_, _, high, low] = k.to_be_bytes();
        let life = if k < changed { life } else { 0 };
        Endpoint::new(([10, life, high, low], 80).into()).with_pod(format!("web-{k}").parse().unwrap())
    };
    Resolution::Found(Answer::new(
        (0..size).map(pod).collect(),
        Duration::from_secs(5),
        FoundBy::NamedPort,
    ))
}

/// Returns prepared answers.
struct Prepared(Mutex<VecDeque<Resolution>>);

impl Resolve for Prepared {
    fn resolve(&self) -> BoxFuture<'_, Resolution> {
        let next = self.0.lock().unwrap().pop_front();
        Box::pin(ready(next.expect("one answer for each resolution")))
    }

    fn service(&self) -> String {
        "web".to_owned()
    }
}

struct Never;

impl Connect for Never {
    type Conn = ();
    type Error = Infallible;

    async fn connect(&self, _: &Endpoint) -> Result<(), Infallible> {
        std::future::pending().await
    }
}

/// Only resolutions on request.
fn on_demand() -> RefreshConfig {
    let mut config = RefreshConfig::default();
    (config.min_poll, config.max_poll) = (Duration::from_secs(3600), Duration::from_secs(3600));
    config.min_reresolve_interval = Duration::from_millis(1);
    config
}

const LIVES: u8 = 3;

/// The least of several counts of the allocations of an answer with `changed` new pods of `size`,
/// from the resolution to the published set.
async fn cost(size: u32, changed: u32, policy: Option<Box<dyn Policy>>) -> usize {
    let answers = (0..=LIVES).map(|life| answer(size, changed, life)).collect();
    let discovery = Discovery::builder(Prepared(Mutex::new(answers))).refresh(on_demand());
    let mut discovery = discovery.start().await.unwrap();
    let balancer = policy.map(|policy| {
        Balancer::builder(discovery.clone(), Never)
            .policy(policy)
            .build()
            .unwrap()
    });
    let mut least = usize::MAX;
    for _ in 0..LIVES {
        discovery.request_reresolution();
        let before = counting::so_far();
        discovery.changed().await.unwrap();
        least = least.min(counting::so_far() - before);
        if let Some(balancer) = &balancer {
            assert_eq!(balancer.stats().endpoints.len(), size as usize);
        }
    }
    assert_eq!(discovery.status().counters[&Event::Found], u64::from(LIVES) + 1);
    least
}

/// The largest difference of the same change in a set of 1,000 and in one of 10,000: a vector that
/// grows once more.
const TOLERANCE: usize = 8;

#[tokio::test]
async fn a_change_costs_a_balancer_what_changed_whatever_the_size_of_the_set() {
    type New = fn() -> Box<dyn Policy>;
    let policies: [(&str, New); 7] = [
        ("power of two", || Box::new(PowerOfTwo::default())),
        ("power of two by latency", || Box::new(PowerOfTwo::latency())),
        ("round robin", || Box::new(RoundRobin::default())),
        ("random", || Box::new(Random)),
        ("least loaded", || Box::new(LeastLoaded)),
        ("role-aware", || Box::new(RoleAware::new(PowerOfTwo::default()))),
        ("role-aware round robin", || {
            Box::new(RoleAware::new(RoundRobin::default()))
        }),
    ];
    for changed in [1, 100] {
        let alone = [cost(1000, changed, None).await, cost(10_000, changed, None).await];
        for (name, policy) in &policies {
            let small = cost(1000, changed, Some(policy())).await - alone[0];
            let large = cost(10_000, changed, Some(policy())).await - alone[1];
            println!("{name}, {changed} changed: {small} allocations of 1,000 pods, {large} of 10,000");
            assert!(
                large <= small + TOLERANCE,
                "{name}, {changed} changed: {small} of 1,000, {large} of 10,000"
            );
            assert!(large <= 4 * changed as usize + 40, "{name}, {changed} changed: {large}");
        }
    }
}

/// The allocations of the membership for an answer with `changed` new pods of `size`.
fn membership_cost(size: u32, changed: u32) -> usize {
    let mut refresh = Refresh::new(RefreshConfig::default());
    refresh.on(answer(size, changed, 0), Timestamp::ZERO, 0);
    let next = answer(size, changed, 1);
    counting::allocations(|| drop(refresh.on(next, Timestamp::ZERO, 0)))
}

#[test]
fn a_change_costs_the_membership_what_changed_whatever_the_size_of_the_set() {
    for changed in [0, 1, 100] {
        let [small, large] = [1000, 10_000].map(|size| membership_cost(size, changed));
        println!("membership, {changed} changed: {small} allocations of 1,000 pods, {large} of 10,000");
        assert!(
            large <= small + TOLERANCE,
            "{changed} changed: {small} of 1,000, {large} of 10,000"
        );
        assert!(large <= changed as usize + 40, "{changed} changed: {large}");
    }
}
