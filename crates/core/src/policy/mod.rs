//! Which endpoint takes a request: the contract between a balancer and a policy, and the policies we ship.
//!
//! Two halves, as in gRPC's `LbPolicy` and `Picker`:
//!
//! * A [`Policy`] is told the candidates, rarely: when the set, a role or the rule changes. It may allocate, and it owns what
//!   must outlive a change, such as round robin's cursor.
//! * The [`Picker`] it prepares chooses, for every request, on many threads at once. It is never changed.
//!
//! # The contract of a picker
//!
//! [`conformance::check`] tests these laws; run your own policy through it.
//!
//! 1. **In range.** The index points into the candidates the picker was prepared with.
//! 2. **Never tried twice.** It never returns an index in [`PickArgs::excluded`]; when all that fit the route are tried, `None`.
//! 3. **Total.** It returns `None` only if no untried candidate fits the route.
//! 4. **Healthy first.** It never returns an unhealthy candidate ([`Load::is_unhealthy`]) while an untried one that fits is not.
//! 5. **Role.** If the policy is role-aware, a write only ever goes to a primary (invariant I9).
//! 6. **Free.** No lock, no allocation, no clock, no I/O: time and randomness are in the arguments.
//!
//! What must not live here: connections, waiting, retries. A retry is another pick with one more index in `tried`.

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

/// One endpoint that may be picked, with what a policy may know of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// Who it is.
    pub endpoint: Arc<Endpoint>,
    /// Its role, if the balancer has a rule and the rule knows one.
    pub role: Option<Role>,
    /// What it costs. The same cell as long as the endpoint lives, over all changes of the set.
    pub load: Arc<Load>,
}

impl Candidate {
    /// A candidate without a role.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, load: Arc<Load>) -> Self {
        Self {
            endpoint,
            role: None,
            load,
        }
    }

    /// The same candidate in `role`.
    #[must_use]
    pub fn with_role(mut self, role: Option<Role>) -> Self {
        self.role = role;
        self
    }
}

/// Prepares pickers. Rarely called, by one writer.
pub trait Policy: fmt::Debug + Send + 'static {
    /// Makes the picker for `candidates`, which replaces the one before.
    ///
    /// `entropy` is 64 random bits, for what must differ from process to process (where a cursor starts).
    fn prepare(&mut self, candidates: &[Candidate], entropy: u64) -> Box<dyn Picker>;

    /// Whether [`Route::role`] is obeyed. A balancer refuses a route with a role if not: it would be ignored in silence.
    fn is_role_aware(&self) -> bool {
        false
    }

    /// The time constant with which latencies are remembered, if this policy looks at them. `None`, the default, spares every
    /// request two readings of the clock.
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

/// Chooses an endpoint for one request. Shared by all threads; see the [contract](self#the-contract-of-a-picker).
pub trait Picker: fmt::Debug + Send + Sync + 'static {
    /// The index of the chosen candidate, or `None` if none fits.
    fn pick(&self, args: &PickArgs<'_>) -> Option<usize>;
}

/// Everything a pick depends on besides the candidates.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PickArgs<'a> {
    /// What the request asks for.
    pub route: Route,
    /// 64 random bits, new for each pick.
    pub entropy: u64,
    /// The time, if the policy has a [`Policy::latency_window`]; otherwise zero.
    pub now: Timestamp,
    /// The candidates that this request has tried already.
    pub excluded: Excluded<'a>,
}

impl<'a> PickArgs<'a> {
    /// A first attempt.
    #[must_use]
    pub const fn new(route: Route, entropy: u64) -> Self {
        Self {
            route,
            entropy,
            now: Timestamp::ZERO,
            excluded: Excluded::NONE,
        }
    }

    /// The same pick at `now`.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// The same pick, after `tried` failed.
    #[must_use]
    pub const fn excluding(mut self, excluded: Excluded<'a>) -> Self {
        self.excluded = excluded;
        self
    }
}

/// The indices a request has tried already: few, so they are searched one by one.
#[derive(Clone, Copy, Debug)]
pub struct Excluded<'a>(Marks<'a>);

/// WHY: an empty list is `None`, also behind a map, so that a first attempt is known by one comparison.
#[derive(Clone, Copy, Debug)]
enum Marks<'a> {
    None,
    These(&'a [usize]),
    /// For a picker over some of the candidates: its own indices → the outer picker's, and what the outer one was told.
    Through(&'a [usize], &'a Excluded<'a>),
}

impl<'a> Excluded<'a> {
    /// Nothing was tried.
    pub const NONE: Excluded<'static> = Excluded(Marks::None);

    /// These were tried.
    #[must_use]
    pub const fn of(indices: &'a [usize]) -> Self {
        Self(if indices.is_empty() {
            Marks::None
        } else {
            Marks::These(indices)
        })
    }

    /// The same, for a picker whose candidate `i` is this picker's `map[i]`. Policies that split the candidates use it.
    #[must_use]
    pub const fn through(&'a self, map: &'a [usize]) -> Self {
        Self(if self.is_empty() {
            Marks::None
        } else {
            Marks::Through(map, self)
        })
    }

    /// Whether this candidate was tried.
    #[inline]
    #[must_use]
    pub fn contains(&self, index: usize) -> bool {
        match self.0 {
            Marks::None => false,
            Marks::These(indices) => indices.contains(&index),
            Marks::Through(map, outer) => map.get(index).is_some_and(|&outer_index| outer.contains(outer_index)),
        }
    }

    /// Whether nothing was tried: the usual case, in which no index needs to be checked.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.0, Marks::None)
    }
}

/// The loads of `candidates`, in their order: all that a picker keeps.
fn loads_of(candidates: &[Candidate]) -> Box<[Arc<Load>]> {
    candidates.iter().map(|candidate| Arc::clone(&candidate.load)).collect()
}

/// Whether a draw may stand: candidate `index` is healthy and untried.
#[inline]
fn is_fit(loads: &[Arc<Load>], index: usize, args: &PickArgs<'_>) -> bool {
    !loads[index].is_unhealthy() && (args.excluded.is_empty() || !args.excluded.contains(index))
}

/// The slow way, shared by the policies: among all untried candidates the one with the least `key`, equals chosen evenly.
///
/// A key that puts unhealthy candidates last ([`Load::cost`], [`Load::is_unhealthy`]) fulfils laws 1 to 4.
// WHY: equals are ordered by a hash. Starting at a random place and taking the first would favour, by as much as its
// distance, whoever comes after a gap of unfit ones.
#[inline(never)]
fn scan<K: Ord>(loads: &[Arc<Load>], args: &PickArgs<'_>, key: impl Fn(&Load) -> K) -> Option<usize> {
    let untried = (0..loads.len()).filter(|&i| !args.excluded.contains(i));
    untried.min_by_key(|&i| (key(&loads[i]), mix(args.entropy ^ i as u64)))
}

/// A number in `0..n`, from the upper bits of `entropy`; `None` if `n` is 0.
///
/// Multiply and shift instead of a division (D. Lemire, "Fast random integer generation in an interval", 2019); the bias is
/// below n / 2^32.
#[inline]
fn below(entropy: u64, n: usize) -> Option<usize> {
    (n != 0).then(|| scaled(entropy, n))
}

/// [`below`], of an `n` that is not 0.
#[inline]
fn scaled(entropy: u64, n: usize) -> usize {
    (((entropy >> 32) * n as u64) >> 32) as usize
}

/// Makes 64 bits out of 64 bits, one to one and unlike each other even for neighbours: the output function of SplitMix64
/// (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[doc(hidden)]
#[inline]
#[must_use]
pub const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
