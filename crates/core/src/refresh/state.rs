//! What comes out of [`Refresh`](crate::Refresh): the rule that applied, and why the present set is believed. Only words.

use std::sync::Arc;
use std::time::Duration;

use crate::{Failure, FoundBy, Negative, Snapshot, Timestamp};

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
    /// More endpoints than allowed: the answer is refused, what is known is kept.
    TooMany,
    /// DNS did not say, and nothing has confirmed the set for longer than allowed.
    Stale,
}

/// What is believed and why, for status pages and error messages.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RefreshState {
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
    /// Whether that answer came from a cache: nothing fresher is to be had before its TTL runs out.
    pub cached: bool,
    /// When DNS is asked next.
    pub next_poll: Timestamp,
}
