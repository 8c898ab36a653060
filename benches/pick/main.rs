//! What it costs to choose a pod: read the list, pick, count the request, count it out again. No connection.
//!
//! The limit is power of two choices by hand over an arc-swap snapshot, with a guard that counts what is in flight.
//!
//! `cargo xtask bench pick`; without the feature `peers`, against the limits only.

mod by_hand;
mod limits;
mod ours;
#[cfg(feature = "peers")]
mod peers;

use headless_benches::harness::micro::{self, ALLOCATIONS, Case, INSTRUCTIONS, TIME_THREADS};
use headless_benches::harness::{Args, Bound, Report};

use limits::LIMIT;

const PODS: [usize; 5] = [3, 10, 100, 1000, 10_000];
/// A look is at these only.
const FEW: [usize; 2] = [3, 100];
/// Where the peers come in.
#[cfg(feature = "peers")]
const AGAINST_PEERS: [usize; 3] = [3, 100, 10_000];

fn main() {
    let args = Args::from_env(&[]);
    let sizes = if args.quick { &FEW[..] } else { &PODS };
    let cases: Vec<_> = sizes.iter().map(|&n| Case::new(name(n), contenders(n))).collect();
    micro::run("pick", LIMIT, &args, &cases, targets);
}

fn name(n: usize) -> String {
    format!("{n} pods")
}

fn contenders(n: usize) -> Vec<micro::Micro> {
    let mut all = Vec::from(limits::contenders(n));
    all.extend(ours::contenders(n));
    #[cfg(feature = "peers")]
    if AGAINST_PEERS.contains(&n) {
        all.extend(peers::contenders(n));
    }
    all
}

fn targets(report: &mut Report) {
    for n in FEW {
        let ratio = report.ratio(ours::POWER_OF_TWO, LIMIT, &name(n), INSTRUCTIONS);
        report.target(
            &format!("power of two, {n} pods: instructions, of the limit's"),
            ratio,
            Bound::AtMost(1.5),
        );
    }
    let of = |n| report.value(ours::POWER_OF_TWO, &name(n), INSTRUCTIONS);
    let growth = of(10_000).zip(of(10)).map(|(many, few)| many / few);
    report.target(
        "power of two: instructions with 10000 pods, of those with 10",
        growth,
        Bound::AtMost(1.05),
    );
    #[cfg(feature = "peers")]
    against_peers(report);
    let most = ours::ALL.map(|policy| PODS.map(|n| report.value(policy, &name(n), ALLOCATIONS)));
    let most = most.into_iter().flatten().flatten().reduce(f64::max);
    report.target("every policy, every size: allocations", most, Bound::AtMost(0.0));
    let rivals = report.ratio(ours::POWER_OF_TWO, LIMIT, &name(3), TIME_THREADS);
    report.target(
        "power of two, 3 pods, 2 threads: time, of the limit's",
        rivals,
        Bound::AtMost(1.0),
    );
}

#[cfg(feature = "peers")]
fn against_peers(report: &mut Report) {
    for n in FEW {
        for (policy, peer, bound) in [
            (ours::POWER_OF_TWO, peers::BUFFER, 1.0 / 20.0),
            (ours::ROUND_ROBIN, peers::PINGORA, 1.0 / 8.0),
        ] {
            let ratio = report.ratio(policy, peer, &name(n), INSTRUCTIONS);
            let target = format!("{policy}, {n} pods: instructions, of {peer}'s");
            report.target(&target, ratio, Bound::AtMost(bound));
        }
    }
}
