//! What has to be done here, and what is noted of it. Nothing of any particular contender.

use std::net::SocketAddr;
use std::time::Instant;

use headless_benches::harness::so_far;

/// The pods `web-0` … of a Service, some of which are replaced again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pods {
    pub size: u32,
    /// How many are replaced each time: spread over the whole list, the same ones each time, under their old names.
    pub replaced: u32,
}

impl Pods {
    /// The list in their `life`-th life, in order of their numbers.
    pub fn list(self, life: u8) -> impl Iterator<Item = (String, SocketAddr)> {
        let every = self.size / self.replaced;
        (0..self.size).map(move |k| {
            let life = if k % every == 0 { life } else { 0 };
            let [_, _, high, low] = k.to_be_bytes();
            (format!("web-{k}"), SocketAddr::from(([10, life, high, low], 80)))
        })
    }
}

/// Counts the lives: each list differs from the one before.
#[derive(Debug, Default)]
pub struct Lives(u8);

impl Lives {
    pub fn next(&mut self) -> u8 {
        self.0 = self.0 % 250 + 1;
        self.0
    }
}

/// Someone who is told the new list.
pub trait Contender {
    fn name(&self) -> &'static str;

    /// Makes the next list, in the form in which this contender takes it; not measured.
    fn prepare(&mut self);

    /// Takes the list that was prepared first; what that cost.
    fn replace(&mut self) -> Cost;

    /// A pick as one thread of many would do it, over and over; `None`: only one thread can.
    fn picker(&self) -> Option<Box<dyn FnMut() + Send>> {
        None
    }
}

/// What one replacement cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub nanos: f64,
    pub allocations: usize,
}

/// A moment, and what had been allocated until then.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    time: Instant,
    allocations: usize,
}

impl Mark {
    pub fn now() -> Self {
        Self {
            allocations: so_far(),
            time: Instant::now(),
        }
    }

    pub fn until(self, end: Self) -> Cost {
        Cost {
            nanos: (end.time - self.time).as_secs_f64() * 1e9,
            allocations: end.allocations - self.allocations,
        }
    }
}

/// The cost of `work`.
pub fn cost(work: impl FnOnce()) -> Cost {
    let start = Mark::now();
    work();
    start.until(Mark::now())
}
