//! The hot path allocates nothing, which is counted: law 6 of the picker's contract, and the idle
//! `acquire`.

#[path = "support/alloc.rs"]
mod counting;

use std::convert::Infallible;
use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use headless::policy::{Candidate, Excluded, LeastLoaded, PickArgs, Policy, PowerOfTwo, Random, RoleAware, RoundRobin};
use headless::tower::DiscoveryLayer;
use headless::{Balancer, Connect, Discovery, Endpoint, Load, Outcome, Role, Route, StaticList, Timestamp};
use tower::{Layer, Service, service_fn};

use counting::allocations;

/// `web-<k>` at its own address.
fn pod(k: u32) -> Endpoint {
    let [_, a, b, c] = k.to_be_bytes();
    Endpoint::new(([10, a, b, c], 80).into()).with_pod(format!("web-{k}").parse().unwrap())
}

fn policies() -> Vec<(&'static str, Box<dyn Policy>)> {
    vec![
        ("round robin", Box::new(RoundRobin::default())),
        ("power of two", Box::new(PowerOfTwo::default())),
        ("power of two by latency", Box::new(PowerOfTwo::latency())),
        ("random", Box::new(Random)),
        ("least loaded", Box::new(LeastLoaded)),
        ("role-aware", Box::new(RoleAware::new(RoundRobin::default()))),
        ("role-aware by latency", Box::new(RoleAware::new(PowerOfTwo::latency()))),
    ]
}

/// The entropy of a test: fixed, and different from pick to pick.
fn entropy(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn a_pick_allocates_nothing() {
    for (name, mut policy) in policies() {
        for n in [1, 3, 100] {
            let candidates: Vec<Candidate> = (0..n)
                .map(|k| {
                    let role = if k == 0 { Role::Primary } else { Role::Replica };
                    let candidate = Candidate::new(Arc::new(pod(k)), Arc::new(Load::new())).with_role(Some(role));
                    candidate.load.set_unhealthy(k % 3 == 1);
                    candidate
                })
                .collect();
            let picker = policy.prepare(&candidates, 1);
            let excluded = [0];
            let made = allocations(|| {
                for i in 0..1000 {
                    for route in [Route::any(), Route::read(), Route::write()] {
                        let args = PickArgs::new(route, entropy(i)).at(Timestamp::from_nanos(i));
                        std::hint::black_box(picker.pick(&args));
                        std::hint::black_box(picker.pick(&args.excluding(Excluded::of(&excluded))));
                    }
                }
            });
            assert_eq!(made, 0, "{name}, {n} candidates");
        }
    }
}

struct Instant;

impl Connect for Instant {
    type Conn = ();
    type Error = Infallible;

    async fn connect(&self, _: &Endpoint) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A balancer over `n` endpoints, each with an idle connection.
async fn warm(n: u32, policy: Box<dyn Policy>) -> Balancer<Instant> {
    let discovery = Discovery::builder(StaticList::new("web", (0..n).map(pod).collect()))
        .start()
        .await
        .unwrap();
    let balancer = Balancer::builder(discovery, Instant).policy(policy).build().unwrap();
    let routes = if balancer.is_role_aware() {
        vec![Route::read(), Route::write()]
    } else {
        vec![Route::any()]
    };
    while balancer.stats().endpoints.iter().any(|pod| pod.pool.idle == 0) {
        for route in &routes {
            // Held together, so that every endpoint is used.
            let leases: Vec<_> = hold(&balancer, *route, n as usize * 2).await;
            leases.into_iter().for_each(|lease| lease.finish(Outcome::Success));
        }
    }
    balancer
}

async fn hold(balancer: &Balancer<Instant>, route: Route, n: usize) -> Vec<headless::Lease<Instant>> {
    let mut leases = Vec::with_capacity(n);
    for _ in 0..n {
        leases.push(balancer.acquire(route).await.unwrap());
    }
    leases
}

#[tokio::test]
async fn an_idle_acquire_and_its_return_allocate_nothing() {
    for (name, policy) in policies() {
        let balancer = warm(3, policy).await;
        let route = if balancer.is_role_aware() {
            Route::read()
        } else {
            Route::any()
        };
        let made = allocations(|| {
            for _ in 0..1000 {
                let mut acquire = pin!(balancer.acquire(route));
                let Poll::Ready(lease) = acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
                    panic!("{name}: an idle connection exists, nothing to wait for");
                };
                lease.unwrap().finish(Outcome::Success);
            }
        });
        assert_eq!(made, 0, "{name}");
    }
}

#[tokio::test]
async fn a_pick_through_the_handle_and_its_end_allocate_nothing() {
    for (name, policy) in policies() {
        let balancer = warm(3, policy).await;
        let made = allocations(|| {
            for _ in 0..1000 {
                balancer.pick(Route::any()).expect(name).finish(Outcome::Success);
            }
        });
        assert_eq!(made, 0, "{name}");
    }
}

#[tokio::test]
async fn a_clone_of_the_balancer_allocates_nothing() {
    let balancer = warm(3, Box::new(PowerOfTwo::default())).await;
    assert_eq!(allocations(|| drop(std::hint::black_box(balancer.clone()))), 0);
}

#[tokio::test]
async fn a_clone_of_the_tower_service_and_its_idle_call_allocate_nothing_whatever_the_number_of_endpoints() {
    for n in [1, 3, 1000] {
        let discovery = Discovery::builder(StaticList::new("web", (0..n).map(pod).collect()))
            .start()
            .await
            .unwrap();
        let made = service_fn(|_: Endpoint| async {
            Ok::<_, Infallible>(service_fn(|(): ()| ready(Ok::<_, Infallible>(()))))
        });
        let service = DiscoveryLayer::new(discovery).policy(RoundRobin::default()).layer(made);
        for _ in 0..n {
            service.clone().call(()).await.unwrap();
        }
        let allocated = allocations(|| {
            for _ in 0..100 {
                let mut call = pin!(service.clone().call(()));
                let answer = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(
                    matches!(answer, Poll::Ready(Ok(()))),
                    "an idle service exists, nothing to wait for"
                );
            }
        });
        assert_eq!(allocated, 0, "{n} endpoints");
    }
}
