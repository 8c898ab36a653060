//! [`GtidSet`]: the set of all transactions executed, as ranges per source.

use std::collections::BTreeMap;
use std::fmt;

/// A MySQL GTID set: for each source, the numbers of its transactions, as ranges.
///
/// Ranges are kept sorted, and apart from each other by at least one number, so that equal sets are
/// equal values. Never empty outside of this crate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GtidSet {
    /// No source is without ranges.
    sources: BTreeMap<Source, Vec<Range>>,
}

/// What numbers transactions: a server, and since MySQL 8.3 a tag of its users' choice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Source {
    pub(super) uuid: [u8; 16],
    /// Lower case; empty without a tag.
    pub(super) tag: Box<str>,
}

/// From `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Range {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl GtidSet {
    /// Ranges may come in any order, overlap, and touch. A source without ranges is left out.
    pub(super) fn new(mut sources: BTreeMap<Source, Vec<Range>>) -> Self {
        sources.retain(|_, ranges| !ranges.is_empty());
        sources.values_mut().for_each(normalise);
        Self { sources }
    }

    pub(super) fn sources(&self) -> &BTreeMap<Source, Vec<Range>> {
        &self.sources
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    fn ranges_of(&self, source: &Source) -> &[Range] {
        self.sources.get(source).map_or(&[], Vec::as_slice)
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        other.sources.iter().all(|(source, ranges)| {
            let own = self.ranges_of(source);
            ranges.iter().all(|range| {
                let candidate = own.get(own.partition_point(|it| it.last < range.first));
                candidate.is_some_and(|it| it.first <= range.first && range.last <= it.last)
            })
        })
    }

    pub(super) fn is_disjoint(&self, other: &Self) -> bool {
        other.sources.iter().all(|(source, ranges)| {
            let own = self.ranges_of(source);
            ranges.iter().all(|range| {
                let candidate = own.get(own.partition_point(|it| it.last < range.first));
                candidate.is_none_or(|it| range.last < it.first)
            })
        })
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        let mut sources = self.sources.clone();
        for (source, ranges) in &other.sources {
            sources.entry(source.clone()).or_default().extend(ranges);
        }
        Self::new(sources)
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        let left = self.sources.iter().map(|(source, ranges)| {
            let taken = other.ranges_of(source);
            let left = ranges.iter().flat_map(|range| cut(*range, taken)).collect();
            (source.clone(), left)
        });
        Self::new(left.collect())
    }
}

/// Sorts, and joins what overlaps or touches.
fn normalise(ranges: &mut Vec<Range>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let joins = next.first <= kept.last.saturating_add(1);
        if joins {
            kept.last = kept.last.max(next.last);
        }
        joins
    });
}

/// What is left of `range` without `taken`, which is normalised.
fn cut(range: Range, taken: &[Range]) -> Vec<Range> {
    let mut left = Vec::new();
    let mut rest = Some(range);
    for cut in &taken[taken.partition_point(|it| it.last < range.first)..] {
        let Some(Range { first, last }) = rest.filter(|rest| cut.first <= rest.last) else {
            break;
        };
        if first < cut.first {
            let last = cut.first - 1;
            left.push(Range { first, last });
        }
        rest = (cut.last < last).then(|| Range {
            first: cut.last + 1,
            last,
        });
    }
    left.extend(rest);
    left
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if first == last {
            write!(f, "{first}")
        } else {
            write!(f, "{first}-{last}")
        }
    }
}
