//! [`Scenario::run`]: the queue of events, and what is measured on the way.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use headless::{Outcome, Timestamp};

use crate::harness::Latencies;

use super::client::Client;
use super::pod::Pod;
use super::random::Random;

/// The source of requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Demand {
    /// A Poisson process with this rate per second; each request comes from a random client.
    Open(f64),
    /// This number of callers; each sends its next request when it has the answer. They are spread
    /// over the clients round robin.
    Closed(usize),
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// All idle at first.
    pub pods: Vec<Pod>,
    /// The source of requests.
    pub demand: Demand,
    /// Not measured.
    pub warm_up: Duration,
    /// Measured, after the warm-up.
    pub time: Duration,
    /// Whether every response time is kept, for percentiles.
    pub keeps_latencies: bool,
}

/// What was measured of the requests that came after the warm-up. Response times are complete, also
/// of requests that were not done at the end.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Requests that came to each pod.
    pub requests: Vec<u64>,
    /// The number of failed requests.
    pub failures: u64,
    /// Response times of the requests that did not fail.
    pub latencies: Latencies,
    seconds: f64,
    samples: u64,
    longest: u64,
    total: u64,
}

impl Measured {
    /// Returns the number of all requests.
    pub fn count(&self) -> u64 {
        self.requests.iter().sum()
    }

    /// Returns the mean response time of the requests that did not fail, in seconds.
    pub fn mean_seconds(&self) -> f64 {
        self.seconds / (self.count() - self.failures) as f64
    }

    /// Returns the requests of a pod, relative to an even share.
    pub fn share(&self, pod: usize) -> f64 {
        self.requests[pod] as f64 * self.requests.len() as f64 / self.count() as f64
    }

    /// Returns the least and the largest share of all pods.
    pub fn shares(&self) -> (f64, f64) {
        let shares = (0..self.requests.len()).map(|pod| self.share(pod));
        shares.fold((f64::INFINITY, 0.0), |(least, most), share| {
            (share.min(least), share.max(most))
        })
    }

    /// Returns the mean length of the longest queue.
    pub fn longest(&self) -> f64 {
        self.longest as f64 / self.samples as f64
    }

    /// Returns the mean length of the longest queue, relative to that of all.
    pub fn imbalance(&self) -> f64 {
        self.longest as f64 * self.requests.len() as f64 / self.total as f64
    }

    fn sample(&mut self, pods: &[Pod]) {
        let queues = || pods.iter().map(|pod| pod.requests() as u64);
        self.samples += 1;
        self.longest += queues().max().unwrap_or(0);
        self.total += queues().sum::<u64>();
    }
}

/// The end of a request. Ordered by time, then by the beginning.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct End {
    at: Timestamp,
    number: u64,
    started: Timestamp,
    pod: u32,
    client: u32,
    failed: bool,
}

impl Scenario {
    /// Runs the scenario with these clients. The seed is the world's; clients have their own.
    pub fn run(&self, clients: &mut [Box<dyn Client>], seed: u64) -> Measured {
        let mut world = World {
            scenario: self,
            pods: self.pods.clone(),
            random: Random::new(seed),
            ends: BinaryHeap::new(),
            number: 0,
            measured: Measured {
                requests: vec![0; self.pods.len()],
                ..Measured::default()
            },
        };
        world.run(clients);
        world.measured
    }
}

struct World<'a> {
    scenario: &'a Scenario,
    pods: Vec<Pod>,
    random: Random,
    ends: BinaryHeap<Reverse<End>>,
    number: u64,
    measured: Measured,
}

impl World<'_> {
    fn run(&mut self, clients: &mut [Box<dyn Client>]) {
        let stop = Timestamp::ZERO + self.scenario.warm_up + self.scenario.time;
        let mut next = match self.scenario.demand {
            Demand::Open(rate) => self.next_arrival(Timestamp::ZERO, rate),
            Demand::Closed(callers) => {
                (0..callers).for_each(|caller| self.begin(clients, caller % clients.len(), Timestamp::ZERO));
                stop
            }
        };
        loop {
            let end = self.ends.peek().map_or(stop, |Reverse(end)| end.at);
            let now = end.min(next);
            if now >= stop {
                return;
            }
            if end <= next {
                self.end(clients);
            } else if let Demand::Open(rate) = self.scenario.demand {
                let client = if clients.len() == 1 {
                    0
                } else {
                    self.random.below(clients.len())
                };
                self.begin(clients, client, now);
                next = self.next_arrival(now, rate);
            }
        }
    }

    fn next_arrival(&mut self, now: Timestamp, rate: f64) -> Timestamp {
        now + Duration::from_secs_f64(self.random.exponential() / rate)
    }

    fn begin(&mut self, clients: &mut [Box<dyn Client>], client: usize, now: Timestamp) {
        let is_measured = now.since(Timestamp::ZERO) >= self.scenario.warm_up;
        // WHY: an arrival of a Poisson process finds the queues as they are at any time. A sample
        // costs as much as there are pods, so only one arrival in as many takes one.
        if is_measured && self.number.is_multiple_of(self.pods.len() as u64) {
            self.measured.sample(&self.pods);
        }
        let pod = clients[client].begin(&self.pods, now);
        let (at, outcome) = self.pods[pod].begin(now, &mut self.random);
        let failed = outcome == Outcome::Failure;
        if is_measured {
            self.measured.requests[pod] += 1;
            self.measured.failures += u64::from(failed);
            if !failed {
                self.measured.seconds += at.since(now).as_secs_f64();
                if self.scenario.keeps_latencies {
                    self.measured.latencies.record(at.since(now));
                }
            }
        }
        self.number += 1;
        self.ends.push(Reverse(End {
            at,
            number: self.number,
            started: now,
            pod: pod as u32,
            client: client as u32,
            failed,
        }));
    }

    fn end(&mut self, clients: &mut [Box<dyn Client>]) {
        let Some(Reverse(end)) = self.ends.pop() else { return };
        let (pod, client) = (end.pod as usize, end.client as usize);
        let outcome = if end.failed { Outcome::Failure } else { Outcome::Success };
        self.pods[pod].end();
        clients[client].end(pod, end.started, outcome, end.at);
        if let Demand::Closed(_) = self.scenario.demand {
            self.begin(clients, client, end.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand_written::{Draws, Oracle};
    use super::super::pod::Work;
    use super::*;

    const SERVICE: Duration = Duration::from_millis(10);

    /// Runs exponential pods at this load, with one client; the fewer pods, the longer, for the
    /// same precision.
    fn run(pods: usize, load: f64, client: impl Client + 'static, seed: u64) -> Measured {
        let scenario = Scenario {
            pods: vec![Pod::new(SERVICE, Work::Exponential); pods],
            demand: Demand::Open(load * pods as f64 / SERVICE.as_secs_f64()),
            warm_up: Duration::from_secs(2),
            time: Duration::from_secs(1000) / pods as u32,
            keeps_latencies: true,
        };
        scenario.run(&mut [Box::new(client)], seed)
    }

    /// Returns the mean and the half-width of the 95 % interval over ten seeds (Student's t with 9
    /// degrees of freedom).
    fn interval(of: impl Fn(u64) -> f64) -> (f64, f64) {
        let values: Vec<_> = (0..10).map(of).collect();
        let mean = values.iter().sum::<f64>() / 10.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 9.0;
        (mean, 2.262 * (variance / 10.0).sqrt())
    }

    fn in_services(seconds: f64) -> f64 {
        seconds / SERVICE.as_secs_f64()
    }

    #[test]
    fn one_pod_is_a_queue_of_kendalls_kind_m_m_1() {
        for load in [0.3, 0.7] {
            let (mean, half) = interval(|seed| in_services(run(1, load, Oracle::new(seed), seed).mean_seconds()));
            let expected = 1.0 / (1.0 - load);
            assert!((mean - expected).abs() <= half, "{mean} ± {half}, not {expected}");
            assert!(half < 0.03 * expected, "too wide to say anything: {mean} ± {half}");
            let (queue, half) = interval(|seed| run(1, load, Oracle::new(seed), seed).longest());
            let expected = load / (1.0 - load);
            assert!(
                (queue - expected).abs() <= half,
                "Little: {queue} ± {half}, not {expected}"
            );
        }
    }

    #[test]
    fn the_response_time_of_one_pod_is_exponential() {
        let mut measured = run(1, 0.5, Oracle::new(1), 1);
        for percent in [50.0, 90.0, 99.0_f64] {
            let expected = -2.0 * (1.0 - percent / 100.0).ln();
            let seen = in_services(measured.latencies.percentile(percent).as_secs_f64());
            assert!(
                (seen / expected - 1.0).abs() < 0.08,
                "p{percent}: {seen}, not {expected}"
            );
        }
    }

    #[test]
    fn two_draws_of_many_are_the_supermarket() {
        let (mean, half) =
            interval(|seed| in_services(run(100, 0.7, Draws::new(2, 100, seed), seed + 100).mean_seconds()));
        // Mitzenmacher's limit for infinitely many; 100 are slower by less than 1 %.
        assert!((1.614 - half..1.614 * 1.01 + half).contains(&mean), "{mean} ± {half}");
    }

    #[test]
    fn callers_wait_for_their_answers() {
        let scenario = Scenario {
            pods: vec![Pod::new(SERVICE, Work::Within(0.0)); 2],
            demand: Demand::Closed(2),
            warm_up: Duration::ZERO,
            time: Duration::from_secs(1),
            keeps_latencies: false,
        };
        let measured = scenario.run(&mut [Box::new(Draws::new(2, 2, 1))], 1);
        assert_eq!(measured.requests, [100, 100], "one each all the time");
        assert!((measured.mean_seconds() - 0.01).abs() < 1e-9);
    }

    #[test]
    fn a_seed_repeats_a_run() {
        let means = [1, 1, 2].map(|seed| run(3, 0.5, Draws::new(2, 3, 7), seed).mean_seconds());
        assert!(
            means[0].to_bits() == means[1].to_bits() && means[0] != means[2],
            "{means:?}"
        );
    }
}
