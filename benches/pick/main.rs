//! The cost of choosing a pod: read the list, pick, count the request, and count its end. No
//! connection.
//!
//! The baseline is hand-written power of two choices over an arc-swap snapshot, with a guard that
//! counts requests in flight.
//!
//! `cargo xtask bench pick`; without the feature `peers`, against the baselines only.

mod baselines;
mod ours;
#[cfg(feature = "peers")]
mod peers;

use headless_benches::harness::micro::{self, ALLOCATIONS, Case, TIME_THREADS};
use headless_benches::harness::{Args, Bound, INSTRUCTIONS, Report};

use baselines::BASELINE;

const PODS: [usize; 5] = [3, 10, 100, 1000, 10_000];
/// The sizes of a quick run.
const FEW: [usize; 2] = [3, 100];
/// The sizes with peers.
#[cfg(feature = "peers")]
const AGAINST_PEERS: [usize; 3] = [3, 100, 10_000];

fn main() {
    let args = Args::from_env(&[]);
    let sizes = if args.quick { &FEW[..] } else { &PODS };
    let cases: Vec<_> = sizes.iter().map(|&n| Case::new(name(n), implementations(n))).collect();
    micro::run("pick", BASELINE, &args, &cases, targets);
}

fn name(n: usize) -> String {
    format!("{n} pods")
}

fn implementations(n: usize) -> Vec<micro::Micro> {
    let mut all = Vec::from(baselines::implementations(n));
    all.extend(ours::implementations(n));
    #[cfg(feature = "peers")]
    if AGAINST_PEERS.contains(&n) {
        all.extend(peers::implementations(n));
    }
    all
}

fn targets(report: &mut Report) {
    for n in FEW {
        let ratio = report.ratio(ours::POWER_OF_TWO, BASELINE, &name(n), INSTRUCTIONS);
        report.target(
            &format!("power of two, {n} pods: instructions, of the baseline's"),
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
    let shared = report.ratio(ours::POWER_OF_TWO, BASELINE, &name(3), TIME_THREADS);
    report.target(
        "power of two, 3 pods, 2 threads: time, of the baseline's",
        shared,
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
