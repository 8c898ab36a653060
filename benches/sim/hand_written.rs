//! Hand-written clients: a few plain draws and the shortest queue, and an oracle that knows what no
//! client can know.

use headless::{Outcome, Timestamp};

use super::client::Client;
use super::pod::Pod;
use super::random::Random;

/// Draws distinct pods and takes the one with the fewest requests of this client. Two draws are
/// tower's `PendingRequests`, one draw is chance.
pub struct Draws {
    draws: usize,
    drawn: Vec<usize>,
    in_flight: Vec<usize>,
    random: Random,
}

impl Draws {
    /// Creates a client of `pods` pods; of fewer than `draws` it draws all.
    pub fn new(draws: usize, pods: usize, seed: u64) -> Self {
        Self {
            draws: draws.min(pods),
            drawn: Vec::with_capacity(draws),
            in_flight: vec![0; pods],
            random: Random::new(seed),
        }
    }
}

impl Client for Draws {
    fn begin(&mut self, _: &[Pod], _: Timestamp) -> usize {
        self.drawn.clear();
        while self.drawn.len() < self.draws {
            let pod = self.random.below(self.in_flight.len());
            if !self.drawn.contains(&pod) {
                self.drawn.push(pod);
            }
        }
        let shortest = self.drawn.iter().min_by_key(|&&pod| self.in_flight[pod]);
        let pod = *shortest.expect("at least one draw");
        self.in_flight[pod] += 1;
        pod
    }

    fn end(&mut self, pod: usize, _: Timestamp, _: Outcome, _: Timestamp) {
        self.in_flight[pod] -= 1;
    }
}

/// Knows the remaining work of all pods, from all clients, how fast each one is and which one
/// fails. Takes the one that will probably be done first; equals by chance.
pub struct Oracle(Random);

impl Oracle {
    /// Creates an oracle for any number of pods.
    pub fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }
}

impl Client for Oracle {
    fn begin(&mut self, pods: &[Pod], now: Timestamp) -> usize {
        // WHY: the search starts at a random pod and takes the first of equals. Idle pods are
        // equals, and the gaps between them are rarely uneven enough to matter.
        let start = self.0.below(pods.len());
        let order = (start..pods.len()).chain(0..start);
        let first = order.min_by_key(|&pod| (pods[pod].is_failing(now), pods[pod].expected_end(now)));
        first.expect("there are pods")
    }

    fn end(&mut self, _: usize, _: Timestamp, _: Outcome, _: Timestamp) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::pod::Work;
    use super::*;

    #[test]
    fn of_all_drawn_the_shortest_queue_wins() {
        let mut client = Draws::new(3, 3, 1);
        let mut begin = || client.begin(&[], Timestamp::ZERO);
        let mut first: Vec<_> = (0..3).map(|_| begin()).collect();
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2]);
        begin();
        begin();
        let last = begin();
        client.end(last, Timestamp::ZERO, Outcome::Success, Timestamp::ZERO);
        assert_eq!(client.begin(&[], Timestamp::ZERO), last);
    }

    #[test]
    fn the_oracle_weighs_speed_and_queue_and_shuns_failures() {
        let pod = |millis| Pod::new(Duration::from_millis(millis), Work::Within(0.0));
        let (mut oracle, mut random) = (Oracle::new(1), Random::new(1));
        let mut pods = [pod(10), pod(1), pod(1).failing_from(Timestamp::ZERO)];
        for _ in 0..9 {
            assert_eq!(oracle.begin(&pods, Timestamp::ZERO), 1);
            pods[1].begin(Timestamp::ZERO, &mut random);
        }
        pods[1].begin(Timestamp::ZERO, &mut random);
        assert_eq!(
            oracle.begin(&pods, Timestamp::ZERO),
            0,
            "eleven of 1 ms are more than one of 10 ms"
        );
    }
}
