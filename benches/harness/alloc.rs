//! The counting allocator of the tests, for the benchmarks: one thread-local increment per allocation, the same for all
//! contenders.

#[path = "../../tests/support/alloc.rs"]
mod counting;

pub use counting::{allocations, so_far};
