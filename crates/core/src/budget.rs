//! [`RetryBudget`]: a limit on the number of requests that are sent again, so that retries never
//! become the load that keeps a failing Service down.
//!
//! Source: the retry budgets of Finagle and Linkerd, which allow a share of the requests plus a
//! reserve for clients with few requests. There are two differences. No clock is read when a
//! request begins: requests are only counted, and those between two withdrawals are taken to have
//! come evenly. And what a caller does not use is not saved: there is a window, and no balance.

use std::error::Error;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use crate::Timestamp;
use crate::sync::AtomicU64;

/// Allows retries up to a share of the requests of the last 10 seconds, plus a reserve.
///
/// The default is 20 % and 10 per second. A Service that fails every request gets a fifth more
/// requests, not a multiple, and a client with few requests can still repeat each of them. The
/// reserve of the whole window (100 by default) may be used at once.
///
/// Seconds are counted whole and rounded against the caller: the limit holds for the 10 seconds
/// before each retry, not only for windows that begin at a fixed time.
///
/// ```
/// # use headless_core as headless;
/// use headless::{RetryBudget, Timestamp};
///
/// let budget = RetryBudget::new(20, 0);
/// for _ in 0..10 {
///     budget.count_request();
/// }
/// let now = Timestamp::ZERO;
/// assert!(budget.withdraw(now) && budget.withdraw(now), "20 % of 10");
/// assert!(!budget.withdraw(now));
/// ```
pub struct RetryBudget {
    /// `None` if there is no limit.
    limits: Option<RetryLimits>,
    requests: Requests,
    window: Mutex<Window>,
}

#[derive(Clone, Copy, Debug)]
struct RetryLimits {
    percent: u32,
    per_second: u32,
}

/// WHY: alone on its cache lines. Each request of each core writes here, and must not slow down the
/// readers of the fields beside it. A counter per core would have to be summed up at each retry.
#[repr(align(128))]
struct Requests(AtomicU64);

impl RetryBudget {
    /// Returns a budget of `percent` of the requests, plus `per_second` retries per second.
    ///
    /// With both 0, no retry is allowed. [`check`](Self::check) finds values that cannot be meant.
    #[must_use]
    pub fn new(percent: u32, per_second: u32) -> Self {
        Self::with(Some(RetryLimits { percent, per_second }))
    }

    /// Returns a budget without a limit.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::with(None)
    }

    fn with(limits: Option<RetryLimits>) -> Self {
        Self {
            limits,
            requests: Requests(AtomicU64::new(0)),
            window: Mutex::default(),
        }
    }

    /// Checks the settings. A builder that takes a budget calls this.
    ///
    /// # Errors
    /// [`BudgetError`] if `percent` is above 1000: that is ten retries per request, which limits
    /// nothing.
    pub fn check(&self) -> Result<(), BudgetError> {
        match self.limits {
            Some(RetryLimits { percent, .. }) if percent > MAX_PERCENT => Err(BudgetError { percent }),
            _ => Ok(()),
        }
    }

    /// Counts a request: a first attempt, not a retry. This is one relaxed addition.
    #[inline]
    pub fn count_request(&self) {
        if self.limits.is_some() {
            // ORDERING: Relaxed, here and below. A request that is counted late is allowed for
            // late.
            self.requests.0.fetch_add(1, Relaxed);
        }
    }

    /// Returns whether a request may be sent again at `now`. If so, it is counted as sent.
    #[must_use = "a retry that was allowed has been counted"]
    pub fn withdraw(&self, now: Timestamp) -> bool {
        let Some(limits) = self.limits else { return true };
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.advance(now, self.requests.0.load(Relaxed));
        window.take(limits)
    }
}

impl Default for RetryBudget {
    /// Returns a budget of 20 %, and 10 per second.
    fn default() -> Self {
        Self::new(20, 10)
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The counts of the last seconds. Only retries touch them.
#[derive(Debug, Default)]
struct Window {
    /// Second `s` is at index `s % SECONDS_KEPT`.
    seconds: [Second; SECONDS_KEPT as usize],
    /// The time of the last call of `advance`.
    counted_at: Timestamp,
    /// The number of requests until then.
    counted: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    requests: u64,
    retries: u64,
}

impl Window {
    /// Moves on to `now`, by which time `total` requests have come.
    fn advance(&mut self, now: Timestamp, total: u64) {
        let (before, now) = (self.counted_at, self.counted_at.max(now));
        let gap = now.as_nanos() - before.as_nanos();
        let new = u128::from(total.saturating_sub(self.counted));
        // The number of new requests by the time `nanos`. Rounding down once per boundary, and not
        // per second, loses none.
        let by = |nanos: u64| match gap {
            0 => new,
            gap => new * u128::from(nanos - before.as_nanos()) / u128::from(gap),
        };
        let (first, last) = (before.as_nanos() / SECOND, now.as_nanos() / SECOND);
        for second in first.max(last.saturating_sub(SECONDS_KEPT - 1))..=last {
            let kept = &mut self.seconds[(second % SECONDS_KEPT) as usize];
            if second > first {
                *kept = Second::default();
            }
            let begin = before.as_nanos().max(second * SECOND);
            let end = now.as_nanos().min((second + 1) * SECOND);
            let had_come = if gap == 0 { 0 } else { by(begin) };
            kept.requests += u64::try_from(by(end) - had_come).unwrap_or(u64::MAX);
        }
        (self.counted_at, self.counted) = (now, total);
    }

    /// Counts one retry, if `limits` allow it.
    fn take(&mut self, limits: RetryLimits) -> bool {
        let now = self.counted_at.as_nanos() / SECOND;
        // The oldest second lies only partly in the window: its retries count, its requests do not.
        let oldest = ((now + 1) % SECONDS_KEPT) as usize;
        let requests = self.seconds.iter().map(|second| second.requests).sum::<u64>() - self.seconds[oldest].requests;
        let retries: u64 = self.seconds.iter().map(|second| second.retries).sum();
        let share = u128::from(requests) * u128::from(limits.percent) / 100;
        let reserve = u128::from(limits.per_second) * u128::from(SECONDS_KEPT - 1);
        let allowed = u128::from(retries) < share + reserve;
        self.seconds[(now % SECONDS_KEPT) as usize].retries += u64::from(allowed);
        allowed
    }
}

/// The settings of a [`RetryBudget`] cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetError {
    /// The share that was given, in percent of the requests.
    pub percent: u32,
}

impl fmt::Display for BudgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`percent` of the retry budget is {}; at most {MAX_PERCENT} (ten retries per request) limits anything, and \
             `RetryBudget::unlimited()` says that there is no limit",
            self.percent
        )
    }
}

impl Error for BudgetError {}

/// The 10 whole seconds of the window, and the current one.
const SECONDS_KEPT: u64 = 11;
const SECOND: u64 = 1_000_000_000;
const MAX_PERCENT: u32 = 1000;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_millis(millis)
    }

    fn requests(budget: &RetryBudget, count: usize) {
        (0..count).for_each(|_| budget.count_request());
    }

    /// Returns how many retries are allowed at once.
    fn drain(budget: &RetryBudget, millis: u64) -> usize {
        (0..100_000).take_while(|_| budget.withdraw(at(millis))).count()
    }

    #[test]
    fn a_share_of_the_requests_is_allowed() {
        let budget = RetryBudget::new(20, 0);
        assert_eq!(drain(&budget, 0), 0);
        requests(&budget, 104);
        assert_eq!(drain(&budget, 500), 20);
        requests(&budget, 1);
        assert_eq!(drain(&budget, 600), 1, "105 requests, 21 retries");
    }

    #[test]
    fn a_client_with_few_requests_has_the_reserve() {
        let budget = RetryBudget::default();
        requests(&budget, 3);
        assert_eq!(drain(&budget, 5_000), 100);
        assert_eq!(drain(&budget, 14_999), 0, "still the same window");
        assert_eq!(drain(&budget, 16_000), 100, "the retries of the fifth second are over");
    }

    #[test]
    fn requests_and_retries_expire_with_the_window() {
        let budget = RetryBudget::new(50, 0);
        assert_eq!(drain(&budget, 1_000), 0);
        requests(&budget, 10);
        assert_eq!(drain(&budget, 1_500), 5);
        requests(&budget, 10);
        assert_eq!(drain(&budget, 9_500), 5);
        assert_eq!(drain(&budget, 30_000), 0, "requests of long ago allow nothing");
    }

    #[test]
    fn requests_between_two_withdrawals_count_as_evenly_spread() {
        let budget = RetryBudget::new(100, 0);
        assert!(!budget.withdraw(at(0)));
        requests(&budget, 1_000);
        assert_eq!(
            drain(&budget, 20_000),
            450,
            "9 whole seconds of 20; the tenth begins just now"
        );
    }

    #[test]
    fn no_request_is_lost_between_seconds() {
        let budget = RetryBudget::new(100, 0);
        for step in 0..10 {
            requests(&budget, 1);
            assert!(budget.withdraw(at(300 + 700 * step)), "step {step}");
        }
    }

    #[test]
    fn nothing_is_allowed_without_share_and_reserve() {
        let budget = RetryBudget::new(0, 0);
        requests(&budget, 1_000);
        assert!(!budget.withdraw(at(10)));
    }

    #[test]
    fn without_a_limit_everything_is_allowed() {
        assert_eq!(drain(&RetryBudget::unlimited(), 0), 100_000);
    }

    #[test]
    fn a_clock_read_in_another_order_is_no_gain() {
        let budget = RetryBudget::new(0, 1);
        assert_eq!(drain(&budget, 60_000), 10);
        assert_eq!(drain(&budget, 0), 0);
        assert_eq!(drain(&budget, 69_999), 0);
    }

    #[test]
    fn a_share_that_limits_nothing_is_refused_by_name() {
        assert_eq!(RetryBudget::default().check(), Ok(()));
        assert_eq!(RetryBudget::new(1000, u32::MAX).check(), Ok(()));
        let error = RetryBudget::new(1001, 0).check().unwrap_err();
        assert!(
            error.to_string().contains("`percent` of the retry budget is 1001"),
            "{error}"
        );
    }

    #[test]
    fn threads_share_one_allowance() {
        let budget = RetryBudget::new(20, 10);
        let allowed: usize = std::thread::scope(|scope| {
            let count = || {
                requests(&budget, 1_000);
                (0..1_000).filter(|_| budget.withdraw(at(100))).count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(allowed <= 900, "{allowed}");
        assert_eq!(allowed + drain(&budget, 100), 900);
    }

    proptest! {
        /// The retries of the 10 seconds before any retry are at most a share of the requests that
        /// can have come in them, plus the reserve. Requests are only known to lie between two
        /// withdrawals, so the window reaches back to the withdrawal before it begins.
        #[test]
        fn no_window_has_more_retries_than_the_formula_allows(
            percent in 0_u32..300,
            per_second in 0_u32..5,
            steps in prop::collection::vec((0_u64..4_000, 0_usize..60, 0_usize..60), 1..60),
        ) {
            let budget = RetryBudget::new(percent, per_second);
            let (mut now, mut log) = (0, Vec::new());
            for (pause, came, asked) in steps {
                now += pause;
                requests(&budget, came);
                let allowed = (0..asked).filter(|_| budget.withdraw(at(now))).count();
                // A step without a withdrawal does not read the count.
                log.push((now, came, allowed, asked > 0));
            }
            for (last, &(end, ..)) in log.iter().enumerate().filter(|(_, (_, _, allowed, _))| *allowed > 0) {
                let begin = end.saturating_sub(10_000);
                let inside = log[..=last].iter().filter(|(when, ..)| *when > begin || end < 10_000);
                let retries: usize = inside.map(|(_, _, allowed, _)| allowed).sum();
                let last_read = log[..=last].iter().rposition(|(when, _, _, was_read)| *was_read && *when <= begin && end >= 10_000);
                let can_have_come: usize = log[last_read.map_or(0, |read| read + 1)..=last].iter().map(|(_, came, ..)| came).sum();
                let most = can_have_come * percent as usize / 100 + per_second as usize * 10;
                prop_assert!(retries <= most, "{retries} > {most} in the 10 s before {end} ms");
            }
        }

        /// A client with an even pace that asks for half of what the formula allows is never
        /// refused.
        #[test]
        fn a_modest_client_is_never_refused(
            pause in 10_u64..3_000,
            percents in prop::collection::vec(50_u64..150, 1..200),
        ) {
            let budget = RetryBudget::new(100, 0);
            let mut now = 0;
            for percent in percents {
                now += pause * percent / 100;
                requests(&budget, 2);
                prop_assert!(budget.withdraw(at(now)), "refused at {now} ms");
            }
        }
    }
}
