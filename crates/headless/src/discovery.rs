//! [`Discovery`]: a running watch of one Service. A cloneable handle to one task, which resolves,
//! decides on the membership and publishes it.
//!
//! The task is `driver.rs`; it ends when the last handle is dropped. The membership is decided by
//! `headless-core`'s `refresh`; a balancer meets the watch in one trait, [`Subscriber`].

mod builder;
mod driver;
mod registry;
mod status;
mod watch;

use std::fmt;
use std::sync::Arc;

use headless_core::Snapshot;
use tokio::runtime::Handle;

pub use self::builder::{DiscoveryBuilder, OnStart};
pub use self::status::{Mode, PastFailure, Status};
pub(crate) use self::watch::Subscriber;
use self::watch::Watch;
use crate::clock::Clock;
use crate::error::Closed;
use crate::evidence::Evidence;

/// A running watch of one Service: which endpoints it has, now and as they change.
///
/// Cloning is cheap, and all clones share one task and one stream of DNS queries. The task stops
/// when the last clone, and the last balancer made from one, is dropped.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use headless::Discovery;
///
/// let mut web = Discovery::start("web.shop.svc:http").await?;
/// loop {
///     for endpoint in &*web.snapshot() {
///         println!("{endpoint}");
///     }
///     web.changed().await?;
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Discovery {
    watch: Watch,
}

impl Discovery {
    /// Returns the endpoints that are in the set now. Never waits.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.watch.snapshots.borrow())
    }

    /// Waits for a snapshot that this handle has not seen yet, and returns it. Changes in between
    /// are skipped, not queued.
    ///
    /// # Errors
    /// [`Closed`] if the task is gone: a resolver panicked, or the runtime ended.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; the change is seen by the next call.
    pub async fn changed(&mut self) -> Result<Arc<Snapshot>, Closed> {
        let snapshots = &mut self.watch.snapshots;
        snapshots.changed().await.map_err(|_| Closed)?;
        Ok(Arc::clone(&snapshots.borrow_and_update()))
    }

    /// Waits until `condition` holds for the current snapshot, and returns that. Useful in tests
    /// and at start.
    ///
    /// # Errors
    /// [`Closed`], as for [`changed`](Self::changed).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn wait_for(&mut self, mut condition: impl FnMut(&Snapshot) -> bool) -> Result<Arc<Snapshot>, Closed> {
        let snapshots = &mut self.watch.snapshots;
        let found = snapshots
            .wait_for(|snapshot| condition(snapshot))
            .await
            .map_err(|_| Closed)?;
        Ok(Arc::clone(&found))
    }

    /// Returns how the watch is doing: for status pages, metrics and error messages.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(&self.watch.state, &self.snapshot())
    }

    /// Returns what is watched: `web.shop.svc.cluster.local:http`.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.watch.state.service
    }

    /// Asks to resolve again soon, at most once per
    /// [`min_reresolve_interval`](crate::RefreshConfig::min_reresolve_interval).
    ///
    /// For evidence that only the application has, such as a reset in a protocol that `headless`
    /// does not speak.
    pub fn request_reresolution(&self) {
        self.watch.state.evidence.request_reresolution();
    }

    pub(crate) fn clock(&self) -> &Arc<Clock> {
        &self.watch.state.clock
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.watch.state.runtime
    }

    pub(crate) fn evidence(&self) -> &Arc<Evidence> {
        &self.watch.state.evidence
    }

    pub(crate) fn attach(&self, subscriber: &Arc<impl Subscriber + 'static>) {
        self.watch.state.attach(subscriber, || self.snapshot());
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery")
            .field("service", &self.service())
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}
