//! [`Evidence`]: what connections have shown, on its way from the pools to the discovery's task.

use parking_lot::Mutex;
use tokio::sync::Notify;

use headless_core::EndpointKey;

/// A mailbox that never blocks, and never grows without bound.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    observations: Mutex<Observations>,
    arrived: Notify,
}

/// What was observed since the task last looked.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    /// DNS may know more by now.
    pub(crate) reresolve: bool,
    /// The endpoints that a connection was opened to.
    pub(crate) connected: Vec<EndpointKey>,
}

impl Evidence {
    /// A connection failed, or no endpoint fits a request: DNS may know more by now.
    pub(crate) fn request_reresolution(&self) {
        self.add(|seen| seen.reresolve = true);
    }

    /// A connection to this endpoint was opened.
    pub(crate) fn connected(&self, key: &EndpointKey) {
        self.add(|seen| {
            if !seen.connected.contains(key) {
                seen.connected.push(key.clone());
            }
        });
    }

    /// Waits until something was observed.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes what was observed.
    pub(crate) fn take(&self) -> Observations {
        std::mem::take(&mut *self.observations.lock())
    }

    fn add(&self, change: impl FnOnce(&mut Observations)) {
        change(&mut self.observations.lock());
        self.arrived.notify_one();
    }
}
