//! One watch per Service and process: a discovery that is started as shared joins the one of that Service that runs already, so
//! that many clients in one program cost one stream of DNS queries.
//!
//! A watch belongs to its runtime, so the runtime is part of the key. What must not live here: anything that keeps a watch alive.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use headless_core::Snapshot;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::discovery::Discovery;
use crate::driver::Shared;

/// A running watch, not kept alive by being known here.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) shared: Weak<Shared>,
    pub(crate) publisher: Weak<watch::Sender<Arc<Snapshot>>>,
}

static RUNNING: Mutex<BTreeMap<String, Running>> = Mutex::new(BTreeMap::new());

/// The watch of `service` that runs on this runtime, if there is one.
pub(crate) fn find(service: &str) -> Option<Discovery> {
    join(&lock(), &key(service))
}

/// Makes `started` known; if another was faster, that one is returned, and this one ends with its last handle.
pub(crate) fn enter(service: &str, started: Discovery, running: Running) -> Discovery {
    let mut known = lock();
    let key = key(service);
    if let Some(faster) = join(&known, &key) {
        return faster;
    }
    known.insert(key, running);
    started
}

/// The last handle of this watch seems to be gone. `true` if so, and nobody will find the watch any more.
pub(crate) fn leave(publisher: &Arc<watch::Sender<Arc<Snapshot>>>) -> bool {
    let mut known = lock();
    // Under the lock, nobody can join between the question and the answer.
    if publisher.receiver_count() > 0 {
        return false;
    }
    known.retain(|_, running| {
        running.publisher.strong_count() > 0 && running.publisher.as_ptr() != Arc::as_ptr(publisher)
    });
    true
}

fn join(known: &BTreeMap<String, Running>, key: &str) -> Option<Discovery> {
    let running = known.get(key)?;
    Some(Discovery::from_parts(
        running.shared.upgrade()?,
        running.publisher.upgrade()?.subscribe(),
    ))
}

fn key(service: &str) -> String {
    format!("{service} on {}", Handle::current().id())
}

fn lock() -> MutexGuard<'static, BTreeMap<String, Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
