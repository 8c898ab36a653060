//! A test of the laws of a [`Picker`], for the policies of this crate and for any other.
//!
//! The test drives a policy through many memberships: growing and shrinking, with and without
//! roles, with unhealthy and excluded endpoints, with load and latencies. It checks each pick by
//! the [contract](super#the-contract-of-a-picker). All cases follow from one seed, which a failure
//! prints. Law 6 cannot be checked from here; test it with a counting allocator.
//!
//! ```
//! use std::sync::Arc;
//! # use headless_core as headless;
//! use headless::Load;
//! use headless::policy::{Candidate, PickArgs, Picker, Policy, conformance};
//!
//! /// Picks the first healthy endpoint.
//! #[derive(Debug)]
//! struct InOrder;
//!
//! impl Policy for InOrder {
//!     fn prepare(&mut self, candidates: &[Candidate], _entropy: u64) -> Box<dyn Picker> {
//!         Box::new(First(candidates.iter().map(|c| Arc::clone(&c.load)).collect()))
//!     }
//! }
//!
//! #[derive(Debug)]
//! struct First(Vec<Arc<Load>>);
//!
//! impl Picker for First {
//!     fn pick(&self, args: &PickArgs<'_>) -> Option<usize> {
//!         let untried = (0..self.0.len()).filter(|&i| !args.excluded.contains(i));
//!         untried.min_by_key(|&i| self.0[i].is_unhealthy())
//!     }
//! }
//!
//! conformance::check(|| InOrder);
//! ```

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::{Endpoint, InFlight, Load, Outcome, Role, Route, Timestamp};

use super::{Candidate, Excluded, PickArgs, Picker, Policy, mix};

/// Checks that the policies that `make` returns obey the laws; see the [module](self).
///
/// A role-aware policy must let a primary take a read that no replica can take. For a policy that
/// does not, use [`Laws::with_strict_reads`].
///
/// # Panics
///
/// Panics if a law is broken. The message names the law and the case.
pub fn check<P: Policy>(make: impl FnMut() -> P) {
    Laws::new().check(make);
}

/// The laws, with their options. For most policies [`check`] is enough.
#[derive(Clone, Copy, Debug)]
pub struct Laws {
    seed: u64,
    strict_reads: bool,
}

impl Laws {
    /// Returns the laws as [`check`] checks them.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            seed: 0x6865_6164_6c65_7373,
            strict_reads: false,
        }
    }

    /// Uses the cases that follow from `seed`, to replay a failure or to test further cases.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Expects a role-aware policy that never lets a primary take a read, so that only replicas fit
    /// a read.
    #[must_use]
    pub const fn with_strict_reads(mut self) -> Self {
        self.strict_reads = true;
        self
    }

    /// Checks that the policies that `make` returns obey the laws.
    ///
    /// # Panics
    ///
    /// Panics if a law is broken. The message names the law and the case.
    pub fn check<P: Policy>(&self, mut make: impl FnMut() -> P) {
        for run in 0..RUNS {
            let mut policy = make();
            let mut simulation = Simulation::new(self.seed.wrapping_add(run as u64));
            let mut before: Option<(Vec<Candidate>, Box<dyn Picker>)> = None;
            for step in 0..STEPS {
                // Each size comes first in some run: a policy must not rely on having seen more
                // candidates, or fewer.
                let size = if step == 0 {
                    run % SIZES
                } else {
                    simulation.random.below(SIZES)
                };
                simulation.change_set(size);
                let set = simulation.set.clone();
                let picker = policy.prepare(&set, simulation.random.next());
                simulation.change_loads(policy.latency_window());
                let trial = Trial {
                    laws: self,
                    is_role_aware: policy.is_role_aware(),
                    run,
                    step,
                };
                trial.pick_often(&set, &*picker, &mut simulation);
                // Requests under way still use the picker before, which does not know of the
                // change.
                if let Some((set, picker)) = before.replace((set, picker)) {
                    trial.pick_often(&set, &*picker, &mut simulation);
                }
            }
        }
    }
}

impl Default for Laws {
    fn default() -> Self {
        Self::new()
    }
}

/// Endpoints that come and go, with their load, health and latency.
struct Simulation {
    random: Entropy,
    set: Vec<Candidate>,
    in_flight: Vec<InFlight<Arc<Load>>>,
    now: Timestamp,
    born: u32,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let random = Entropy::new(seed);
        Self {
            random,
            set: Vec::new(),
            in_flight: Vec::new(),
            now: Timestamp::ZERO,
            born: 0,
        }
    }

    /// Replaces some endpoints, keeps the others, and assigns the roles anew.
    fn change_set(&mut self, size: usize) {
        let kept = self.random.below(size + 1);
        while self.set.len() > kept {
            let gone = self.random.below(self.set.len());
            self.set.remove(gone);
        }
        while self.set.len() < size {
            let place = self.random.below(self.set.len() + 1);
            self.set.insert(place, pod(self.born));
            self.born += 1;
        }
        let roles = self.random.below(3);
        for index in 0..size {
            self.set[index].role = match (roles, index) {
                (0, _) => None,
                (1, 0) => Some(Role::Primary),
                (1, _) => Some(Role::Replica),
                _ => [None, Some(Role::Primary), Some(Role::Replica)][self.random.below(3)],
            };
        }
    }

    /// Lets time pass: requests begin and end, latencies are measured, endpoints fail and recover.
    fn change_loads(&mut self, window: Option<Duration>) {
        self.now = self.now + Duration::from_millis(self.random.below(40_000) as u64);
        self.in_flight.clear();
        let most_in_flight = self.random.below(4);
        let unhealthy = self.random.below(4);
        for candidate in &self.set {
            for _ in 0..self.random.below(most_in_flight + 1) {
                self.in_flight.push(InFlight::begin(Arc::clone(&candidate.load)));
            }
            if let (Some(window), 0) = (window, self.random.below(2)) {
                let elapsed = Duration::from_micros(self.random.below(1_000_000) as u64);
                let outcome = [Outcome::Success, Outcome::Failure, Outcome::Cancelled][self.random.below(3)];
                candidate.load.observe(elapsed, outcome, self.now, window);
            }
            candidate.load.set_unhealthy(match unhealthy {
                0 => false,
                1 => true,
                2 => self.random.below(2) == 0,
                _ => self.random.below(6) != 0,
            });
        }
    }
}

/// The picks from one set of candidates.
struct Trial<'a> {
    laws: &'a Laws,
    is_role_aware: bool,
    run: usize,
    step: usize,
}

impl Trial<'_> {
    fn pick_often(&self, set: &[Candidate], picker: &dyn Picker, simulation: &mut Simulation) {
        for route in [Route::any(), Route::read(), Route::write()] {
            for first in [
                0,
                u64::MAX,
                simulation.random.next(),
                simulation.random.next(),
                simulation.random.next(),
            ] {
                let odds = simulation.random.below(3);
                let excluded = (0..set.len())
                    .filter(|_| odds != 0 && simulation.random.below(odds + 1) == 0)
                    .collect();
                self.pick_all(set, picker, route, first, excluded, simulation);
            }
        }
    }

    /// Simulates one request that fails at each endpoint, until no candidate is left.
    fn pick_all(
        &self,
        set: &[Candidate],
        picker: &dyn Picker,
        route: Route,
        first: u64,
        mut excluded: Vec<usize>,
        simulation: &mut Simulation,
    ) {
        let mut entropy = first;
        loop {
            let args = PickArgs::new(route, entropy)
                .at(simulation.now)
                .excluding(Excluded::of(&excluded));
            let picked = picker.pick(&args);
            let case = Case {
                trial: self,
                set,
                args,
                excluded: &excluded,
                picked,
            };
            if let Some(law) = case.broken_law() {
                panic!("law {law} is broken.\n{case}");
            }
            let Some(index) = picked else { return };
            // The order of the excluded indices must not matter.
            excluded.insert(simulation.random.below(excluded.len() + 1), index);
            entropy = simulation.random.next();
        }
    }
}

/// One pick, to be checked.
struct Case<'a> {
    trial: &'a Trial<'a>,
    set: &'a [Candidate],
    args: PickArgs<'a>,
    excluded: &'a [usize],
    picked: Option<usize>,
}

impl Case<'_> {
    fn broken_law(&self) -> Option<&'static str> {
        let candidates_left = || (0..self.set.len()).filter(|&i| self.fits(i) && !self.excluded.contains(&i));
        let Some(index) = self.picked else {
            return candidates_left().next().is_some().then_some("3 (total)");
        };
        if index >= self.set.len() {
            Some("1 (in range)")
        } else if self.excluded.contains(&index) {
            Some("2 (not excluded)")
        } else if !self.fits(index) {
            Some("5 (role)")
        } else if self.set[index].load.is_unhealthy() && candidates_left().any(|i| !self.set[i].load.is_unhealthy()) {
            Some("4 (healthy first)")
        } else {
            None
        }
    }

    /// Returns whether the candidate may take the request.
    fn fits(&self, index: usize) -> bool {
        if !self.trial.is_role_aware {
            return true;
        }
        match (self.args.route.role(), self.set[index].role) {
            (None, _) => true,
            (Some(asked), Some(role)) if asked == role => true,
            (Some(Role::Replica), Some(Role::Primary)) => !self.trial.laws.strict_reads,
            _ => false,
        }
    }
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trial { laws, run, step, .. } = self.trial;
        writeln!(f, "replay: Laws::with_seed({:#x}), run {run}, step {step}", laws.seed)?;
        let PickArgs {
            route, entropy, now, ..
        } = self.args;
        writeln!(
            f,
            "asked: {route:?}, entropy {entropy:#018x}, now {now:?}, excluded {:?}",
            self.excluded
        )?;
        writeln!(f, "picked: {:?} of {}", self.picked, self.set.len())?;
        for (index, candidate) in self.set.iter().enumerate() {
            writeln!(f, "  {index}: role {:?}, {:?}", candidate.role, candidate.load)?;
        }
        Ok(())
    }
}

/// A reproducible sequence of random numbers: SplitMix64.
pub(super) struct Entropy(u64);

impl Entropy {
    pub(super) const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns a number in `0..n`, or 0.
    fn below(&mut self, n: usize) -> usize {
        super::below(self.next(), n).unwrap_or(0)
    }
}

/// Returns endpoint number `number`: idle, healthy, without latency and role.
fn pod(number: u32) -> Candidate {
    let ip = Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + number);
    Candidate::new(
        Arc::new(Endpoint::new(SocketAddr::from((ip, 80)))),
        Arc::new(Load::new()),
    )
}

const RUNS: usize = 130;
const STEPS: usize = 6;
/// 0 to 12 endpoints.
const SIZES: usize = 13;

#[cfg(all(test, not(loom)))]
pub(super) fn pods(n: usize) -> Vec<Candidate> {
    (0..).take(n).map(pod).collect()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::policy::{Fallback, LeastLoaded, RoleAware};

    /// A policy whose right choice is spoilt by `wrong`.
    #[derive(Debug)]
    struct Broken {
        is_role_aware: bool,
        wrong: fn(&[Candidate], &PickArgs<'_>, Option<usize>) -> Option<usize>,
    }

    #[derive(Debug)]
    struct BrokenPicker {
        candidates: Vec<Candidate>,
        right: Box<dyn Picker>,
        wrong: fn(&[Candidate], &PickArgs<'_>, Option<usize>) -> Option<usize>,
    }

    impl Policy for Broken {
        fn prepare(&mut self, candidates: &[Candidate], entropy: u64) -> Box<dyn Picker> {
            let right = LeastLoaded.prepare(candidates, entropy);
            Box::new(BrokenPicker {
                candidates: candidates.to_vec(),
                right,
                wrong: self.wrong,
            })
        }

        fn is_role_aware(&self) -> bool {
            self.is_role_aware
        }
    }

    impl Picker for BrokenPicker {
        fn pick(&self, args: &PickArgs<'_>) -> Option<usize> {
            (self.wrong)(&self.candidates, args, self.right.pick(args))
        }
    }

    #[test]
    #[should_panic(expected = "law 1 (in range)")]
    fn an_index_out_of_range_is_found() {
        let wrong =
            |set: &[Candidate], _: &PickArgs<'_>, right: Option<usize>| if set.len() == 12 { Some(12) } else { right };
        check(|| Broken {
            is_role_aware: false,
            wrong,
        });
    }

    #[test]
    #[should_panic(expected = "law 2 (not excluded)")]
    fn a_repeated_pick_is_found() {
        check(|| Broken {
            is_role_aware: false,
            wrong: |set, _, right| right.or(set.len().checked_sub(1)),
        });
    }

    #[test]
    #[should_panic(expected = "law 3 (total)")]
    fn giving_up_early_is_found() {
        let wrong =
            |set: &[Candidate], _: &PickArgs<'_>, right: Option<usize>| right.filter(|&i| !set[i].load.is_unhealthy());
        check(|| Broken {
            is_role_aware: false,
            wrong,
        });
    }

    #[test]
    #[should_panic(expected = "law 4 (healthy first)")]
    fn ignoring_health_is_found() {
        check(|| Broken {
            is_role_aware: false,
            wrong: |set, args, _| (0..set.len()).find(|&i| !args.excluded.contains(i)),
        });
    }

    #[test]
    #[should_panic(expected = "law 5 (role)")]
    fn ignoring_roles_is_found() {
        check(|| Broken {
            is_role_aware: true,
            wrong: |_, _, right| right,
        });
    }

    #[test]
    #[should_panic(expected = "law 3 (total)")]
    fn a_strict_policy_must_say_so() {
        check(|| RoleAware::new(LeastLoaded).fallback(Fallback::Strict));
    }

    #[test]
    #[should_panic(expected = "law 5 (role)")]
    fn a_policy_that_is_not_strict_must_not_say_so() {
        Laws::new().with_strict_reads().check(|| RoleAware::new(LeastLoaded));
    }

    #[test]
    #[should_panic(expected = "Laws::with_seed(0x2a), run ")]
    fn a_failure_tells_how_to_replay_it() {
        Laws::new().with_seed(42).check(|| Broken {
            is_role_aware: false,
            wrong: |_, _, _| None,
        });
    }
}
