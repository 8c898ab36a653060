//! [`Timestamp`]: a point on a monotonic clock, passed as an argument.
//!
//! This crate never reads a clock (invariant I7). Its caller passes a `Timestamp`, so each rule
//! about time can be tested by writing the time down.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A number of nanoseconds since a zero that the caller chose, on a clock that never goes back.
///
/// The zero is usually the start of the program. A `u64` of nanoseconds lasts 584 years.
///
/// ```
/// # use headless_core as headless;
/// use headless::Timestamp;
/// use std::time::Duration;
///
/// let start = Timestamp::ZERO;
/// let later = start + Duration::from_millis(5);
/// assert_eq!(later.since(start), Duration::from_millis(5));
/// assert_eq!(start.since(later), Duration::ZERO, "never negative");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The zero of the clock.
    pub const ZERO: Self = Self(0);

    /// Returns the point `nanos` nanoseconds after the zero.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the point that lies `elapsed` after the zero. It saturates after 584 years.
    #[must_use]
    pub fn from_elapsed(elapsed: Duration) -> Self {
        Self(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Returns the nanoseconds since the zero.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the time from `earlier` to this, or zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        Self(self.0.saturating_add(Self::from_elapsed(after).0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:?}", Duration::from_nanos(self.0))
    }
}
