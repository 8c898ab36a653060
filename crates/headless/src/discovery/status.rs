//! [`Status`]: how a watch is doing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless_core::{Event, Failure, FoundBy, RefreshState, Snapshot, Timestamp};

use super::watch::{Progress, WatchState};

/// The state of a watch, read at one time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What is watched.
    pub service: Arc<str>,
    /// Whether DNS confirms the membership.
    pub mode: Mode,
    /// The number of the current snapshot ([`Generation`](crate::Generation)).
    pub generation: u64,
    /// How many endpoints the current snapshot has.
    pub endpoints: usize,
    /// How many of these the last answer no longer listed.
    pub held: usize,
    /// How the endpoints were found.
    pub found_by: Option<FoundBy>,
    /// The TTL of the last good answer.
    pub ttl: Option<Duration>,
    /// Whether a cache sits between this program and the cluster's DNS: nothing fresher comes
    /// before the TTL runs out.
    pub cached: bool,
    /// How long ago endpoints were last found.
    pub last_good_age: Option<Duration>,
    /// The time until the next lookup.
    pub next_poll_in: Duration,
    /// The number of failed lookups since the last answer.
    pub failures: u32,
    /// The last failed lookup, if there was one.
    pub last_failure: Option<PastFailure>,
    /// What DNS said, if the last answer was that there are no endpoints.
    pub last_negative: Option<String>,
    /// What the last lookup noticed that may explain why the endpoints cannot be connected to
    /// ([`Resolve::hint`](crate::Resolve::hint)).
    pub hint: Option<String>,
    /// How often each rule of [`Refresh`](crate::Refresh) applied.
    pub counters: BTreeMap<Event, u64>,
}

/// A failed lookup, and how long ago it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PastFailure {
    /// How long ago the lookup ended.
    pub age: Duration,
    /// Why it failed.
    pub failure: Failure,
}

/// Whether DNS confirms the membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// The last lookup found these endpoints.
    Fresh,
    /// The last lookup failed; the endpoints are those known before.
    StaleOnError,
    /// The last answer was that there are no endpoints; they are kept until that is confirmed.
    StaleOnNegative,
    /// There are no endpoints, as far as is known.
    Empty,
}

impl Status {
    pub(super) fn of(watch: &WatchState, snapshot: &Snapshot) -> Self {
        let now = watch.clock.now();
        let progress = watch.progress.lock();
        let Progress { refresh, counters } = &*progress;
        let age = |at: Timestamp| now.since(at);
        Self {
            service: Arc::clone(&watch.service),
            mode: Mode::of(refresh, snapshot),
            generation: snapshot.generation().get(),
            endpoints: snapshot.len(),
            held: refresh.held,
            found_by: refresh.found_by,
            ttl: refresh.ttl,
            cached: refresh.cached,
            last_good_age: refresh.last_good.map(age),
            next_poll_in: refresh.next_poll.since(now),
            failures: refresh.failures,
            last_failure: refresh.last_failure.as_ref().map(|last| PastFailure {
                age: age(last.at),
                failure: last.failure.clone(),
            }),
            last_negative: refresh.last_negative.as_ref().map(ToString::to_string),
            hint: watch.resolver.hint(),
            counters: counters.clone(),
        }
    }
}

impl Mode {
    fn of(state: &RefreshState, snapshot: &Snapshot) -> Self {
        match state {
            _ if snapshot.is_empty() => Self::Empty,
            _ if state.failures > 0 => Self::StaleOnError,
            _ if state.last_negative.is_some() => Self::StaleOnNegative,
            _ => Self::Fresh,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh",
            Self::StaleOnError => "kept: DNS is failing",
            Self::StaleOnNegative => "kept: DNS says there are no pods",
            Self::Empty => "empty",
        })
    }
}
