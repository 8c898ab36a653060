//! [`Diff`]: what has to happen to get from one [`Snapshot`] to another. One pass over two sorted lists.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::{Endpoint, Snapshot};

/// The difference between two snapshots. Additions come first wherever it is applied: make before break.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Diff {
    /// In the new snapshot only.
    pub added: Vec<Arc<Endpoint>>,
    /// In the old snapshot only.
    pub removed: Vec<Arc<Endpoint>>,
}

impl Diff {
    /// What turns `old` into `new`. Linear in the sizes of both; allocates only for what differs.
    #[must_use]
    pub fn between(old: &Snapshot, new: &Snapshot) -> Self {
        let mut diff = Self::default();
        let (mut olds, mut news) = (old.iter().peekable(), new.iter().peekable());
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => return diff,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) if Arc::ptr_eq(old, new) => Ordering::Equal,
                (Some(old), Some(new)) => old.key().cmp(new.key()),
            };
            match order {
                Ordering::Less => diff.removed.extend(olds.next().cloned()),
                Ordering::Greater => diff.added.extend(news.next().cloned()),
                Ordering::Equal => {
                    olds.next();
                    news.next();
                }
            }
        }
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::Generation;

    fn snapshot(pods: &BTreeSet<(u8, u8)>) -> Snapshot {
        let endpoint = |&(pod, ip): &(u8, u8)| {
            Endpoint::new(([10, 0, 0, ip], 80).into()).with_pod(format!("web-{pod}").parse().unwrap())
        };
        Snapshot::new(Generation::default(), pods.iter().map(endpoint))
    }

    fn apply(old: &Snapshot, diff: &Diff) -> Snapshot {
        let kept = old.iter().filter(|e| !diff.removed.contains(e));
        Snapshot::new(Generation::default(), kept.chain(&diff.added).cloned())
    }

    proptest! {
        #[test]
        fn applied_to_the_old_it_gives_the_new(
            old in proptest::collection::btree_set((0u8..12, 0u8..4), 0..20),
            new in proptest::collection::btree_set((0u8..12, 0u8..4), 0..20),
        ) {
            let (a, b) = (snapshot(&old), snapshot(&new));
            let diff = Diff::between(&a, &b);
            prop_assert!(apply(&a, &diff).same_endpoints(&b));
            prop_assert_eq!(diff.added.len(), new.difference(&old).count());
            prop_assert_eq!(diff.removed.len(), old.difference(&new).count());
            prop_assert!(Diff::between(&b, &b).is_empty());
        }
    }
}
