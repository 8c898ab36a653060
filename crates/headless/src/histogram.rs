//! [`Histogram`]: a distribution of times; [`Recorder`], which counts without a lock. Neither reads
//! a clock.
//!
//! Buckets grow by a quarter of a power of two, from 1 µs to two minutes: a quantile is at most 25
//! % above the true value (the layout of HdrHistogram with two significant bits).

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A distribution of times, read at one time.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Empty, or one count per bucket.
    counts: Vec<u64>,
    sum: Duration,
    max: Duration,
}

impl Histogram {
    /// Returns the number of recorded times.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the sum of the recorded times.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Returns the longest recorded time.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }

    /// Returns the quantile `q` (0 to 1): the upper edge of its bucket, but never more than the
    /// longest time. `None` if nothing was recorded.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * q.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.buckets()
            .find(|(_, count)| {
                seen += count;
                seen >= wanted
            })
            .map(|(edge, _)| edge.min(self.max))
    }

    /// Returns the buckets that are not empty, shortest first: the upper edge, and how many times
    /// fell between it and the edge before. For exporting.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let all = self.counts.iter().enumerate();
        all.filter(|(_, count)| **count > 0)
            .map(|(index, count)| (upper_edge(index), *count))
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max)
            .finish()
    }
}

/// Counts from any thread. The buckets are made with the first record, as most pools never wait.
///
/// ORDERING: all Relaxed; counters for display, and nothing is published through them.
#[derive(Debug, Default)]
pub(crate) struct Recorder(OnceLock<Box<Counts>>);

#[derive(Debug)]
struct Counts {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Recorder {
    pub(crate) fn record(&self, took: Duration) {
        let counts = self.0.get_or_init(|| {
            Box::new(Counts {
                buckets: [const { AtomicU64::new(0) }; BUCKETS],
                sum: AtomicU64::new(0),
                max: AtomicU64::new(0),
            })
        });
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counts.buckets[index_of(took)].fetch_add(1, Relaxed);
        counts.sum.fetch_add(nanos, Relaxed);
        counts.max.fetch_max(nanos, Relaxed);
    }

    pub(crate) fn read(&self) -> Histogram {
        let Some(counts) = self.0.get() else {
            return Histogram::default();
        };
        Histogram {
            counts: counts.buckets.iter().map(|count| count.load(Relaxed)).collect(),
            sum: Duration::from_nanos(counts.sum.load(Relaxed)),
            max: Duration::from_nanos(counts.max.load(Relaxed)),
        }
    }
}

/// Buckets in which the time doubles.
const STEPS: usize = 4;
/// 1 µs · 2^27 is a little more than two minutes; the last bucket takes what is longer.
const OCTAVES: usize = 27;
const BUCKETS: usize = OCTAVES * STEPS + 1;

fn index_of(took: Duration) -> usize {
    let micros = took.as_nanos().div_ceil(1000).max(1);
    // Four steps from 2^k to 2^(k+1): the two bits below the highest tell which.
    let below = micros - 1;
    if below < STEPS as u128 {
        return below as usize;
    }
    let octave = below.ilog2() as usize;
    let step = (below >> (octave - 2)) as usize & (STEPS - 1);
    ((octave - 1) * STEPS + step).min(BUCKETS - 1)
}

/// The longest time that falls into the bucket.
fn upper_edge(index: usize) -> Duration {
    if index < STEPS {
        return Duration::from_micros(index as u64 + 1);
    }
    let (octave, step) = (index / STEPS + 1, index % STEPS);
    Duration::from_micros(((STEPS + step + 1) as u64) << (octave - 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_falls_into_a_bucket_at_most_a_quarter_wider() {
        for micros in (1..5000).chain([100_000, 1_000_000, 60_000_000, 120_000_000]) {
            let took = Duration::from_micros(micros);
            let edge = upper_edge(index_of(took));
            assert!(
                edge >= took && edge <= took.mul_f64(1.25).max(took + Duration::from_micros(1)),
                "{took:?} in {edge:?}"
            );
        }
        assert_eq!(index_of(Duration::ZERO), 0);
        assert_eq!(index_of(Duration::from_nanos(1)), 0);
        assert_eq!(index_of(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn edges_grow_and_each_belongs_to_its_own_bucket() {
        for index in 0..BUCKETS - 1 {
            assert!(upper_edge(index) < upper_edge(index + 1));
            assert_eq!(index_of(upper_edge(index)), index);
        }
    }

    #[test]
    fn quantiles_count_sum_and_maximum() {
        let recorder = Recorder::default();
        assert_eq!(recorder.read().quantile(0.5), None);
        for millis in 1..=100 {
            recorder.record(Duration::from_millis(millis));
        }
        let mut histogram = recorder.read();
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.sum(), Duration::from_millis(5050));
        assert_eq!(histogram.max(), Duration::from_millis(100));
        let median = histogram.quantile(0.5).unwrap().as_secs_f64();
        assert!((0.050..0.0625).contains(&median), "{median}");
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_millis(100)));
        histogram.add(&recorder.read());
        assert_eq!((histogram.count(), histogram.max()), (200, Duration::from_millis(100)));
        let exported: u64 = histogram.buckets().map(|(_, count)| count).sum();
        assert_eq!(exported, 200);
    }
}
