//! [`RoleAware`]: writes go to a primary, reads to the replicas. A policy per role chooses among
//! them.
//!
//! The balancer's [`RoleRule`](crate::RoleRule) assigns the roles, which arrive with the
//! candidates.

use std::sync::Arc;
use std::time::Duration;

use crate::{Load, Role};

use super::{Candidate, PickArgs, Picker, Policy, PowerOfTwo, loads_of, mix};

/// Sends writes to primaries, reads to replicas, and requests without a role to any endpoint.
///
/// Use it for replicated databases and caches in which one pod takes the writes. It is not needed
/// if all endpoints are equal.
///
/// | route | endpoint |
/// |---|---|
/// | [`Route::write`](crate::Route::write) | a primary, and never another one (invariant I9) |
/// | [`Route::read`](crate::Route::read) | a replica, or a primary if [`Fallback`] allows it |
/// | [`Route::any`](crate::Route::any) | any, with or without a role |
///
/// A read goes to a healthy replica; else to a healthy primary, if [`Fallback`] allows it; else to
/// an unhealthy replica or primary.
///
/// Each group has a policy of its own, so that reads do not move the cursor of the writes.
///
/// ```
/// # use headless_core as headless;
/// use headless::policy::{Fallback, Policy, PowerOfTwo, RoleAware};
///
/// let policy = RoleAware::new(PowerOfTwo::default()).fallback(Fallback::Strict);
/// assert!(policy.is_role_aware());
/// ```
///
/// The idea is MongoDB's read preference: `PrimaryWhenNoReplica` is its `secondaryPreferred`, and
/// `Strict` its `secondary`.
#[derive(Clone, Debug, Default)]
pub struct RoleAware<P = PowerOfTwo> {
    primary: P,
    replica: P,
    any: P,
    fallback: Fallback,
}

/// What happens to a read when no healthy replica is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Fallback {
    /// A primary takes the read, so reads are possible with a single endpoint. This is the default.
    #[default]
    PrimaryWhenNoReplica,
    /// Only replicas take reads, for a primary that must not take more load than the writes.
    Strict,
}

impl<P: Policy + Clone> RoleAware<P> {
    /// Returns a policy that chooses by `inner` in each group.
    ///
    /// `inner` is cloned, once for each group. A clone of a policy must not share state with the
    /// original; no policy of this crate does.
    #[must_use]
    pub fn new(inner: P) -> Self {
        Self::with(inner.clone(), inner.clone(), inner)
    }
}

impl<P: Policy> RoleAware<P> {
    /// Returns a policy that chooses by different policies among primaries, among replicas and
    /// among all endpoints. With `P = Box<dyn Policy>` they may be of different types.
    #[must_use]
    pub const fn with(primary: P, replica: P, any: P) -> Self {
        Self {
            primary,
            replica,
            any,
            fallback: Fallback::PrimaryWhenNoReplica,
        }
    }

    /// Sets what happens to a read without a replica. Default: [`Fallback::PrimaryWhenNoReplica`].
    #[must_use]
    pub const fn fallback(mut self, fallback: Fallback) -> Self {
        self.fallback = fallback;
        self
    }
}

impl<P: Policy> Policy for RoleAware<P> {
    fn prepare(&mut self, candidates: &[Candidate], entropy: u64) -> Box<dyn Picker> {
        // Three numbers are made of one: the cursors of the three groups must not be synchronised.
        Box::new(ByRole {
            primaries: Group::of(Role::Primary, candidates, &mut self.primary, mix(entropy)),
            replicas: Group::of(
                Role::Replica,
                candidates,
                &mut self.replica,
                mix(entropy.wrapping_add(1)),
            ),
            all: self.any.prepare(candidates, mix(entropy.wrapping_add(2))),
            fallback: self.fallback,
        })
    }

    fn is_role_aware(&self) -> bool {
        true
    }

    /// Returns the longest of the three windows: there is one latency figure per endpoint.
    fn latency_window(&self) -> Option<Duration> {
        [&self.primary, &self.replica, &self.any]
            .into_iter()
            .filter_map(|policy| policy.latency_window())
            .max()
    }
}

#[derive(Debug)]
struct ByRole {
    primaries: Group,
    replicas: Group,
    all: Box<dyn Picker>,
    fallback: Fallback,
}

impl Picker for ByRole {
    fn pick(&self, args: &PickArgs<'_>) -> Option<usize> {
        match args.route.role() {
            None => self.all.pick(args),
            Some(Role::Primary) => self.primaries.pick(args).map(|chosen| chosen.index),
            Some(Role::Replica) => self.read(args),
        }
    }
}

impl ByRole {
    fn read(&self, args: &PickArgs<'_>) -> Option<usize> {
        // A group returns an unhealthy candidate only if it has no healthy one left (law 4).
        let replica = self.replicas.pick(args);
        if self.fallback == Fallback::Strict || replica.as_ref().is_some_and(|chosen| !chosen.is_unhealthy) {
            return replica.map(|chosen| chosen.index);
        }
        let primary = self.primaries.pick(args);
        let chosen = match primary {
            Some(Chosen {
                is_unhealthy: false, ..
            }) => primary,
            _ => replica.or(primary),
        };
        chosen.map(|chosen| chosen.index)
    }
}

/// The candidates of one role and the picker over them.
#[derive(Debug)]
struct Group {
    picker: Box<dyn Picker>,
    /// The map from the picker's indices to those of all candidates.
    map: Box<[usize]>,
    loads: Box<[Arc<Load>]>,
}

impl Group {
    fn of(role: Role, candidates: &[Candidate], policy: &mut impl Policy, entropy: u64) -> Self {
        let map: Box<[usize]> = (0..candidates.len())
            .filter(|&i| candidates[i].role == Some(role))
            .collect();
        let members: Vec<Candidate> = map.iter().map(|&i| candidates[i].clone()).collect();
        Self {
            picker: policy.prepare(&members, entropy),
            map,
            loads: loads_of(&members),
        }
    }

    fn pick(&self, args: &PickArgs<'_>) -> Option<Chosen> {
        let inner = self.picker.pick(&args.excluding(args.excluded.through(&self.map)))?;
        Some(Chosen {
            index: self.map[inner],
            is_unhealthy: self.loads[inner].is_unhealthy(),
        })
    }
}

struct Chosen {
    index: usize,
    is_unhealthy: bool,
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::conformance::{self, Entropy, Laws, pods};
    use super::*;
    use crate::Route;
    use crate::policy::{Excluded, LeastLoaded, Random, RoundRobin};

    const P: Option<Role> = Some(Role::Primary);
    const R: Option<Role> = Some(Role::Replica);

    fn set(roles: &[Option<Role>]) -> Vec<Candidate> {
        pods(roles.len())
            .into_iter()
            .zip(roles)
            .map(|(candidate, &role)| candidate.with_role(role))
            .collect()
    }

    /// Returns the indices that a route reaches in 500 picks.
    fn reached(picker: &dyn Picker, route: Route, excluded: &[usize]) -> Vec<usize> {
        let mut random = Entropy::new(5);
        let mut found: Vec<usize> = (0..500)
            .filter_map(|_| picker.pick(&PickArgs::new(route, random.next()).excluding(Excluded::of(excluded))))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn obeys_the_laws_over_each_policy() {
        conformance::check(|| RoleAware::new(RoundRobin::default()));
        conformance::check(|| RoleAware::new(Random));
        conformance::check(|| RoleAware::new(LeastLoaded));
        conformance::check(|| RoleAware::new(PowerOfTwo::default()));
        conformance::check(|| RoleAware::new(PowerOfTwo::latency()));
        conformance::check(|| {
            let (primary, replica): (Box<dyn Policy>, Box<dyn Policy>) = (Box::new(Random), Box::new(LeastLoaded));
            RoleAware::with(primary, replica, Box::new(RoundRobin::default()))
        });
    }

    #[test]
    fn obeys_the_laws_when_strict() {
        let strict = Laws::new().with_strict_reads();
        strict.check(|| RoleAware::new(RoundRobin::default()).fallback(Fallback::Strict));
        strict.check(|| RoleAware::new(Random).fallback(Fallback::Strict));
        strict.check(|| RoleAware::new(LeastLoaded).fallback(Fallback::Strict));
        strict.check(|| RoleAware::new(PowerOfTwo::default()).fallback(Fallback::Strict));
        strict.check(|| RoleAware::new(PowerOfTwo::latency()).fallback(Fallback::Strict));
    }

    #[test]
    fn each_route_reaches_exactly_its_own() {
        let picker = RoleAware::new(Random).prepare(&set(&[R, P, None, R, P]), 0);
        assert_eq!(reached(&*picker, Route::write(), &[]), [1, 4]);
        assert_eq!(
            reached(&*picker, Route::read(), &[]),
            [0, 3],
            "no read on a primary while a replica lives"
        );
        assert_eq!(reached(&*picker, Route::any(), &[]), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn exclusions_hold_across_the_groups() {
        let picker = RoleAware::new(PowerOfTwo::default()).prepare(&set(&[R, P, None, R, P]), 0);
        assert_eq!(reached(&*picker, Route::write(), &[0, 1]), [4]);
        assert_eq!(reached(&*picker, Route::read(), &[0, 1]), [3]);
        assert_eq!(reached(&*picker, Route::any(), &[0, 1, 3]), [2, 4]);
        assert_eq!(
            reached(&*picker, Route::write(), &[1, 4]),
            [],
            "the left are not primaries"
        );
    }

    #[test]
    fn a_primary_stands_in_for_reads_only_when_no_healthy_replica_is_left() {
        let candidates = set(&[P, R, R]);
        let picker = RoleAware::<PowerOfTwo>::default().prepare(&candidates, 0);
        let strict = RoleAware::<PowerOfTwo>::default()
            .fallback(Fallback::Strict)
            .prepare(&candidates, 0);
        assert_eq!(reached(&*picker, Route::read(), &[1, 2]), [0], "all replicas excluded");
        assert_eq!(reached(&*strict, Route::read(), &[1, 2]), []);

        candidates[1].load.set_unhealthy(true);
        assert_eq!(
            reached(&*picker, Route::read(), &[]),
            [2],
            "one healthy replica is enough"
        );
        candidates[2].load.set_unhealthy(true);
        assert_eq!(
            reached(&*picker, Route::read(), &[]),
            [0],
            "a healthy primary before an unhealthy replica"
        );
        assert_eq!(reached(&*strict, Route::read(), &[]), [1, 2]);
        assert_eq!(
            reached(&*picker, Route::read(), &[0]),
            [1, 2],
            "the primary is excluded, too"
        );

        candidates[0].load.set_unhealthy(true);
        assert_eq!(
            reached(&*picker, Route::read(), &[]),
            [1, 2],
            "an unhealthy replica before an unhealthy primary"
        );
        assert_eq!(reached(&*picker, Route::read(), &[1, 2]), [0], "and that one last");
    }

    #[test]
    fn without_a_primary_no_endpoint_takes_a_write() {
        let picker = RoleAware::<PowerOfTwo>::default().prepare(&set(&[R, None, R]), 0);
        assert_eq!(reached(&*picker, Route::write(), &[]), []);
        assert_eq!(reached(&*picker, Route::read(), &[]), [0, 2]);
    }

    #[test]
    fn without_roles_only_routes_without_a_role_are_served() {
        let picker = RoleAware::<PowerOfTwo>::default().prepare(&pods(3), 0);
        assert_eq!(reached(&*picker, Route::write(), &[]), []);
        assert_eq!(reached(&*picker, Route::read(), &[]), []);
        assert_eq!(reached(&*picker, Route::any(), &[]), [0, 1, 2]);
    }

    #[test]
    fn each_group_has_its_own_cursor() {
        let picker = RoleAware::new(RoundRobin::default()).prepare(&set(&[P, R, P, R, R]), 7);
        let mut counts = [0; 5];
        for _ in 0..60 {
            for route in [Route::read(), Route::write(), Route::read()] {
                counts[picker.pick(&PickArgs::new(route, 0)).unwrap()] += 1;
            }
        }
        assert_eq!(counts, [30, 40, 30, 40, 40], "a shared cursor would skip");
    }

    #[test]
    fn the_cursors_do_not_start_in_step() {
        let roles: Vec<_> = [[P; 16], [R; 16]].concat();
        let starts: Vec<(usize, usize)> = (0..4)
            .map(|entropy| {
                let picker = RoleAware::new(RoundRobin::default()).prepare(&set(&roles), entropy);
                let first = |route| picker.pick(&PickArgs::new(route, 0)).unwrap();
                (first(Route::write()), first(Route::read()) - 16)
            })
            .collect();
        assert!(starts.iter().all(|(write, read)| write != read), "{starts:?}");
    }

    #[test]
    fn the_clock_is_read_if_any_group_needs_it() {
        let window = Duration::from_secs(3);
        assert_eq!(RoleAware::new(Random).latency_window(), None);
        let mixed = RoleAware::with(
            PowerOfTwo::default(),
            PowerOfTwo::latency_over(window),
            PowerOfTwo::default(),
        );
        assert_eq!(mixed.latency_window(), Some(window));
    }
}
