//! Hand-written pods to pick from: the least that shares a changing list between threads and counts
//! requests in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use fastrand::Rng;

/// A pod, and what belongs to it. Aligned as in `headless`, because neighbours on a cache line
/// would slow each other down.
#[repr(align(128))]
pub struct Pod<T> {
    /// The number of its requests.
    pub in_flight: AtomicUsize,
    /// What belongs to it.
    pub with: T,
}

impl<T> Pod<T> {
    /// Creates a pod without requests.
    pub fn new(with: T) -> Self {
        let in_flight = AtomicUsize::new(0);
        Self { in_flight, with }
    }
}

/// A request that is counted on its pod.
pub struct InFlight<T>(Arc<Pod<T>>);

impl<T> InFlight<T> {
    /// Counts one more request on `pod`.
    pub fn begin(pod: &Arc<Pod<T>>) -> Self {
        // Relaxed, as everywhere here: a count is a hint for the next pick.
        pod.in_flight.fetch_add(1, Relaxed);
        Self(Arc::clone(pod))
    }

    /// Returns the pod of the request.
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
    random: Rng,
}

impl<T> PowerOfTwo<T> {
    /// Creates a list of pods, one for each of these.
    pub fn over(pods: impl Iterator<Item = T>) -> Self {
        let pods = pods.map(|with| Arc::new(Pod::new(with)));
        Self {
            pods: Arc::new(ArcSwap::from_pointee(pods.collect())),
            random: Rng::new(),
        }
    }

    /// Picks the one of two random pods with less in flight, and counts the request.
    #[inline]
    pub fn pick(&mut self) -> InFlight<T> {
        let pods = self.pods.load();
        let (a, b) = two_of(&mut self.random, pods.len());
        let (a, b) = (&pods[a], &pods[b]);
        let fewer = b.in_flight.load(Relaxed) < a.in_flight.load(Relaxed);
        InFlight::begin(if fewer { b } else { a })
    }
}

impl<T> Clone for PowerOfTwo<T> {
    fn clone(&self) -> Self {
        Self {
            pods: Arc::clone(&self.pods),
            // Other numbers: two that draw the same would meet at every pod.
            random: Rng::new(),
        }
    }
}

/// Draws two distinct numbers below `n`, which is at least 2, from one random number: each half of
/// it multiplied by the range and shifted.
#[inline]
pub fn two_of(random: &mut Rng, n: usize) -> (usize, usize) {
    let bits = random.u64(..);
    let a = ((bits >> 32) * n as u64) >> 32;
    let b = ((bits & 0xffff_ffff) * (n as u64 - 1)) >> 32;
    (a as usize, (b + u64::from(b >= a)) as usize)
}

/// A fixed list, used round robin by all clones together.
pub struct RoundRobin<T>(Arc<(Box<[T]>, AtomicUsize)>);

impl<T> RoundRobin<T> {
    /// Creates a list of these.
    pub fn over(all: impl IntoIterator<Item = T>) -> Self {
        Self(Arc::new((all.into_iter().collect(), AtomicUsize::new(0))))
    }

    /// Returns the next one.
    pub fn next(&self) -> &T {
        let (all, cursor) = &*self.0;
        // Relaxed: each number goes to one caller, in any order.
        &all[cursor.fetch_add(1, Relaxed) % all.len()]
    }
}

impl<T> Clone for RoundRobin<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
