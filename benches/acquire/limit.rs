//! The limit: power of two choices by hand, and a `Mutex<Vec>` of idle connections per pod.

use std::hint::black_box;
use std::sync::Mutex;

use headless_benches::harness::micro::{Micro, repeated};

use super::by_hand::PowerOfTwo;

pub const LIMIT: &str = "by hand: the limit";

/// `idle` connections per pod: as many as there are threads, so that none runs out.
pub fn contender(n: usize, idle: usize) -> Micro {
    Micro::shared(LIMIT, move |_| {
        let pods = PowerOfTwo::over((0..n as u64).map(|pod| Mutex::new(vec![pod; idle])));
        repeated(move || {
            let request = pods.pick();
            let idle = &request.pod().with;
            let conn = idle.lock().unwrap().pop().unwrap();
            black_box(conn);
            idle.lock().unwrap().push(conn);
        })
    })
}
