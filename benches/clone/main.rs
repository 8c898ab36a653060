//! The cost of cloning a client or service and dropping the clone, as axum, hyper and tower users
//! do for each request.
//!
//! The baseline is an `Arc`: one reference count up, and down again.
//!
//! `cargo xtask bench clone`; without the feature `peers`, against the baseline only.

mod cloned;
mod ours;
#[cfg(feature = "peers")]
mod peers;

use std::sync::Arc;

use headless_benches::harness::micro::{self, ALLOCATIONS, ATOMICS, Case, Micro};
use headless_benches::harness::{Args, Bound, Report};

use cloned::cloned;

const BASELINE: &str = "Arc (baseline)";
/// On two threads, both clone the same one.
const CASE: &str = "clone and drop";

fn main() {
    let args = Args::from_env(&[]);
    let cases = [Case::new(CASE, implementations())];
    micro::run("clone", BASELINE, &args, &cases, targets);
}

fn implementations() -> Vec<Micro> {
    let mut all = vec![cloned(BASELINE, async || Arc::new(()))];
    all.extend(ours::implementations());
    #[cfg(feature = "peers")]
    all.extend(peers::implementations());
    all
}

fn targets(report: &mut Report) {
    for ours in ours::ALL {
        // An `Arc` has one reference count, so the ratio is the number of counts.
        let counts = report.ratio(ours, BASELINE, CASE, ATOMICS);
        report.target(&format!("{ours}: reference counts"), counts, Bound::AtMost(2.0));
    }
    let most = ours::ALL.map(|ours| report.value(ours, CASE, ALLOCATIONS));
    let most = most.into_iter().flatten().reduce(f64::max);
    report.target("all of ours: allocations", most, Bound::AtMost(0.0));
}
