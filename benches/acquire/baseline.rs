//! The baseline: hand-written power of two choices, and a `Mutex<Vec>` of idle connections per pod.

use std::hint::black_box;
use std::sync::Mutex;

use headless_benches::hand_written::PowerOfTwo;
use headless_benches::harness::micro::{Micro, repeated};

pub const BASELINE: &str = "hand-written (baseline)";

/// With `idle` connections per pod: as many as there are threads, so that no pod runs out of them.
pub fn implementation(n: usize, idle: usize) -> Micro {
    Micro::shared(BASELINE, move |_| {
        let mut pods = PowerOfTwo::over((0..n as u64).map(|pod| Mutex::new(vec![pod; idle])));
        repeated(move || {
            let request = pods.pick();
            let idle = &request.pod().with;
            let conn = idle.lock().unwrap().pop().unwrap();
            black_box(conn);
            idle.lock().unwrap().push(conn);
        })
    })
}
