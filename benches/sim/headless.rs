//! [`Headless`]: a policy of ours as a client, driven as the balancer and its leases drive it, in
//! the simulation's time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use headless::policy::{Candidate, PickArgs, Picker, Policy};
use headless::{Endpoint, InFlight, Load, Outcome, Route, Timestamp};

use super::client::Client;
use super::pod::Pod;
use super::random::Random;

/// A client with one of our policies.
pub struct Headless {
    picker: Box<dyn Picker>,
    window: Option<Duration>,
    loads: Vec<Arc<Load>>,
    /// The requests in flight, by pod. Those of one pod count alike, so any of them may end.
    in_flight: Vec<Vec<InFlight<Arc<Load>>>>,
    random: Random,
    marks_unhealthy: bool,
}

impl Headless {
    /// Creates a client of `pods` pods.
    pub fn new(mut policy: impl Policy, pods: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let loads: Vec<_> = (0..pods).map(|_| Arc::new(Load::new())).collect();
        let candidates: Vec<_> = (0_u32..).zip(&loads).map(|(i, load)| candidate(i, load)).collect();
        Self {
            picker: policy.prepare(&candidates, random.bits()),
            window: policy.latency_window(),
            loads,
            in_flight: (0..pods).map(|_| Vec::new()).collect(),
            random,
            marks_unhealthy: false,
        }
    }

    /// Takes each failure as one to connect: the pod is then unhealthy until a probe succeeds, and
    /// here none does.
    #[must_use]
    pub fn marking_unhealthy(mut self) -> Self {
        self.marks_unhealthy = true;
        self
    }
}

impl Client for Headless {
    fn begin(&mut self, _: &[Pod], now: Timestamp) -> usize {
        let now = self.window.map_or(Timestamp::ZERO, |_| now);
        let args = PickArgs::new(Route::any(), self.random.bits()).at(now);
        let pod = self
            .picker
            .pick(&args)
            .expect("a policy that picks while there are pods");
        self.in_flight[pod].push(InFlight::begin(Arc::clone(&self.loads[pod])));
        pod
    }

    fn end(&mut self, pod: usize, started: Timestamp, outcome: Outcome, now: Timestamp) {
        let request = self.in_flight[pod].pop().expect("as many ends as beginnings");
        if let Some(window) = self.window {
            request.on().observe(now.since(started), outcome, now, window);
        }
        if self.marks_unhealthy && outcome == Outcome::Failure {
            request.on().set_unhealthy(true);
        }
    }
}

fn candidate(index: u32, load: &Arc<Load>) -> Candidate {
    let ip = Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + index);
    let endpoint = Endpoint::new(SocketAddr::from((ip, 80)));
    Candidate::new(Arc::new(endpoint), Arc::clone(load))
}

#[cfg(test)]
mod tests {
    use super::*;
    use headless::policy::{PowerOfTwo, RoundRobin};

    #[test]
    fn begins_and_ends_are_counted_on_the_chosen_pod() {
        let mut client = Headless::new(PowerOfTwo::default(), 2, 1);
        let now = Timestamp::ZERO;
        let first = client.begin(&[], now);
        let second = client.begin(&[], now);
        assert_ne!(first, second, "the other one was idle");
        client.end(second, now, Outcome::Success, now);
        assert_eq!(client.begin(&[], now), second);
    }

    #[test]
    fn latencies_reach_a_policy_that_asks_for_them() {
        let mut client = Headless::new(PowerOfTwo::latency(), 1, 1);
        let pod = client.begin(&[], Timestamp::ZERO);
        let now = Timestamp::ZERO + Duration::from_millis(30);
        client.end(pod, Timestamp::ZERO, Outcome::Success, now);
        let latency = client.loads[pod].latency().expect("a figure");
        assert_eq!(latency.cost(), Duration::from_secs_f32(0.03));
    }

    #[test]
    fn a_pod_that_cannot_be_connected_to_is_unhealthy() {
        let mut client = Headless::new(RoundRobin::default(), 2, 1).marking_unhealthy();
        let now = Timestamp::ZERO;
        let dead = client.begin(&[], now);
        client.end(dead, now, Outcome::Failure, now);
        for _ in 0..4 {
            let pod = client.begin(&[], now);
            assert_ne!(pod, dead);
            client.end(pod, now, Outcome::Success, now);
        }
    }
}
