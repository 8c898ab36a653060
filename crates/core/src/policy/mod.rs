//! Policies: which endpoint takes a request. The contract between a balancer and a policy, and the
//! policies of this crate.
//!
//! There are two halves, as in gRPC's `LbPolicy` and `Picker`:
//!
//! * A [`Policy`] is told the candidates, which is rare: when the membership, a role or the role
//!   rule changes. It may allocate, and it owns what must outlive a change, such as the cursor of
//!   round robin.
//! * The [`Picker`] that it prepares chooses an endpoint for each request, on many threads at once.
//!   It never changes.
//!
//! # The contract of a picker
//!
//! [`conformance::check`] tests these laws; run your own policy through it.
//!
//! 1. **In range.** The index points into the candidates that the picker was prepared with.
//! 2. **Not excluded.** The picker never returns an index in [`PickArgs::excluded`].
//! 3. **Total.** It returns `None` only if each candidate that fits the route is excluded.
//! 4. **Healthy first.** It returns an unhealthy candidate ([`Load::is_unhealthy`]) only if each
//!    healthy one that fits is excluded.
//! 5. **Role.** If the policy is role-aware, a write only ever goes to a primary (invariant I9).
//! 6. **Pure.** There is no lock, no allocation, no clock and no I/O: time and randomness are in
//!    the arguments.
//!
//! Connections, waiting and retries do not belong here. A retry is another pick with one more
//! excluded index.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Endpoint, Load, Role, Route, Timestamp};

pub mod conformance;
mod least_loaded;
mod power_of_two;
mod random;
mod role_aware;
mod round_robin;

pub use least_loaded::LeastLoaded;
pub use power_of_two::PowerOfTwo;
pub use random::Random;
pub use role_aware::{Fallback, RoleAware};
pub use round_robin::RoundRobin;

/// An endpoint that may be picked, with the data that a policy may use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its role, if the balancer has a role rule and the rule assigns one.
    pub role: Option<Role>,
    /// Its load. This is the same cell for the whole life of the endpoint, over all changes of the
    /// membership.
    pub load: Arc<Load>,
}

impl Candidate {
    /// Returns a candidate without a role.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, load: Arc<Load>) -> Self {
        Self {
            endpoint,
            role: None,
            load,
        }
    }

    /// Returns the same candidate in `role`.
    #[must_use]
    pub fn with_role(mut self, role: Option<Role>) -> Self {
        self.role = role;
        self
    }
}

/// Prepares pickers. It is called rarely, and by one task.
pub trait Policy: fmt::Debug + Send + 'static {
    /// Returns the picker for `candidates`, which replaces the one before.
    ///
    /// `entropy` is 64 random bits, for what must differ between processes, such as the start of a
    /// cursor.
    fn prepare(&mut self, candidates: &[Candidate], entropy: u64) -> Box<dyn Picker>;

    /// Returns whether [`Route::role`] is obeyed. Default: `false`; the balancer then refuses a
    /// route with a role, as the role would be ignored.
    fn is_role_aware(&self) -> bool {
        false
    }

    /// Returns the time constant with which latencies are remembered, if this policy uses them.
    /// Default: `None`, which saves two readings of the clock per request.
    fn latency_window(&self) -> Option<Duration> {
        None
    }
}

impl Policy for Box<dyn Policy> {
    fn prepare(&mut self, candidates: &[Candidate], entropy: u64) -> Box<dyn Picker> {
        (**self).prepare(candidates, entropy)
    }

    fn is_role_aware(&self) -> bool {
        (**self).is_role_aware()
    }

    fn latency_window(&self) -> Option<Duration> {
        (**self).latency_window()
    }
}

/// Chooses an endpoint for one request.
///
/// All threads share a picker; see the [contract](self#the-contract-of-a-picker).
pub trait Picker: fmt::Debug + Send + Sync + 'static {
    /// Returns the index of the chosen candidate, or `None` if none fits.
    fn pick(&self, args: &PickArgs<'_>) -> Option<usize>;
}

/// The arguments of a pick: everything that it depends on besides the candidates.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PickArgs<'a> {
    /// The role that the request asks for, if any.
    pub route: Route,
    /// 64 random bits, new for each pick.
    pub entropy: u64,
    /// The time, if the policy has a [`Policy::latency_window`]; otherwise zero.
    pub now: Timestamp,
    /// The candidates that must not be picked, because this request has tried them already.
    pub excluded: Excluded<'a>,
}

impl<'a> PickArgs<'a> {
    /// Returns the arguments of a first attempt.
    #[must_use]
    pub const fn new(route: Route, entropy: u64) -> Self {
        Self {
            route,
            entropy,
            now: Timestamp::ZERO,
            excluded: Excluded::NONE,
        }
    }

    /// Returns the same arguments with the time `now`.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// Returns the same arguments with `excluded` candidates.
    #[must_use]
    pub const fn excluding(mut self, excluded: Excluded<'a>) -> Self {
        self.excluded = excluded;
        self
    }
}

/// Indices that must not be picked. They are few, so they are searched one by one.
#[derive(Clone, Copy, Debug)]
pub struct Excluded<'a>(Marks<'a>);

/// WHY: an empty list is `None`, also behind a map, so that one comparison tells a first attempt.
#[derive(Clone, Copy, Debug)]
enum Marks<'a> {
    None,
    These(&'a [usize]),
    /// For a picker over some of the candidates: the map from its indices to those of the outer
    /// picker, and the exclusions of the outer picker.
    Through(&'a [usize], &'a Excluded<'a>),
}

impl<'a> Excluded<'a> {
    /// No exclusion.
    pub const NONE: Excluded<'static> = Excluded(Marks::None);

    /// Excludes `indices`.
    #[must_use]
    pub const fn of(indices: &'a [usize]) -> Self {
        Self(if indices.is_empty() {
            Marks::None
        } else {
            Marks::These(indices)
        })
    }

    /// Returns the same exclusions for a picker whose candidate `i` is this picker's `map[i]`, for
    /// policies that split the candidates.
    #[must_use]
    pub const fn through(&'a self, map: &'a [usize]) -> Self {
        Self(if self.is_empty() {
            Marks::None
        } else {
            Marks::Through(map, self)
        })
    }

    /// Returns whether the candidate `index` is excluded.
    #[inline]
    #[must_use]
    pub fn contains(&self, index: usize) -> bool {
        match self.0 {
            Marks::None => false,
            Marks::These(indices) => indices.contains(&index),
            Marks::Through(map, outer) => map.get(index).is_some_and(|&outer_index| outer.contains(outer_index)),
        }
    }

    /// Returns whether nothing is excluded. This is the usual case, in which no index needs to be
    /// checked.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.0, Marks::None)
    }
}

/// Returns the loads of `candidates`, in their order. A picker keeps nothing else.
fn loads_of(candidates: &[Candidate]) -> Box<[Arc<Load>]> {
    candidates.iter().map(|candidate| Arc::clone(&candidate.load)).collect()
}

/// Returns whether the candidate `index` is healthy and not excluded.
#[inline]
fn is_fit(loads: &[Arc<Load>], index: usize, args: &PickArgs<'_>) -> bool {
    !loads[index].is_unhealthy() && (args.excluded.is_empty() || !args.excluded.contains(index))
}

/// The slow path, shared by the policies: returns the candidate with the least `key` of all that
/// are not excluded. Equal ones are chosen evenly.
///
/// A key that puts unhealthy candidates last ([`Load::cost`], [`Load::is_unhealthy`]) fulfils laws
/// 1 to 4.
///
/// WHY: equal ones are ordered by a hash. Starting at a random index and taking the first would
/// favour the candidate that comes after a gap of unfit ones.
#[inline(never)]
fn scan<K: Ord>(loads: &[Arc<Load>], args: &PickArgs<'_>, key: impl Fn(&Load) -> K) -> Option<usize> {
    let left = (0..loads.len()).filter(|&i| !args.excluded.contains(i));
    left.min_by_key(|&i| (key(&loads[i]), mix(args.entropy ^ i as u64)))
}

/// Returns a number in `0..n`, from the upper bits of `entropy`, or `None` if `n` is 0.
///
/// It is a multiplication and a shift instead of a division (D. Lemire, "Fast random integer
/// generation in an interval", 2019). The bias is below n / 2^32.
#[inline]
fn below(entropy: u64, n: usize) -> Option<usize> {
    (n != 0).then(|| scaled(entropy, n))
}

/// Returns [`below`] of an `n` that is not 0.
#[inline]
fn scaled(entropy: u64, n: usize) -> usize {
    (((entropy >> 32) * n as u64) >> 32) as usize
}

/// Maps 64 bits to 64 bits, one to one, so that neighbours become unlike each other: the output
/// function of SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
#[doc(hidden)]
#[inline]
#[must_use]
pub const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
