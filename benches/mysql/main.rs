//! What the splitter costs: the guard for each statement, the routing decision for each read, and point selects on real MariaDB pods
//! against the driver pinned by hand to one replica.
//!
//! Three pods; all contenders read from the same two replicas, in turn, each with connections of its own. The client has one thread
//! and one CPU, the servers the other. Without MariaDB, only the guard is measured.
//!
//! `cargo xtask bench mysql`; without the feature `peers`, without sqlx.

mod by_hand;
mod contender;
mod decision;
mod guard;
mod haproxy;
mod load;
mod ours;
#[cfg(feature = "peers")]
mod peers;
mod servers;

use std::time::Duration;

use headless_benches::harness::{Args, Bound, Callgrind, Operations, Report, cpu, interleaved};
use tokio::runtime::{Builder, Runtime};

use contender::{Contender, LIMIT, Setup};
use haproxy::HaProxy;
use load::Protocol;
use ours::Headless;
use servers::{Pods, Servers};

/// How much is done.
struct Effort {
    rounds: usize,
    judged: usize,
    counted: usize,
    decided: usize,
    /// Selects whose instructions are counted; none: they are not.
    selected: usize,
    load_rounds: usize,
    load: Duration,
    probes: Duration,
}

const FULL: Effort = Effort {
    rounds: 15,
    judged: 20_000,
    counted: 4_000,
    decided: 20_000,
    selected: 1_000,
    load_rounds: 15,
    load: Duration::from_millis(250),
    probes: Duration::from_secs(1),
};

const QUICK: Effort = Effort {
    rounds: 5,
    judged: 5_000,
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
    let mut report = Report::new("mysql", LIMIT);
    let callgrind = Callgrind::find();
    guard::measure(&mut report, callgrind, effort.rounds, effort.judged, effort.counted);
    match Servers::start() {
        Ok(servers) => with_servers(&mut report, callgrind, &effort, &servers),
        Err(why) => println!("no decisions and no point selects: {why}\n"),
    }
    targets(&mut report);
    report.finish(&args);
}

/// Under callgrind.
fn run(operations: &Operations) {
    let known = guard::run(operations) || decision::run(operations) || load::run(operations);
    assert!(known, "a contender of this benchmark: {operations:?}");
}

/// One thread: what it costs is then its CPU time.
fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn with_servers(report: &mut Report, callgrind: Option<Callgrind>, effort: &Effort, servers: &Servers) {
    let pods = servers.pods();
    decision::measure(report, callgrind, pods, effort.rounds, effort.decided);
    let mut runners = contender::runners();
    if let Some(callgrind) = callgrind.filter(|_| effort.selected > 0) {
        // Of HAProxy's client they would say nothing.
        for runner in runners.iter().filter(|it| it.name != HaProxy::NAME) {
            load::count(report, callgrind, *runner, pods, effort.selected);
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

/// What looking at the pods costs while nobody asks anything: CPU time in a second. It is part of that of our queries, too.
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
            "guard: the slowest of the statements up to 200 bytes, in ns",
            guard::JUDGED,
            1000.0,
        ),
        (
            "guard, cached: the slowest of the same, in ns",
            guard::REMEMBERED,
            100.0,
        ),
    ] {
        report.target(name, guard::slowest(report, case), Bound::AtMost(bound));
    }
    for way in decision::TARGETS {
        let time = report.value(way, decision::CASE, decision::TIME);
        report.target(&format!("routing decision, {way}, in ns"), time, Bound::AtMost(1000.0));
    }
    for callers in CALLERS {
        for protocol in Protocol::ALL {
            let case = protocol.case(callers);
            let limit = |metric| report.value(LIMIT, &case, metric);
            let ours = |metric| report.value(Headless::NAME, &case, metric);
            let ratios = [
                (load::THROUGHPUT, load::THROUGHPUT, Bound::AtLeast(0.95)),
                (load::CPU, load::CPU, Bound::AtMost(1.05)),
                (load::CPU_PROBES_OFF, load::CPU, Bound::AtMost(1.05)),
            ]
            .map(|(metric, of, bound)| (metric, ours(metric).zip(limit(of)), bound));
            for (metric, of, bound) in ratios {
                let ratio = of.map(|(ours, limit)| ours / limit);
                report.target(&format!("{case}: {metric}, of the limit's"), ratio, bound);
            }
        }
    }
}
