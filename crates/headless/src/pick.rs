//! [`Pick`]: an endpoint chosen and counted, without a connection. What a [`Lease`](crate::Lease)
//! is without its pool.

use std::fmt;
use std::sync::Arc;

use headless_core::{Connect, Endpoint, InFlight, Outcome, Timestamp};

use crate::backend::Backend;

/// An endpoint chosen for one request whose connection lives elsewhere: a channel per endpoint, a
/// datagram, another library's pool.
///
/// The request counts as load on its endpoint from the pick until this ends:
///
/// * [`finish`](Self::finish): the exchange is over.
/// * dropped: cancelled in the middle. The endpoint does not look fast for it.
#[must_use = "the request counts only while the pick lives"]
pub struct Pick<C: Connect> {
    in_flight: InFlight<Arc<Backend<C>>>,
    started: Timestamp,
    outcome: Outcome,
}

impl<C: Connect> Pick<C> {
    #[inline]
    pub(crate) fn new(in_flight: InFlight<Arc<Backend<C>>>, started: Timestamp) -> Self {
        Self {
            in_flight,
            started,
            outcome: Outcome::Cancelled,
        }
    }

    /// Returns the endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.in_flight.on().endpoint
    }

    /// Ends the pick after the exchange. `outcome` says how the endpoint did. Synchronous and
    /// cheap.
    #[inline]
    pub fn finish(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl<C: Connect> Drop for Pick<C> {
    #[inline]
    fn drop(&mut self) {
        self.in_flight.on().observe(self.started, self.outcome);
    }
}

impl<C: Connect> fmt::Debug for Pick<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pick")
            .field("endpoint", self.endpoint())
            .finish_non_exhaustive()
    }
}
