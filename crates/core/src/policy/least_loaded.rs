//! [`LeastLoaded`]: compares all endpoints and takes the best.

use std::sync::Arc;

use crate::Load;

use super::{Candidate, PickArgs, Picker, Policy, loads_of, scan};

/// Takes the endpoint with the fewest requests in flight; equal ones are chosen at random.
///
/// Each pick reads the load of each endpoint, O(n). Use it for a handful of endpoints, and as the
/// bound to compare the other policies with. Do not use it if many clients choose by the same stale
/// information, as they would all choose the same endpoint. For everything else
/// [`PowerOfTwo`](super::PowerOfTwo) comes close at a constant cost. This is the policy "join the
/// shortest queue" (W. Winston, "Optimality of the shortest line discipline", J. Appl. Prob. 14(1),
/// 1977), as seen by one client.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "a unit struct is made by its name")]
pub struct LeastLoaded;

impl Policy for LeastLoaded {
    fn prepare(&mut self, candidates: &[Candidate], _entropy: u64) -> Box<dyn Picker> {
        Box::new(LeastLoadedPicker {
            loads: loads_of(candidates),
        })
    }
}

#[derive(Debug)]
struct LeastLoadedPicker {
    loads: Box<[Arc<Load>]>,
}

impl Picker for LeastLoadedPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Option<usize> {
        scan(&self.loads, args, Load::cost)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::conformance::{self, Entropy, pods};
    use super::*;
    use crate::{InFlight, Route};

    #[test]
    fn obeys_the_laws() {
        conformance::check(|| LeastLoaded);
    }

    #[test]
    fn requests_that_stay_are_spread_evenly() {
        let set = pods(6);
        let picker = LeastLoaded.prepare(&set, 0);
        let mut random = Entropy::new(3);
        let mut held = Vec::new();
        for _ in 0..6 * 10 {
            let index = picker.pick(&PickArgs::new(Route::any(), random.next())).unwrap();
            held.push(InFlight::begin(Arc::clone(&set[index].load)));
        }
        assert!(set.iter().all(|candidate| candidate.load.in_flight() == 10));
    }

    #[test]
    fn equals_are_chosen_evenly() {
        let set = pods(10);
        let _busy: Vec<_> = [0, 1, 2, 4, 5, 6, 7]
            .map(|i| InFlight::begin(Arc::clone(&set[i].load)))
            .into();
        let picker = LeastLoaded.prepare(&set, 0);
        let mut random = Entropy::new(4);
        let mut counts = [0; 10];
        for _ in 0..30_000 {
            counts[picker.pick(&PickArgs::new(Route::any(), random.next())).unwrap()] += 1;
        }
        for idle in [3, 8, 9] {
            assert!(
                (9700..10_300).contains(&counts[idle]),
                "wherever they stand: {counts:?}"
            );
        }
        assert_eq!(counts.iter().sum::<i32>(), counts[3] + counts[8] + counts[9]);
    }
}
