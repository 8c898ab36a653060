//! [`Refresh`]: what to believe about a Service, and when to ask again. A state machine; the time is an argument.
//!
//! DNS lies in known ways: it fails, it says "no such name" while pods live, it forgets records that do not fit. The rules,
//! one per event; each row is a test of the same name in `tests/refresh.rs`:
//!
//! | event | belief | next look |
//! |---|---|---|
//! | pods found, few or none missing | the new set, at once | TTL, within [`min_poll`](RefreshConfig::min_poll) and [`max_poll`](RefreshConfig::max_poll), plus jitter |
//! | the TTL is below the largest one seen: a cache has counted it down | as above | when it runs out, at most [`max_cached_poll`](RefreshConfig::max_cached_poll), plus up to `max_poll` |
//! | TTL 0, or absurdly long | as above | `min_poll`; `max_poll` |
//! | more than [`max_endpoints`](RefreshConfig::max_endpoints) | kept; the answer is refused as a failure | as after a failure |
//! | answer truncated | adds, never removes | as above |
//! | more than half missing (of 3 or more) | adds at once; removes when a second answer agrees | `min_poll` |
//! | every pod replaced | adds at once; the old stay until a new one has been connected to, or [`replace_hold`](RefreshConfig::replace_hold) | as above |
//! | every pod replaced by addresses of the other family | the same, without end: only a connection proves that the other family will do | as above |
//! | the same IP is now another pod, the same pod has another IP | the old endpoint goes at once, whatever else holds | |
//! | no such name / no records, nothing known before | empty | the negative TTL, within `min_poll` and `max_poll` |
//! | no such name / no records, pods known | kept, until [`negatives`](RefreshConfig::negatives) in a row over [`negative_hold`](RefreshConfig::negative_hold) | as above: a storm costs no more than calm |
//! | any failure (SERVFAIL, timeout, …) | kept (invariant I5) | back-off [`retry_first`](RefreshConfig::retry_first) → [`retry_max`](RefreshConfig::retry_max) |
//! | a connection failed, or a caller waits for a pod | unchanged | at once, at most every [`min_reresolve_interval`](RefreshConfig::min_reresolve_interval); behind a cache, `max_poll` |
//! | the start, and after an early look | | the whole wait is drawn at random, up to its length: clients that looked at once do not stay in step |
//!
//! Sources: HAProxy `hold` timers, RFC 8767 (serve stale), Finagle's probation; grpc-go and Envoy show what happens without
//! (envoy#2691: one NXDOMAIN emptied a cluster). What must not live here: lookups, timers, connections.

mod config;
mod schedule;
mod state;
mod supersession;

use std::sync::Arc;
use std::time::Duration;

pub use self::config::RefreshConfig;
use self::schedule::Schedule;
pub use self::state::{Event, RefreshState, Step};
use self::supersession::Supersession;
use crate::{
    Answer, Diff, Endpoint, EndpointKey, Failure, FailureKind, FoundBy, Generation, Negative, NegativeKind, Resolution,
    Snapshot, Timestamp,
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
    listed: Snapshot,
    /// No longer listed, not yet let go.
    held: Vec<Held>,
    known: bool,
    schedule: Schedule,
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

impl Refresh {
    /// Nothing known; the first look is due at once.
    #[must_use]
    pub fn new(config: RefreshConfig) -> Self {
        Self {
            config,
            current: Arc::default(),
            listed: Snapshot::default(),
            held: Vec::new(),
            known: false,
            schedule: Schedule::new(),
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
        self.schedule.next()
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
    pub fn state(&self) -> RefreshState {
        RefreshState {
            last_good: self.last_good,
            found_by: self.found_by,
            ttl: self.ttl,
            failures: self.failures,
            last_failure: self.last_failure.clone(),
            last_negative: self.last_negative.clone(),
            held: self.held.len(),
            cached: self.schedule.is_cached(),
            next_poll: self.schedule.next(),
        }
    }

    /// A lookup has ended. `entropy` is 64 random bits, for the jitter.
    pub fn on(&mut self, resolution: Resolution, now: Timestamp, entropy: u64) -> Step {
        self.schedule.looked(now);
        match resolution {
            Resolution::Found(answer) if answer.endpoints.is_empty() => {
                let nothing = Negative::new(NegativeKind::NoData, Some(answer.ttl), "a lookup");
                self.on_negative(nothing, now, entropy)
            }
            Resolution::Found(answer) if self.is_too_many(&answer) => self.on_too_many(&answer, now, entropy),
            Resolution::Found(answer) => self.on_found(answer, now, entropy),
            Resolution::NoEndpoints(negative) => self.on_negative(negative, now, entropy),
            Resolution::Failed(failure) => self.on_failure(failure, now, entropy),
        }
    }

    /// A connection failed, or a caller finds no pod that fits: DNS may know more by now. Looks soon, but not more often than
    /// `min_reresolve_interval`; behind a cache, which says the same until its TTL runs out, not more often than `max_poll`.
    pub fn request_reresolution(&mut self, now: Timestamp) {
        self.schedule.request_reresolution(&self.config, now);
    }

    /// A connection to `endpoint` was opened: if it is one of the new pods, the replaced ones may go.
    pub fn on_connected(&mut self, endpoint: &EndpointKey) -> Option<Step> {
        let waiting = |held: &Held| matches!(held.until, Until::Connected(_));
        if !self.held.iter().any(waiting) || self.listed.get(endpoint).is_none() {
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
        self.schedule.after_answer(&self.config, answer.ttl, now, entropy);

        let new = self.current.share_with(answer.endpoints);
        let event = if answer.truncated {
            self.take_truncated(&new)
        } else {
            self.take_complete(new, now)
        };
        self.publish(event)
    }

    /// A truncated answer: adds. Only what it shows to be another pod's address by now is let go.
    fn take_truncated(&mut self, new: &Snapshot) -> Event {
        let supersession = Supersession::under(new);
        self.held.retain(|held| !supersession.is_other_pod_now(&held.endpoint));
        let kept = self.listed.iter().filter(|old| !supersession.is_other_pod_now(old));
        self.listed = Snapshot::new(Generation::default(), kept.chain(new).cloned());
        Event::Truncated
    }

    /// A complete answer: decides what is let go now, and what is held.
    fn take_complete(&mut self, new: Snapshot, now: Timestamp) -> Event {
        let Diff { added, removed: gone } = Diff::between(&self.listed, &new);
        let most = |part: usize| self.listed.len() >= SHRINK_FROM && part * 2 > self.listed.len();
        // None of the new was known, not even as held: pods that come back have replaced nobody.
        let all_replaced =
            added.len() == new.len() && self.held.iter().all(|held| new.get(held.endpoint.key()).is_none());
        if self.held.is_empty() && !all_replaced && !most(gone.len()) {
            self.listed = new;
            return Event::Found;
        }
        let supersession = Supersession::under(&new);
        let missing: Vec<_> = gone
            .into_iter()
            .filter(|old| !supersession.is_superseded(old))
            .collect();

        // This answer confirms the removals that waited for it; what it lists again is listed, not held.
        let waited = self.held.iter().any(|held| held.until == Until::NextAnswer);
        let may_still_live = |old: &Endpoint| new.get(old.key()).is_none() && !supersession.is_superseded(old);
        self.held
            .retain(|held| held.until != Until::NextAnswer && may_still_live(&held.endpoint));

        let (until, event) = if missing.is_empty() {
            (None, if waited { Event::Released } else { Event::Found })
        } else if all_replaced {
            // A name server that loses one address family for a while: only a connection proves that the other one will do.
            let hold = if supersession::is_other_family(&missing, &new) {
                Duration::MAX
            } else {
                self.config.replace_hold
            };
            (Some(Until::Connected(now + hold)), Event::ReplaceHeld)
        } else if most(missing.len()) {
            self.schedule.no_later_than(now + self.config.min_poll);
            (Some(Until::NextAnswer), Event::ShrinkHeld)
        } else {
            (None, Event::Found)
        };
        if let Some(until) = until {
            self.held
                .extend(missing.into_iter().map(|endpoint| Held { endpoint, until }));
        }
        self.listed = new;
        event
    }

    fn on_negative(&mut self, negative: Negative, now: Timestamp, entropy: u64) -> Step {
        self.failures = 0;
        self.schedule.after_negative(&self.config, negative.ttl, now, entropy);
        self.last_negative = Some(negative);
        if self.current.is_empty() {
            return self.publish(Event::Empty);
        }
        let run = self.negative_run.get_or_insert(NegativeRun { count: 0, since: now });
        run.count = run.count.saturating_add(1);
        if run.count >= self.config.negatives && now.since(run.since) >= self.config.negative_hold {
            self.forget();
            return self.publish(Event::Emptied);
        }
        Step {
            event: Event::NegativeKept,
            snapshot: None,
        }
    }

    fn on_failure(&mut self, failure: Failure, now: Timestamp, entropy: u64) -> Step {
        self.failures = self.failures.saturating_add(1);
        self.schedule.after_failure(&self.config, self.failures, now, entropy);
        self.last_failure = Some((now, failure));
        Step {
            event: Event::FailureKept,
            snapshot: None,
        }
    }

    /// Whether this answer, or what it adds up to with the truncated ones before it, is above the limit.
    fn is_too_many(&self, answer: &Answer) -> bool {
        let new = |endpoint: &&Endpoint| self.current.get(endpoint.key()).is_none();
        let limit = self.config.max_endpoints;
        answer.endpoints.len() > limit
            || (answer.truncated && self.current.len() + answer.endpoints.iter().filter(new).count() > limit)
    }

    /// Refuses the answer, as a failure that says which limit it met.
    fn on_too_many(&mut self, answer: &Answer, now: Timestamp, entropy: u64) -> Step {
        let (count, limit) = (answer.endpoints.len(), self.config.max_endpoints);
        let detail = if count > limit {
            format!("the answer has {count} endpoints, and `max_endpoints` allows {limit}")
        } else {
            let known = self.current.len();
            format!(
                "{count} endpoints of a truncated answer and the {known} known are more than `max_endpoints`, {limit}"
            )
        };
        let step = self.on_failure(Failure::new(FailureKind::TooLarge, detail), now, entropy);
        Step {
            event: Event::TooMany,
            ..step
        }
    }

    fn forget(&mut self) {
        self.listed = Snapshot::default();
        self.held.clear();
        self.negative_run = None;
    }

    /// Makes `listed` and `held` the belief, if that differs from the one before. Endpoints that stay keep their `Arc`.
    fn publish(&mut self, event: Event) -> Step {
        let generation = self.current.generation().next();
        let next = if self.held.is_empty() {
            self.listed.as_of(generation)
        } else {
            let held = self.held.iter().map(|held| &held.endpoint);
            Snapshot::new(generation, self.listed.iter().chain(held).cloned())
        };
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

/// Below this size a drop is too ordinary to doubt: 2 → 1 is a scale-down, not half a lost answer.
const SHRINK_FROM: usize = 3;
