//! [`Router`]: what the clones of a splitter, and its connections, share; and [`Place`], the pod
//! that a connection was routed to. Where a read goes is `router/reads.rs`, a write
//! `router/writes.rs`.

mod reads;
mod writes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use headless::{Balancer, Lease, Outcome};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::connector::Connector;
use crate::error::{Error, ExchangeError};
use crate::gtid::{Flavor, Position};
use crate::link::{Disposal, Exchange, Rows, Want};
use crate::routing::{RouteReason, StalePolicy};
use crate::statement::{Classifier, SessionUse};
use crate::topology::{Health, Overview, Topology, pod_name};

/// What the clones of a splitter, and its connections, share.
pub(crate) struct Router {
    pub(crate) service: Arc<str>,
    pub(crate) balancer: Balancer<Connector>,
    pub(crate) topology: Arc<Topology>,
    pub(crate) classifier: Arc<Classifier>,
    pub(crate) settings: Settings,
    pub(crate) runtime: Handle,
    /// Reads that the primary takes because no replica will do.
    pub(crate) primary_reads: Arc<Semaphore>,
    /// Callers that wait for a primary.
    pub(crate) writer_waits: Semaphore,
    /// The pods have to be probed now.
    pub(crate) probe_now: Arc<Notify>,
    /// ORDERING: Relaxed, here and below; counts that nothing else depends on.
    pub(crate) lost_writes: AtomicU64,
    /// The replica that is waited on next, of several that are as near to a token.
    pub(crate) next_wait: AtomicUsize,
    pub(crate) monitor: AbortHandle,
}

/// What a splitter needs to know at run time.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_lag: Duration,
    pub(crate) token_wait: Duration,
    pub(crate) when_stale: StalePolicy,
    pub(crate) primary_reads: usize,
    pub(crate) wait_for_writer: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) probe_interval: Duration,
    pub(crate) probe_timeout: Duration,
    pub(crate) allow_privileged: bool,
}

/// A connection to a pod, and what comes with it. To be [released](Router::release); one that is
/// dropped instead is closed.
pub(crate) struct Place {
    pub(crate) lease: Lease<Connector>,
    pub(crate) reason: RouteReason,
    pub(crate) health: Option<Arc<Health>>,
    /// One of the few reads that the primary takes.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// How messages call the pod.
    pub(crate) fn pod(&self) -> String {
        pod_name(self.lease.endpoint())
    }

    /// Runs one statement. `is_read`: nothing is written, so that the statement may end as soon as
    /// the pod no longer answers. What is written there may yet be answered.
    pub(crate) async fn run(
        &mut self,
        exchange: Exchange<'_>,
        limit: Duration,
        is_read: bool,
    ) -> Result<Rows, ExchangeError> {
        let watched = self.health.as_ref().filter(|_| is_read);
        self.lease.run(exchange, limit, watched).await
    }

    /// Whether it can be used by another caller as it is.
    fn is_clean(&self) -> bool {
        self.lease.state.disposal() == Disposal::Keep
    }
}

impl Router {
    /// A place at this pod, as the pod was known.
    pub(crate) fn place(&self, lease: Lease<Connector>, overview: &Overview, reason: RouteReason) -> Place {
        let health = overview.pod(lease.endpoint().key()).map(|pod| Arc::clone(&pod.health));
        Place {
            lease,
            reason,
            health,
            permit: None,
        }
    }

    /// Ends the use of a connection, by its state: a clean one goes to the pool at once, with its
    /// prepared statements; a dirty one is reset first, off the caller's path; one in the middle of
    /// anything is closed.
    pub(crate) fn release(&self, place: Place) {
        let Place { lease, permit, .. } = place;
        drop(permit);
        match lease.state.disposal() {
            Disposal::Keep => lease.finish(Outcome::Success),
            Disposal::Reset => self.reset(lease),
            Disposal::Close => drop(lease),
        }
    }

    fn reset(&self, mut lease: Lease<Connector>) {
        let limit = self.settings.statement_timeout;
        self.runtime.spawn(async move {
            match timeout(limit, lease.reset()).await {
                Ok(Ok(true)) => lease.finish(Outcome::Success),
                // Dropped: closed. What cannot be reset is replaced by a new connection.
                Ok(Ok(false) | Err(_)) | Err(_) => drop(lease),
            }
        });
    }

    /// What the server at `place` has committed.
    pub(crate) async fn position_of(&self, place: &mut Place) -> Result<Position, Error> {
        let sql = match self.topology.flavor() {
            Flavor::MariaDb => "SELECT CONCAT_WS(',', NULLIF(@@gtid_binlog_pos, ''), NULLIF(@@gtid_slave_pos, ''))",
            Flavor::MySql => "SELECT @@global.gtid_executed",
        };
        let answered = self.ask(place, sql).await;
        let row = answered.map_err(|error| error.on(place.pod(), false))?.first();
        let text: Option<String> = row.and_then(|mut row| row.take(0)).unwrap_or(None);
        text.unwrap_or_default().parse().map_err(|error| Error::Data {
            problem: format!("the primary's GTID position: {error}"),
        })
    }

    /// Asks the server at `place` a question of the router's own, which writes nothing.
    async fn ask(&self, place: &mut Place, sql: &str) -> Result<Rows, ExchangeError> {
        let question = Exchange {
            sql,
            params: None,
            want: Want::First,
            session: SessionUse::NONE,
        };
        place.run(question, self.settings.statement_timeout, true).await
    }

    /// Waits for `lease`, but no longer than there is hope: `None` once the pods are seen to be
    /// hopeless.
    async fn unless<T>(
        &self,
        mut hopeless: impl FnMut(&Overview) -> bool,
        lease: impl Future<Output = T>,
    ) -> Option<T> {
        let mut overviews = self.topology.subscribe();
        tokio::select! {
            biased;
            lease = lease => Some(lease),
            Ok(_) = overviews.wait_for(|overview| hopeless(overview)) => None,
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.monitor.abort();
    }
}
