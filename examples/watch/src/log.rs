//! [`Log`]: what happened, and what tells it. The tracing events of `headless` come in through
//! [`Collector`].

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How many are kept: more than any screen shows.
const KEPT: usize = 1000;

/// The last events. Clones share them.
#[derive(Clone)]
pub(crate) struct Log {
    zero: Instant,
    entries: Arc<Mutex<Entries>>,
}

#[derive(Default)]
struct Entries {
    kept: VecDeque<Entry>,
    /// How many there were before those kept.
    forgotten: usize,
}

/// One event.
#[derive(Clone)]
pub(crate) struct Entry {
    /// Since the program's start.
    pub(crate) at: Duration,
    /// What tells it: `cluster`, `headless` or `load`.
    pub(crate) source: &'static str,
    pub(crate) text: String,
}

impl Log {
    /// Nothing has happened; the time begins.
    pub(crate) fn begin() -> Self {
        Self {
            zero: Instant::now(),
            entries: Arc::default(),
        }
    }

    pub(crate) fn add(&self, source: &'static str, text: impl Into<String>) {
        let (at, text) = (self.elapsed(), text.into());
        let mut entries = self.entries();
        entries.kept.push_back(Entry { at, source, text });
        if entries.kept.len() > KEPT {
            entries.kept.pop_front();
            entries.forgotten += 1;
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.zero.elapsed()
    }

    /// The last `count`, oldest first.
    pub(crate) fn last(&self, count: usize) -> Vec<Entry> {
        let entries = self.entries();
        let skipped = entries.kept.len().saturating_sub(count);
        entries.kept.iter().skip(skipped).cloned().collect()
    }

    /// What came after the first `seen`, and how many there are now.
    pub(crate) fn after(&self, seen: usize) -> (Vec<Entry>, usize) {
        let entries = self.entries();
        let new = entries.kept.iter().skip(seen.saturating_sub(entries.forgotten));
        (new.cloned().collect(), entries.forgotten + entries.kept.len())
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, source, text } = self;
        write!(f, "{:>8.2} s  {source:<8}  {text}", at.as_secs_f64())
    }
}

/// A layer of `tracing` that puts the events of `headless` into the log: an `info` or `warn` for
/// each change.
pub(crate) struct Collector(Log);

impl Collector {
    pub(crate) fn new(log: &Log) -> Self {
        Self(log.clone())
    }
}

impl<S: Subscriber> Layer<S> for Collector {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // Not `headless_testkit`: what is done to the cluster is told by the script.
        let is_ours = ["headless::", "headless_dns::", "headless_http::"]
            .iter()
            .any(|krate| metadata.target().starts_with(krate));
        is_ours && *metadata.level() <= Level::INFO
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.add("headless", line.message + &line.fields);
    }
}

/// `pods changed  event=Found generation=3 endpoints=5`. Without the Service: there is only one.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?} "),
            "service" => Ok(()),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_seen_does_not_come_again() {
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
