//! The source of randomness: a named generator, so that a seed means the same on every machine and
//! with every release.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

/// Random numbers that follow from a seed.
#[derive(Clone, Debug)]
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    /// Creates the generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Returns 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    /// Returns a number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// Returns an exponentially distributed number, with mean 1.
    pub fn exponential(&mut self) -> f64 {
        // The logarithm of zero would be infinite; one minus the number is never zero.
        -(1.0 - self.unit()).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponential_has_mean_and_deviation_one() {
        let mut random = Random::new(1);
        let n = 1_000_000;
        let values: Vec<_> = (0..n).map(|_| random.exponential()).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / f64::from(n);
        // Six standard errors: 1/sqrt(n) of the mean, sqrt(8/n) of the variance.
        assert!((mean - 1.0).abs() < 0.006, "{mean}");
        assert!((variance - 1.0).abs() < 0.017, "{variance}");
    }

    #[test]
    fn a_seed_means_the_same_everywhere() {
        let mut random = Random::new(7);
        assert_eq!(random.bits(), 1_021_219_803_524_665_661, "written down once");
    }
}
