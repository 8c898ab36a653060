//! [`Log`]: what happened, what tells it, and when. It is printed by `view.rs`, and kept for
//! `--json`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use demo_support::Screen;
use serde_json::{Value, json};
use tokio::time::Instant;

/// What happened so far.
pub(crate) struct Log {
    begun: Instant,
    screen: Mutex<Screen>,
    entries: Mutex<Vec<Entry>>,
}

/// One event.
#[derive(Clone)]
pub(crate) struct Entry {
    at: Duration,
    source: &'static str,
    text: String,
}

impl Log {
    /// Nothing has happened; the time begins.
    pub(crate) fn begin(is_silent: bool) -> Self {
        Self {
            begun: Instant::now(),
            screen: Mutex::new(Screen::new(is_silent)),
            entries: Mutex::default(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Notes an event. Sources: `pods`, what is done to them; `splitter`, what it sees of that;
    /// `route`, where it sends what and why.
    pub(crate) fn add(&self, source: &'static str, text: String) {
        let at = self.elapsed();
        self.entries().push(Entry { at, source, text });
    }

    /// Something for people that is no event.
    pub(crate) fn say(&self, text: &str) {
        self.screen().line(text);
    }

    /// The way to stdout.
    pub(crate) fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came after the first `seen`.
    pub(crate) fn after(&self, seen: usize) -> Vec<Entry> {
        self.entries().iter().skip(seen).cloned().collect()
    }

    pub(crate) fn to_json(&self) -> Value {
        let entries = self.after(0);
        let entries = entries
            .iter()
            .map(|entry| json!({ "seconds": entry.at.as_secs_f64(), "source": entry.source, "text": entry.text }));
        entries.collect()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, source, text } = self;
        write!(f, "{:>6.2} s  {source:<8}  {text}", at.as_secs_f64())
    }
}
