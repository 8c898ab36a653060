//! The counting allocator of the tests: a few thread-local additions per allocation, the same for
//! all implementations.

#[path = "../../tests/support/alloc.rs"]
mod counting;

pub use counting::{allocations, frees_so_far, live_bytes, so_far};
