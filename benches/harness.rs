//! What every measurement shares: its command line, how it is repeated and counted, and what it
//! reports.
//!
//! Nothing here knows what is measured. A benchmark program
//!
//! 1. reads its [`Args`];
//! 2. runs its implementations, the baseline among them, in [`interleaved`] rounds, and records
//!    waits as [`Latencies`];
//! 3. adds figures to a [`Report`], and targets computed from them;
//! 4. calls [`Report::finish`], which prints tables of ratios and the targets, and writes JSON if
//!    `--json` asks for it.

mod alloc;
mod args;
mod callgrind;
pub mod cpu;
mod latency;
pub mod micro;
mod proxy;
mod report;
mod results;
mod rounds;
mod runtime;
mod table;

pub use alloc::{allocations, frees_so_far, live_bytes, so_far};
pub use args::{Args, Operations, Own};
pub use callgrind::{Callgrind, Counts, INSTRUCTIONS};
pub use latency::Latencies;
pub use proxy::{Program, Proxy, free_addresses};
pub use report::{Bound, Report};
pub use results::{Machine, Results, Row, Target};
pub use rounds::{Spread, interleaved, ns_per_operation};
pub use runtime::one_thread;
pub use table::{Table, tables};
