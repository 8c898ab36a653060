//! The only source of randomness of this crate: a small fast generator per thread, seeded by the operating system's.

use std::cell::Cell;

use headless_core::policy::mix;

thread_local! {
    // Per thread: no lock, and no two clones of a balancer that draw the same numbers.
    static STATE: Cell<u64> = Cell::new(rand::random());
}

/// 64 random bits. Not for secrets.
///
/// SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): it passes the tests
/// that matter for drawing two pods of many, in a third of the instructions of `rand`'s small generator, at each request.
#[inline]
pub(crate) fn entropy() -> u64 {
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    mix(state)
}
