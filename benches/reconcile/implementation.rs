//! The operation, and its cost. Nothing here knows a particular implementation.

use std::net::SocketAddr;
use std::time::Instant;

use headless_benches::harness::so_far;

/// The pods `web-0` … of a Service, some of which are replaced again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pods {
    pub size: u32,
    /// The number of pods that are replaced each time: spread over the list, always the same, under
    /// their old names.
    pub replaced: u32,
}

impl Pods {
    /// Returns the list of a generation, in order of the pods' numbers.
    pub fn list(self, generation: u8) -> impl Iterator<Item = (String, SocketAddr)> {
        let every = self.size / self.replaced;
        (0..self.size).map(move |k| {
            let generation = if k % every == 0 { generation } else { 0 };
            let [_, _, high, low] = k.to_be_bytes();
            (format!("web-{k}"), SocketAddr::from(([10, generation, high, low], 80)))
        })
    }
}

/// Counts the generations: each list differs from the one before.
#[derive(Debug, Default)]
pub struct Generations(u8);

impl Generations {
    pub fn next(&mut self) -> u8 {
        self.0 = self.0 % 250 + 1;
        self.0
    }
}

/// A receiver of new lists.
pub trait Implementation {
    fn name(&self) -> &'static str;

    /// Prepares the next list in the form that this implementation takes; not measured.
    fn prepare(&mut self);

    /// Takes the list that was prepared first, and returns the cost.
    fn replace(&mut self) -> Cost;

    /// Returns a pick for one thread of many; `None` if only one thread can pick.
    fn picker(&self) -> Option<Box<dyn FnMut() + Send>> {
        None
    }
}

/// The cost of one replacement.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub nanos: f64,
    pub allocations: usize,
}

/// A moment, and the allocations until then.
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

/// Measures the cost of `work`.
pub fn cost(work: impl FnOnce()) -> Cost {
    let start = Mark::now();
    work();
    start.until(Mark::now())
}
