//! [`MakeConnector`]: a tower make-service, used as the [`Connect`] of a balancer.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroUsize;

use headless_core::{Connect, Endpoint, Multiplexing};
use parking_lot::Mutex;
use tower_service::Service;

use super::BoxError;

/// Opens connections with a make-service `Endpoint → Service`. The made service *is* the
/// connection.
///
/// tower has no way to ask a service whether it still works, except `poll_ready` with a request at
/// hand. So every service is returned to its pool unless a call on it failed, and the next request
/// finds out that one died while idle. A good service notices that its connection was closed and
/// says so in `poll_ready`: the request has not left then, and takes another connection by itself.
/// A service that notices it in `call` only fails that call.
pub struct MakeConnector<M, K = Exclusive> {
    /// Locked for a clone, once per connection, never per request.
    make: Mutex<M>,
    kind: K,
}

/// A made service takes one request at a time.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Exclusive;

/// Clones of a made service share one connection, which carries as many requests at a time as this
/// says.
#[derive(Clone, Copy, Debug)]
pub struct Multiplexed(pub(super) NonZeroUsize);

impl<M, K> MakeConnector<M, K> {
    pub(super) fn new(make: M, kind: K) -> Self {
        let make = Mutex::new(make);
        Self { make, kind }
    }
}

impl<M, K> MakeConnector<M, K>
where
    M: Service<Endpoint, Error: Into<BoxError>> + Clone,
{
    async fn make(&self, endpoint: &Endpoint) -> Result<M::Response, MakeError> {
        let mut make = self.make.lock().clone();
        let failed = |error: M::Error| MakeError(error.into());
        poll_fn(|cx| make.poll_ready(cx)).await.map_err(failed)?;
        make.call(endpoint.clone()).await.map_err(failed)
    }
}

impl<M> Connect for MakeConnector<M, Exclusive>
where
    M: Service<Endpoint, Response: Send + 'static, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    type Conn = M::Response;
    type Error = MakeError;

    async fn connect(&self, endpoint: &Endpoint) -> Result<Self::Conn, MakeError> {
        self.make(endpoint).await
    }
}

impl<M> Connect for MakeConnector<M, Multiplexed>
where
    M: Service<Endpoint, Response: Clone + Send + 'static, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Conn = M::Response;
    type Error = MakeError;

    async fn connect(&self, endpoint: &Endpoint) -> Result<Self::Conn, MakeError> {
        self.make(endpoint).await
    }

    fn multiplexing(&self) -> Multiplexing {
        Multiplexing::Streams(self.kind.0)
    }

    fn share(&self, conn: &Self::Conn) -> Option<Self::Conn> {
        Some(conn.clone())
    }
}

impl<M, K: fmt::Debug> fmt::Debug for MakeConnector<M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MakeConnector")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The make-service failed. Displays the error that it contains.
#[derive(Debug)]
pub struct MakeError(BoxError);

impl MakeError {
    /// Returns the make-service's own error, for a downcast.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for MakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for MakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
