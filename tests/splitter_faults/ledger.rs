//! The ledger: what the splitter said of each operation, and the comparison with the rows that are
//! there in the end.
//!
//! The operations are those of `load.rs`; each script knows which outcomes it allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use headless_mysql::{Error, WriterProblem};
use tokio::sync::watch;

/// What the splitter said of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Acknowledged,
    MaybeCommitted,
    /// No connection could be acquired.
    NotSent,
    /// The connection was lost at the BEGIN.
    NotBegun,
    ReadOnly,
    NoWriter,
    /// No writer, because the one that would be lacks what others have.
    Diverged,
    Ambiguous,
    Refused,
    ServerError,
    Other,
}

impl Outcome {
    pub fn of(error: &Error) -> Self {
        match error {
            Error::MaybeCommitted { .. } => Self::MaybeCommitted,
            Error::NotSent(_) => Self::NotSent,
            Error::Lost { .. } => Self::NotBegun,
            Error::ReadOnly { .. } => Self::ReadOnly,
            Error::NoWriter {
                problem: WriterProblem::Diverged { .. },
                ..
            } => Self::Diverged,
            Error::NoWriter { .. } => Self::NoWriter,
            Error::AmbiguousWriter { .. } => Self::Ambiguous,
            Error::Refused { .. } => Self::Refused,
            Error::Server { .. } => Self::ServerError,
            _ => Self::Other,
        }
    }
}

/// A write: one row, or two in a transaction.
#[derive(Clone, Debug)]
pub struct Write {
    pub ids: Vec<u64>,
    pub outcome: Outcome,
    /// The pod that the splitter says it went to, if it went to one.
    pub pod: Option<String>,
}

/// A row of the table: what was written, and the server that carried it out, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: u64,
    pub pod: String,
}

/// What a reader was given.
#[derive(Clone, Debug)]
pub struct Read {
    /// The pod that the splitter says it came from.
    pub pod: String,
    /// The server that answered, by its own word.
    pub server: String,
    /// Whether the row that was searched for was there.
    pub found: bool,
    pub took: Duration,
}

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub writes: BTreeMap<Outcome, u64>,
    /// Of each kind of failure of a write, the last words.
    pub said: BTreeMap<Outcome, String>,
    /// Answered reads without a token, by reader.
    pub plain: BTreeMap<usize, u64>,
    pub plain_failed: Vec<String>,
    /// Answered reads of what the reader has just written, by reader.
    pub causal: BTreeMap<usize, u64>,
    pub causal_failed: Vec<String>,
    /// Reads without a token that did not find a row acknowledged before.
    pub behind: u64,
    /// The same with a token.
    pub stale: u64,
    /// Answers of another server than the pod that was named.
    pub mismatched: u64,
    /// Answered reads, by pod.
    pub read_from: BTreeMap<String, u64>,
    pub longest_read: Duration,
}

impl Tally {
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.writes.get(&outcome).copied().unwrap_or(0)
    }

    pub fn read_from(&self, pod: &str) -> u64 {
        self.read_from.get(pod).copied().unwrap_or(0)
    }

    pub fn outcomes(&self) -> BTreeSet<Outcome> {
        self.writes.keys().copied().collect()
    }
}

/// All operations of a script.
#[derive(Debug, Default)]
pub struct Ledger {
    writes: Mutex<Vec<Write>>,
    tally: watch::Sender<Tally>,
}

impl Ledger {
    pub fn wrote(&self, ids: Vec<u64>, result: &Result<String, Error>) -> Outcome {
        let (outcome, pod, said) = match result {
            Ok(pod) => (Outcome::Acknowledged, Some(pod.clone()), String::new()),
            Err(error) => {
                let pod = match error {
                    Error::MaybeCommitted { pod, .. } => Some(pod.clone()),
                    _ => None,
                };
                (Outcome::of(error), pod, error.to_string())
            }
        };
        self.lock().push(Write { ids, outcome, pod });
        self.tally.send_modify(|tally| {
            *tally.writes.entry(outcome).or_default() += 1;
            tally.said.insert(outcome, said);
        });
        outcome
    }

    pub fn read(&self, reader: usize, causal: bool, result: Result<Read, Error>) {
        self.tally.send_modify(|tally| match (result, causal) {
            (Ok(read), _) => {
                let (answered, missing) = match causal {
                    true => (&mut tally.causal, &mut tally.stale),
                    false => (&mut tally.plain, &mut tally.behind),
                };
                *answered.entry(reader).or_default() += 1;
                *missing += u64::from(!read.found);
                tally.mismatched += u64::from(read.pod != read.server);
                tally.longest_read = tally.longest_read.max(read.took);
                *tally.read_from.entry(read.pod).or_default() += 1;
            }
            (Err(error), true) => tally.causal_failed.push(error.to_string()),
            (Err(error), false) => tally.plain_failed.push(error.to_string()),
        });
    }

    pub fn tally(&self) -> Tally {
        self.tally.borrow().clone()
    }

    /// Returns when so much has happened.
    pub async fn until(&self, so_much: impl FnMut(&Tally) -> bool) {
        // The sender lives as long as `self`.
        let _ = self.tally.subscribe().wait_for(so_much).await;
    }

    /// Compares what was said with what is there.
    pub fn compare(&self, rows: &[Row]) -> Findings {
        compare(&self.lock(), rows)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Write>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What does not fit, by the ids of the rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Acknowledged, and not there.
    pub lost: Vec<u64>,
    /// There more than once.
    pub duplicated: Vec<u64>,
    /// There, although it was said that nothing happened, or never written.
    pub unasked: Vec<u64>,
    /// There without the other row of its transaction.
    pub torn: Vec<u64>,
    /// There, but carried out by another pod than was said: the row, the pod that was named, the
    /// pod that did it.
    pub misplaced: Vec<(u64, String, String)>,
    /// Which writes that were maybe committed are there; no fault.
    pub committed_after_all: u64,
}

impl Findings {
    pub fn are_none(&self) -> bool {
        let committed_after_all = self.committed_after_all;
        let none = Self {
            committed_after_all,
            ..Self::default()
        };
        *self == none
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "lost {}, duplicated {}, unasked {}, torn {}, at another pod than said {}, maybe committed and there {}",
            self.lost.len(),
            self.duplicated.len(),
            self.unasked.len(),
            self.torn.len(),
            self.misplaced.len(),
            self.committed_after_all
        )
    }
}

fn compare(writes: &[Write], rows: &[Row]) -> Findings {
    let mut there: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for row in rows {
        there.entry(row.id).or_default().push(&row.pod);
    }
    let mut findings = Findings::default();
    for write in writes {
        let found: Vec<_> = write
            .ids
            .iter()
            .filter_map(|id| Some((*id, there.remove(id)?)))
            .collect();
        if !found.is_empty() && found.len() < write.ids.len() {
            findings.torn.extend(found.iter().map(|(id, _)| *id));
        }
        match write.outcome {
            Outcome::Acknowledged => {
                let missing = write.ids.iter().filter(|id| found.iter().all(|(has, _)| has != *id));
                findings.lost.extend(missing);
            }
            Outcome::MaybeCommitted => findings.committed_after_all += u64::from(!found.is_empty()),
            _ => findings.unasked.extend(found.iter().map(|(id, _)| *id)),
        }
        for (id, pods) in found {
            if pods.len() > 1 {
                findings.duplicated.push(id);
            }
            if let Some(said) = &write.pod {
                let others = pods.into_iter().filter(|pod| pod != said);
                let misplaced = others.map(|pod| (id, said.clone(), pod.to_owned()));
                findings.misplaced.extend(misplaced);
            }
        }
    }
    findings.unasked.extend(there.into_keys());
    findings
}

#[test]
fn what_does_not_fit_is_found() {
    let write = |ids: &[u64], outcome| Write {
        ids: ids.to_vec(),
        outcome,
        pod: Some("mysql-0".to_owned()),
    };
    let row = |id, pod: &str| Row {
        id,
        pod: pod.to_owned(),
    };
    let writes = [
        write(&[1], Outcome::Acknowledged),
        write(&[2, 3], Outcome::Acknowledged),
        write(&[4], Outcome::MaybeCommitted),
        write(&[5], Outcome::MaybeCommitted),
        write(&[6], Outcome::NotSent),
    ];
    let good: Vec<Row> = [1, 2, 3, 4].into_iter().map(|id| row(id, "mysql-0")).collect();
    assert!(compare(&writes, &good).are_none());
    assert_eq!(compare(&writes, &good).committed_after_all, 1);

    let without = |id| good.iter().filter(|row| row.id != id).cloned().collect::<Vec<_>>();
    let with = |row| good.iter().cloned().chain([row]).collect::<Vec<_>>();
    assert_eq!(compare(&writes, &without(1)).lost, [1]);
    let half = compare(&writes, &without(2));
    assert_eq!((half.lost, half.torn), (vec![2], vec![3]));
    assert_eq!(compare(&writes, &with(row(4, "mysql-0"))).duplicated, [4]);
    assert_eq!(compare(&writes, &with(row(6, "mysql-0"))).unasked, [6]);
    assert_eq!(compare(&writes, &with(row(7, "mysql-0"))).unasked, [7]);
    let misplaced = (5, "mysql-0".to_owned(), "mysql-1".to_owned());
    assert_eq!(compare(&writes, &with(row(5, "mysql-1"))).misplaced, [misplaced]);
    assert!(!compare(&writes, &with(row(7, "mysql-0"))).are_none());
}
