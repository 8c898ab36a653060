//! [`Ledger`]: what the shop knows about each order. Nothing is queried here; `audit.rs`
//! compares it with the pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headless_mysql::Error;
use tokio::time::Instant;

/// As much of what went wrong as an end of a page can show.
const SHOWN: usize = 5;

/// What the shop knows. Shared by its tasks.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Book>);

/// The whole ledger at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    /// Orders whose COMMIT was answered, and the pod that answered.
    pub(crate) acknowledged: BTreeMap<u32, String>,
    /// The longest time between two of them, of any customer.
    pub(crate) longest_pause: Duration,
    /// When the last one was acknowledged.
    pub(crate) last: Option<Instant>,
    /// Orders whose outcome is not known; they were not sent again.
    pub(crate) maybe: BTreeSet<u32>,
    /// Orders that were not placed, as far as the shop knows.
    pub(crate) not_placed: BTreeSet<u32>,
    /// How often an order was sent again, because it certainly had not been written.
    pub(crate) sent_again: u64,
    /// Orders looked for with their cookie: each that was not found is a broken promise.
    pub(crate) with_token: LookupCounts,
    /// Orders looked for without it, where that may happen.
    pub(crate) without_token: LookupCounts,
    /// Reads that failed.
    pub(crate) failed_reads: u64,
    /// What went wrong: the first few, each once.
    pub(crate) problems: Vec<String>,
}

/// How often an order was looked for, and how often it was not there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LookupCounts {
    pub(crate) reads: u64,
    pub(crate) stale: u64,
}

impl Ledger {
    pub(crate) fn acknowledged(&self, id: u32, pod: &str) {
        let mut book = self.book();
        book.acknowledged.insert(id, pod.to_owned());
        if let Some(last) = book.last.replace(Instant::now()) {
            book.longest_pause = book.longest_pause.max(last.elapsed());
        }
    }

    pub(crate) fn sent_again(&self, error: &Error) {
        let mut book = self.book();
        book.sent_again += 1;
        book.problem(error.to_string());
    }

    /// The order's last attempt failed.
    pub(crate) fn failed(&self, id: u32, error: &Error) {
        let mut book = self.book();
        match error {
            Error::MaybeCommitted { .. } => book.maybe.insert(id),
            _ => book.not_placed.insert(id),
        };
        book.problem(error.to_string());
    }

    pub(crate) fn looked_for(&self, with_token: bool, found: bool) {
        let mut book = self.book();
        let seen = match with_token {
            true => &mut book.with_token,
            false => &mut book.without_token,
        };
        seen.reads += 1;
        seen.stale += u64::from(!found);
    }

    pub(crate) fn failed_read(&self, error: String) {
        let mut book = self.book();
        book.failed_reads += 1;
        book.problem(error);
    }

    /// As it is now.
    pub(crate) fn read(&self) -> Book {
        self.book().clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn problem(&mut self, text: String) {
        if self.problems.len() < SHOWN && !self.problems.contains(&text) {
            self.problems.push(text);
        }
    }
}
