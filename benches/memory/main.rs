//! What an endpoint and an idle connection take in memory: live bytes, as asked of the allocator, on one thread.
//!
//! The limit is a counter beside the address and the name, and a stack of connections with the time of their last use. What the
//! allocator rounds up, and what is freed again, is not counted.
//!
//! `cargo xtask bench memory`; without the feature `peers`, against the limit only.

mod by_hand;
mod ours;
#[cfg(feature = "peers")]
mod peers;

use std::any::Any;
use std::net::SocketAddr;

use headless_benches::harness::{Args, Bound, Report, live_bytes};

const LIMIT: &str = "by hand: the limit";
const HEADLESS: &str = "headless";

/// Whether what an endpoint takes depends on how many there are.
const SIZES: [u32; 2] = [1000, 10_000];
/// In the measurement of connections.
const PODS: u32 = 10_000;
/// For so many the first one makes room.
const ROOM: usize = 4;
const CONNECTIONS: usize = 16;

/// So many pods, and nothing else: what is returned owns all that was allocated for them.
type Hold = fn(u32) -> Box<dyn Any>;

const CONTENDERS: &[(&str, Hold)] = &[
    (LIMIT, |pods| Box::new(by_hand::endpoints(pods))),
    (HEADLESS, |pods| Box::new(ours::balancer(pods))),
    ("  of it, the watch", |pods| Box::new(ours::watch(pods))),
    #[cfg(feature = "peers")]
    ("tower", |pods| Box::new(peers::tower(pods))),
    #[cfg(feature = "peers")]
    ("pingora round robin", |pods| Box::new(peers::pingora(pods))),
];

fn main() {
    let args = Args::from_env(&[]);
    let mut report = Report::new("memory", LIMIT);
    for pods in SIZES {
        for (name, hold) in CONTENDERS {
            let (bytes, allocated) = live(|| hold(pods));
            report.add(name, &case(pods), "per endpoint", bytes / f64::from(pods), "bytes");
            drop(allocated);
        }
    }
    connections(&mut report);
    targets(&mut report);
    report.finish(&args);
}

fn case(pods: u32) -> String {
    format!("{pods} endpoints, no connection")
}

const IDLE: &str = "10000 endpoints with idle connections";
const FIRST: &str = "the first of an endpoint";
const FURTHER: &str = "each from the fifth on";

/// The first connection of each pod, and then more, until they need more room.
fn connections(report: &mut Report) {
    let mut by_hand = by_hand::Pools::new(PODS);
    let mut ours = ours::Pools::new(PODS);
    let contenders: [(&str, &mut dyn FnMut(usize)); 2] = [
        (LIMIT, &mut |each| by_hand.open(each)),
        (HEADLESS, &mut |each| ours.open(each)),
    ];
    for (name, open) in contenders {
        let (first, ()) = live(|| open(1));
        open(ROOM);
        let (further, ()) = live(|| open(CONNECTIONS));
        let pods = f64::from(PODS);
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

/// How many bytes more are allocated after `work` than before.
fn live<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let before = live_bytes();
    let result = work();
    ((live_bytes() - before) as f64, result)
}

/// The pods `web-0` …, as DNS lists them.
fn pods(count: u32) -> impl Iterator<Item = (String, SocketAddr)> {
    (0..count).map(|k| {
        let [_, a, b, c] = k.to_be_bytes();
        (format!("web-{k}"), SocketAddr::from(([10, a, b, c], 80)))
    })
}

fn targets(report: &mut Report) {
    let per_endpoint = |pods| report.value(HEADLESS, &case(pods), "per endpoint");
    let growth = per_endpoint(10_000)
        .zip(per_endpoint(1000))
        .map(|(many, few)| many / few);
    report.target("per endpoint, of 10000 to of 1000: linear", growth, Bound::AtMost(1.05));
}
