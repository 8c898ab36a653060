//! [`Log`]: what happened, what tells it, and when.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

/// How many are kept: more than any screen shows.
const KEPT: usize = 1000;

/// The last events. Clones share them.
#[derive(Clone, Debug)]
pub struct Log {
    zero: Instant,
    entries: Arc<Mutex<Entries>>,
}

#[derive(Debug, Default)]
struct Entries {
    kept: VecDeque<Entry>,
    /// How many there were before those kept.
    forgotten: usize,
}

/// One event.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Since the program's start.
    pub at: Duration,
    /// What tells it.
    pub source: &'static str,
    /// What happened.
    pub text: String,
}

impl Log {
    /// Nothing has happened; the time begins.
    pub fn begin() -> Self {
        Self {
            zero: Instant::now(),
            entries: Arc::default(),
        }
    }

    /// Notes an event. `source` is what tells it.
    pub fn add(&self, source: &'static str, text: impl Into<String>) {
        let (at, text) = (self.elapsed(), text.into());
        let mut entries = self.entries();
        entries.kept.push_back(Entry { at, source, text });
        if entries.kept.len() > KEPT {
            entries.kept.pop_front();
            entries.forgotten += 1;
        }
    }

    /// Since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.zero.elapsed()
    }

    /// The last `count`, oldest first.
    pub fn last(&self, count: usize) -> Vec<Entry> {
        let entries = self.entries();
        let skipped = entries.kept.len().saturating_sub(count);
        entries.kept.iter().skip(skipped).cloned().collect()
    }

    /// What came after the first `seen`, and how many there are now.
    pub fn after(&self, seen: usize) -> (Vec<Entry>, usize) {
        let entries = self.entries();
        let new = entries.kept.iter().skip(seen.saturating_sub(entries.forgotten));
        (new.cloned().collect(), entries.forgotten + entries.kept.len())
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// For `--json`.
    pub fn to_json(&self) -> Value {
        json!({ "at_seconds": self.at.as_secs_f64(), "source": self.source, "text": self.text })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, source, text } = self;
        write!(f, "{:>8.2} s  {source:<8}  {text}", at.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_does_not_come_again() {
        let log = Log::begin();
        (0..KEPT).for_each(|n| log.add("load", n.to_string()));
        let (all, seen) = log.after(0);
        assert_eq!((all.len(), seen), (KEPT, KEPT));
        log.add("load", "new");
        let (new, seen) = log.after(seen);
        assert_eq!((new.len(), seen), (1, KEPT + 1));
        assert_eq!((&*new[0].text, log.last(KEPT * 2).len()), ("new", KEPT));
    }
}
