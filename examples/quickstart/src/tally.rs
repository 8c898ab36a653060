//! What came of the load: which pod answered how many requests, when, and how fast.

use std::collections::BTreeMap;
use std::time::Duration;

use headless::EndpointKey;
use tokio::time::Instant;

use crate::chart::percentile;

/// An answer, complete.
pub(crate) struct Answer {
    /// The pod that was chosen for the request.
    pub(crate) from: EndpointKey,
    pub(crate) status: u16,
    /// The name of the pod that answered, by its own word, if it gives one.
    pub(crate) signed: Option<String>,
}

/// Which pod answered how many requests, and how fast.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) pods: BTreeMap<EndpointKey, PodTally>,
    /// Sent, answered or not.
    pub(crate) requests: u64,
    /// Not answered, or with a server's error.
    pub(crate) failed: u64,
    /// Answers by another pod than the one that was chosen.
    pub(crate) strayed: u64,
    /// The first few errors; one cause usually makes many.
    pub(crate) errors: Vec<String>,
    /// How often each status came.
    pub(crate) statuses: BTreeMap<u16, u64>,
    begun: Instant,
    ended: Option<Instant>,
}

/// What one pod, or all, answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodTally {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    /// When the first and the last answer was complete.
    pub(crate) seen: Option<(Instant, Instant)>,
    times: Vec<Duration>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            pods: BTreeMap::new(),
            requests: 0,
            failed: 0,
            strayed: 0,
            errors: Vec::new(),
            statuses: BTreeMap::new(),
            begun: Instant::now(),
            ended: None,
        }
    }
}

impl Tally {
    pub(crate) fn ended(mut self) -> Self {
        self.ended = Some(Instant::now());
        self
    }

    pub(crate) fn note(&mut self, answer: Answer, is_write: bool, begun: Instant) {
        *self.statuses.entry(answer.status).or_default() += 1;
        if answer.status >= 500 {
            self.fail(format!("{} answered with status {}", answer.from, answer.status));
        }
        let chosen = answer.from.pod().map(|pod| pod.as_str());
        self.strayed += u64::from(chosen.is_some() && answer.signed.is_some() && answer.signed.as_deref() != chosen);
        let pod = self.pods.entry(answer.from).or_default();
        match is_write {
            true => pod.writes += 1,
            false => pod.reads += 1,
        }
        let now = Instant::now();
        pod.times.push(now - begun);
        pod.seen = Some((pod.seen.map_or(now, |(first, _)| first), now));
    }

    pub(crate) fn fail(&mut self, error: String) {
        self.failed += 1;
        if self.errors.len() < 3 && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    pub(crate) fn answered(&self) -> u64 {
        self.pods.values().map(PodTally::requests).sum()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.ended.unwrap_or_else(Instant::now) - self.begun
    }

    /// By the pod's name (else its address), in the order of ordinals. A pod that came back with
    /// another address is one pod.
    pub(crate) fn by_pod(&self) -> Vec<(String, PodTally)> {
        let mut rows: Vec<(String, PodTally)> = Vec::new();
        for (key, counted) in &self.pods {
            let name = pod_name(key);
            match rows.last_mut() {
                Some((last, sum)) if *last == name => sum.add(counted),
                _ => rows.push((name, counted.clone())),
            }
        }
        rows
    }

    /// How many requests each pod answered; as [`by_pod`](Self::by_pod), without the times.
    pub(crate) fn counts(&self) -> Vec<(String, u64)> {
        let mut rows: Vec<(String, u64)> = Vec::new();
        for (key, counted) in &self.pods {
            let name = pod_name(key);
            match rows.last_mut() {
                Some((last, sum)) if *last == name => *sum += counted.requests(),
                _ => rows.push((name, counted.requests())),
            }
        }
        rows
    }

    pub(crate) fn all(&self) -> PodTally {
        let mut all = PodTally::default();
        self.pods.values().for_each(|pod| all.add(pod));
        all
    }
}

fn pod_name(key: &EndpointKey) -> String {
    key.pod().map_or_else(|| key.addr().to_string(), ToString::to_string)
}

impl PodTally {
    pub(crate) fn requests(&self) -> u64 {
        self.reads + self.writes
    }

    /// How long a request took at most, for this share of them.
    pub(crate) fn percentile(&self, rank: f64) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        percentile(&sorted, rank).unwrap_or_default()
    }

    fn add(&mut self, other: &Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.times.extend_from_slice(&other.times);
    }
}
