//! [`Load`]: the current load, health and latency of one endpoint. [`InFlight`]: the guard that
//! counts one request.
//!
//! There are atomics only, which a pick reads without a lock. `policy/` chooses by them; the pool,
//! which sees connections fail, sets whether an endpoint is unhealthy.
//!
//! Source of the latency figure: Finagle's Peak-EWMA, with three changes. The figure does not decay
//! towards zero by itself (an idle slow endpoint would look free). A failed attempt can only raise
//! it (failing fast is not being fast). Reading it does not write it.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::Timestamp;
use crate::sync::{AtomicU32, AtomicU64};

/// The load cell of one endpoint.
///
/// It is aligned to a cache line, because neighbours on one line slow each other down. In an `Arc`,
/// the line before it has the reference counts, which no request touches. So two cells are never on
/// one pair of lines, which the prefetcher fetches together.
#[repr(align(64))]
pub struct Load {
    /// Requests in flight, plus [`UNHEALTHY`] while the endpoint is unhealthy. It is one number, so
    /// that comparing two endpoints compares health first and load second, with one load each.
    ///
    /// ORDERING: Relaxed everywhere. The count is a hint for the next pick; nothing is published
    /// through it.
    state: AtomicU32,
    /// [`Latency`], packed. ORDERING: Relaxed, as above; a lost race is repeated by
    /// compare-and-swap.
    latency: AtomicU64,
}

impl Load {
    /// Returns a healthy cell with no request in flight and no latency.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: AtomicU32::new(0),
            latency: AtomicU64::new(Latency::UNKNOWN),
        }
    }

    /// Returns the requests in flight, plus a penalty that is larger than any number of requests
    /// while the endpoint is unhealthy.
    ///
    /// Of two endpoints, the one with the smaller value is the better choice.
    #[inline]
    #[must_use]
    pub fn cost(&self) -> u32 {
        self.state.load(Relaxed)
    }

    /// Returns the number of requests in flight.
    #[inline]
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.cost() & !UNHEALTHY
    }

    /// Returns whether the endpoint is unhealthy: it could not be connected to, and no attempt has
    /// succeeded since. It is picked only if no healthy endpoint is left.
    #[inline]
    #[must_use]
    pub fn is_unhealthy(&self) -> bool {
        self.cost() & UNHEALTHY != 0
    }

    /// Sets whether the endpoint is unhealthy, and returns whether that was a change.
    pub fn set_unhealthy(&self, unhealthy: bool) -> bool {
        let before = if unhealthy {
            self.state.fetch_or(UNHEALTHY, Relaxed)
        } else {
            self.state.fetch_and(!UNHEALTHY, Relaxed)
        };
        (before & UNHEALTHY != 0) != unhealthy
    }

    /// Returns the latency figure, if anything was measured.
    #[must_use]
    pub fn latency(&self) -> Option<Latency> {
        Latency::unpack(self.latency.load(Relaxed))
    }

    /// Includes one finished attempt in the latency figure.
    ///
    /// A success above the figure replaces it at once (peak-sensitive). A success below the figure
    /// moves it, and the more the older the figure is; `window` is the time constant. Any other
    /// outcome can only raise the figure: an endpoint that refuses work fast must not look fast.
    pub fn observe(&self, elapsed: Duration, outcome: Outcome, now: Timestamp, window: Duration) {
        let seen = elapsed.as_secs_f32();
        let mut current = self.latency.load(Relaxed);
        loop {
            let next = match Latency::unpack(current) {
                None if outcome == Outcome::Success => Latency {
                    cost: seen,
                    stamp: Latency::millis(now),
                },
                // A first figure made of a fast failure would make the endpoint look like the
                // fastest of all.
                None => return,
                Some(before) if seen >= before.cost => Latency {
                    cost: seen,
                    stamp: Latency::millis(now),
                },
                Some(before) if outcome == Outcome::Success => {
                    let weight = before.freshness(now, window);
                    Latency {
                        cost: seen.mul_add(1.0 - weight, before.cost * weight),
                        stamp: Latency::millis(now),
                    }
                }
                Some(_) => return,
            };
            match self
                .latency
                .compare_exchange_weak(current, next.pack(), Relaxed, Relaxed)
            {
                Ok(_) => return,
                Err(changed) => current = changed,
            }
        }
    }

    fn begin(&self) {
        self.state.fetch_add(1, Relaxed);
    }

    fn end(&self) {
        let before = self.state.fetch_sub(1, Relaxed);
        debug_assert!(before & !UNHEALTHY != 0, "more ends than begins");
    }
}

impl Default for Load {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load")
            .field("in_flight", &self.in_flight())
            .field("unhealthy", &self.is_unhealthy())
            .field("latency", &self.latency())
            .finish()
    }
}

/// A latency figure: an exponentially weighted mean that jumps to each new peak, and the time of
/// its last update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Seconds.
    cost: f32,
    /// Milliseconds on the caller's clock, wrapping after 49 days; only differences are used.
    stamp: u32,
}

impl Latency {
    /// No finite latency has this bit pattern (it is a NaN).
    const UNKNOWN: u64 = u64::MAX;

    /// Returns the figure as a duration.
    #[must_use]
    pub fn cost(&self) -> Duration {
        Duration::from_secs_f32(self.cost)
    }

    /// Returns the figure in seconds.
    #[inline]
    #[must_use]
    pub const fn seconds(&self) -> f32 {
        self.cost
    }

    /// Returns the weight of the figure at `now`: 1 when fresh, `1/e` after `window`, and towards 0
    /// later.
    #[must_use]
    pub fn freshness(&self, now: Timestamp, window: Duration) -> f32 {
        let age = Self::millis(now).wrapping_sub(self.stamp);
        // Two threads may finish in another order than they read the clock, so an age can be
        // "negative".
        let age = if age > u32::MAX / 2 { 0 } else { age };
        if age == 0 {
            return 1.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate; 24 bits are plenty")]
        let ratio = age as f32 / (window.as_millis().max(1) as f32);
        (-ratio).exp()
    }

    fn millis(now: Timestamp) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "wraps on purpose")]
        let millis = (now.as_nanos() / 1_000_000) as u32;
        millis
    }

    fn pack(self) -> u64 {
        (u64::from(self.cost.to_bits()) << 32) | u64::from(self.stamp)
    }

    #[inline]
    fn unpack(packed: u64) -> Option<Self> {
        if packed == Self::UNKNOWN {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "takes the two halves apart")]
        let (cost, stamp) = ((packed >> 32) as u32, packed as u32);
        Some(Self {
            cost: f32::from_bits(cost),
            stamp,
        })
    }
}

/// The result of one attempt, as far as load is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The endpoint did what was asked.
    Success,
    /// The endpoint failed. However fast that was, it must not look fast.
    Failure,
    /// The endpoint works, and refused because it has too much to do (HTTP 429 and 503, gRPC's
    /// `RESOURCE_EXHAUSTED`). As with a failure, it must not look fast for it.
    Overloaded {
        /// How long the endpoint asks not to be called, if it said so.
        retry_after: Option<Duration>,
    },
    /// The caller gave up before the result was known. The endpoint took *at least* this long.
    Cancelled,
}

/// A type that has a [`Load`]. [`InFlight`] can then hold the object that a program shares already,
/// instead of a second `Arc`.
pub trait HasLoad {
    /// Returns the cell to count on.
    fn load(&self) -> &Load;
}

impl HasLoad for Load {
    fn load(&self) -> &Load {
        self
    }
}

impl<T: HasLoad + ?Sized> HasLoad for std::sync::Arc<T> {
    fn load(&self) -> &Load {
        (**self).load()
    }
}

/// Counts one request on a [`Load`], from its creation to its drop.
///
/// INVARIANT(I3): only this type increments or decrements the count. It is not `Clone`: one request
/// has one guard.
///
/// ```
/// # use headless_core as headless;
/// use headless::{InFlight, Load};
/// use std::sync::Arc;
///
/// let load = Arc::new(Load::new());
/// let request = InFlight::begin(Arc::clone(&load));
/// assert_eq!(load.in_flight(), 1);
/// drop(request);
/// assert_eq!(load.in_flight(), 0);
/// ```
#[derive(Debug)]
#[must_use = "the request counts only while the guard lives"]
pub struct InFlight<L: HasLoad>(L);

impl<L: HasLoad> InFlight<L> {
    /// Counts one request on `on`.
    pub fn begin(on: L) -> Self {
        on.load().begin();
        Self(on)
    }

    /// Returns the object that the request is counted on.
    pub fn on(&self) -> &L {
        &self.0
    }
}

impl<L: HasLoad> Drop for InFlight<L> {
    fn drop(&mut self) {
        self.0.load().end();
    }
}

/// The bit for "unhealthy"; it is above any count of requests that fits into memory.
const UNHEALTHY: u32 = 1 << 31;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    const NOT_SUCCESS: [Outcome; 3] = [
        Outcome::Failure,
        Outcome::Overloaded { retry_after: None },
        Outcome::Cancelled,
    ];

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    fn cost_after(observations: &[(u64, f32, Outcome)]) -> Option<f32> {
        let load = Load::new();
        for &(when, seconds, outcome) in observations {
            load.observe(Duration::from_secs_f32(seconds), outcome, at(when), WINDOW);
        }
        load.latency().map(|l| l.seconds())
    }

    #[test]
    fn a_peak_counts_at_once_and_fades_with_the_window() {
        use Outcome::Success;
        assert_eq!(cost_after(&[(0, 0.010, Success), (1, 0.100, Success)]), Some(0.100));
        let faded = cost_after(&[(0, 0.100, Success), (10, 0.010, Success)]).unwrap();
        let expected = 0.100 / std::f32::consts::E + 0.010 * (1.0 - 1.0 / std::f32::consts::E);
        assert!((faded - expected).abs() < 1e-6, "{faded} != {expected}");
    }

    #[test]
    fn failing_fast_is_not_being_fast() {
        use Outcome::Success;
        for bad in NOT_SUCCESS {
            assert_eq!(
                cost_after(&[(0, 0.050, Success), (60, 0.001, bad)]),
                Some(0.050),
                "{bad:?} cannot lower it"
            );
            assert_eq!(
                cost_after(&[(0, 0.050, Success), (60, 0.900, bad)]),
                Some(0.900),
                "{bad:?} can raise it"
            );
        }
    }

    #[test]
    fn a_first_attempt_that_failed_measures_nothing() {
        for bad in NOT_SUCCESS {
            assert_eq!(cost_after(&[(0, 0.0001, bad)]), None);
            assert_eq!(
                cost_after(&[(0, 0.0001, bad), (1, 0.020, Outcome::Success)]),
                Some(0.020)
            );
        }
    }

    #[test]
    fn an_idle_endpoint_does_not_decay_to_free() {
        let load = Load::new();
        load.observe(Duration::from_millis(100), Outcome::Success, at(0), WINDOW);
        assert_eq!(
            load.latency().unwrap().cost(),
            Duration::from_secs_f32(0.1),
            "reading it later changes nothing"
        );
        assert!(
            load.latency().unwrap().freshness(at(3600), WINDOW) < 1e-6,
            "but it says that it is old"
        );
    }

    #[test]
    fn the_clock_of_the_figure_wraps() {
        let before = Timestamp::from_nanos((u64::from(u32::MAX) - 500) * 1_000_000);
        let load = Load::new();
        load.observe(Duration::from_millis(10), Outcome::Success, before, WINDOW);
        let freshness = load
            .latency()
            .unwrap()
            .freshness(before + Duration::from_secs(1), WINDOW);
        assert!((freshness - (-0.1f32).exp()).abs() < 1e-6);
    }

    #[test]
    fn unhealthy_costs_more_than_any_load() {
        let (busy, unhealthy) = (std::sync::Arc::new(Load::new()), Load::new());
        let guards: Vec<_> = (0..1000)
            .map(|_| InFlight::begin(std::sync::Arc::clone(&busy)))
            .collect();
        assert!(unhealthy.set_unhealthy(true));
        assert!(!unhealthy.set_unhealthy(true), "it was already");
        assert!(unhealthy.cost() > busy.cost());
        assert_eq!(unhealthy.in_flight(), 0);
        drop(guards);
        assert_eq!(busy.cost(), 0);
        assert!(unhealthy.set_unhealthy(false));
        assert_eq!(unhealthy.cost(), 0);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;

    /// With two requests and one change of health on one cell, no interleaving loses anything.
    #[test]
    fn counts_and_health_do_not_disturb_each_other() {
        loom::model(|| {
            let load = std::sync::Arc::new(Load::new());
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let load = std::sync::Arc::clone(&load);
                    loom::thread::spawn(move || {
                        let request = InFlight::begin(load);
                        assert!(request.on().in_flight() >= 1);
                    })
                })
                .collect();
            load.set_unhealthy(true);
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(load.in_flight(), 0);
            assert!(load.is_unhealthy());
        });
    }

    /// If two observations race, both are included, so the peak wins in either order.
    #[test]
    fn concurrent_observations_are_both_taken() {
        loom::model(|| {
            let load = std::sync::Arc::new(Load::new());
            let other = std::sync::Arc::clone(&load);
            let window = Duration::from_secs(10);
            let thread = loom::thread::spawn(move || {
                other.observe(Duration::from_secs(2), Outcome::Success, Timestamp::ZERO, window);
            });
            load.observe(Duration::from_secs(1), Outcome::Success, Timestamp::ZERO, window);
            thread.join().unwrap();
            assert_eq!(load.latency().unwrap().cost(), Duration::from_secs(2));
        });
    }
}
