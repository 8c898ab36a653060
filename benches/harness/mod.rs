//! What every measurement shares: its command line, how it is repeated and counted, and what it reports.
//!
//! Nothing here knows what is measured. A benchmark program
//!
//! 1. reads its [`Args`];
//! 2. runs its contenders in [`interleaved`] rounds, the limit among them, and records waits as [`Latencies`];
//! 3. adds [`Row`]s to a [`Report`], and [`Target`]s computed from them;
//! 4. calls [`Report::finish`]: a table of ratios, the targets with yes or no, and JSON if `--json` asks for it.

mod alloc;
mod args;
mod callgrind;
pub mod cpu;
mod haproxy;
mod latency;
pub mod micro;
mod plot;
mod report;
mod rounds;
mod table;

pub use alloc::{allocations, frees_so_far, live_bytes, so_far};
pub use args::{Args, Operations, Own};
pub use callgrind::{Callgrind, Counts};
pub use haproxy::HaProxy;
pub use latency::Latencies;
pub use plot::Plot;
pub use report::{Bound, Report, Row, Target, output_dir};
pub use rounds::{Spread, interleaved, ns_per_operation};
pub use table::{distinct, number};
