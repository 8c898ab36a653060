//! Where a write goes: to the verified primary, or nowhere ([`Router::place_write`]). What became
//! of it is `conn.rs`.

use std::sync::Arc;

use headless::{AcquireError, EndpointKey, Route};
use tokio::time::timeout;

use super::{Place, Router};
use crate::error::Error;
use crate::routing::RouteReason;
use crate::statement::Refusal;
use crate::topology::{Overview, Writer, WriterProblem};

impl Router {
    /// A connection to the primary. Fails at once if there is none, unless the settings say to wait
    /// for one.
    pub(crate) async fn place_write(&self, reason: RouteReason) -> Result<Place, Error> {
        let mut overview = self.topology.current();
        if overview.primary().is_none() {
            self.wait_for_writer().await?;
            overview = self.topology.current();
        }
        if reason == RouteReason::Primary
            && !self.settings.allow_privileged
            && let Some(privileges) = &overview.privileged
        {
            let reason = Refusal::Privileged(privileges.clone());
            return Err(Error::Refused { reason });
        }
        if let Some(lease) = self.balancer.try_acquire(Route::write()) {
            return Ok(self.place(lease, &overview, reason));
        }
        let demoted = |overview: &Overview| overview.primary().is_none();
        match self.unless(demoted, self.balancer.acquire(Route::write())).await {
            Some(Ok(lease)) => Ok(self.place(lease, &overview, reason)),
            Some(Err(AcquireError::NoSuchRole { .. })) => {
                // The balancer is told a moment before the overview is published that says why.
                let mut overviews = self.topology.subscribe();
                let told = overviews.wait_for(|overview| demoted(overview));
                // Dropped at once: it locks the overview.
                drop(timeout(self.settings.probe_interval, told).await);
                Err(self.no_writer(&self.topology.current()))
            }
            Some(Err(error)) => Err(Error::NotSent(error)),
            None => Err(self.no_writer(&self.topology.current())),
        }
    }

    /// Waits, as one of a bounded number, until a primary is verified.
    async fn wait_for_writer(&self) -> Result<(), Error> {
        let limit = self.settings.wait_for_writer;
        let Ok(_turn) = self.writer_waits.try_acquire() else {
            return self.is_there_a_writer();
        };
        let mut overviews = self.topology.subscribe();
        let found = timeout(limit, overviews.wait_for(|overview| overview.primary().is_some())).await;
        match found {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => self.is_there_a_writer(),
        }
    }

    /// It may have been found this very moment.
    fn is_there_a_writer(&self) -> Result<(), Error> {
        let overview = self.topology.current();
        match overview.primary() {
            Some(_) => Ok(()),
            None => Err(self.no_writer(&overview)),
        }
    }

    /// Why there is no primary, as an error.
    pub(super) fn no_writer(&self, overview: &Overview) -> Error {
        let service = Arc::clone(&self.service);
        match &overview.writer {
            Writer::Ambiguous(pods) => Error::AmbiguousWriter {
                service,
                pods: pods.clone(),
            },
            Writer::Unavailable(problem) => Error::NoWriter {
                service,
                problem: problem.clone(),
            },
            // It was found this very moment: as good as not probed.
            Writer::Pod(_) => Error::NoWriter {
                service,
                problem: WriterProblem::NotProbedYet,
            },
        }
    }

    /// A pod has said that it is read-only although it was taken for the primary: its connections
    /// are closed, and the roles are probed again.
    pub(crate) fn demoted(&self, pod: &EndpointKey) {
        tracing::warn!(
            target: "headless_mysql", service = %self.service, pod = ?pod.pod(),
            "the primary says that it is read-only"
        );
        self.balancer.evict(pod);
        self.probe_now.notify_waiters();
    }
}
