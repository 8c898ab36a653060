//! [`MariaDbGtids`]: the last transaction of each replication domain.

use std::fmt;

/// The last transaction of each replication domain: `domain-server-sequence`, one per domain.
///
/// A domain's transactions are numbered in order, so the last one stands for all before it. Which
/// server wrote it is kept for printing and means nothing for the order: after a failover another
/// server goes on counting. Never empty outside of this crate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MariaDbGtids {
    /// By domain, each once.
    gtids: Vec<Gtid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Gtid {
    pub(super) domain: u32,
    /// Compared before the server, so that the greater of two in one domain is the later one.
    pub(super) sequence: u64,
    pub(super) server: u32,
}

impl MariaDbGtids {
    /// Several of one domain are allowed: the last one counts.
    pub(super) fn new(mut gtids: Vec<Gtid>) -> Self {
        gtids.sort_unstable_by(|a, b| b.cmp(a));
        gtids.dedup_by_key(|gtid| gtid.domain);
        gtids.reverse();
        Self { gtids }
    }

    pub(super) fn gtids(&self) -> &[Gtid] {
        &self.gtids
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gtids.is_empty()
    }

    /// The last sequence number of `domain`.
    #[must_use]
    pub fn sequence_of(&self, domain: u32) -> Option<u64> {
        let at = self.gtids.binary_search_by_key(&domain, |gtid| gtid.domain).ok()?;
        Some(self.gtids[at].sequence)
    }

    fn reached(&self, gtid: &Gtid) -> bool {
        self.sequence_of(gtid.domain)
            .is_some_and(|sequence| sequence >= gtid.sequence)
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        other.gtids.iter().all(|gtid| self.reached(gtid))
    }

    pub(super) fn is_disjoint(&self, other: &Self) -> bool {
        self.gtids.iter().all(|gtid| other.sequence_of(gtid.domain).is_none())
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        Self::new([self.gtids(), other.gtids()].concat())
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        let missing = self.gtids.iter().filter(|gtid| !other.reached(gtid));
        Self {
            gtids: missing.copied().collect(),
        }
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let common = self.gtids.iter().filter_map(|own| {
            let at = other.gtids.binary_search_by_key(&own.domain, |gtid| gtid.domain).ok()?;
            Some(*own.min(&other.gtids[at]))
        });
        Self {
            gtids: common.collect(),
        }
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.sequence)
    }
}
