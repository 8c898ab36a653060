//! What an HTTP client costs over the connections below it: GETs with a small answer over 8 servers, by 1, 16 and 64 callers, over HTTP/1.1
//! and HTTP/2.
//!
//! The servers are another process, and all processes share one CPU: throughput is then what a request costs all of them together, and
//! whoever works less gets more done. Without `taskset` nothing is pinned, and throughput says little.
//!
//! `cargo xtask bench http`; without the feature `peers`, what is by hand and `headless` only.

mod by_hand;
mod contender;
mod load;
mod ours;
#[cfg(feature = "peers")]
mod peers;
mod proxies;
mod servers;

use std::time::Duration;

use headless_benches::harness::{Args, Bound, Callgrind, Operations, Report, cpu, interleaved};
use tokio::runtime::{Builder, Runtime};

use contender::{Case, LIMIT, Protocol, Setup, Shared, known};
use load::{CPU_OF_ALL, THROUGHPUT};
use ours::Headless;
use servers::Servers;

/// How much is done.
struct Effort {
    rounds: usize,
    round: Duration,
    /// Requests whose instructions are counted; none: they are not.
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
/// Where what matters is seen: many callers, one and the same answer.
const MOST: usize = 64;
/// The one that all processes share.
const CPU: &str = "0";

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
    let place = match cpu::pin(CPU) {
        true => "all on one CPU",
        false => "not pinned: no `taskset`",
    };
    println!(
        "{} servers for each protocol; client and servers: {place}\n",
        servers::PODS
    );
    let servers = Servers::start();
    let mut report = Report::new("http", LIMIT);
    for case in cases() {
        measure(&mut report, case, &servers, &effort);
    }
    for (contender, case, instructions) in counts {
        report.add(contender, &case.name(), "instructions", instructions, "");
    }
    targets(&mut report);
    report.finish(&args);
}

fn cases() -> impl Iterator<Item = Case> {
    let of = |protocol| CALLERS.map(|callers| Case { protocol, callers });
    Protocol::ALL.into_iter().flat_map(of)
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn measure(report: &mut Report, case: Case, servers: &Servers, effort: &Effort) {
    let mut known = known(case.protocol);
    known.extend(contender::proxies(case.protocol));
    let pods = servers.of(case.protocol).clone();
    let setup = Setup { case, pods };
    let mut open: Vec<_> = known.iter().map(|it| (it.open)(&setup)).collect();
    let rounds = interleaved(effort.rounds, &mut open, |it| it.round(effort.round, servers.process()));
    for (it, rounds) in known.iter().zip(rounds) {
        load::report(report, it.name, &case.name(), rounds);
    }
}

/// Instructions per request, of this process.
fn count(callgrind: Callgrind, case: Case, servers: &Servers, requests: usize) -> Vec<(&'static str, Case, f64)> {
    let mut counts = Vec::new();
    for it in known(case.protocol) {
        let place = format!("{} {}", case.name(), servers.of(case.protocol));
        match callgrind.per_operation(it.name, &place, requests) {
            Ok(count) => counts.push((it.name, case, count)),
            Err(error) => println!("no instructions of {}: {error}", it.name),
        }
    }
    counts
}

/// Under callgrind, with the servers that the case names.
fn run(operations: &Operations) {
    let asked = cases().find_map(|case| {
        let pods = operations.case.strip_prefix(&case.name())?;
        Some((case, pods.trim().parse().ok()?))
    });
    let (case, pods) = asked.expect("a case of this benchmark, and its servers");
    let known = known(case.protocol);
    let it = known.iter().find(|it| it.name == operations.contender);
    let it = it.expect("a contender of this benchmark");
    (it.open)(&Setup { case, pods }).repeat(operations.count);
}

/// WHY twice: where nobody else uses the CPU, both say the same; elsewhere only the second does, and says what the first would be.
fn targets(report: &mut Report) {
    for protocol in Protocol::ALL {
        let case = Case {
            protocol,
            callers: MOST,
        }
        .name();
        for (what, metric) in [("throughput", THROUGHPUT), ("answers per CPU time", CPU_OF_ALL)] {
            let of = |one: &str, other: &str| match metric {
                CPU_OF_ALL => report.ratio(other, one, &case, metric),
                _ => report.ratio(one, other, &case, metric),
            };
            let of_limit = of(Headless::NAME, LIMIT);
            #[cfg(feature = "peers")]
            let of_ours = peers::BEHIND.map(|peer| (peer, of(peer, Headless::NAME)));
            report.target(
                &format!("{case}: {what}, of the limit's"),
                of_limit,
                Bound::AtLeast(0.95),
            );
            #[cfg(feature = "peers")]
            for (peer, ratio) in of_ours {
                report.target(&format!("{case}: {what} of {peer}, of ours"), ratio, Bound::Below(1.0));
            }
        }
    }
}
