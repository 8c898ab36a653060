//! [`PeakEwma`]: a model of what tower 0.5 does with `Balance` and `load::PeakEwma`, by its
//! documentation and its behaviour.
//!
//! Not the crate itself, which reads tokio's clock. It keeps a figure per pod. A longer response
//! time replaces the figure at once, a shorter one moves it by a time constant, and reading moves
//! it towards zero. The outcome of a request makes no difference.

use std::time::Duration;

use headless::{Outcome, Timestamp};

use super::client::Client;
use super::pod::Pod;
use super::random::Random;

/// A client with tower's policy.
pub struct PeakEwma {
    estimates: Vec<Estimate>,
    decay: Duration,
    random: Random,
}

#[derive(Clone, Debug)]
struct Estimate {
    seconds: f64,
    updated: Timestamp,
    in_flight: u32,
}

impl PeakEwma {
    /// Creates a client of `pods` pods. `default` is the figure to begin with; tower has no default
    /// for either time.
    pub fn new(default: Duration, decay: Duration, pods: usize, seed: u64) -> Self {
        let estimate = Estimate {
            seconds: default.as_secs_f64(),
            updated: Timestamp::ZERO,
            in_flight: 0,
        };
        Self {
            estimates: vec![estimate; pods],
            decay,
            random: Random::new(seed),
        }
    }

    fn cost(&mut self, pod: usize, now: Timestamp) -> f64 {
        let estimate = &mut self.estimates[pod];
        estimate.observe(0.0, now, self.decay);
        estimate.seconds * f64::from(estimate.in_flight + 1)
    }
}

impl Estimate {
    fn observe(&mut self, seconds: f64, now: Timestamp, decay: Duration) {
        self.seconds = if seconds > self.seconds {
            seconds
        } else {
            let weight = (-now.since(self.updated).div_duration_f64(decay)).exp();
            self.seconds * weight + seconds * (1.0 - weight)
        };
        self.updated = now;
    }
}

impl Client for PeakEwma {
    fn begin(&mut self, _: &[Pod], now: Timestamp) -> usize {
        let n = self.estimates.len();
        let first = self.random.below(n);
        let pod = if n == 1 {
            first
        } else {
            let second = (first + 1 + self.random.below(n - 1)) % n;
            if self.cost(first, now) <= self.cost(second, now) {
                first
            } else {
                second
            }
        };
        self.estimates[pod].in_flight += 1;
        pod
    }

    fn end(&mut self, pod: usize, started: Timestamp, _: Outcome, now: Timestamp) {
        let estimate = &mut self.estimates[pod];
        estimate.in_flight -= 1;
        estimate.observe(now.since(started).as_secs_f64(), now, self.decay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_figure_jumps_up_and_decays_to_zero() {
        let mut client = PeakEwma::new(SECOND, 10 * SECOND, 1, 1);
        let start = Timestamp::ZERO;
        let pod = client.begin(&[], start);
        assert!(
            (client.cost(pod, start) - 2.0).abs() < 1e-9,
            "the default, with one in flight"
        );
        let now = start + 3 * SECOND;
        client.end(pod, start, Outcome::Success, now);
        assert!((client.cost(pod, now) - 3.0).abs() < 1e-9, "the peak");
        let later = now + 10 * SECOND;
        assert!((client.cost(pod, later) - 3.0 / std::f64::consts::E).abs() < 1e-9);
    }

    #[test]
    fn a_fast_failure_looks_fast() {
        let mut client = PeakEwma::new(SECOND, SECOND, 2, 1);
        let now = Timestamp::ZERO + SECOND;
        client.estimates.iter_mut().for_each(|it| it.in_flight = 1);
        client.end(0, now, Outcome::Failure, now);
        client.end(1, Timestamp::ZERO, Outcome::Success, now);
        for _ in 0..20 {
            assert_eq!(client.begin(&[], now), 0);
            client.end(0, now, Outcome::Failure, now);
        }
    }
}
