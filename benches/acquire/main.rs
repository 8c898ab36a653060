//! The cost of a connection: pick, count, checkout, return; an idle connection is ready.
//!
//! The baseline is the same work, hand-written and without features: power of two choices over an
//! arc-swap snapshot, an in-flight counter, and a `Mutex<Vec>` per pod.
//!
//! `cargo xtask bench acquire`; without the feature `peers`, against the baseline only.

mod baseline;
mod ours;
#[cfg(feature = "peers")]
mod peers;

#[cfg(feature = "peers")]
use headless_benches::harness::INSTRUCTIONS;
use headless_benches::harness::micro::{self, ALLOCATIONS, Case};
use headless_benches::harness::{Args, Bound, Report};

use baseline::BASELINE;

const PODS: [usize; 3] = [3, 100, 1000];
/// The sizes of a quick run.
const FEW: [usize; 2] = [3, 100];
/// The size with peers: they choose blindly, so the number of pods makes no difference.
#[cfg(feature = "peers")]
const AGAINST_PEERS: usize = 3;

/// Idle connections of each pod: both threads may use the same pod.
const IDLE: usize = 2;

fn main() {
    let args = Args::from_env(&[]);
    let sizes = if args.quick { &FEW[..] } else { &PODS };
    let cases: Vec<_> = sizes.iter().map(|&n| Case::new(name(n), implementations(n))).collect();
    micro::run("acquire", BASELINE, &args, &cases, targets);
}

fn name(n: usize) -> String {
    format!("{n} pods")
}

fn implementations(n: usize) -> Vec<micro::Micro> {
    let mut all = vec![baseline::implementation(n, IDLE)];
    all.extend(ours::implementations(n, IDLE));
    #[cfg(feature = "peers")]
    if n == AGAINST_PEERS {
        all.extend(peers::implementations(n));
    }
    all
}

fn targets(report: &mut Report) {
    #[cfg(feature = "peers")]
    for peer in [peers::DEADPOOL, peers::BB8] {
        let ratio = report.ratio(ours::POWER_OF_TWO, peer, &name(AGAINST_PEERS), INSTRUCTIONS);
        let target = format!("power of two, {AGAINST_PEERS} pods: instructions, of {peer}'s");
        report.target(&target, ratio, Bound::AtMost(0.3));
    }
    let most = ours::ALL.map(|policy| PODS.map(|n| report.value(policy, &name(n), ALLOCATIONS)));
    let most = most.into_iter().flatten().flatten().reduce(f64::max);
    report.target("every policy, every size: allocations", most, Bound::AtMost(0.0));
}
