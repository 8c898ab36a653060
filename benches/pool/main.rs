//! What a pool costs, checkout and return, alone and in a crowd, and whether it serves in turn: `headless` against other pools.
//!
//! The limit is a `Mutex<Vec>`, behind a semaphore where tasks have to wait. `headless` does more than the other pools do: it picks
//! a pod, counts what is in flight and measures how long it took; here, of one pod.
//!
//! `cargo xtask bench pool`; without the feature `peers`, against the limit only.

mod contender;
mod ours;
#[cfg(feature = "peers")]
mod peers;

use std::time::Duration;

use headless_benches::harness::{Args, Bound, Callgrind, Latencies, Report, Spread, interleaved, ns_per_operation};
use tokio::runtime::{Builder, Runtime};

use contender::{Contender, Crowd, contender};
use ours::{Headless, Queue, Stack};

const LIMIT: &str = "by hand: the limit";
const HEADLESS: &str = "headless";
const BB8: &str = "bb8";
const DEADPOOL: &str = "deadpool";
const HYPER: &str = "hyper-util cache";

const ALONE: &str = "1 task";
const THREADS: &str = "2 threads";
/// More than are used at a time, so that nobody waits.
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

/// How much is done.
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
        let mut contenders = runtime.block_on(contenders(false, ENOUGH));
        let asked = contenders
            .iter_mut()
            .find(|it| it.name() == operations.contender)
            .expect("a contender of this benchmark");
        asked.alone(&runtime, operations.count);
        return;
    }
    let effort = if args.quick { QUICK } else { FULL };
    let mut report = Report::new("pool", LIMIT);
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

/// The limit first. `wait`: there may be more tasks than connections.
async fn contenders(wait: bool, connections: usize) -> Vec<Box<dyn Contender>> {
    let limit = if wait {
        contender(LIMIT, Queue::new(connections), connections).await
    } else {
        contender(LIMIT, Stack::new(connections), connections).await
    };
    #[cfg_attr(not(feature = "peers"), expect(unused_mut, reason = "nobody else comes"))]
    let mut all = vec![
        limit,
        contender(HEADLESS, Headless::new(connections).await, connections).await,
    ];
    #[cfg(feature = "peers")]
    all.extend([
        contender(HYPER, peers::hyper_util(connections), connections).await,
        contender(DEADPOOL, peers::Deadpool::new(connections), connections).await,
        contender(
            "deadpool unmanaged",
            peers::DeadpoolUnmanaged::new(connections),
            connections,
        )
        .await,
        contender(BB8, peers::Bb8::new(connections).await, connections).await,
        contender("mobc", peers::Mobc::new(connections), connections).await,
    ]);
    all
}

/// One task, nobody else: time, allocations, instructions.
fn alone(report: &mut Report, effort: &Effort) {
    let runtime = one_thread();
    let mut contenders = runtime.block_on(contenders(false, ENOUGH));
    let n = effort.operations;
    let times = interleaved(effort.rounds, &mut contenders, |it| {
        ns_per_operation(n, || {
            it.alone(&runtime, n);
        })
    });
    let callgrind = Callgrind::find();
    for (contender, times) in contenders.iter_mut().zip(times) {
        let name = contender.name();
        report.add_spread(name, ALONE, "time", Spread::of(times), "ns");
        let allocations = contender.alone(&runtime, n) as f64 / n as f64;
        report.add(name, ALONE, "allocations", allocations, "");
        match callgrind.map(|it| it.per_operation(name, ALONE, effort.counted)) {
            Some(Ok(count)) => report.add(name, ALONE, "instructions", count, ""),
            Some(Err(error)) => println!("no instructions of {name}: {error}"),
            None => {}
        }
    }
}

fn threads(report: &mut Report, effort: &Effort) {
    let runtime = two_threads();
    let mut contenders = runtime.block_on(contenders(false, ENOUGH));
    let times = interleaved(effort.rounds, &mut contenders, |it| {
        it.on_threads(&runtime, 2, effort.threads)
    });
    for (contender, times) in contenders.iter().zip(times) {
        report.add_spread(contender.name(), THREADS, "time", Spread::of(times), "ns");
    }
}

fn crowd(report: &mut Report, effort: &Effort, tasks: usize, connections: usize) {
    let runtime = two_threads();
    let mut contenders = runtime.block_on(contenders(true, connections));
    let rounds = interleaved(effort.crowd_rounds, &mut contenders, |it| {
        it.crowd(&runtime, tasks, effort.crowd)
    });
    let case = case(tasks, connections);
    for (contender, mut rounds) in contenders.iter().zip(rounds) {
        let mut add = |metric: &str, unit: &str, value: &dyn Fn(&mut Crowd) -> f64| {
            let spread = Spread::of(rounds.iter_mut().map(value));
            report.add_spread(contender.name(), &case, metric, spread, unit);
        };
        add("lent", "1/s", &|it| it.throughput);
        for (metric, percent) in [("p50", 50.0), ("p99", 99.0), ("p99.99", 99.99)] {
            add(metric, "µs", &|it| it.waits.percentile(percent).as_secs_f64() * 1e6);
        }
        // Of waits of no length there is no fair share.
        if tasks > connections {
            add("max/median wait", "", &|it| max_to_median(&mut it.waits));
            add("max/median turns", "", &|it| max_to_median(&mut it.turns));
        }
    }
}

fn case(tasks: usize, connections: usize) -> String {
    format!("{tasks} tasks on {connections}")
}

/// 1 where all wait for the same time.
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
