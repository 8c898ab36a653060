//! Durations. All of them are kept, so that percentiles are exact: the buckets of a histogram would
//! blur the tail.

use std::time::Duration;

/// Recorded durations. `extend` merges those of several tasks.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    samples: Vec<Duration>,
    sorted: bool,
}

impl Latencies {
    /// Creates an empty record with room for `samples`: growing in the middle of a measurement
    /// would be measured.
    pub fn with_capacity(samples: usize) -> Self {
        Self {
            samples: Vec::with_capacity(samples),
            sorted: false,
        }
    }

    /// Adds a sample.
    pub fn record(&mut self, sample: Duration) {
        self.samples.push(sample);
        self.sorted = false;
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Returns whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Returns the smallest sample that at least `percent` of all do not exceed (nearest rank), or
    /// zero without samples.
    pub fn percentile(&mut self, percent: f64) -> Duration {
        if !self.sorted {
            self.samples.sort_unstable();
            self.sorted = true;
        }
        // WHY: rounded, because 99.9 % of 1000 is 999.0000000000001 in floating point.
        let rank = (percent / 100.0 * self.len() as f64 * 1e6).round() / 1e6;
        let index = (rank.ceil() as usize).saturating_sub(1);
        let last = self.len().saturating_sub(1);
        self.samples.get(index.min(last)).copied().unwrap_or_default()
    }

    /// Returns the longest sample, or zero without samples.
    pub fn max(&mut self) -> Duration {
        self.percentile(100.0)
    }
}

impl Extend<Duration> for Latencies {
    fn extend<I: IntoIterator<Item = Duration>>(&mut self, samples: I) {
        self.samples.extend(samples);
        self.sorted = false;
    }
}

impl IntoIterator for Latencies {
    type Item = Duration;
    type IntoIter = std::vec::IntoIter<Duration>;

    fn into_iter(self) -> Self::IntoIter {
        self.samples.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upto(n: u64) -> Latencies {
        let mut latencies = Latencies::default();
        // Backwards, because samples do not come in order.
        latencies.extend((1..=n).rev().map(Duration::from_nanos));
        latencies
    }

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let mut thousand = upto(1000);
        let ranks = [0.0, 50.0, 99.0, 99.9, 99.99, 100.0].map(|it| thousand.percentile(it).as_nanos());
        assert_eq!(ranks, [1, 500, 990, 999, 1000, 1000]);
        assert_eq!(upto(10_000).percentile(99.99).as_nanos(), 9999);
        assert_eq!(upto(3).percentile(50.0).as_nanos(), 2);
    }

    #[test]
    fn what_comes_after_a_percentile_counts_for_the_next() {
        let mut latencies = upto(3);
        assert_eq!(latencies.max().as_nanos(), 3);
        latencies.record(Duration::from_nanos(9));
        latencies.record(Duration::from_nanos(1));
        assert_eq!(latencies.max().as_nanos(), 9);
        assert_eq!(latencies.percentile(20.0).as_nanos(), 1);
    }

    #[test]
    fn of_nothing_all_is_zero() {
        let mut nothing = Latencies::with_capacity(8);
        assert!(nothing.is_empty());
        assert_eq!(
            (nothing.max(), nothing.percentile(50.0)),
            (Duration::ZERO, Duration::ZERO)
        );
    }
}
