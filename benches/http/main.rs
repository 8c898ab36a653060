//! The cost of an HTTP client above its connections: GETs with a small answer over 8 servers, by 1,
//! 16 and 64 callers, over HTTP/1.1 and HTTP/2.
//!
//! The servers are another process, and all processes share one CPU: throughput then shows the cost
//! of a request in all of them together. Without `taskset` nothing is pinned, and throughput says
//! little. Then 64 callers once more, by a client with two workers, and nothing pinned: there the
//! handing over from thread to thread costs, too.
//!
//! `cargo xtask bench http`; without the feature `peers`, hand-written clients and `headless` only.

mod all;
mod hand_written;
mod implementation;
mod load;
mod ours;
#[cfg(feature = "peers")]
mod peers;
mod proxies;
mod servers;

use std::num::NonZero;
use std::time::Duration;

use headless_benches::harness::{Args, Bound, Callgrind, Operations, Report, cpu, interleaved};

use all::{BASELINE, implementations, proxies};
use implementation::{Case, ClonedClient, Setup};
use load::{CPU, CPU_OF_ALL, THROUGHPUT};
use ours::Headless;
use servers::{Protocol, Servers};

/// The amount of work.
struct Effort {
    rounds: usize,
    round: Duration,
    /// Requests whose instructions are counted; with 0 they are not counted.
    counted: usize,
}

const FULL: Effort = Effort {
    rounds: 15,
    round: Duration::from_millis(250),
    counted: 2048,
};

const QUICK: Effort = Effort {
    rounds: 3,
    round: Duration::from_millis(80),
    counted: 0,
};

const CALLERS: [usize; 3] = [1, 16, 64];
/// The number of callers of the targets.
const MOST: usize = 64;
/// The CPU that all processes share.
const FIRST_CPU: &str = "0";

fn main() {
    if std::env::args().nth(1).as_deref() == Some(servers::ARGUMENT) {
        return servers::serve();
    }
    let args = Args::from_env(&[]);
    if let Some(operations) = &args.operations {
        return run(operations);
    }
    let effort = if args.quick { QUICK } else { FULL };
    let mut counts = Vec::new();
    if let Some(callgrind) = Callgrind::find().filter(|_| effort.counted > 0) {
        let servers = Servers::start();
        for case in cases() {
            counts.extend(count(callgrind, case, &servers, effort.counted));
        }
    }
    let all_cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
    let place = match cpu::pin(FIRST_CPU) {
        true => "all on one CPU",
        false => "not pinned: no `taskset`",
    };
    println!(
        "{} servers for each protocol; client and servers: {place}\n",
        servers::PODS
    );
    let mut report = Report::new("http", BASELINE);
    {
        let servers = Servers::start();
        for case in cases() {
            measure(&mut report, case, &servers, &effort);
        }
    }
    cpu::pin(&format!("0-{}", all_cpus - 1));
    let servers = Servers::start();
    for case in unpinned_cases() {
        measure(&mut report, case, &servers, &effort);
    }
    for (implementation, case, instructions) in counts {
        report.add(implementation, &case.name(), "instructions", instructions, "");
    }
    targets(&mut report);
    report.finish(&args);
}

fn cases() -> impl Iterator<Item = Case> {
    let of = |protocol| {
        let callers = match protocol {
            Protocol::Http1Close => &[MOST][..],
            Protocol::Http1 | Protocol::Http2 => &CALLERS,
        };
        callers.iter().map(move |&callers| Case {
            protocol,
            callers,
            workers: 1,
        })
    };
    Protocol::ALL.into_iter().flat_map(of)
}

fn unpinned_cases() -> impl Iterator<Item = Case> {
    let of = |protocol| Case {
        protocol,
        callers: MOST,
        workers: 2,
    };
    [Protocol::Http1, Protocol::Http2].into_iter().map(of)
}

fn measure(report: &mut Report, case: Case, servers: &Servers, effort: &Effort) {
    let mut all = implementations(case.protocol);
    all.extend(proxies(case.protocol));
    let pods = servers.of(case.protocol).clone();
    let setup = Setup { case, pods };
    let mut open: Vec<_> = all.iter().map(|it| (it.open)(&setup)).collect();
    let rounds = interleaved(effort.rounds, &mut open, |it| it.round(effort.round, servers.process()));
    for (it, rounds) in all.iter().zip(rounds) {
        load::report(report, it.name, &case.name(), rounds);
    }
}

/// Counts the instructions per request, of this process.
fn count(callgrind: Callgrind, case: Case, servers: &Servers, requests: usize) -> Vec<(&'static str, Case, f64)> {
    let mut counts = Vec::new();
    for it in implementations(case.protocol) {
        let place = format!("{} {}", case.name(), servers.of(case.protocol));
        match callgrind.per_operation(it.name, &place, requests) {
            Ok(count) => counts.push((it.name, case, count)),
            Err(error) => println!("no instructions of {}: {error}", it.name),
        }
    }
    counts
}

/// Runs under callgrind, with the servers that the case names.
fn run(operations: &Operations) {
    let asked = cases().find_map(|case| {
        let pods = operations.case.strip_prefix(&case.name())?;
        Some((case, pods.trim().parse().ok()?))
    });
    let (case, pods) = asked.expect("a case of this benchmark, and its servers");
    let all = implementations(case.protocol);
    let it = all.iter().find(|it| it.name == operations.implementation);
    let it = it.expect("an implementation of this benchmark");
    (it.open)(&Setup { case, pods }).repeat(operations.count);
}

/// WHY two kinds: on an idle machine both are equal; on a busy one only the second is right.
fn targets(report: &mut Report) {
    for case in cases().chain(unpinned_cases()).filter(|case| case.callers == MOST) {
        // The client's own CPU time is the part that a client can make cheaper.
        let (least, most_cpu) = match case.protocol {
            Protocol::Http1 | Protocol::Http1Close => (0.95, 1.05),
            Protocol::Http2 => (1.10, 0.95),
        };
        let case = case.name();
        for (what, metric) in [("throughput", THROUGHPUT), ("answers per CPU time", CPU_OF_ALL)] {
            let of = |one: &str, other: &str| match metric {
                CPU_OF_ALL => report.ratio(other, one, &case, metric),
                _ => report.ratio(one, other, &case, metric),
            };
            let of_baseline = of(Headless::NAME, BASELINE);
            #[cfg(feature = "peers")]
            let of_ours = peers::SLOWER.map(|peer| (peer, of(peer, Headless::NAME)));
            report.target(
                &format!("{case}: {what}, of the baseline's"),
                of_baseline,
                Bound::AtLeast(least),
            );
            #[cfg(feature = "peers")]
            for (peer, ratio) in of_ours {
                report.target(&format!("{case}: {what} of {peer}, of ours"), ratio, Bound::Below(1.0));
            }
        }
        let cpu = report.ratio(Headless::NAME, BASELINE, &case, CPU);
        report.target(
            &format!("{case}: the client's CPU time, of the baseline's"),
            cpu,
            Bound::Below(most_cpu),
        );
    }
}
