//! The cost of checkout and return, alone and in a crowd, and whether waiters are served in order:
//! `headless` against other pools.
//!
//! The baseline is a `Mutex<Vec>`, behind a semaphore where tasks have to wait. `headless` does
//! more than the other pools: it picks a pod (here the only one), counts requests in flight and
//! measures their time.
//!
//! `cargo xtask bench pool`; without the feature `peers`, against the baseline only.

mod baselines;
mod implementation;
mod ours;
#[cfg(feature = "peers")]
mod peers;

use std::time::Duration;

use headless_benches::harness::{Args, Bound, Callgrind, Latencies, Report, Spread, interleaved, ns_per_operation};
use tokio::runtime::{Builder, Runtime};

use baselines::{Queue, Stack};
use implementation::{Crowd, Implementation, implementation};
use ours::Headless;

const BASELINE: &str = "hand-written (baseline)";
const HEADLESS: &str = "headless";
const BB8: &str = "bb8";
const DEADPOOL: &str = "deadpool";
const HYPER: &str = "hyper-util cache";

const ALONE: &str = "1 task";
const THREADS: &str = "2 threads";
/// More connections than are used at a time, so that no task waits.
const ENOUGH: usize = 8;
/// Tasks and connections. The last is the shape of bb8#243.
const CROWDS: [(usize, usize); 8] = [
    (2, 8),
    (16, 8),
    (64, 8),
    (1000, 8),
    (2, 50),
    (16, 50),
    (64, 50),
    (1000, 50),
];

/// The amount of work.
struct Effort {
    rounds: usize,
    operations: usize,
    threads: Duration,
    crowd_rounds: usize,
    crowd: Duration,
    counted: usize,
}

const FULL: Effort = Effort {
    rounds: 15,
    operations: 100_000,
    threads: Duration::from_millis(30),
    crowd_rounds: 5,
    crowd: Duration::from_millis(250),
    counted: 20_000,
};

const QUICK: Effort = Effort {
    rounds: 5,
    operations: 20_000,
    threads: Duration::from_millis(10),
    crowd_rounds: 2,
    crowd: Duration::from_millis(30),
    counted: 4_000,
};

fn main() {
    let args = Args::from_env(&[]);
    if let Some(operations) = &args.operations {
        let runtime = one_thread();
        let mut implementations = runtime.block_on(implementations(false, ENOUGH));
        let asked = implementations
            .iter_mut()
            .find(|it| it.name() == operations.implementation)
            .expect("an implementation of this benchmark");
        asked.alone(&runtime, operations.count);
        return;
    }
    let effort = if args.quick { QUICK } else { FULL };
    let mut report = Report::new("pool", BASELINE);
    alone(&mut report, &effort);
    threads(&mut report, &effort);
    for (tasks, connections) in CROWDS {
        crowd(&mut report, &effort, tasks, connections);
    }
    targets(&mut report);
    report.finish(&args);
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn two_threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap()
}

/// Returns all pools, the baseline first. `wait`: there may be more tasks than connections.
async fn implementations(wait: bool, connections: usize) -> Vec<Box<dyn Implementation>> {
    let baseline = if wait {
        implementation(BASELINE, Queue::new(connections), connections).await
    } else {
        implementation(BASELINE, Stack::new(connections), connections).await
    };
    #[cfg_attr(
        not(feature = "peers"),
        expect(unused_mut, reason = "without peers, nothing is added")
    )]
    let mut all = vec![
        baseline,
        implementation(HEADLESS, Headless::new(connections).await, connections).await,
    ];
    #[cfg(feature = "peers")]
    all.extend([
        implementation(HYPER, peers::hyper_util(connections), connections).await,
        implementation(DEADPOOL, peers::Deadpool::new(connections), connections).await,
        implementation(
            "deadpool unmanaged",
            peers::DeadpoolUnmanaged::new(connections),
            connections,
        )
        .await,
        implementation(BB8, peers::Bb8::new(connections).await, connections).await,
        implementation("mobc", peers::Mobc::new(connections), connections).await,
    ]);
    all
}

/// One task on its own: time, allocations, instructions.
fn alone(report: &mut Report, effort: &Effort) {
    let runtime = one_thread();
    let mut implementations = runtime.block_on(implementations(false, ENOUGH));
    let n = effort.operations;
    let times = interleaved(effort.rounds, &mut implementations, |it| {
        ns_per_operation(n, || {
            it.alone(&runtime, n);
        })
    });
    let callgrind = Callgrind::find();
    for (implementation, times) in implementations.iter_mut().zip(times) {
        let name = implementation.name();
        report.add_spread(name, ALONE, "time", Spread::of(times), "ns");
        let allocations = implementation.alone(&runtime, n) as f64 / n as f64;
        report.add(name, ALONE, "allocations", allocations, "");
        if let Some(callgrind) = callgrind {
            callgrind.report(report, name, ALONE, ALONE, effort.counted);
        }
    }
}

fn threads(report: &mut Report, effort: &Effort) {
    let runtime = two_threads();
    let mut implementations = runtime.block_on(implementations(false, ENOUGH));
    let times = interleaved(effort.rounds, &mut implementations, |it| {
        it.on_threads(&runtime, 2, effort.threads)
    });
    for (implementation, times) in implementations.iter().zip(times) {
        report.add_spread(implementation.name(), THREADS, "time", Spread::of(times), "ns");
    }
}

fn crowd(report: &mut Report, effort: &Effort, tasks: usize, connections: usize) {
    let runtime = two_threads();
    let mut implementations = runtime.block_on(implementations(true, connections));
    let rounds = interleaved(effort.crowd_rounds, &mut implementations, |it| {
        it.crowd(&runtime, tasks, effort.crowd)
    });
    let case = case(tasks, connections);
    for (implementation, mut rounds) in implementations.iter().zip(rounds) {
        let mut add = |metric: &str, unit: &str, value: &dyn Fn(&mut Crowd) -> f64| {
            let spread = Spread::of(rounds.iter_mut().map(value));
            report.add_spread(implementation.name(), &case, metric, spread, unit);
        };
        add("checkouts", "1/s", &|it| it.throughput);
        for (metric, percent) in [("p50", 50.0), ("p99", 99.0), ("p99.99", 99.99)] {
            add(metric, "µs", &|it| it.waits.percentile(percent).as_secs_f64() * 1e6);
        }
        // Without waits there is no fair share of them.
        if tasks > connections {
            add("max/median wait", "", &|it| max_to_median(&mut it.waits));
            add("max/median turns", "", &|it| max_to_median(&mut it.turns));
        }
    }
}

fn case(tasks: usize, connections: usize) -> String {
    format!("{tasks} tasks on {connections}")
}

/// Returns 1 if all wait for the same time.
fn max_to_median(samples: &mut Latencies) -> f64 {
    samples.max().as_secs_f64() / samples.percentile(50.0).as_secs_f64()
}

fn targets(report: &mut Report) {
    let allocations = report.value(HEADLESS, ALONE, "allocations");
    report.target("uncontended: allocations", allocations, Bound::AtMost(0.0));
    for (peer, bound) in [
        (DEADPOOL, Bound::AtMost(0.3)),
        (BB8, Bound::AtMost(0.3)),
        (HYPER, Bound::Below(1.0)),
    ] {
        let ratio = report.ratio(HEADLESS, peer, ALONE, "instructions");
        report.target(&format!("uncontended: instructions, of {peer}'s"), ratio, bound);
    }
    let fairness = report.value(HEADLESS, &case(1000, 50), "max/median wait");
    report.target(
        "1000 tasks on 50 connections: max/median wait",
        fairness,
        Bound::AtMost(3.0),
    );
}
