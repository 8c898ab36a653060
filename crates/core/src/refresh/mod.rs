//! [`Refresh`]: which endpoints are members of a Service, and when DNS is asked again. A state
//! machine; the time is an argument.
//!
//! DNS fails, it answers "no such name" while pods live, and it leaves out records that do not fit.
//! These are the rules, one per event:
//!
//! | | event | membership | next lookup |
//! |---|---|---|---|
//! | 1 | endpoints found, few or none missing | the answer | by the TTL |
//! | 2 | the same, from a cache | the answer | when the cached TTL runs out |
//! | 3 | the TTL is 0, or very long | the answer | `min_poll`, or `max_poll` |
//! | 4 | more endpoints than `max_endpoints` | kept | as after a failure |
//! | 5 | a truncated answer | only additions | by the TTL |
//! | 6 | more than half missing, of 3 or more | additions; removals wait | `min_poll` |
//! | 7 | all endpoints replaced | additions; the old ones are held | by the TTL |
//! | 8 | all replaced by the other address family | as 7, without a time limit | by the TTL |
//! | 9 | a pod has another IP, or an IP another pod | the old endpoint leaves | by the TTL |
//! | 10 | no such name or no records, empty before | empty | by the negative TTL |
//! | 11 | no such name or no records, not empty before | kept for some time | by the negative TTL |
//! | 12 | a failure (SERVFAIL, timeout, …) | kept (invariant I5) | after a growing back-off |
//! | 13 | a connection failed, or a caller waits | unchanged | as soon as allowed |
//! | 14 | the start, and the answer after 13 | | after a random wait |
//! | 15 | no confirmation for `max_stale` | empty | unchanged |
//!
//! The details, with the names of the tests in `tests/refresh.rs`:
//!
//! 1. The TTL counts within [`min_poll`](RefreshConfig::min_poll) and
//!    [`max_poll`](RefreshConfig::max_poll), plus jitter. Endpoints that stay are the same objects.
//!    Tests: `pods_found_few_or_none_missing`, `endpoints_that_stay_are_shared_between_snapshots`,
//!    `one_pod_with_several_addresses_is_several_endpoints`,
//!    `two_sets_under_one_service_are_told_apart_by_name`,
//!    `a_gap_in_the_ordinals_renumbers_no_pod`.
//! 2. A TTL below the largest one was counted down by a cache, which has no other answer before it
//!    runs out. The wait is at most [`max_cached_poll`](RefreshConfig::max_cached_poll), plus up to
//!    `max_poll` of jitter. Tests: `an_aged_ttl_is_a_caches_and_is_waited_for`,
//!    `the_same_ttl_each_time_is_no_cache_and_is_polled_often`,
//!    `a_cached_ttl_is_waited_for_no_longer_than_allowed`,
//!    `a_ttl_that_was_lowered_is_taken_for_a_cache_only_for_a_while`.
//! 3. Test: `the_next_lookup_follows_the_ttl_within_its_bounds_and_jitters`.
//! 4. The answer is refused as a failure, also if it is truncated and only exceeds
//!    [`max_endpoints`](RefreshConfig::max_endpoints) together with the current members. Tests:
//!    `an_answer_above_the_limit_is_refused_and_the_set_kept`,
//!    `an_answer_above_the_limit_at_the_start_leaves_nothing_known`,
//!    `truncated_answers_do_not_add_up_beyond_the_limit`.
//! 5. Only an endpoint whose address is listed for another pod is removed. Tests:
//!    `a_truncated_answer_adds_and_never_removes`,
//!    `a_truncated_answer_still_shows_that_an_address_is_another_pods`.
//! 6. The second answer confirms the removals or takes them back. Tests:
//!    `more_than_half_missing_waits_for_a_second_answer`,
//!    `a_drop_that_the_second_answer_takes_back_removes_nothing`,
//!    `a_drop_to_half_or_from_two_is_applied_at_once`.
//! 7. The old endpoints are held until a new one has been connected to, or for
//!    [`replace_hold`](RefreshConfig::replace_hold). Tests:
//!    `every_pod_replaced_keeps_the_old_until_a_new_one_is_connected`,
//!    `every_pod_replaced_keeps_the_old_no_longer_than_replace_hold`.
//! 8. Only a connection proves that the other family works. Tests:
//!    `the_same_pods_in_the_other_address_family_do_not_take_the_known_ones_away`,
//!    `the_other_address_family_takes_over_once_it_has_been_connected_to`.
//! 9. This holds for held endpoints, too. Tests:
//!    `a_pod_under_a_new_address_replaces_itself_at_once`,
//!    `a_reused_address_closes_the_old_endpoint_at_once_even_while_it_is_held`.
//! 10. The negative TTL counts within `min_poll` and `max_poll`. Test:
//!     `nothing_found_and_nothing_known_is_published_as_empty`.
//! 11. The set is emptied by [`negatives`](RefreshConfig::negatives) answers in a row, spread over
//!     [`negative_hold`](RefreshConfig::negative_hold). Tests:
//!     `no_such_name_empties_a_known_set_only_after_three_in_a_row_over_fifteen_seconds`,
//!     `long_enough_but_too_few_negatives_keep_the_set`,
//!     `one_positive_answer_ends_the_run_of_negatives`, `negatives_can_be_told_to_keep_for_ever`,
//!     `an_answer_without_endpoints_is_a_negative`.
//! 12. The back-off grows from [`retry_first`](RefreshConfig::retry_first) to
//!     [`retry_max`](RefreshConfig::retry_max). Tests: `no_failure_of_any_kind_shrinks_the_set`,
//!     `failures_are_retried_with_growing_jittered_waits`,
//!     `an_answer_about_another_name_is_a_failure_that_keeps_the_set`.
//! 13. The time since the last lookup is at least
//!     [`min_reresolve_interval`](RefreshConfig::min_reresolve_interval), and `max_poll` behind a
//!     cache. Tests: `a_failed_connection_brings_the_lookup_forward_but_at_most_once_a_second`,
//!     `behind_a_cache_requested_lookups_are_rarer`.
//! 14. The whole wait is drawn at random, so that clients that asked at the same time do not stay
//!     synchronised. Tests: `the_wait_after_the_start_is_drawn_from_its_whole_length`,
//!     `the_wait_after_a_requested_lookup_is_drawn_from_its_whole_length`, and those in
//!     `tests/herd.rs`.
//! 15. The default of [`max_stale`](RefreshConfig::max_stale) is never. Test:
//!     `a_set_may_be_told_to_go_stale`.
//!
//! Sources: HAProxy's `hold` timers, RFC 8767 (serve stale), Finagle's probation. grpc-go and Envoy
//! show what happens without such rules (envoy#2691: one NXDOMAIN emptied a cluster). Lookups,
//! timers and connections do not belong here.

mod config;
mod membership;
mod schedule;
mod state;
mod supersession;

use std::sync::Arc;
use std::time::Duration;

pub use self::config::RefreshConfig;
use self::membership::Membership;
use self::schedule::Schedule;
pub use self::state::{Event, LastFailure, RefreshState, Step};
use crate::{
    Answer, Endpoint, EndpointKey, Failure, FailureKind, FoundBy, Negative, NegativeKind, Resolution, Snapshot,
    Timestamp,
};

/// The state machine of the membership of one Service.
///
/// ```
/// # use headless_core as headless;
/// use headless::{Answer, Endpoint, Event, Failure, FailureKind, FoundBy};
/// use headless::{Refresh, RefreshConfig, Resolution, Timestamp};
/// use std::time::Duration;
///
/// let mut refresh = Refresh::new(RefreshConfig::default());
/// let pods = vec![Endpoint::new("10.0.0.1:80".parse()?)];
/// let found = Resolution::Found(Answer::new(pods, Duration::from_secs(30), FoundBy::Addresses));
///
/// let step = refresh.on(found, Timestamp::ZERO, 0);
/// assert_eq!(step.snapshot.unwrap().len(), 1);
/// let next = Timestamp::ZERO + Duration::from_secs(5);
/// assert_eq!(refresh.next_poll(), next, "a TTL of 30 s is no reason to wait so long");
///
/// let failed = Resolution::Failed(Failure::new(FailureKind::Timeout, "…"));
/// let step = refresh.on(failed, next, 0);
/// assert_eq!(step.event, Event::FailureKept);
/// assert_eq!(step.snapshot, None, "a failure never shrinks the set");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct Refresh {
    config: RefreshConfig,
    membership: Membership,
    schedule: Schedule,
    last_good: Option<Timestamp>,
    found_by: Option<FoundBy>,
    ttl: Option<Duration>,
    negative_run: Option<NegativeRun>,
    failures: u32,
    last_failure: Option<LastFailure>,
    last_negative: Option<Negative>,
}

#[derive(Debug)]
struct NegativeRun {
    count: u32,
    since: Timestamp,
}

impl Refresh {
    /// Returns the state before the first lookup, which is due at once.
    #[must_use]
    pub fn new(config: RefreshConfig) -> Self {
        Self {
            config,
            membership: Membership::default(),
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

    /// Returns the current membership. It has generation 0 until the first answer.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        self.membership.current()
    }

    /// Returns the time of the next lookup.
    #[must_use]
    pub fn next_poll(&self) -> Timestamp {
        self.schedule.next()
    }

    /// Returns the time at which [`tick`](Self::tick) has something to do, if there is one.
    #[must_use]
    pub fn next_tick(&self) -> Option<Timestamp> {
        let stale = self.last_good.zip(self.config.max_stale);
        let stale = stale.filter(|_| !self.snapshot().is_empty());
        let stale = stale.map(|(good, max)| good + max);
        stale.into_iter().chain(self.membership.next_release()).min()
    }

    /// Returns the reasons for the current membership.
    #[must_use]
    pub fn state(&self) -> RefreshState {
        RefreshState {
            last_good: self.last_good,
            found_by: self.found_by,
            ttl: self.ttl,
            failures: self.failures,
            last_failure: self.last_failure.clone(),
            last_negative: self.last_negative.clone(),
            held: self.membership.held(),
            cached: self.schedule.is_cached(),
            next_poll: self.schedule.next(),
        }
    }

    /// Processes the result of a lookup that ended at `now`. `entropy` is 64 random bits, for the
    /// jitter.
    pub fn on(&mut self, resolution: Resolution, now: Timestamp, entropy: u64) -> Step {
        self.schedule.lookup_ended(now);
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

    /// Brings the next lookup forward, because a connection failed or a caller finds no endpoint
    /// that fits, so DNS may have news.
    ///
    /// The time since the last lookup is at least
    /// [`min_reresolve_interval`](RefreshConfig::min_reresolve_interval). Behind a cache, which
    /// repeats its answer until the TTL runs out, it is at least
    /// [`max_poll`](RefreshConfig::max_poll).
    pub fn request_reresolution(&mut self, now: Timestamp) {
        self.schedule.request_reresolution(&self.config, now);
    }

    /// Processes a connection that was opened to `endpoint`: if this is one of the new endpoints,
    /// the replaced ones are released.
    pub fn on_connected(&mut self, endpoint: &EndpointKey) -> Option<Step> {
        self.membership.connected(endpoint)
    }

    /// Releases what was held until `now`, and empties a set that has become stale.
    pub fn tick(&mut self, now: Timestamp) -> Option<Step> {
        if let (Some(good), Some(max)) = (self.last_good, self.config.max_stale)
            && !self.snapshot().is_empty()
            && now.since(good) >= max
        {
            self.negative_run = None;
            return Some(self.membership.clear(Event::Stale));
        }
        self.membership.release_due(now)
    }

    fn on_found(&mut self, answer: Answer, now: Timestamp, entropy: u64) -> Step {
        self.last_good = Some(now);
        self.found_by = Some(answer.found_by);
        self.ttl = Some(answer.ttl);
        self.negative_run = None;
        self.last_negative = None;
        self.failures = 0;
        self.schedule.after_answer(&self.config, answer.ttl, now, entropy);

        if answer.truncated {
            return self.membership.add(answer.endpoints);
        }
        let step = self.membership.replace(answer.endpoints, now, self.config.replace_hold);
        if step.event == Event::ShrinkHeld {
            self.schedule.no_later_than(now + self.config.min_poll);
        }
        step
    }

    fn on_negative(&mut self, negative: Negative, now: Timestamp, entropy: u64) -> Step {
        self.failures = 0;
        self.schedule.after_negative(&self.config, negative.ttl, now, entropy);
        self.last_negative = Some(negative);
        if self.snapshot().is_empty() {
            return self.membership.clear(Event::Empty);
        }
        let run = self.negative_run.get_or_insert(NegativeRun { count: 0, since: now });
        run.count = run.count.saturating_add(1);
        if run.count >= self.config.negatives && now.since(run.since) >= self.config.negative_hold {
            self.negative_run = None;
            return self.membership.clear(Event::Emptied);
        }
        Step::unchanged(Event::NegativeKept)
    }

    fn on_failure(&mut self, failure: Failure, now: Timestamp, entropy: u64) -> Step {
        self.failures = self.failures.saturating_add(1);
        self.schedule.after_failure(&self.config, self.failures, now, entropy);
        self.last_failure = Some(LastFailure { at: now, failure });
        Step::unchanged(Event::FailureKept)
    }

    /// Returns whether this answer is above the limit, by itself or, if truncated, with the current
    /// members.
    fn is_too_many(&self, answer: &Answer) -> bool {
        let new = |endpoint: &&Endpoint| self.snapshot().get(endpoint.key()).is_none();
        let limit = self.config.max_endpoints;
        answer.endpoints.len() > limit
            || (answer.truncated && self.snapshot().len() + answer.endpoints.iter().filter(new).count() > limit)
    }

    /// Refuses the answer, as a failure that names the limit.
    fn on_too_many(&mut self, answer: &Answer, now: Timestamp, entropy: u64) -> Step {
        let (count, limit) = (answer.endpoints.len(), self.config.max_endpoints);
        let detail = if count > limit {
            format!("the answer has {count} endpoints, and `max_endpoints` allows {limit}")
        } else {
            let known = self.snapshot().len();
            format!(
                "{count} endpoints of a truncated answer and the {known} known are more than `max_endpoints`, {limit}"
            )
        };
        self.on_failure(Failure::new(FailureKind::TooLarge, detail), now, entropy);
        Step::unchanged(Event::TooMany)
    }
}
