//! [`Tally`]: which pod served what, in which scene.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::sync::{Mutex, MutexGuard, PoisonError};

use headless_mysql::{Decision, RouteReason};
use serde_json::{Value, json};

/// What was done on a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Deed {
    /// A plain read.
    Read,
    /// A read that had to see a cookie's token.
    TokenRead,
    /// A transaction that was committed.
    Write,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::TokenRead => "read with a token",
            Self::Write => "write",
        })
    }
}

/// How often each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) reads: u64,
    pub(crate) token_reads: u64,
    pub(crate) writes: u64,
}

impl Counts {
    /// What was added to an earlier count.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            token_reads: self.token_reads - before.token_reads,
            writes: self.writes - before.writes,
        }
    }
}

/// Everything that was served.
pub(crate) struct Tally(Mutex<Served>);

struct Served {
    /// In their order; the last one is on.
    scenes: Vec<(&'static str, BTreeMap<String, Counts>)>,
    explained: HashSet<(Deed, Discriminant<RouteReason>)>,
}

impl Tally {
    /// Nothing yet, in the first scene.
    pub(crate) fn begin(scene: &'static str) -> Self {
        Self(Mutex::new(Served {
            scenes: vec![(scene, BTreeMap::new())],
            explained: HashSet::new(),
        }))
    }

    pub(crate) fn begin_scene(&self, name: &'static str) {
        self.served().scenes.push((name, BTreeMap::new()));
    }

    /// Counts it. `true`: it is the first of its kind that went to its pod for this reason.
    pub(crate) fn count(&self, deed: Deed, decision: &Decision) -> bool {
        let mut served = self.served();
        if let Some((_, pods)) = served.scenes.last_mut() {
            let counts = pods.entry(decision.pod.clone()).or_default();
            match deed {
                Deed::Read => counts.reads += 1,
                Deed::TokenRead => counts.token_reads += 1,
                Deed::Write => counts.writes += 1,
            }
        }
        served.explained.insert((deed, discriminant(&decision.reason)))
    }

    /// Pod → all that it has served.
    pub(crate) fn by_pod(&self) -> BTreeMap<String, Counts> {
        let mut sums: BTreeMap<String, Counts> = BTreeMap::new();
        for (pod, counts) in self.served().scenes.iter().flat_map(|(_, pods)| pods) {
            let sum = sums.entry(pod.clone()).or_default();
            sum.reads += counts.reads;
            sum.token_reads += counts.token_reads;
            sum.writes += counts.writes;
        }
        sums
    }

    /// Scene → pod → counts.
    pub(crate) fn to_json(&self) -> Value {
        let served = self.served();
        let scenes = served.scenes.iter().map(|(name, pods)| {
            let pods = pods.iter().map(|(pod, counts)| {
                let Counts {
                    reads,
                    token_reads,
                    writes,
                } = *counts;
                (
                    pod.clone(),
                    json!({ "reads": reads, "token_reads": token_reads, "writes": writes }),
                )
            });
            ((*name).to_owned(), Value::from_iter(pods))
        });
        scenes.collect()
    }

    fn served(&self) -> MutexGuard<'_, Served> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
