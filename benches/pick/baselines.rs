//! The baselines: hand-written power of two choices and round robin, and the floor below both.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use fastrand::Rng;
use headless_benches::hand_written::{InFlight, Pod, PowerOfTwo, two_of};
use headless_benches::harness::micro::{Micro, repeated};

pub const FLOOR: &str = "two loads of a slice (floor)";
pub const BASELINE: &str = "hand-written power of two (baseline)";
pub const ROUND_ROBIN: &str = "hand-written round robin";

pub fn implementations(n: usize) -> [Micro; 3] {
    [
        Micro::shared(BASELINE, move |_| power_of_two(n)),
        Micro::shared(FLOOR, move |_| floor(n)),
        Micro::shared(ROUND_ROBIN, move |_| round_robin(n)),
    ]
}

fn power_of_two(n: usize) -> impl FnMut(usize) + Clone + Send + 'static {
    let mut pods = PowerOfTwo::over(0..n);
    repeated(move || pods.pick().pod().with)
}

/// A list that never changes, and no count: no balancer can be cheaper.
fn floor(n: usize) -> impl FnMut(usize) + Clone + Send + 'static {
    let pods: Arc<[Pod<usize>]> = (0..n).map(Pod::new).collect();
    let mut random = Rng::new();
    repeated(move || {
        let (a, b) = two_of(&mut random, pods.len());
        let (a, b) = (&pods[a], &pods[b]);
        let fewer = b.in_flight.load(Relaxed) < a.in_flight.load(Relaxed);
        if fewer { b.with } else { a.with }
    })
}

fn round_robin(n: usize) -> impl FnMut(usize) + Clone + Send + 'static {
    let pods: Vec<_> = (0..n).map(|pod| Arc::new(Pod::new(pod))).collect();
    let shared = Arc::new((ArcSwap::from_pointee(pods), AtomicUsize::new(0)));
    repeated(move || {
        let (pods, cursor) = &*shared;
        let pods = pods.load();
        // Relaxed: each number goes to one caller, in any order.
        let turn = cursor.fetch_add(1, Relaxed) % pods.len();
        InFlight::begin(&pods[turn]).pod().with
    })
}
