//! What it costs to clone a client or service and drop the clone, as axum, hyper and tower users do for each request.
//!
//! The limit is an `Arc`: one reference count up, and down again.
//!
//! `cargo xtask bench clone`; without the feature `peers`, against the limit only.

mod ours;
#[cfg(feature = "peers")]
mod peers;

use std::sync::Arc;

use headless_benches::harness::micro::{self, ALLOCATIONS, ATOMICS, Case, Micro, repeated};
use headless_benches::harness::{Args, Bound, Report};

const LIMIT: &str = "Arc: the limit";
/// On two threads, both clone the same one.
const CASE: &str = "clone and drop";

fn main() {
    let args = Args::from_env(&[]);
    let cases = [Case::new(CASE, contenders())];
    micro::run("clone", LIMIT, &args, &cases, targets);
}

fn contenders() -> Vec<Micro> {
    let mut all = vec![cloned(LIMIT, async || Arc::new(()))];
    all.extend(ours::contenders());
    #[cfg(feature = "peers")]
    all.extend(peers::contenders());
    all
}

/// Clones what `make` makes, and drops the clone.
fn cloned<T: Clone + Send + Sync + 'static>(name: &'static str, make: impl AsyncFn() -> T + 'static) -> Micro {
    Micro::shared(name, move |runtime| {
        let original = Arc::new(runtime.block_on(make()));
        // WHY kept: what runs on it is part of the original.
        let runtime = Arc::clone(runtime);
        repeated(move || {
            let _keep = &runtime;
            T::clone(&original)
        })
    })
}

fn targets(report: &mut Report) {
    for ours in ours::ALL {
        // An `Arc` has one reference count, so how many times its atomic operations is how many counts.
        let counts = report.ratio(ours, LIMIT, CASE, ATOMICS);
        report.target(&format!("{ours}: reference counts"), counts, Bound::AtMost(2.0));
    }
    let most = ours::ALL.map(|ours| report.value(ours, CASE, ALLOCATIONS));
    let most = most.into_iter().flatten().reduce(f64::max);
    report.target("all of ours: allocations", most, Bound::AtMost(0.0));
}
