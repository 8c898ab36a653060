//! [`Schedule`]: when to ask again. What to believe meanwhile is none of its business.
//!
//! Three things pull at the wait. Freshness: no later than `max_poll`. The server: no sooner than `min_poll`, never in step
//! with the other clients, and not for an answer that a cache has given already. Evidence: a failed connection makes it soon.
//!
//! **A cache in between.** A server that answers by itself says the same TTL each time; a cache counts it down. So a TTL below
//! the largest one seen is a cache's, and nothing fresher can be had before it runs out: the next look waits for that. A TTL
//! as large as the largest is either a cache that has just asked or no cache at all, so the next look is the ordinary one, and
//! tells. That is two looks per TTL through a cache instead of six, and a cache that comes or goes is noticed by the next
//! answer. The first answer is like that, too: unknown means uncached. If an operator lowers the TTL, the old one is forgotten
//! after a few answers.
//!
//! **In step.** What happens to all clients at once makes them ask at once: a start, and a dead pod's early look. Each client
//! leaves that step with its next wait, which it draws from the whole length of a wait; from then on `poll_jitter` keeps them apart.

use std::time::Duration;

use crate::{RefreshConfig, Timestamp};

/// When to look next, and what the answers so far tell about that.
#[derive(Debug)]
pub(super) struct Schedule {
    next: Timestamp,
    last_look: Option<Timestamp>,
    /// The others may well have looked at the same time: the next wait is drawn from its whole length, from this on.
    in_step: Option<Duration>,
    largest_ttl: Duration,
    /// Answers since one had the largest TTL.
    smaller: u32,
    /// The last answer came from a cache, which knows nothing else before this.
    cached_until: Option<Timestamp>,
}

impl Schedule {
    /// The first look is due at once.
    pub(super) fn new() -> Self {
        Self {
            next: Timestamp::ZERO,
            last_look: None,
            in_step: Some(SOONEST),
            largest_ttl: Duration::ZERO,
            smaller: 0,
            cached_until: None,
        }
    }

    pub(super) fn next(&self) -> Timestamp {
        self.next
    }

    pub(super) fn is_cached(&self) -> bool {
        self.cached_until.is_some()
    }

    /// A look has ended. What it came to is told next.
    pub(super) fn looked(&mut self, now: Timestamp) {
        self.last_look = Some(now);
        self.cached_until = None;
    }

    /// Pods were found.
    pub(super) fn after_answer(&mut self, config: &RefreshConfig, ttl: Duration, now: Timestamp, entropy: u64) {
        let aged = self.is_aged(ttl);
        let longest = config.max_poll.max(config.min_poll);
        let left = ttl.min(config.max_cached_poll);
        if aged && left > longest {
            // The whole of `max_poll` as jitter: all who wait for one cache to run out ask at the rate they would without it.
            self.next = now + left + longest.mul_f64(unit(entropy));
            self.cached_until = Some(now + left);
            self.in_step = None;
        } else {
            self.wait(config, ttl, now, entropy);
        }
    }

    /// DNS says that there is nothing. A storm of such answers costs no more looks than calm: the pods are kept meanwhile, and
    /// a cache repeats its denial for seconds anyway.
    pub(super) fn after_negative(
        &mut self,
        config: &RefreshConfig,
        ttl: Option<Duration>,
        now: Timestamp,
        entropy: u64,
    ) {
        self.wait(config, ttl.unwrap_or(config.max_poll), now, entropy);
    }

    /// DNS did not say, for the `failures`-th time in a row.
    pub(super) fn after_failure(&mut self, config: &RefreshConfig, failures: u32, now: Timestamp, entropy: u64) {
        let doublings = failures.saturating_sub(1).min(16);
        let wait = config.retry_first.saturating_mul(1 << doublings);
        if wait >= config.retry_max {
            // So many waits with jitter lie behind it that nobody is in step any more.
            self.in_step = None;
        }
        self.next = now + wait.min(config.retry_max).mul_f64(0.8 + 0.4 * unit(entropy));
    }

    /// An ordinary wait of `ttl`, within bounds.
    fn wait(&mut self, config: &RefreshConfig, ttl: Duration, now: Timestamp, entropy: u64) {
        let wait = ttl.clamp(config.min_poll, config.max_poll.max(config.min_poll));
        let wait = match self.in_step.take() {
            Some(soonest) if soonest < wait => soonest + (wait - soonest).mul_f64(1.0 - unit(entropy)),
            _ => wait.mul_f64(1.0 + config.poll_jitter * unit(entropy)),
        };
        self.next = now + wait;
    }

    pub(super) fn no_later_than(&mut self, at: Timestamp) {
        self.next = self.next.min(at);
    }

    /// There is evidence that DNS may know more by now.
    pub(super) fn request_reresolution(&mut self, config: &RefreshConfig, now: Timestamp) {
        // A cache says the same until it runs out. But it may be one of several, so it is asked, as often as usual.
        let spacing = match self.cached_until {
            Some(until) if now < until => config.min_reresolve_interval.max(config.max_poll),
            _ => config.min_reresolve_interval,
        };
        let earliest = self.last_look.map_or(now, |last| last + spacing).max(now);
        if earliest < self.next {
            self.next = earliest;
            // Not sooner than evidence may ask again, or a stream of evidence would ask more often than that.
            self.in_step = Some(config.min_reresolve_interval);
        }
    }

    /// Whether a cache has counted this TTL down.
    fn is_aged(&mut self, ttl: Duration) -> bool {
        if ttl < self.largest_ttl && self.smaller < FORGET_AFTER {
            self.smaller += 1;
            return true;
        }
        self.largest_ttl = ttl;
        self.smaller = 0;
        false
    }
}

/// A number in [0, 1) from the upper 53 bits.
fn unit(entropy: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    let upper = (entropy >> 11) as f64;
    upper / (1u64 << 53) as f64
}

/// The shortest wait after the start: it lies ahead.
const SOONEST: Duration = Duration::from_millis(10);
/// After so many smaller TTLs in a row the largest is an old setting. Through one cache at least every second look, the one
/// just after it ran out, shows the whole TTL.
const FORGET_AFTER: u32 = 8;
