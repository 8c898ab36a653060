//! The memory of an endpoint and of an idle connection: live bytes, as requested from the
//! allocator, on one thread.
//!
//! The baseline is a counter beside the address and the name, and a stack of connections with the
//! time of their last use. The allocator's rounding and freed memory are not counted.
//!
//! `cargo xtask bench memory`; without the feature `peers`, against the baseline only.

mod hand_written;
mod ours;
#[cfg(feature = "peers")]
mod peers;

use std::any::Any;

use headless_benches::harness::{Args, Bound, Report, live_bytes};

const BASELINE: &str = "hand-written (baseline)";
const HEADLESS: &str = "headless";

/// Two sizes show whether the memory of an endpoint depends on their number.
const SIZES: [usize; 2] = [1000, 10_000];
/// The size in the measurement of connections.
const PODS: usize = 10_000;
/// The first connection makes room for this number.
const ROOM: usize = 4;
const CONNECTIONS: usize = 16;

/// Makes a balancer of this number of pods. The result owns all that was allocated.
type Hold = fn(usize) -> Box<dyn Any>;

const IMPLEMENTATIONS: &[(&str, Hold)] = &[
    (BASELINE, |pods| Box::new(hand_written::endpoints(pods))),
    (HEADLESS, |pods| Box::new(ours::balancer(pods))),
    ("  of it, the watch", |pods| Box::new(ours::watch(pods))),
    #[cfg(feature = "peers")]
    ("tower", |pods| Box::new(peers::tower(pods))),
    #[cfg(feature = "peers")]
    ("pingora round robin", |pods| Box::new(peers::pingora(pods))),
];

fn main() {
    let args = Args::from_env(&[]);
    let mut report = Report::new("memory", BASELINE);
    for pods in SIZES {
        for (name, hold) in IMPLEMENTATIONS {
            let (bytes, allocated) = live(|| hold(pods));
            report.add(name, &case(pods), "per endpoint", bytes / pods as f64, "bytes");
            drop(allocated);
        }
    }
    connections(&mut report);
    targets(&mut report);
    report.finish(&args);
}

fn case(pods: usize) -> String {
    format!("{pods} endpoints, no connection")
}

const IDLE: &str = "10000 endpoints with idle connections";
const FIRST: &str = "the first of an endpoint";
const FURTHER: &str = "each from the fifth on";

/// Measures the first connection of each pod, and then more, until they need more room.
fn connections(report: &mut Report) {
    let mut hand_written = hand_written::Pools::new(PODS);
    let mut ours = ours::Pools::new(PODS, CONNECTIONS);
    let implementations: [(&str, &mut dyn FnMut(usize)); 2] = [
        (BASELINE, &mut |each| hand_written.open(each)),
        (HEADLESS, &mut |each| ours.open(each)),
    ];
    for (name, open) in implementations {
        let (first, ()) = live(|| open(1));
        open(ROOM);
        let (further, ()) = live(|| open(CONNECTIONS));
        let pods = PODS as f64;
        report.add(name, IDLE, FIRST, first / pods, "bytes");
        report.add(
            name,
            IDLE,
            FURTHER,
            further / pods / (CONNECTIONS - ROOM) as f64,
            "bytes",
        );
    }
}

/// Returns how many bytes more are allocated after `work` than before.
fn live<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let before = live_bytes();
    let result = work();
    ((live_bytes() - before) as f64, result)
}

fn targets(report: &mut Report) {
    let per_endpoint = |pods| report.value(HEADLESS, &case(pods), "per endpoint");
    let growth = per_endpoint(10_000)
        .zip(per_endpoint(1000))
        .map(|(many, few)| many / few);
    report.target("per endpoint, of 10000 to of 1000: linear", growth, Bound::AtMost(1.05));
}
