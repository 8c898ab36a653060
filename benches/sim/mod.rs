//! Requests over pods in virtual time: who gets them, how long they take. A queue of events; no sockets, no clocks, no threads.
//!
//! A pod is a queue served first come, first served. Requests come by themselves or from callers who wait for each answer, and each
//! goes to the pod that its [`Client`] chooses: a policy of ours ([`Headless`]), or a model of somebody else's. All that is random
//! follows from a seed, so a run can be repeated to the last bit.

mod by_hand;
mod headless;
mod peak_ewma;
mod pod;
mod random;
mod run;

pub use by_hand::{Draws, Oracle};
pub use headless::Headless;
pub use peak_ewma::PeakEwma;
pub use pod::{Pod, Work};
pub use random::Random;
pub use run::{Demand, Measured, Scenario};

use headless_core::{Outcome, Timestamp};

/// Chooses pods for requests, by what it has seen of its own requests.
pub trait Client {
    /// Which of `pods` takes a request that begins `now`. Only an oracle looks into them.
    fn begin(&mut self, pods: &[Pod], now: Timestamp) -> usize;

    /// The request that began on this pod at `started` is over.
    fn end(&mut self, pod: usize, started: Timestamp, outcome: Outcome, now: Timestamp);
}
