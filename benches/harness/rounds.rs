//! Repetition: implementations take turns, round after round. The median and the middle half of the
//! rounds are reported.
//!
//! WHY turns: a shared machine changes its speed within seconds, and an implementation that ran
//! alone in the slow ones would look slow.

use std::time::Instant;

/// A figure measured several times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half of the rounds were below this.
    pub median: f64,
    /// A quarter of the rounds was below this.
    pub low: f64,
    /// A quarter of the rounds was above this.
    pub high: f64,
}

impl Spread {
    /// Computes the spread of the rounds.
    ///
    /// # Panics
    ///
    /// If there is no round.
    pub fn of(rounds: impl IntoIterator<Item = f64>) -> Self {
        let mut rounds: Vec<_> = rounds.into_iter().collect();
        rounds.sort_by(f64::total_cmp);
        let n = rounds.len();
        assert!(n > 0, "there was no round");
        Self {
            median: rounds[n / 2],
            low: rounds[n / 4],
            high: rounds[3 * n / 4],
        }
    }
}

/// Measures each implementation once per round, and returns the results of each, round by round.
/// Each round begins with the next implementation. One more round before them is discarded: it
/// warms caches and pools.
pub fn interleaved<C, T>(
    rounds: usize,
    implementations: &mut [C],
    mut measure: impl FnMut(&mut C) -> T,
) -> Vec<Vec<T>> {
    let mut measured: Vec<Vec<T>> = implementations.iter().map(|_| Vec::with_capacity(rounds)).collect();
    let n = implementations.len();
    for round in 0..=rounds {
        for turn in round..round + n {
            let result = measure(&mut implementations[turn % n]);
            if round > 0 {
                measured[turn % n].push(result);
            }
        }
    }
    measured
}

/// Returns nanoseconds per operation of `work`, which does `operations`.
pub fn ns_per_operation(operations: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e9 / operations as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_middle_half() {
        let spread = Spread::of([9.0, 1.0, 5.0, 3.0, 7.0]);
        assert_eq!(
            spread,
            Spread {
                median: 5.0,
                low: 3.0,
                high: 7.0
            }
        );
        assert_eq!(
            Spread::of([2.0]),
            Spread {
                median: 2.0,
                low: 2.0,
                high: 2.0
            }
        );
    }

    #[test]
    fn implementations_take_turns_each_begins_a_round_and_the_first_round_is_discarded() {
        let mut order = String::new();
        let mut calls = 0;
        let results = interleaved(2, &mut ['a', 'b'], |name| {
            order.push(*name);
            calls += 1;
            calls
        });
        assert_eq!(order, "abbaab");
        assert_eq!(results, [[4, 5], [3, 6]]);
    }
}
