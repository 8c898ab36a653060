//! What it costs to get a connection and give it back: pick, count, checkout, return; one thread, an idle connection ready.
//!
//! The limit is the same work by hand and without features: power of two choices over an arc-swap snapshot, an in-flight
//! counter, and a `Mutex<Vec>` per pod.
//!
//! `cargo xtask bench acquire`

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use headless::policy::{LeastLoaded, Policy, PowerOfTwo, Random, RoleAware, RoundRobin};
use headless::{Balancer, Connect, Discovery, Endpoint, Outcome, Route, StaticList};
use headless_benches::harness::{Args, Report, Spread, interleaved, ns_per_operation};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const LIMIT: &str = "by hand: the limit";

struct Nothing;

impl Connect for Nothing {
    type Conn = u64;
    type Error = Infallible;

    async fn connect(&self, endpoint: &Endpoint) -> Result<u64, Infallible> {
        Ok(endpoint.addr().port().into())
    }
}

/// One pod of the limit.
struct Pod {
    in_flight: AtomicUsize,
    idle: Mutex<Vec<u64>>,
}

/// A name, and calls that are timed: so many at once.
type Contender = (&'static str, Box<dyn FnMut(usize)>);

/// Each call returns something, so that nothing is optimised away.
fn contender(name: &'static str, mut call: impl FnMut() -> u64 + 'static) -> Contender {
    let calls = move |n| {
        for _ in 0..n {
            black_box(call());
        }
    };
    (name, Box::new(calls))
}

fn by_hand(n: usize) -> Contender {
    let pods: Vec<Arc<Pod>> = (0..n)
        .map(|k| {
            Arc::new(Pod {
                in_flight: AtomicUsize::new(0),
                idle: Mutex::new(vec![k as u64]),
            })
        })
        .collect();
    let view = arc_swap::ArcSwap::from_pointee(pods);
    let mut random = SmallRng::seed_from_u64(1);
    contender(LIMIT, move || {
        let pods = view.load();
        let a = random.random_range(0..n);
        let b = if n > 1 {
            (a + 1 + random.random_range(0..n - 1)) % n
        } else {
            a
        };
        let (a, b) = (&pods[a], &pods[b]);
        let pod = Arc::clone(if b.in_flight.load(Relaxed) < a.in_flight.load(Relaxed) {
            b
        } else {
            a
        });
        pod.in_flight.fetch_add(1, Relaxed);
        let conn = pod.idle.lock().unwrap().pop().unwrap();
        black_box(conn);
        pod.idle.lock().unwrap().push(conn);
        pod.in_flight.fetch_sub(1, Relaxed);
        conn
    })
}

fn headless(runtime: &tokio::runtime::Runtime, n: usize, name: &'static str, policy: impl Policy) -> Contender {
    let pods = (0..n).map(|k| {
        let [.., a, b, c] = k.to_be_bytes();
        Endpoint::new(([10, a, b, c], 80).into()).with_pod(format!("web-{k}").parse().unwrap())
    });
    let pods = pods.collect();
    let (balancer, route) = runtime.block_on(async {
        let discovery = Discovery::with(StaticList::new("web", pods)).start().await.unwrap();
        let balancer = Balancer::builder(discovery, Nothing).policy(policy).build().unwrap();
        let route = if balancer.is_role_aware() {
            Route::read()
        } else {
            Route::any()
        };
        // Until every pod that takes this route has an idle connection.
        let takes = |pod: &headless::PodStats| route.role().is_none() || pod.role == route.role();
        while balancer.stats().pods.iter().any(|pod| takes(pod) && pod.pool.idle == 0) {
            let mut held = Vec::new();
            for _ in 0..2 * n {
                held.push(balancer.acquire(route).await.unwrap());
            }
            held.into_iter().for_each(|lease| lease.finish(Outcome::Success));
        }
        (balancer, route)
    });
    contender(name, move || {
        let lease = balancer.try_acquire(route).unwrap();
        let conn = *lease;
        lease.finish(Outcome::Success);
        conn
    })
}

fn main() {
    let args = Args::from_env(&[]);
    let (rounds, calls) = if args.quick { (5, 20_000) } else { (15, 200_000) };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let mut report = Report::new("acquire", LIMIT);
    for n in [3, 100, 1000] {
        let mut contenders = vec![
            by_hand(n),
            headless(&runtime, n, "power of two", PowerOfTwo::default()),
            headless(&runtime, n, "power of two, latency", PowerOfTwo::latency()),
            headless(&runtime, n, "round robin", RoundRobin::default()),
            headless(&runtime, n, "random", Random),
            headless(
                &runtime,
                n,
                "role-aware, power of two",
                RoleAware::new(PowerOfTwo::default()),
            ),
        ];
        if n <= 3 {
            contenders.push(headless(&runtime, n, "least loaded", LeastLoaded));
        }
        let times = interleaved(rounds, &mut contenders, |(_, run)| {
            ns_per_operation(calls, || run(calls))
        });
        for ((name, _), times) in contenders.iter().zip(times) {
            report.add_spread(name, &format!("{n} pods"), "time", Spread::of(times), "ns");
        }
    }
    report.finish(&args);
}
