//! [`Refresh`]: what to believe about a Service, and when to ask again. A state machine; the time is an argument.
//!
//! DNS lies in known ways: it fails, it says "no such name" while pods live, it forgets records that do not fit. The rules,
//! one per event; each row is a test of the same name in `tests/refresh.rs`:
//!
//! | event | belief | next look |
//! |---|---|---|
//! | pods found, few or none missing | the new set, at once | TTL, within [`min_poll`](RefreshConfig::min_poll) and [`max_poll`](RefreshConfig::max_poll), plus jitter |
//! | answer truncated | adds, never removes | as above |
//! | more than half missing (of 3 or more) | adds at once; removes when a second answer agrees | `min_poll` |
//! | every pod replaced | adds at once; the old stay until a new one has been connected to, or [`replace_hold`](RefreshConfig::replace_hold) | as above |
//! | the same IP is now another pod, the same pod has another IP | the old endpoint goes at once, whatever else holds | |
//! | no such name / no records, nothing known before | empty | the negative TTL, clamped alike |
//! | no such name / no records, pods known | kept, until [`negatives`](RefreshConfig::negatives) in a row over [`negative_hold`](RefreshConfig::negative_hold) | `min_poll` |
//! | any failure (SERVFAIL, timeout, …) | kept (invariant I5) | back-off [`retry_first`](RefreshConfig::retry_first) → [`retry_max`](RefreshConfig::retry_max) |
//! | a connection failed, or a caller waits for a pod | unchanged | at once, at most every [`early_look`](RefreshConfig::early_look) |
//!
//! Sources: HAProxy `hold` timers, RFC 8767 (serve stale), Finagle's probation; grpc-go and Envoy show what happens without
//! (envoy#2691: one NXDOMAIN emptied a cluster). What must not live here: lookups, timers, connections.

mod config;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use self::config::RefreshConfig;
use crate::{
    Answer, Endpoint, EndpointKey, Failure, FoundBy, Generation, Negative, NegativeKind, PodName, Resolution, Snapshot,
    Timestamp,
};

/// The state machine of belief for one Service.
///
/// ```
/// use headless_core::{Answer, Endpoint, Event, Failure, FailureKind, FoundBy, Refresh, RefreshConfig, Resolution, Timestamp};
/// use std::time::Duration;
///
/// let mut refresh = Refresh::new(RefreshConfig::default());
/// let pod = Endpoint::new("10.0.0.1:80".parse()?);
/// let found = Resolution::Found(Answer::new(vec![pod], Duration::from_secs(30), FoundBy::Addresses));
///
/// let step = refresh.on(found, Timestamp::ZERO, 0);
/// assert_eq!(step.snapshot.unwrap().len(), 1);
/// assert_eq!(refresh.next_poll(), Timestamp::ZERO + Duration::from_secs(5), "a TTL of 30 s is no reason to wait so long");
///
/// let step = refresh.on(Resolution::Failed(Failure::new(FailureKind::Timeout, "…")), refresh.next_poll(), 0);
/// assert_eq!((step.event, step.snapshot), (Event::FailureKept, None), "a failure never shrinks the set");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct Refresh {
    config: RefreshConfig,
    /// What was published last: all of `listed`, and what is held.
    current: Arc<Snapshot>,
    /// What the last answer said (plus, after a truncated one, what it could not deny).
    listed: Vec<Arc<Endpoint>>,
    /// No longer listed, not yet let go.
    held: Vec<Held>,
    known: bool,
    next_poll: Timestamp,
    last_poll: Option<Timestamp>,
    last_good: Option<Timestamp>,
    found_by: Option<FoundBy>,
    ttl: Option<Duration>,
    negative_run: Option<NegativeRun>,
    failures: u32,
    last_failure: Option<(Timestamp, Failure)>,
    last_negative: Option<Negative>,
}

#[derive(Debug)]
struct Held {
    endpoint: Arc<Endpoint>,
    until: Until,
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum Until {
    /// The next complete answer decides.
    NextAnswer,
    /// A new pod is connected to, or this time comes.
    Connected(Timestamp),
}

#[derive(Debug)]
struct NegativeRun {
    count: u32,
    since: Timestamp,
}

/// What one event led to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// Which rule applied.
    pub event: Event,
    /// The new belief, if it changed.
    pub snapshot: Option<Arc<Snapshot>>,
}

/// The rules, by name. One tracing event and one counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Event {
    /// Pods were found and taken as they are.
    Found,
    /// The answer was cut short: it only added.
    Truncated,
    /// More than half is missing: removals wait for a second answer.
    ShrinkHeld,
    /// Every pod was replaced: the old ones are kept until a new one works.
    ReplaceHeld,
    /// What was held is let go: confirmed, connected, or out of time.
    Released,
    /// DNS says there are no pods, and none were known.
    Empty,
    /// DNS says there are no pods; the known ones are kept for now.
    NegativeKept,
    /// DNS said so often and long enough: the set is empty.
    Emptied,
    /// DNS did not say; what is known is kept.
    FailureKept,
    /// DNS did not say, and nothing has confirmed the set for longer than allowed.
    Stale,
}

/// What is believed and why, for status pages and error messages.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Belief {
    /// When pods were last found.
    pub last_good: Option<Timestamp>,
    /// How they were found.
    pub found_by: Option<FoundBy>,
    /// The TTL of that answer.
    pub ttl: Option<Duration>,
    /// Failures since the last answer of any kind.
    pub failures: u32,
    /// The last failure, and when it happened.
    pub last_failure: Option<(Timestamp, Failure)>,
    /// The last negative answer, if the last answer was one.
    pub last_negative: Option<Negative>,
    /// Endpoints kept although the last answer did not list them.
    pub held: usize,
    /// When DNS is asked next.
    pub next_poll: Timestamp,
}

impl Refresh {
    /// Nothing known; the first look is due at once.
    #[must_use]
    pub fn new(config: RefreshConfig) -> Self {
        Self {
            config,
            current: Arc::default(),
            listed: Vec::new(),
            held: Vec::new(),
            known: false,
            next_poll: Timestamp::ZERO,
            last_poll: None,
            last_good: None,
            found_by: None,
            ttl: None,
            negative_run: None,
            failures: 0,
            last_failure: None,
            last_negative: None,
        }
    }

    /// What is believed now. Generation 0 until a first answer came.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.current
    }

    /// When to look next.
    #[must_use]
    pub fn next_poll(&self) -> Timestamp {
        self.next_poll
    }

    /// When [`tick`](Self::tick) has something to do, if ever.
    #[must_use]
    pub fn next_tick(&self) -> Option<Timestamp> {
        let deadline = |held: &Held| match held.until {
            Until::Connected(at) => Some(at),
            Until::NextAnswer => None,
        };
        let stale = self
            .last_good
            .zip(self.config.max_stale)
            .filter(|_| !self.current.is_empty());
        self.held
            .iter()
            .filter_map(deadline)
            .chain(stale.map(|(good, max)| good + max))
            .min()
    }

    /// Why it is believed.
    #[must_use]
    pub fn belief(&self) -> Belief {
        Belief {
            last_good: self.last_good,
            found_by: self.found_by,
            ttl: self.ttl,
            failures: self.failures,
            last_failure: self.last_failure.clone(),
            last_negative: self.last_negative.clone(),
            held: self.held.len(),
            next_poll: self.next_poll,
        }
    }

    /// A lookup has ended. `entropy` is 64 random bits, for the jitter.
    pub fn on(&mut self, resolution: Resolution, now: Timestamp, entropy: u64) -> Step {
        self.last_poll = Some(now);
        match resolution {
            Resolution::Found(answer) if answer.endpoints.is_empty() => {
                let nothing = Negative::new(NegativeKind::NoData, Some(answer.ttl), "a lookup");
                self.on_negative(nothing, now, entropy)
            }
            Resolution::Found(answer) => self.on_found(answer, now, entropy),
            Resolution::None(negative) => self.on_negative(negative, now, entropy),
            Resolution::Failed(failure) => self.on_failure(failure, now, entropy),
        }
    }

    /// A connection failed, or a caller finds no pod that fits: DNS may know more by now. Looks soon, but not more often than
    /// `early_look`.
    pub fn look_soon(&mut self, now: Timestamp) {
        let earliest = self.last_poll.map_or(now, |last| last + self.config.early_look);
        self.next_poll = self.next_poll.min(earliest.max(now));
    }

    /// A connection to `endpoint` was opened: if it is one of the new pods, the replaced ones may go.
    pub fn on_connected(&mut self, endpoint: &EndpointKey) -> Option<Step> {
        let waiting = |held: &Held| matches!(held.until, Until::Connected(_));
        if !self.held.iter().any(waiting) || !self.listed.iter().any(|listed| listed.key() == endpoint) {
            return None;
        }
        self.held.retain(|held| !waiting(held));
        Some(self.publish(Event::Released))
    }

    /// Time has passed: lets go of what was held long enough.
    pub fn tick(&mut self, now: Timestamp) -> Option<Step> {
        if let (Some(good), Some(max)) = (self.last_good, self.config.max_stale)
            && !self.current.is_empty()
            && now.since(good) >= max
        {
            self.forget();
            return Some(self.publish(Event::Stale));
        }
        let before = self.held.len();
        self.held
            .retain(|held| !matches!(held.until, Until::Connected(at) if at <= now));
        (self.held.len() != before).then(|| self.publish(Event::Released))
    }

    fn on_found(&mut self, answer: Answer, now: Timestamp, entropy: u64) -> Step {
        self.last_good = Some(now);
        self.found_by = Some(answer.found_by);
        self.ttl = Some(answer.ttl);
        self.negative_run = None;
        self.last_negative = None;
        self.failures = 0;
        self.schedule(answer.ttl, now, entropy);

        let truncated = answer.truncated;
        let new = Snapshot::new(Generation::default(), answer.endpoints);
        let event = if truncated {
            self.take_truncated(&new)
        } else {
            self.take_complete(&new, now)
        };
        self.publish(event)
    }

    /// A truncated answer: adds. Only what it shows to be another pod's address by now is let go.
    fn take_truncated(&mut self, new: &Snapshot) -> Event {
        let fate = Fate::under(new);
        self.listed.retain(|old| !fate.is_other_pod_now(old));
        self.held.retain(|held| !fate.is_other_pod_now(&held.endpoint));
        let union = Snapshot::new(Generation::default(), self.listed.iter().chain(new).cloned());
        self.listed = union.iter().cloned().collect();
        Event::Truncated
    }

    /// A complete answer: decides what is let go now, and what is held.
    fn take_complete(&mut self, new: &Snapshot, now: Timestamp) -> Event {
        let fate = Fate::under(new);
        let gone = |old: &Arc<Endpoint>| new.get(old.key()).is_none();
        let may_still_live = |old: &Arc<Endpoint>| gone(old) && !fate.is_superseded(old);

        // This answer confirms the removals that waited for it; what it lists again is listed, not held.
        let waited = self.held.iter().any(|held| held.until == Until::NextAnswer);
        self.held
            .retain(|held| held.until != Until::NextAnswer && may_still_live(&held.endpoint));

        let all_replaced = self.listed.iter().all(gone);
        let missing: Vec<_> = self.listed.iter().filter(|old| may_still_live(old)).cloned().collect();
        let (until, event) = if missing.is_empty() {
            (None, if waited { Event::Released } else { Event::Found })
        } else if all_replaced {
            (
                Some(Until::Connected(now + self.config.replace_hold)),
                Event::ReplaceHeld,
            )
        } else if self.listed.len() >= SHRINK_FROM && missing.len() * 2 > self.listed.len() {
            self.next_poll = self.next_poll.min(now + self.config.min_poll);
            (Some(Until::NextAnswer), Event::ShrinkHeld)
        } else {
            (None, Event::Found)
        };
        if let Some(until) = until {
            self.held
                .extend(missing.into_iter().map(|endpoint| Held { endpoint, until }));
        }
        self.listed = new.iter().cloned().collect();
        event
    }

    fn on_negative(&mut self, negative: Negative, now: Timestamp, entropy: u64) -> Step {
        self.failures = 0;
        let ttl = negative.ttl.unwrap_or(self.config.min_poll);
        self.last_negative = Some(negative);
        if self.current.is_empty() {
            self.schedule(ttl, now, entropy);
            return self.publish(Event::Empty);
        }
        let run = self.negative_run.get_or_insert(NegativeRun { count: 0, since: now });
        run.count = run.count.saturating_add(1);
        if run.count >= self.config.negatives && now.since(run.since) >= self.config.negative_hold {
            self.schedule(ttl, now, entropy);
            self.forget();
            return self.publish(Event::Emptied);
        }
        self.schedule(self.config.min_poll, now, entropy);
        Step {
            event: Event::NegativeKept,
            snapshot: None,
        }
    }

    fn on_failure(&mut self, failure: Failure, now: Timestamp, entropy: u64) -> Step {
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some((now, failure));
        let wait = self
            .config
            .retry_first
            .saturating_mul(1 << doublings)
            .min(self.config.retry_max);
        self.next_poll = now + wait.mul_f64(0.8 + 0.4 * unit(entropy));
        Step {
            event: Event::FailureKept,
            snapshot: None,
        }
    }

    fn schedule(&mut self, ttl: Duration, now: Timestamp, entropy: u64) {
        let wait = ttl.clamp(self.config.min_poll, self.config.max_poll.max(self.config.min_poll));
        self.next_poll = now + wait.mul_f64(1.0 + self.config.poll_jitter * unit(entropy));
    }

    fn forget(&mut self) {
        self.listed.clear();
        self.held.clear();
        self.negative_run = None;
    }

    /// Makes `listed` and `held` the belief, if that differs from the one before. Endpoints that stay keep their `Arc`.
    fn publish(&mut self, event: Event) -> Step {
        let wanted = self.listed.iter().chain(self.held.iter().map(|held| &held.endpoint));
        let shared = wanted.map(|endpoint| self.current.get(endpoint.key()).unwrap_or(endpoint).clone());
        let next = Snapshot::new(self.current.generation().next(), shared);
        if self.known && next.same_endpoints(&self.current) {
            return Step { event, snapshot: None };
        }
        self.known = true;
        self.current = Arc::new(next);
        Step {
            event,
            snapshot: Some(Arc::clone(&self.current)),
        }
    }
}

/// A new answer, indexed by address and by pod, to ask what became of an old endpoint.
struct Fate<'a> {
    by_addr: HashMap<SocketAddr, &'a EndpointKey>,
    pods: HashSet<&'a PodName>,
}

impl<'a> Fate<'a> {
    fn under(new: &'a Snapshot) -> Self {
        Self {
            by_addr: new.iter().map(|endpoint| (endpoint.addr(), endpoint.key())).collect(),
            pods: new.iter().filter_map(|endpoint| endpoint.pod()).collect(),
        }
    }

    /// The address now belongs to another pod: whoever keeps talking to it talks to a stranger.
    fn is_other_pod_now(&self, old: &Endpoint) -> bool {
        self.by_addr.get(&old.addr()).is_some_and(|key| *key != old.key())
    }

    /// The old endpoint is certainly gone: its address is another pod's now, or its pod lives elsewhere (a StatefulSet runs
    /// at most one pod of a name), so there is nothing to hold on to.
    fn is_superseded(&self, old: &Endpoint) -> bool {
        self.is_other_pod_now(old) || old.pod().is_some_and(|pod| self.pods.contains(pod))
    }
}

/// A number in [0, 1) from the upper 53 bits.
fn unit(entropy: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    let upper = (entropy >> 11) as f64;
    upper / (1u64 << 53) as f64
}

/// Below this size a drop is too ordinary to doubt: 2 → 1 is a scale-down, not half a lost answer.
const SHRINK_FROM: usize = 3;
