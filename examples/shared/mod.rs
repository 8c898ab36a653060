//! What the examples have in common: how a Service is named on the command line, and how a program ends.
//!
//! Each example takes it in with `#[path]`; only what all of them use may live here.

mod ending;
mod flags;
mod service;

pub(crate) use self::ending::{asked_to_stop, explain};
pub(crate) use self::flags::{Args, positive};
pub(crate) use self::service::{SERVICE_HELP, ServiceFlags};
