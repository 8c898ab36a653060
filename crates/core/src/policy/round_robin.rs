//! [`RoundRobin`]: one endpoint after the other.
//!
//! Three details matter: where the cursor starts, that it survives a change of the membership, and
//! which endpoint takes the turn of one that is unhealthy or excluded.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::Load;
use crate::sync::AtomicUsize;

use super::{Candidate, PickArgs, Picker, Policy, is_fit, loads_of, scan};

/// Takes the endpoints in turn: each of n equal ones gets exactly every n-th pick.
///
/// Use it if all requests cost about the same and exact shares matter more than speed under load:
/// it does not see that an endpoint is slow or busy. All threads share one counter, so many threads
/// that pick without a pause slow each other down. [`PowerOfTwo`](super::PowerOfTwo) has neither
/// flaw and is the better default.
///
/// * The cursor starts at a random index, so that a thousand clients do not begin with the same
///   endpoint.
/// * The cursor outlives changes of the membership: a change does not send all requests back to the
///   first endpoint.
/// * The turn of an endpoint that is excluded or unhealthy goes to a random other one, and not to
///   its neighbour, which would get twice its share.
/// * Each attempt of a request takes a turn, so a retry moves the cursor, too.
///
/// A clone starts with a cursor of its own: two balancers that share one would take each other's
/// turns.
#[derive(Debug, Default)]
pub struct RoundRobin {
    /// `None` until the first `prepare`, which brings the entropy for the start.
    cursor: Option<Arc<Cursor>>,
}

impl Clone for RoundRobin {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Policy for RoundRobin {
    fn prepare(&mut self, candidates: &[Candidate], entropy: u64) -> Box<dyn Picker> {
        // WHY: the cursor lives in the policy, not in the picker. A rebuild must not send all
        // requests to index 0 again.
        let cursor = self
            .cursor
            .get_or_insert_with(|| Arc::new(Cursor::starting_at(entropy)));
        Box::new(RoundRobinPicker {
            loads: loads_of(candidates),
            cursor: Arc::clone(cursor),
        })
    }
}

#[derive(Debug)]
struct RoundRobinPicker {
    loads: Box<[Arc<Load>]>,
    cursor: Arc<Cursor>,
}

impl Picker for RoundRobinPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Option<usize> {
        let turn = self.cursor.advance().checked_rem(self.loads.len())?;
        if is_fit(&self.loads, turn, args) {
            Some(turn)
        } else {
            scan(&self.loads, args, Load::is_unhealthy)
        }
    }
}

/// Counts the turns. It is alone on its pair of cache lines, as each pick writes it, while its
/// neighbours are only read.
#[repr(align(128))]
struct Cursor(AtomicUsize);

impl Cursor {
    /// Starts below 2^32, so that on 64 bits it never wraps (one round would be uneven then).
    fn starting_at(entropy: u64) -> Self {
        Self(AtomicUsize::new((entropy >> 32) as usize))
    }

    // ORDERING: Relaxed. The addition is atomic, so each turn is taken once; nothing is published
    // through it.
    #[inline]
    fn advance(&self) -> usize {
        self.0.fetch_add(1, Relaxed)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.load(Relaxed).fmt(f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::conformance::{self, Entropy, pods};
    use super::*;
    use crate::policy::Excluded;
    use crate::{InFlight, Route};

    fn pick(picker: &dyn Picker, entropy: u64) -> usize {
        picker.pick(&PickArgs::new(Route::any(), entropy)).expect("all are fit")
    }

    #[test]
    fn obeys_the_laws() {
        conformance::check(RoundRobin::default);
    }

    #[test]
    fn shares_are_exact() {
        for n in 1..=12 {
            let picker = RoundRobin::default().prepare(&pods(n), 0x1234_5678_9abc_def0);
            let mut counts = vec![0; n];
            for _ in 0..100 * n {
                counts[pick(&*picker, 0)] += 1;
            }
            assert_eq!(counts, vec![100; n]);
        }
    }

    #[test]
    fn shares_are_exact_across_threads() {
        let picker = RoundRobin::default().prepare(&pods(7), 99);
        let counts = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..7 * 500).map(|_| pick(&*picker, 0)).collect::<Vec<_>>()))
                .collect();
            let mut counts = [0; 7];
            for index in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
                counts[index] += 1;
            }
            counts
        });
        assert_eq!(counts, [2000; 7]);
    }

    #[test]
    fn the_first_prepare_decides_where_it_starts() {
        let set = pods(4);
        let firsts: Vec<usize> = (0..4)
            .map(|k| pick(&*RoundRobin::default().prepare(&set, k << 32), 0))
            .collect();
        assert_eq!(firsts, [0, 1, 2, 3]);
    }

    #[test]
    fn the_cursor_survives_a_change() {
        let mut policy = RoundRobin::default();
        let set = pods(5);
        let old = policy.prepare(&set, 0);
        assert_eq!([pick(&*old, 0), pick(&*old, 0)], [0, 1]);
        let new = policy.prepare(&set[..4], 77 << 32);
        assert_eq!(
            [pick(&*new, 0), pick(&*new, 0)],
            [2, 3],
            "not from the new entropy, not from the start"
        );
        assert_eq!(pick(&*old, 0), 4, "the picker before shares the cursor");
    }

    #[test]
    fn a_clone_has_its_own_cursor() {
        let mut one = RoundRobin::default();
        let set = pods(3);
        let first = one.prepare(&set, 0);
        let second = one.clone().prepare(&set, 0);
        assert_eq!(
            [pick(&*first, 0), pick(&*second, 0), pick(&*first, 0), pick(&*second, 0)],
            [0, 0, 1, 1]
        );
    }

    #[test]
    fn the_share_of_an_unhealthy_one_spreads_over_all_others() {
        let set = pods(5);
        set[2].load.set_unhealthy(true);
        let _busy = InFlight::begin(Arc::clone(&set[0].load));
        let picker = RoundRobin::default().prepare(&set, 0);
        let mut random = Entropy::new(1);
        let mut counts = [0; 5];
        for _ in 0..5 * 4000 {
            counts[pick(&*picker, random.next())] += 1;
        }
        assert_eq!(counts[2], 0);
        for other in [0, 1, 3, 4] {
            assert!(
                (4850..5150).contains(&counts[other]),
                "a quarter of the 4000 turns each: {counts:?}"
            );
        }
    }

    #[test]
    fn a_retry_takes_one_turn() {
        let picker = RoundRobin::default().prepare(&pods(3), 0);
        assert_eq!(pick(&*picker, 0), 0);
        let second = picker.pick(&PickArgs::new(Route::any(), 5).excluding(Excluded::of(&[0, 1])));
        assert_eq!(second, Some(2), "its turn was 1, which is excluded");
        assert_eq!(pick(&*picker, 0), 2, "and the cursor moved on by one only");
    }
}
