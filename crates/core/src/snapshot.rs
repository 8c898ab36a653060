//! [`Snapshot`]: all ready endpoints of a Service at one time, immutable and sorted.
//! [`Generation`]: the number of a snapshot.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::{Diff, Endpoint, EndpointKey};

/// The number of a snapshot of one discovery: 0 before the first, and one more with each change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(u64);

impl Generation {
    /// Returns the generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Returns the number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// All ready endpoints of a Service at one time.
///
/// The endpoints are sorted by [`EndpointKey`], and no key occurs twice. A snapshot never changes:
/// a new membership is a new snapshot with the next generation. Endpoints that stay are shared with
/// the snapshot before, so a change costs what it changes.
///
/// ```
/// # use headless_core as headless;
/// use headless::{Endpoint, Generation, Snapshot};
///
/// let endpoint = |k: u32| {
///     let endpoint = Endpoint::new(format!("10.0.0.{k}:80").parse().unwrap());
///     endpoint.with_pod(format!("web-{k}").parse().unwrap())
/// };
/// let endpoints = [endpoint(10), endpoint(2), endpoint(10)];
/// let snapshot = Snapshot::new(Generation::default().next(), endpoints);
/// let pods: Vec<String> = snapshot.iter().map(|e| e.to_string()).collect();
/// assert_eq!(pods, ["web-2 (10.0.0.2:80)", "web-10 (10.0.0.10:80)"], "sorted as numbers");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Snapshot {
    generation: Generation,
    endpoints: Arc<[Arc<Endpoint>]>,
}

impl Snapshot {
    /// Returns a snapshot of `endpoints`: sorted, without repeated keys.
    pub fn new<E: Into<Arc<Endpoint>>>(generation: Generation, endpoints: impl IntoIterator<Item = E>) -> Self {
        let endpoints: Vec<Arc<Endpoint>> = endpoints.into_iter().map(Into::into).collect();
        Self {
            generation,
            endpoints: sorted(endpoints).into(),
        }
    }

    /// Returns these endpoints with the changes of `diff`, which was made from this snapshot.
    ///
    /// Endpoints that stay are the same objects, so a change costs what it changes.
    pub(crate) fn apply(&self, diff: &Diff) -> Self {
        if diff.is_empty() {
            return self.clone();
        }
        let (mut old, mut added) = (self.iter(), diff.added().iter());
        let mut endpoints = Vec::with_capacity(self.len() + diff.added().len() - diff.removed().len());
        for hunk in diff.hunks() {
            endpoints.extend(old.by_ref().take(hunk.kept).cloned());
            old.by_ref().take(hunk.removed).for_each(drop);
            endpoints.extend(added.by_ref().take(hunk.added).cloned());
        }
        endpoints.extend(old.cloned());
        Self {
            generation: self.generation,
            endpoints: endpoints.into(),
        }
    }

    /// Returns the same endpoints as a snapshot of `generation`.
    pub(crate) fn as_of(&self, generation: Generation) -> Self {
        Self {
            generation,
            endpoints: Arc::clone(&self.endpoints),
        }
    }

    /// Returns the generation of this snapshot.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Returns the number of endpoints.
    #[must_use]
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Returns whether there are no endpoints.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Returns the endpoints, in the order of their keys.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Endpoint>> {
        self.endpoints.iter()
    }

    pub(crate) fn as_slice(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// Returns the endpoint with the identity `key`.
    #[must_use]
    pub fn get(&self, key: &EndpointKey) -> Option<&Arc<Endpoint>> {
        let index = self.endpoints.binary_search_by(|e| e.key().cmp(key)).ok()?;
        self.endpoints.get(index)
    }

    /// Returns whether `other` has the same endpoints, whatever its generation.
    #[must_use]
    pub fn same_endpoints(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.endpoints, &other.endpoints) || self.endpoints == other.endpoints
    }
}

/// Sorts `endpoints` by key and drops repeated keys. Most lists are sorted already, as resolvers
/// sort.
pub(crate) fn sorted<E: Borrow<Endpoint>>(mut endpoints: Vec<E>) -> Vec<E> {
    fn key<E: Borrow<Endpoint>>(endpoint: &E) -> &EndpointKey {
        endpoint.borrow().key()
    }
    if !endpoints.is_sorted_by(|a, b| key(a) < key(b)) {
        endpoints.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        endpoints.dedup_by(|a, b| key(a) == key(b));
    }
    endpoints
}

impl<'a> IntoIterator for &'a Snapshot {
    type Item = &'a Arc<Endpoint>;
    type IntoIter = std::slice::Iter<'a, Arc<Endpoint>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
