//! [`Diff`]: the difference between two [`Snapshot`]s, as a list of changes that is applied in one
//! pass.
//!
//! [`Refresh`](crate::Refresh) compares an answer with the current snapshot once. The resulting
//! diff decides what is held back, and is then handed on with the new snapshot, so that no consumer
//! compares the two lists of endpoints again.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;
use std::{iter, ptr};

use crate::{Endpoint, Generation, Snapshot};

/// The difference between two snapshots.
///
/// [`hunks`](Self::hunks) say where endpoints come and go, so a list that is kept in the order of
/// the old snapshot becomes one in the order of the new snapshot without comparing a single name:
///
/// ```
/// # use headless_core as headless;
/// use headless::{Diff, Endpoint, Generation, Snapshot};
///
/// let endpoint = |ip: u8| Endpoint::new(([10, 0, 0, ip], 80).into());
/// let old = Snapshot::new(Generation::default(), [1, 2, 3, 4].map(endpoint));
/// let new = Snapshot::new(old.generation().next(), [1, 3, 4, 5].map(endpoint));
/// let diff = Diff::between(&old, &new);
/// assert_eq!((diff.added().len(), diff.removed().len()), (1, 1));
///
/// // One connection for each endpoint, in the order of the snapshot.
/// let connect = |endpoint: &Endpoint| format!("to {}", endpoint.addr().ip());
/// let connections: Vec<String> = old.iter().map(|endpoint| connect(endpoint)).collect();
///
/// let (mut old, mut added) = (connections.into_iter(), diff.added().iter());
/// let mut connections = Vec::new();
/// for hunk in diff.hunks() {
///     connections.extend(old.by_ref().take(hunk.kept));
///     old.by_ref().take(hunk.removed).for_each(drop);
///     connections.extend(added.by_ref().take(hunk.added).map(|endpoint| connect(endpoint)));
/// }
/// connections.extend(old);
/// assert_eq!(connections, ["to 10.0.0.1", "to 10.0.0.3", "to 10.0.0.4", "to 10.0.0.5"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Diff {
    base: Generation,
    hunks: Vec<Hunk>,
    added: Vec<Arc<Endpoint>>,
    removed: Vec<Arc<Endpoint>>,
}

/// One place where two snapshots differ: some endpoints stay, then some leave, then some come.
///
/// What follows the last hunk stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Hunk {
    /// The number of endpoints that stay, since the hunk before.
    pub kept: usize,
    /// The number of endpoints of the old snapshot that leave here.
    pub removed: usize,
    /// The number of endpoints of the new snapshot that come here.
    pub added: usize,
}

impl Diff {
    /// Returns the changes that turn `old` into `new`.
    ///
    /// The cost is linear in the sizes of both, and only what differs is allocated. The snapshots
    /// need not come from the same discovery, nor follow one another: a consumer that missed some
    /// computes its own diff, and one that starts compares with an empty snapshot. Endpoints count
    /// as the same by their [key](Endpoint::key).
    #[must_use]
    pub fn between(old: &Snapshot, new: &Snapshot) -> Self {
        Self::compare(old, new.as_slice(), Arc::clone)
    }

    /// Returns the changes that turn `old` into a snapshot of `new`, which is sorted by key, each
    /// key once.
    pub(crate) fn with_answer(old: &Snapshot, new: &[Endpoint]) -> Self {
        Self::compare(old, new, |endpoint| Arc::new(endpoint.clone()))
    }

    fn compare<E: Borrow<Endpoint>>(old: &Snapshot, new: &[E], share: impl Fn(&E) -> Arc<Endpoint>) -> Self {
        let mut diff = Self {
            base: old.generation(),
            ..Self::default()
        };
        let (mut olds, mut news) = (old.as_slice(), new);
        loop {
            let hunk = Hunk::first(olds, news);
            olds = &olds[hunk.kept..];
            news = &news[hunk.kept..];
            if hunk.removed == 0 && hunk.added == 0 {
                return diff;
            }
            let (removed, added);
            (removed, olds) = olds.split_at(hunk.removed);
            (added, news) = news.split_at(hunk.added);
            diff.removed.extend_from_slice(removed);
            diff.added.extend(added.iter().map(&share));
            diff.hunks.push(hunk);
        }
    }

    /// Returns the generation of the old snapshot: the one that this can be applied to.
    #[must_use]
    pub const fn base(&self) -> Generation {
        self.base
    }

    /// Returns the places where the snapshots differ, in order.
    #[must_use]
    pub fn hunks(&self) -> &[Hunk] {
        &self.hunks
    }

    /// Returns the endpoints that are in the new snapshot only, in the order of their keys.
    #[must_use]
    pub fn added(&self) -> &[Arc<Endpoint>] {
        &self.added
    }

    /// Returns the endpoints that are in the old snapshot only, in the order of their keys.
    #[must_use]
    pub fn removed(&self) -> &[Arc<Endpoint>] {
        &self.removed
    }

    /// Returns whether nothing differs.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.hunks.is_empty()
    }
}

impl Hunk {
    /// Returns the first place where the two lists differ.
    fn first<E: Borrow<Endpoint>>(olds: &[Arc<Endpoint>], news: &[E]) -> Self {
        // An endpoint that stays is often the same object, and then its name need not be read.
        let is_same = |(old, new): &(&Arc<Endpoint>, &E)| {
            let (old, new): (&Endpoint, &Endpoint) = (old, (*new).borrow());
            ptr::eq(old, new) || old.key() == new.key()
        };
        let kept = iter::zip(olds, news).take_while(is_same).count();
        let (mut removed, mut added) = (0, 0);
        loop {
            match (olds.get(kept + removed), news.get(kept + added)) {
                (None, None) => break,
                (Some(_), None) => removed += 1,
                (None, Some(_)) => added += 1,
                (Some(old), Some(new)) => match old.key().cmp(new.borrow().key()) {
                    Ordering::Less => removed += 1,
                    Ordering::Greater => added += 1,
                    Ordering::Equal => break,
                },
            }
        }
        Self { kept, removed, added }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn endpoints(pods: &BTreeSet<(u8, u8)>) -> Vec<Endpoint> {
        let endpoint = |&(pod, ip): &(u8, u8)| {
            Endpoint::new(([10, 0, 0, ip], 80).into()).with_pod(format!("web-{pod}").parse().unwrap())
        };
        let snapshot = Snapshot::new(Generation::default(), pods.iter().map(endpoint));
        snapshot.iter().map(|endpoint| Endpoint::clone(endpoint)).collect()
    }

    proptest! {
        #[test]
        fn applied_to_the_old_it_gives_the_new(
            old in proptest::collection::btree_set((0u8..12, 0u8..4), 0..20),
            new in proptest::collection::btree_set((0u8..12, 0u8..4), 0..20),
        ) {
            let answer = endpoints(&new);
            let a = Snapshot::new(Generation::default(), endpoints(&old));
            let b = Snapshot::new(Generation::default(), answer.clone());
            let diff = Diff::between(&a, &b);
            prop_assert!(a.apply(&diff).same_endpoints(&b));
            prop_assert_eq!(&diff, &Diff::with_answer(&a, &answer));
            prop_assert_eq!(diff.added().len(), new.difference(&old).count());
            prop_assert_eq!(diff.removed().len(), old.difference(&new).count());
            prop_assert!(diff.hunks().iter().all(|hunk| hunk.added + hunk.removed > 0));
            prop_assert!(Diff::between(&b, &b).is_empty());
        }
    }
}
