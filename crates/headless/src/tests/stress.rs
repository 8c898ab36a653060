//! Invariant I2 under fire: while one thread replaces the set as fast as it can, two threads pick;
//! no pick is ever outside the set in force before it or the one after it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use headless_core::policy::{Excluded, Policy, PowerOfTwo, Random, RoundRobin};
use headless_core::{Connect, Diff, Endpoint, Route, Snapshot, StaticList};

use crate::{Balancer, Discovery};

pub(super) struct Nothing;

impl Connect for Nothing {
    type Conn = ();
    type Error = Infallible;

    async fn connect(&self, _: &Endpoint) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Set `g` holds the endpoints `g..g + 1000`: every change removes the oldest and adds one, each is
/// in 1000 sets in a row.
pub(super) fn endpoint(number: u64) -> Arc<Endpoint> {
    let [.., a, b, c] = number.to_be_bytes();
    Arc::new(Endpoint::new(([10, a, b, c], 80).into()))
}

fn number(endpoint: &Endpoint) -> u64 {
    match endpoint.addr().ip() {
        std::net::IpAddr::V4(ip) => u64::from(u32::from(ip) & 0x00ff_ffff),
        std::net::IpAddr::V6(_) => unreachable!("only IPv4 here"),
    }
}

const SIZE: u64 = 1000;
const PICKS: u64 = 500_000;

fn picks_stay_within_the_current_or_previous_set(policy: impl Policy) {
    // A thread of its own for the runtime: new pods are connected to before they take requests.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let balancer = runtime.block_on(async {
        let first = (0..SIZE).map(|n| Endpoint::clone(&endpoint(n))).collect();
        let discovery = Discovery::builder(StaticList::new("stress", first))
            .start()
            .await
            .unwrap();
        Balancer::builder(discovery, Nothing).policy(policy).build().unwrap()
    });
    // `begun` is raised before a set is applied, `done` after: at any time the view is one of sets
    // done..=begun.
    let (begun, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pickers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..PICKS {
                        let oldest = done.load(Ordering::SeqCst);
                        let choice = pick(&balancer);
                        let newest = begun.load(Ordering::SeqCst);
                        assert!(
                            (oldest..newest + SIZE).contains(&choice),
                            "endpoint {choice} was picked between set {oldest} and set {newest}"
                        );
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut window: std::collections::VecDeque<_> = (0..SIZE).map(endpoint).collect();
            let mut current = Snapshot::clone(&balancer.discovery().snapshot());
            let mut generation = current.generation();
            for set in 1.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                window.pop_front();
                window.push_back(endpoint(set + SIZE - 1));
                generation = generation.next();
                begun.store(set, Ordering::SeqCst);
                let next = Snapshot::new(generation, window.iter().cloned());
                balancer.state.reconciler.apply(&next, &Diff::between(&current, &next));
                current = next;
                done.store(set, Ordering::SeqCst);
            }
        });
        for picker in pickers {
            picker.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(
        done.load(Ordering::SeqCst) > 100,
        "the set was replaced {} times only",
        done.load(Ordering::SeqCst)
    );
}

fn pick(balancer: &Balancer<Nothing>) -> u64 {
    let choice = balancer.choose(Route::any(), Excluded::NONE);
    number(&choice.expect("the set is never empty").in_flight.on().endpoint)
}

#[test]
fn power_of_two_picks_within_the_current_or_previous_set() {
    picks_stay_within_the_current_or_previous_set(PowerOfTwo::default());
}

#[test]
fn round_robin_picks_within_the_current_or_previous_set() {
    picks_stay_within_the_current_or_previous_set(RoundRobin::default());
}

#[test]
fn random_picks_within_the_current_or_previous_set() {
    picks_stay_within_the_current_or_previous_set(Random);
}
