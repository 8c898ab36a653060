//! `Balancer::pick`, with paused time: which endpoint it chooses, and what the request counts for
//! until it ends.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod support;

use std::time::Duration;

use headless::policy::{PowerOfTwo, RoleAware, RoundRobin};
use headless::{Balancer, Outcome, RoleRule, Route};

use self::support::{Dial, FakeDns, FakePods, found, nothing, pass, pod};

#[tokio::test(start_paused = true)]
async fn a_request_counts_from_the_pick_until_it_ends_or_is_given_up() {
    let dns = FakeDns::new(found([pod(0, 1)]));
    let balancer = Balancer::builder(dns.watch().await, FakePods::default())
        .build()
        .unwrap();
    let in_flight = || balancer.stats().endpoints[0].in_flight;
    let (first, second) = (
        balancer.pick(Route::any()).unwrap(),
        balancer.pick(Route::any()).unwrap(),
    );
    assert_eq!(first.endpoint().pod().unwrap().as_str(), "web-0");
    assert_eq!(in_flight(), 2);
    first.finish(Outcome::Success);
    assert_eq!(in_flight(), 1);
    drop(second);
    assert_eq!(in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pick_opens_no_connection_and_takes_none() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1)])), FakePods::default());
    let balancer = Balancer::builder(dns.watch().await, pods.clone()).build().unwrap();
    balancer.acquire(Route::any()).await.unwrap().finish(Outcome::Success);
    let _pick = balancer.pick(Route::any()).unwrap();
    let pool = &balancer.stats().endpoints[0].pool;
    assert_eq!((pool.idle, pool.busy, pods.attempts()), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn picks_take_turns_with_requests_of_the_pools_and_obey_roles() {
    let dns = FakeDns::new(found([pod(0, 1), pod(1, 2)]));
    let balancer = Balancer::builder(dns.watch().await, FakePods::default())
        .policy(RoleAware::new(RoundRobin::default()))
        .roles(RoleRule::by_ordinal())
        .build()
        .unwrap();
    let name = |route| balancer.pick(route).unwrap().endpoint().pod().unwrap().to_string();
    for _ in 0..3 {
        assert_eq!([name(Route::write()), name(Route::read())], ["web-0", "web-1"]);
    }
    let picked = name(Route::any());
    let lease = balancer.acquire(Route::any()).await.unwrap();
    assert_ne!(lease.endpoint().pod().unwrap().as_str(), picked);
    lease.finish(Outcome::Success);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_the_pools_found_dead_is_passed_by() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1), pod(1, 2)])), FakePods::default());
    pods.set(&pod(1, 2), Dial::Refuses);
    let balancer = Balancer::builder(dns.watch().await, pods.clone())
        .policy(RoundRobin::default())
        .build()
        .unwrap();
    for _ in 0..4 {
        balancer.acquire(Route::any()).await.unwrap().finish(Outcome::Success);
    }
    for _ in 0..10 {
        let pick = balancer.pick(Route::any()).unwrap();
        assert_eq!(pick.endpoint().pod().unwrap().as_str(), "web-0");
        pick.finish(Outcome::Success);
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_feeds_the_latency_and_giving_up_does_not_lower_it() {
    let dns = FakeDns::new(found([pod(0, 1)]));
    let balancer = Balancer::builder(dns.watch().await, FakePods::default())
        .policy(PowerOfTwo::latency())
        .build()
        .unwrap();
    let latency = || balancer.stats().endpoints[0].latency;
    let pick = balancer.pick(Route::any()).unwrap();
    pass(Duration::from_millis(40)).await;
    pick.finish(Outcome::Success);
    let measured = latency().unwrap();
    assert!((39..=41).contains(&measured.as_millis()), "{measured:?}");
    drop(balancer.pick(Route::any()));
    assert_eq!(latency(), Some(measured));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_picked_from_an_empty_set_or_for_a_role_that_the_policy_does_not_know() {
    let dns = FakeDns::new(nothing());
    let balancer = Balancer::builder(dns.watch().await, FakePods::default())
        .build()
        .unwrap();
    assert!(balancer.pick(Route::any()).is_none());
    let dns = FakeDns::new(found([pod(0, 1)]));
    let balancer = Balancer::builder(dns.watch().await, FakePods::default())
        .build()
        .unwrap();
    assert!(balancer.pick(Route::write()).is_none());
}
