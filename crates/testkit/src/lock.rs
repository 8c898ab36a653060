//! Locks whose data stays valid when a task panics while it holds them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the mutex, poisoned or not: a panic in one test task must not hide the others' results.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
