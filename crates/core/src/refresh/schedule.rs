//! [`Schedule`]: when DNS is asked again. What happens to the membership meanwhile is decided in
//! `mod.rs`.
//!
//! Three things determine the wait. Freshness: at most `max_poll`. The load of the server: at least
//! `min_poll`, never synchronised with other clients, and not for an answer that a cache has given
//! already. Evidence: a failed connection shortens the wait.
//!
//! **Caches.** A server that answers by itself sends the same TTL each time; a cache counts it
//! down. So a TTL below the largest one is that of a cache, which has no fresher answer before it
//! runs out, and the next lookup waits for that. A TTL as large as the largest comes from a cache
//! that was just filled, or from no cache; the next lookup is an ordinary one, and its TTL tells
//! which. So there are two lookups per TTL through a cache instead of six, and a cache that comes
//! or goes is noticed by the next answer. The first answer counts as uncached. If an operator
//! lowers the TTL, the old one is forgotten after a few answers.
//!
//! **Synchronised clients.** What happens to all clients at once makes them ask at once: a common
//! start, or a dead pod that each of them reports. Each client then draws its next wait from the
//! whole length of a wait; later `poll_jitter` keeps the clients apart.

use std::time::Duration;

use crate::{RefreshConfig, Timestamp};

/// The time of the next lookup, and what the answers so far tell about it.
#[derive(Debug)]
pub(super) struct Schedule {
    next: Timestamp,
    last_lookup: Option<Timestamp>,
    /// Other clients may have asked at the same time: the next wait is drawn at random, from this
    /// length up.
    spread_from: Option<Duration>,
    largest_ttl: Duration,
    /// The number of answers since one had the largest TTL.
    smaller: u32,
    /// The last answer came from a cache, which has no other answer before this time.
    cached_until: Option<Timestamp>,
}

impl Schedule {
    /// Returns a schedule whose first lookup is due at once.
    pub(super) fn new() -> Self {
        Self {
            next: Timestamp::ZERO,
            last_lookup: None,
            spread_from: Some(SHORTEST_WAIT),
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

    /// Records the end of a lookup; a call with its result follows.
    pub(super) fn lookup_ended(&mut self, now: Timestamp) {
        self.last_lookup = Some(now);
        self.cached_until = None;
    }

    /// Schedules the lookup after endpoints were found.
    pub(super) fn after_answer(&mut self, config: &RefreshConfig, ttl: Duration, now: Timestamp, entropy: u64) {
        let aged = self.is_aged(ttl);
        let longest = config.max_poll.max(config.min_poll);
        let left = ttl.min(config.max_cached_poll);
        if aged && left > longest {
            // The whole of `max_poll` is jitter: clients that wait for one cache to run out ask at
            // the rate they would have without it.
            self.next = now + left + longest.mul_f64(unit(entropy));
            self.cached_until = Some(now + left);
            self.spread_from = None;
        } else {
            self.wait(config, ttl, now, entropy);
        }
    }

    /// Schedules the lookup after a negative answer. A storm of such answers costs no more lookups
    /// than usual: the endpoints are kept meanwhile, and a cache repeats its denial for seconds
    /// anyway.
    pub(super) fn after_negative(
        &mut self,
        config: &RefreshConfig,
        ttl: Option<Duration>,
        now: Timestamp,
        entropy: u64,
    ) {
        self.wait(config, ttl.unwrap_or(config.max_poll), now, entropy);
    }

    /// Schedules the lookup after a failure, the `failures`-th one in a row.
    pub(super) fn after_failure(&mut self, config: &RefreshConfig, failures: u32, now: Timestamp, entropy: u64) {
        let doublings = failures.saturating_sub(1).min(16);
        let wait = config.retry_first.saturating_mul(1 << doublings);
        if wait >= config.retry_max {
            // After so many waits with jitter the clients are not synchronised any more.
            self.spread_from = None;
        }
        self.next = now + wait.min(config.retry_max).mul_f64(0.8 + 0.4 * unit(entropy));
    }

    /// Schedules the lookup after an ordinary wait: `ttl`, within its bounds.
    fn wait(&mut self, config: &RefreshConfig, ttl: Duration, now: Timestamp, entropy: u64) {
        let wait = ttl.clamp(config.min_poll, config.max_poll.max(config.min_poll));
        let wait = match self.spread_from.take() {
            Some(from) if from < wait => from + (wait - from).mul_f64(1.0 - unit(entropy)),
            _ => wait.mul_f64(1.0 + config.poll_jitter * unit(entropy)),
        };
        self.next = now + wait;
    }

    pub(super) fn no_later_than(&mut self, at: Timestamp) {
        self.next = self.next.min(at);
    }

    /// Brings the next lookup forward, because DNS may have news.
    pub(super) fn request_reresolution(&mut self, config: &RefreshConfig, now: Timestamp) {
        // A cache repeats its answer until it runs out. But there may be several, so it is asked as
        // often as usual.
        let spacing = match self.cached_until {
            Some(until) if now < until => config.min_reresolve_interval.max(config.max_poll),
            _ => config.min_reresolve_interval,
        };
        let earliest = self.last_lookup.map_or(now, |last| last + spacing).max(now);
        if earliest < self.next {
            self.next = earliest;
            // Not below this interval, or a stream of evidence would cause more lookups than it
            // allows.
            self.spread_from = Some(config.min_reresolve_interval);
        }
    }

    /// Returns whether a cache has counted this TTL down.
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

/// Returns a number in [0, 1) from the upper 53 bits.
fn unit(entropy: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    let upper = (entropy >> 11) as f64;
    upper / (1u64 << 53) as f64
}

/// The shortest wait after the start; it must not be zero.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// After this many smaller TTLs in a row the largest one is outdated. Through one cache, at least
/// every second lookup is just after it ran out, and shows the whole TTL.
const FORGET_AFTER: u32 = 8;
