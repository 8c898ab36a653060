//! The counting allocator of the tests, for the benchmarks: a few thread-local additions per allocation, the same for all
//! contenders.

#[path = "../../tests/support/alloc.rs"]
mod counting;

pub use counting::{allocations, frees_so_far, live_bytes, so_far};
