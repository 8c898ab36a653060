//! Which queries arrived: the last ones in order, and a count for each (name, type, transport).

use std::collections::{BTreeMap, VecDeque};

use super::record::RecordType;

/// Queries kept in order; the counts cover all.
const KEPT: usize = 10_000;

/// The transport of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// A query that reached the DNS server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Query {
    /// The name, lower-case, without the trailing dot.
    pub name: String,
    /// The record type.
    pub rtype: RecordType,
    /// The transport it came over.
    pub transport: Transport,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    recent: VecDeque<Query>,
    counts: BTreeMap<Query, u64>,
}

impl Log {
    pub(super) fn record(&mut self, query: &Query) {
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(query.clone());
        *self.counts.entry(query.clone()).or_default() += 1;
    }

    pub(super) fn recent(&self) -> Vec<Query> {
        self.recent.iter().cloned().collect()
    }

    pub(super) fn count(&self, wanted: impl Fn(&Query) -> bool) -> u64 {
        let matching = self.counts.iter().filter(|(query, _)| wanted(query));
        matching.map(|(_, count)| count).sum()
    }

    pub(super) fn counts(&self) -> BTreeMap<Query, u64> {
        self.counts.clone()
    }
}
