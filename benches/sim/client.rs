//! [`Client`]: the side that chooses.

use headless::{Outcome, Timestamp};

use super::pod::Pod;

/// Chooses pods for requests, by what it has seen of its own requests.
pub trait Client {
    /// Returns which of `pods` takes a request that begins `now`. Only an oracle looks into them.
    fn begin(&mut self, pods: &[Pod], now: Timestamp) -> usize;

    /// Records that the request that began on this pod at `started` is over.
    fn end(&mut self, pod: usize, started: Timestamp, outcome: Outcome, now: Timestamp);
}
