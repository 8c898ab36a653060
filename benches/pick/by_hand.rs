//! Pods to pick from, by hand: the least that shares a changing list between threads and counts requests in flight.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;

/// A pod, and what belongs to it. Aligned as `headless` does it: neighbours on a cache line would slow each other down, and whether
/// they are neighbours would be the allocator's whim.
#[repr(align(128))]
pub struct Pod<T> {
    pub in_flight: AtomicUsize,
    pub with: T,
}

impl<T> Pod<T> {
    pub fn new(with: T) -> Self {
        let in_flight = AtomicUsize::new(0);
        Self { in_flight, with }
    }
}

/// A request that is counted on its pod.
pub struct InFlight<T>(Arc<Pod<T>>);

impl<T> InFlight<T> {
    pub fn begin(pod: &Arc<Pod<T>>) -> Self {
        // Relaxed, as everywhere here: a count is a hint for the next pick.
        pod.in_flight.fetch_add(1, Relaxed);
        Self(Arc::clone(pod))
    }

    pub fn pod(&self) -> &Pod<T> {
        &self.0
    }
}

impl<T> Drop for InFlight<T> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// Power of two choices over a list that another thread may replace.
pub struct PowerOfTwo<T> {
    pods: Arc<ArcSwap<Vec<Arc<Pod<T>>>>>,
    random: Random,
}

impl<T> PowerOfTwo<T> {
    pub fn over(pods: impl Iterator<Item = T>) -> Self {
        let pods = pods.map(|with| Arc::new(Pod::new(with)));
        Self {
            pods: Arc::new(ArcSwap::from_pointee(pods.collect())),
            random: Random::new(),
        }
    }

    /// Of two random pods the one with less in flight, counted.
    #[inline]
    pub fn pick(&self) -> InFlight<T> {
        let pods = self.pods.load();
        let (a, b) = self.random.two_of(pods.len());
        let (a, b) = (&pods[a], &pods[b]);
        let fewer = b.in_flight.load(Relaxed) < a.in_flight.load(Relaxed);
        InFlight::begin(if fewer { b } else { a })
    }
}

impl<T> Clone for PowerOfTwo<T> {
    fn clone(&self) -> Self {
        Self {
            pods: Arc::clone(&self.pods),
            random: self.random.clone(),
        }
    }
}

/// wyrand: of the good generators the one with the fewest instructions.
pub struct Random(Cell<u64>);

impl Random {
    pub fn new() -> Self {
        Self(Cell::new(rand::random()))
    }

    /// Two distinct numbers below `n`, which is at least 2, of one random number: each half of it multiplied by the range and shifted.
    #[inline]
    pub fn two_of(&self, n: usize) -> (usize, usize) {
        let bits = self.next();
        let a = ((bits >> 32) * n as u64) >> 32;
        let b = ((bits & 0xffff_ffff) * (n as u64 - 1)) >> 32;
        (a as usize, (b + u64::from(b >= a)) as usize)
    }

    #[inline]
    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0xa076_1d64_78bd_642f);
        self.0.set(state);
        let product = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
        (product >> 64) as u64 ^ product as u64
    }
}

impl Clone for Random {
    /// Draws other numbers: two that draw the same would meet at every pod.
    fn clone(&self) -> Self {
        Self::new()
    }
}
