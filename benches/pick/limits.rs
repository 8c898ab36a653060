//! The limits: power of two choices and round robin by hand, and the floor under both.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use headless_benches::harness::micro::{Micro, repeated};

use super::by_hand::{InFlight, Pod, PowerOfTwo, Random};

pub const FLOOR: &str = "two loads of a slice: the floor";
pub const LIMIT: &str = "power of two by hand: the limit";
pub const ROUND_ROBIN: &str = "round robin by hand";

pub fn contenders(n: usize) -> [Micro; 3] {
    [
        Micro::shared(LIMIT, move |_| power_of_two(n)),
        Micro::shared(FLOOR, move |_| floor(n)),
        Micro::shared(ROUND_ROBIN, move |_| round_robin(n)),
    ]
}

fn power_of_two(n: usize) -> impl FnMut(usize) + Clone + Send + 'static {
    let pods = PowerOfTwo::over(0..n);
    repeated(move || pods.pick().pod().with)
}

/// A list that never changes, and nothing is counted: what no balancer can go below.
fn floor(n: usize) -> impl FnMut(usize) + Clone + Send + 'static {
    let pods: Arc<[Pod<usize>]> = (0..n).map(Pod::new).collect();
    let random = Random::new();
    repeated(move || {
        let (a, b) = random.two_of(pods.len());
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
        // Relaxed: each number goes to one caller, in whichever order.
        let turn = cursor.fetch_add(1, Relaxed) % pods.len();
        InFlight::begin(&pods[turn]).pod().with
    })
}
