//! [`Pod`]: one server with a queue, first come, first served: how long a request takes there, and
//! whether it fails.

use std::time::Duration;

use headless::{Outcome, Timestamp};

use super::random::Random;

/// The distribution of the time that a pod works on a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// Exponentially.
    Exponential,
    /// Evenly, by at most this part of the mean to either side.
    Within(f64),
    /// The mean, except for one request in `.0`, which takes `.1` times the mean in addition: a
    /// pause for garbage, a lost packet.
    Pauses(u32, f64),
}

/// A pod. It works on one request at a time, and the others wait.
#[derive(Clone, Debug)]
pub struct Pod {
    mean: Duration,
    work: Work,
    fails_from: Option<Timestamp>,
    /// When its last request is done.
    free_at: Timestamp,
    /// Its requests, waiting and in work.
    requests: usize,
}

impl Pod {
    /// Creates an idle pod, which works for `mean` on a request.
    pub fn new(mean: Duration, work: Work) -> Self {
        Self {
            mean,
            work,
            fails_from: None,
            free_at: Timestamp::ZERO,
            requests: 0,
        }
    }

    /// Lets the pod answer every request from `when` on with an error, at once.
    #[must_use]
    pub fn failing_from(mut self, when: Timestamp) -> Self {
        self.fails_from = Some(when);
        self
    }

    /// Returns the mean time that it works on a request.
    pub fn mean(&self) -> Duration {
        self.mean
    }

    /// Returns the number of its requests, waiting and in work.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Returns whether it answers with errors.
    pub fn is_failing(&self, now: Timestamp) -> bool {
        self.fails_from.is_some_and(|from| now >= from)
    }

    /// Returns when a request that came now would be done, in the mean.
    pub fn expected_end(&self, now: Timestamp) -> Timestamp {
        self.free_at.max(now) + self.mean
    }

    /// Takes a request, and returns when and how it will end. Known at once, because no request
    /// overtakes another.
    pub(super) fn begin(&mut self, now: Timestamp, random: &mut Random) -> (Timestamp, Outcome) {
        self.requests += 1;
        if self.is_failing(now) {
            return (now + FAST, Outcome::Failure);
        }
        let part = match self.work {
            Work::Exponential => random.exponential(),
            Work::Within(part) => 1.0 + part * (2.0 * random.unit() - 1.0),
            Work::Pauses(one_in, times) if random.below(one_in as usize) == 0 => 1.0 + times,
            Work::Pauses(..) => 1.0,
        };
        self.free_at = self.free_at.max(now) + self.mean.mul_f64(part);
        (self.free_at, Outcome::Success)
    }

    pub(super) fn end(&mut self) {
        self.requests -= 1;
    }
}

/// The time of a fast failure: a round trip in a cluster.
const FAST: Duration = Duration::from_micros(200);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn requests_wait_for_those_before_them() {
        let (mut pod, mut random) = (Pod::new(MS, Work::Within(0.0)), Random::new(1));
        let at = |millis: u32| Timestamp::ZERO + MS * millis;
        let mut end = |pod: &mut Pod, now| pod.begin(at(now), &mut random);
        assert_eq!(end(&mut pod, 0), (at(1), Outcome::Success));
        assert_eq!(end(&mut pod, 0), (at(2), Outcome::Success));
        assert_eq!(pod.expected_end(at(1)), at(3));
        assert_eq!(end(&mut pod, 10), (at(11), Outcome::Success), "idle meanwhile");
        assert_eq!(pod.requests(), 3);
    }

    #[test]
    fn a_failing_pod_answers_at_once_whatever_it_has_to_do() {
        let (mut pod, mut random) = (Pod::new(MS, Work::Exponential), Random::new(1));
        pod.begin(Timestamp::ZERO, &mut random);
        let mut pod = pod.failing_from(Timestamp::ZERO);
        assert_eq!(
            pod.begin(Timestamp::ZERO, &mut random),
            (Timestamp::ZERO + FAST, Outcome::Failure)
        );
    }
}
