//! The output of [`Refresh`](crate::Refresh): the rule that applied, and the reasons for the
//! current membership.

use std::sync::Arc;
use std::time::Duration;

use crate::{Diff, Failure, FoundBy, Negative, Snapshot, Timestamp};

/// The result of one event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The rule that applied.
    pub event: Event,
    /// The new membership, if it changed.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The changes that turn the membership before into this one; empty if nothing changed.
    pub diff: Diff,
}

impl Step {
    pub(super) fn unchanged(event: Event) -> Self {
        Self {
            event,
            snapshot: None,
            diff: Diff::default(),
        }
    }
}

/// A rule of [`Refresh`](crate::Refresh), by name. There is one tracing event and one counter for
/// each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Event {
    /// Endpoints were found, and are the membership.
    Found,
    /// The answer was truncated: it only added endpoints.
    Truncated,
    /// More than half is missing: the removals wait for a second answer.
    ShrinkHeld,
    /// Each endpoint was replaced: the old ones are kept until a new one is connected to.
    ReplaceHeld,
    /// Endpoints that were held are released: confirmed, connected, or out of time.
    Released,
    /// DNS says that there are no endpoints, and there were none before.
    Empty,
    /// DNS says that there are no endpoints; the current ones are kept for now.
    NegativeKept,
    /// DNS has said so often enough and for long enough: the set is empty.
    Emptied,
    /// The lookup failed; the endpoints are kept.
    FailureKept,
    /// The answer has more endpoints than allowed: it is refused, and the endpoints are kept.
    TooMany,
    /// No answer has confirmed the set for longer than allowed: it is empty.
    Stale,
}

/// The reasons for the current membership, for status pages and error messages.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RefreshState {
    /// When endpoints were last found.
    pub last_good: Option<Timestamp>,
    /// How they were found.
    pub found_by: Option<FoundBy>,
    /// The TTL of that answer.
    pub ttl: Option<Duration>,
    /// The number of failures since the last answer of any kind.
    pub failures: u32,
    /// The last failure, and when it happened.
    pub last_failure: Option<LastFailure>,
    /// The last negative answer, if the last answer was one.
    pub last_negative: Option<Negative>,
    /// The number of members that the last answer does not list.
    pub held: usize,
    /// Whether that answer came from a cache, which has nothing fresher before its TTL runs out.
    pub cached: bool,
    /// When DNS is asked next.
    pub next_poll: Timestamp,
}

/// A failed lookup, and when it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastFailure {
    /// When the lookup ended.
    pub at: Timestamp,
    /// Why it failed.
    pub failure: Failure,
}
