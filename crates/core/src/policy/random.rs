//! [`Random`]: a random endpoint.

use std::sync::Arc;

use crate::Load;

use super::{Candidate, PickArgs, Picker, Policy, below, is_fit, loads_of, scan};

/// Takes a random endpoint, each with the same probability.
///
/// Use it as the baseline for the other policies, or if the load must not decide. It keeps no
/// state, so it is the cheapest pick. But at 90 % load its mean response time is almost four times
/// that of [`PowerOfTwo`](super::PowerOfTwo), which draws one more number (M. Mitzenmacher, "The
/// power of two choices in randomized load balancing", IEEE TPDS 12(10), 2001).
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "a unit struct is made by its name")]
pub struct Random;

impl Policy for Random {
    fn prepare(&mut self, candidates: &[Candidate], _entropy: u64) -> Box<dyn Picker> {
        Box::new(RandomPicker {
            loads: loads_of(candidates),
        })
    }
}

#[derive(Debug)]
pub(super) struct RandomPicker {
    pub(super) loads: Box<[Arc<Load>]>,
}

impl Picker for RandomPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Option<usize> {
        let drawn = below(args.entropy, self.loads.len())?;
        if is_fit(&self.loads, drawn, args) {
            Some(drawn)
        } else {
            scan(&self.loads, args, Load::is_unhealthy)
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::conformance::{self, Entropy, pods};
    use super::*;
    use crate::policy::Excluded;
    use crate::{InFlight, Route};

    #[test]
    fn obeys_the_laws() {
        conformance::check(|| Random);
    }

    #[test]
    fn all_are_equally_likely() {
        let set = pods(7);
        let _busy = InFlight::begin(Arc::clone(&set[0].load));
        let picker = Random.prepare(&set, 0);
        let mut counts = [0; 7];
        for cell in 0..7 * 100_u64 {
            let entropy = (((2 * cell + 1) << 31) / 700) << 32;
            counts[picker.pick(&PickArgs::new(Route::any(), entropy)).unwrap()] += 1;
        }
        assert_eq!(counts, [100; 7], "load does not matter");
    }

    #[test]
    fn the_fit_are_equally_likely() {
        let set = pods(8);
        set[0].load.set_unhealthy(true);
        set[1].load.set_unhealthy(true);
        let _busy = InFlight::begin(Arc::clone(&set[2].load));
        let picker = Random.prepare(&set, 0);
        let mut random = Entropy::new(2);
        let mut counts = [0; 8];
        for _ in 0..20_000 {
            let args = PickArgs::new(Route::any(), random.next()).excluding(Excluded::of(&[4, 5]));
            counts[picker.pick(&args).unwrap()] += 1;
        }
        for unfit in [0, 1, 4, 5] {
            assert_eq!(counts[unfit], 0);
        }
        for fit in [2, 3, 6, 7] {
            assert!(
                (4800..5200).contains(&counts[fit]),
                "also those after a gap: {counts:?}"
            );
        }
    }
}
