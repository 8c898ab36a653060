//! [`Balancer::shutdown`]: the end of a balancer that waits for its requests.

use std::time::Duration;

use headless_core::Connect;
use tokio::time::{Instant, timeout_at};

use crate::balancer::Balancer;
use crate::drain::DrainingEndpoint;

/// How a [`Balancer::shutdown`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// The endpoints with requests still in flight at the deadline; empty if everything finished.
    pub unfinished: Vec<DrainingEndpoint>,
}

impl<C: Connect> Balancer<C> {
    /// Stops giving out connections, and waits until those checked out were returned, for at most
    /// `limit`.
    ///
    /// Every `acquire` from now on, and those waiting, end with
    /// [`AcquireError::ShutDown`](crate::AcquireError::ShutDown). What is unfinished at the limit
    /// is aborted, if the connector can, and reported.
    ///
    /// # Cancel safety
    /// The shutdown itself happens at once; dropping the future only stops the waiting.
    pub async fn shutdown(&self, limit: Duration) -> Drained {
        let deadline = Instant::now() + limit;
        self.state.shut_down();
        loop {
            // Made before the question: a return in between is not missed.
            let drained = self.state.context.drained.notified();
            let unfinished = self.state.reconciler.draining();
            if unfinished.is_empty() || timeout_at(deadline, drained).await.is_err() {
                return Drained {
                    unfinished: self.state.reconciler.abort_draining(),
                };
            }
        }
    }
}
