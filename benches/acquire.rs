//! What it costs to get a connection and give it back: pick, count, checkout, return; one thread, an idle connection ready.
//!
//! The limit is the same work by hand and without features: power of two choices over an arc-swap snapshot, an in-flight
//! counter, and a `Mutex<Vec>` per pod. Every figure is a ratio to the limit of the same run; rounds are interleaved, and the
//! median of them is shown, because these machines are shared.
//!
//! `cargo bench -p headless-benches --bench acquire`

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use headless::policy::{LeastLoaded, Policy, PowerOfTwo, Random, RoleAware, RoundRobin};
use headless::{Balancer, Connect, Discovery, Endpoint, Outcome, Route, StaticList};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const ROUNDS: usize = 15;
const CALLS: usize = 200_000;

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

/// Calls that are timed; each returns something, so that nothing is optimised away.
type Contender = (String, Box<dyn FnMut() -> u64>);

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
    let call = move || {
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
    };
    ("by hand: the limit".to_owned(), Box::new(call))
}

fn headless(runtime: &tokio::runtime::Runtime, n: usize, name: &str, policy: impl Policy) -> Contender {
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
        while balancer.stats().pods.iter().any(|pod| takes(pod) && pod.idle == 0) {
            let mut held = Vec::new();
            for _ in 0..2 * n {
                held.push(balancer.acquire(route).await.unwrap());
            }
            held.into_iter().for_each(|lease| lease.finish(Outcome::Success));
        }
        (balancer, route)
    });
    let call = move || {
        let lease = balancer.try_acquire(route).unwrap();
        let conn = *lease;
        lease.finish(Outcome::Success);
        conn
    };
    (name.to_owned(), Box::new(call))
}

/// Nanoseconds per call: the median of interleaved rounds, and the range of the middle half.
fn measure(contenders: &mut [Contender]) -> Vec<(f64, f64, f64)> {
    let mut rounds = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for ((_, call), times) in contenders.iter_mut().zip(&mut rounds) {
            let start = Instant::now();
            for _ in 0..CALLS {
                black_box(call());
            }
            times.push(per_call(start.elapsed()));
        }
    }
    rounds
        .iter_mut()
        .map(|times| {
            times.sort_by(f64::total_cmp);
            (times[ROUNDS / 2], times[ROUNDS / 4], times[3 * ROUNDS / 4])
        })
        .collect()
}

fn per_call(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e9 / CALLS as f64
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    println!("acquire and return of an idle connection, one thread; {ROUNDS} interleaved rounds of {CALLS} calls\n");
    println!(
        "{:>6}  {:<26} {:>9} {:>9}   middle half",
        "pods", "contender", "of limit", "ns"
    );
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
        let figures = measure(&mut contenders);
        let limit = figures[0].0;
        for ((name, _), (median, low, high)) in contenders.iter().zip(figures) {
            println!(
                "{n:>6}  {name:<26} {:>9.2} {median:>9.1}   {low:.1}–{high:.1}",
                median / limit
            );
        }
        println!();
    }
}
