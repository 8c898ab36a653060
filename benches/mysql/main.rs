//! The cost of the splitter: the classifier for each statement, the routing decision for each read,
//! and point selects on MariaDB pods, compared with the driver pinned to one replica.
//!
//! Three pods; all implementations read from the same two replicas, one after the other, each with
//! connections of its own. The client has one thread and one CPU, the servers the other. Without
//! MariaDB, only the classifier is measured.
//!
//! `cargo xtask bench mysql`; without the feature `peers`, without sqlx.

mod all;
mod classifier;
mod decision;
mod hand_written;
mod haproxy;
mod implementation;
mod load;
mod ours;
#[cfg(feature = "peers")]
mod peers;
mod servers;

use std::time::Duration;

use headless_benches::harness::{Args, Bound, Callgrind, Operations, Report, cpu, interleaved, one_thread};
use tokio::runtime::Runtime;

use all::BASELINE;
use haproxy::HaProxy;
use implementation::{Implementation, Setup};
use load::Protocol;
use ours::Headless;
use servers::{Pods, Servers};

/// The amount of work.
struct Effort {
    rounds: usize,
    classified: usize,
    counted: usize,
    decided: usize,
    /// Selects whose instructions are counted; with 0 they are not counted.
    selected: usize,
    load_rounds: usize,
    load: Duration,
    probes: Duration,
}

const FULL: Effort = Effort {
    rounds: 15,
    classified: 20_000,
    counted: 4_000,
    decided: 20_000,
    selected: 1_000,
    load_rounds: 15,
    load: Duration::from_millis(250),
    probes: Duration::from_secs(1),
};

const QUICK: Effort = Effort {
    rounds: 5,
    classified: 5_000,
    counted: 1_000,
    decided: 2_000,
    selected: 0,
    load_rounds: 1,
    load: Duration::from_millis(60),
    probes: Duration::from_millis(300),
};

const CALLERS: [usize; 3] = [1, 8, 32];
const PROBES: &str = "probes of 3 pods, idle";

fn main() {
    let args = Args::from_env(&[]);
    if let Some(operations) = &args.operations {
        return run(operations);
    }
    let effort = if args.quick { QUICK } else { FULL };
    let mut report = Report::new("mysql", BASELINE);
    let callgrind = Callgrind::find();
    classifier::measure(&mut report, callgrind, effort.rounds, effort.classified, effort.counted);
    match Servers::start() {
        Ok(servers) => with_servers(&mut report, callgrind, &effort, &servers),
        Err(why) => println!("no decisions and no point selects: {why}\n"),
    }
    targets(&mut report);
    report.finish(&args);
}

/// Runs under callgrind.
fn run(operations: &Operations) {
    let known = classifier::run(operations) || decision::run(operations) || all::run(operations);
    assert!(known, "an implementation of this benchmark: {operations:?}");
}

fn with_servers(report: &mut Report, callgrind: Option<Callgrind>, effort: &Effort, servers: &Servers) {
    let pods = servers.pods();
    decision::measure(report, callgrind, pods, effort.rounds, effort.decided);
    let mut runners = all::runners();
    if let Some(callgrind) = callgrind.filter(|_| effort.selected > 0) {
        // The instructions of HAProxy's client would say nothing.
        for runner in runners.iter().filter(|it| it.name != HaProxy::NAME) {
            load::count(report, callgrind, runner.name, pods, effort.selected);
        }
    }
    println!(
        "client and servers {}",
        match servers.part() {
            true => "on a CPU each",
            false => "not pinned: no `taskset`, or one CPU",
        }
    );
    let runtime = one_thread();
    let probes = probes(report, &runtime, pods, effort.probes);
    for callers in CALLERS {
        let setup = Setup {
            callers,
            ..Setup::of(pods)
        };
        let rounds = interleaved(effort.load_rounds, &mut runners, |it| {
            runtime.block_on((it.round)(setup, effort.load))
        });
        for (runner, rounds) in runners.iter().zip(rounds) {
            let probes = probes.filter(|_| runner.name == Headless::NAME);
            load::report(report, runner.name, callers, rounds, probes);
        }
    }
}

/// Measures the CPU time per second of the probes without any query. It is part of the CPU time of
/// our queries, too.
fn probes(report: &mut Report, runtime: &Runtime, pods: Pods, time: Duration) -> Option<Duration> {
    let used = runtime.block_on(async {
        let client = Headless::open(Setup::of(pods)).await;
        let before = cpu::of_this_thread();
        tokio::time::sleep(time).await;
        let used = cpu::of_this_thread().zip(before).map(|(now, before)| now - before);
        client.close().await;
        used
    });
    let per_second = used?.div_f64(time.as_secs_f64());
    report.add(
        Headless::NAME,
        PROBES,
        load::CPU,
        load::microseconds(per_second),
        "µs/s",
    );
    Some(per_second)
}

fn targets(report: &mut Report) {
    for (name, case, bound) in [
        (
            "classifier: the slowest of the statements up to 200 bytes, in ns",
            classifier::CLASSIFIED,
            1000.0,
        ),
        (
            "classifier, cached: the slowest of the same, in ns",
            classifier::CACHED,
            100.0,
        ),
    ] {
        report.target(name, classifier::slowest(report, case), Bound::AtMost(bound));
    }
    for way in decision::TARGETS {
        let time = report.value(way, decision::CASE, decision::TIME);
        report.target(&format!("routing decision, {way}, in ns"), time, Bound::AtMost(1000.0));
    }
    for callers in CALLERS {
        for protocol in Protocol::ALL {
            let case = protocol.case(callers);
            let baseline = |metric| report.value(BASELINE, &case, metric);
            let ours = |metric| report.value(Headless::NAME, &case, metric);
            let ratios = [
                (load::THROUGHPUT, load::THROUGHPUT, Bound::AtLeast(0.95)),
                (load::CPU, load::CPU, Bound::AtMost(1.05)),
                (load::CPU_PROBES_OFF, load::CPU, Bound::AtMost(1.05)),
            ]
            .map(|(metric, of, bound)| (metric, ours(metric).zip(baseline(of)), bound));
            for (metric, of, bound) in ratios {
                let ratio = of.map(|(ours, baseline)| ours / baseline);
                report.target(&format!("{case}: {metric}, of the baseline's"), ratio, bound);
            }
        }
    }
}
