//! What can go wrong, by when it shows: [`StartError`], [`BuildError`], [`AcquireError`]. Each says
//! what was asked, what was found, and what to check.
//!
//! The modules that fail return a small typed reason; here it gets its words.

mod acquire;
mod build;
mod start;

pub use self::acquire::AcquireError;
pub(crate) use self::acquire::{Attempts, Circumstances, TimedOut};
pub use self::build::BuildError;
pub use self::start::{Closed, StartError};
