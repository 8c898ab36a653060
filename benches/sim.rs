//! Requests over pods in virtual time: which pod gets them, and how long they take. A queue of
//! events; no sockets, no clocks, no threads.
//!
//! A pod is a queue, first come, first served. Requests arrive independently or from callers that
//! wait for each answer. Each goes to the pod that its [`Client`] chooses: a policy of ours
//! ([`Headless`]) or a model of another library's. All randomness follows from a seed, so a run can
//! be repeated to the last bit.

mod client;
mod hand_written;
mod headless;
mod peak_ewma;
mod pod;
mod random;
mod run;

pub use client::Client;
pub use hand_written::{Draws, Oracle};
pub use headless::Headless;
pub use peak_ewma::PeakEwma;
pub use pod::{Pod, Work};
pub use random::Random;
pub use run::{Demand, Measured, Scenario};
