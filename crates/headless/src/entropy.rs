//! The only source of randomness of this crate: a small fast generator per thread, seeded by the
//! operating system.

use std::cell::Cell;

thread_local! {
    // Per thread: no lock, and no two clones of a balancer draw the same numbers.
    // 0 until the first draw: a constant initial value needs no check whether it is there yet.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// 64 random bits. Not for secrets.
///
/// wyrand (Wang Yi, 2019; in Go's runtime and in nanorand): a Weyl sequence, and one multiplication
/// to 128 bits folded in half. It passes the tests that matter for drawing two endpoints of many,
/// in a quarter of the instructions of `rand`'s small generator.
#[inline]
pub(crate) fn entropy() -> u64 {
    let mut state = STATE.get();
    if state == 0 {
        state = seed();
    }
    let state = state.wrapping_add(0xa076_1d64_78bd_642f);
    STATE.set(state);
    let product = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
    #[expect(clippy::cast_possible_truncation, reason = "takes the two halves apart")]
    let folded = (product >> 64) as u64 ^ product as u64;
    folded
}

#[cold]
fn seed() -> u64 {
    rand::random()
}
