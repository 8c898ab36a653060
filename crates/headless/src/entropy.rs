//! The only source of randomness of this crate: a small fast generator per thread, seeded by the operating system's.

use std::cell::RefCell;

use rand::rngs::SmallRng;
use rand::{Rng, make_rng};

thread_local! {
    // Per thread: no lock, and no two clones of a balancer that draw the same numbers.
    static GENERATOR: RefCell<SmallRng> = RefCell::new(make_rng());
}

/// 64 random bits. Not for secrets.
#[inline]
pub(crate) fn entropy() -> u64 {
    GENERATOR.with_borrow_mut(Rng::next_u64)
}
