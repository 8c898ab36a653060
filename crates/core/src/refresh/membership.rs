//! [`Membership`]: the endpoints of a Service, those that are held although the last answer does
//! not list them, and the changes from one snapshot to the next. The table of the rules is in
//! `mod.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::state::{Event, Step};
use super::supersession::{Supersession, is_other_family};
use crate::snapshot::sorted;
use crate::{Diff, Endpoint, EndpointKey, Generation, Snapshot, Timestamp};

/// The membership of one Service.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// The snapshot that was published last: `listed` and `held`.
    current: Arc<Snapshot>,
    /// The endpoints of the last answer (after a truncated one, also those that it may have left
    /// out).
    listed: Snapshot,
    /// Members that the last answer does not list.
    held: Vec<Held>,
    has_published: bool,
}

#[derive(Debug)]
struct Held {
    endpoint: Arc<Endpoint>,
    until: Until,
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum Until {
    /// Until the next complete answer, which decides.
    NextAnswer,
    /// Until a new endpoint is connected to, or until this time.
    Connected(Timestamp),
}

impl Membership {
    pub(super) fn current(&self) -> &Arc<Snapshot> {
        &self.current
    }

    /// Returns the number of members that the last answer does not list.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Returns when [`release_due`](Self::release_due) has something to release, if ever.
    pub(super) fn next_release(&self) -> Option<Timestamp> {
        let deadline = |held: &Held| match held.until {
            Until::Connected(at) => Some(at),
            Until::NextAnswer => None,
        };
        self.held.iter().filter_map(deadline).min()
    }

    /// Takes a complete answer. Replaced endpoints are held for `replace_hold` at most.
    pub(super) fn replace(&mut self, answer: Vec<Endpoint>, now: Timestamp, replace_hold: Duration) -> Step {
        let diff = Diff::with_answer(&self.current, &sorted(answer));
        let new = self.current.apply(&diff);
        let event = self.take_complete(new, &diff, now, replace_hold);
        if self.held.is_empty() {
            self.publish_change(event, self.listed.clone(), diff)
        } else {
            self.publish(event)
        }
    }

    /// Takes a truncated answer, which adds endpoints. It removes only those whose address it lists
    /// for another pod.
    pub(super) fn add(&mut self, answer: Vec<Endpoint>) -> Step {
        let new = self.current.apply(&Diff::with_answer(&self.current, &sorted(answer)));
        let supersession = Supersession::under(&new);
        self.held.retain(|held| !supersession.is_other_pod_now(&held.endpoint));
        let kept = self.listed.iter().filter(|old| !supersession.is_other_pod_now(old));
        self.listed = Snapshot::new(Generation::default(), kept.chain(&new).cloned());
        self.publish(Event::Truncated)
    }

    /// Releases the replaced endpoints, if `endpoint` is one of the new ones.
    pub(super) fn connected(&mut self, endpoint: &EndpointKey) -> Option<Step> {
        let is_replaced = |held: &Held| matches!(held.until, Until::Connected(_));
        if !self.held.iter().any(is_replaced) || self.listed.get(endpoint).is_none() {
            return None;
        }
        self.held.retain(|held| !is_replaced(held));
        Some(self.publish(Event::Released))
    }

    /// Releases the endpoints that were held until `now`.
    pub(super) fn release_due(&mut self, now: Timestamp) -> Option<Step> {
        let before = self.held.len();
        self.held
            .retain(|held| !matches!(held.until, Until::Connected(at) if at <= now));
        (self.held.len() != before).then(|| self.publish(Event::Released))
    }

    /// Removes all endpoints.
    pub(super) fn clear(&mut self, event: Event) -> Step {
        self.listed = Snapshot::default();
        self.held.clear();
        self.publish(event)
    }

    /// Decides which endpoints a complete answer removes, and which are held. `from_current` is the
    /// difference between the current membership and `new`.
    fn take_complete(&mut self, new: Snapshot, from_current: &Diff, now: Timestamp, replace_hold: Duration) -> Event {
        let from_listed;
        let diff = if self.held.is_empty() {
            from_current
        } else {
            from_listed = Diff::between(&self.listed, &new);
            &from_listed
        };
        let most = |part: usize| self.listed.len() >= SHRINK_FROM && part * 2 > self.listed.len();
        // No new endpoint was a member before, not even as held: endpoints that return replace
        // nothing.
        let all_replaced =
            diff.added().len() == new.len() && self.held.iter().all(|held| new.get(held.endpoint.key()).is_none());
        if self.held.is_empty() && !all_replaced && !most(diff.removed().len()) {
            self.listed = new;
            return Event::Found;
        }
        let supersession = Supersession::under(&new);
        let missing = diff.removed().iter().filter(|old| !supersession.is_superseded(old));
        let missing: Vec<_> = missing.cloned().collect();

        // This answer confirms the removals that waited for it; what it lists again is not held any
        // more.
        let waited = self.held.iter().any(|held| held.until == Until::NextAnswer);
        let may_still_live = |old: &Endpoint| new.get(old.key()).is_none() && !supersession.is_superseded(old);
        self.held
            .retain(|held| held.until != Until::NextAnswer && may_still_live(&held.endpoint));

        let (until, event) = if missing.is_empty() {
            (None, if waited { Event::Released } else { Event::Found })
        } else if all_replaced {
            // A name server may lose one address family for a while: only a connection proves that
            // the other one works.
            let hold = if is_other_family(&missing, &new) {
                Duration::MAX
            } else {
                replace_hold
            };
            (Some(Until::Connected(now + hold)), Event::ReplaceHeld)
        } else if most(missing.len()) {
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

    /// Makes `listed` and `held` the membership, if that differs from the one before.
    fn publish(&mut self, event: Event) -> Step {
        let held = self.held.iter().map(|held| &held.endpoint);
        let next = Snapshot::new(Generation::default(), self.listed.iter().chain(held).cloned());
        let diff = Diff::between(&self.current, &next);
        self.publish_change(event, next, diff)
    }

    /// Makes `next` the membership, if `diff` says that it differs from the one before.
    fn publish_change(&mut self, event: Event, next: Snapshot, diff: Diff) -> Step {
        if self.has_published && diff.is_empty() {
            return Step::unchanged(event);
        }
        self.has_published = true;
        self.current = Arc::new(next.as_of(self.current.generation().next()));
        Step {
            event,
            snapshot: Some(Arc::clone(&self.current)),
            diff,
        }
    }
}

/// Below this size a drop is too ordinary to doubt: 2 → 1 is a scale-down, and not half a lost
/// answer.
const SHRINK_FROM: usize = 3;
