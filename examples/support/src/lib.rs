//! What the demos have in common: the Service on their command lines, the screen, and how they end.
#![allow(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "the demos are its only users, and change together with it"
)]

mod cli;
mod embedded;
mod ending;
mod log;
mod screen;

pub use self::cli::{ServiceArgs, command, named_service, number, positive, read, seconds, service_options};
pub use self::embedded::{Embedded, PODS};
pub use self::ending::{asked_to_stop, explain};
pub use self::log::{Entry, Log};
pub use self::screen::{Screen, cut, wrap};
