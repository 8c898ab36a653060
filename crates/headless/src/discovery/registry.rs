//! One watch per Service and process: a discovery that is started as shared joins the one of that
//! Service that runs already, so that many clients in one program cost one stream of DNS queries.
//!
//! A watch belongs to its runtime, so the runtime is part of the key. What must not live here:
//! anything that keeps a watch alive.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use headless_core::Snapshot;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::watch::{Watch, WatchState};

/// A running watch. An entry here does not keep it alive.
pub(super) struct Running {
    pub(super) state: Weak<WatchState>,
    pub(super) publisher: Weak<watch::Sender<Arc<Snapshot>>>,
}

static RUNNING: Mutex<BTreeMap<String, Running>> = Mutex::new(BTreeMap::new());

/// The watch of `service` that runs on this runtime, if there is one.
pub(super) fn find(service: &str) -> Option<Watch> {
    join(&RUNNING.lock(), &key(service))
}

/// Registers `started`. If another was faster, that one is returned, and this one ends with its
/// last handle.
pub(super) fn enter(started: Watch, running: Running) -> Watch {
    let mut watches = RUNNING.lock();
    let key = key(&started.state.service);
    if let Some(faster) = join(&watches, &key) {
        return faster;
    }
    watches.insert(key, running);
    started
}

/// The last handle of this watch seems to be gone. If so, removes the watch and returns `true`.
pub(super) fn leave(publisher: &Arc<watch::Sender<Arc<Snapshot>>>) -> bool {
    let mut watches = RUNNING.lock();
    // Under the lock, no handle can be added between the question and the answer.
    if publisher.receiver_count() > 0 {
        return false;
    }
    watches.retain(|_, running| {
        running.publisher.strong_count() > 0 && running.publisher.as_ptr() != Arc::as_ptr(publisher)
    });
    true
}

fn join(watches: &BTreeMap<String, Running>, key: &str) -> Option<Watch> {
    let running = watches.get(key)?;
    Some(Watch {
        state: running.state.upgrade()?,
        snapshots: running.publisher.upgrade()?.subscribe(),
    })
}

fn key(service: &str) -> String {
    format!("{service} on {}", Handle::current().id())
}
