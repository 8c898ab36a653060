//! [`Balanced`]: a [`Balancer`] as a tower [`Service`]. Asks for a lease in `call`, when the
//! request and its route are known.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use headless_core::Connect;
use tower_service::Service;

use super::future::ServiceState;
use super::{AnyEndpoint, Classify, Error, ErrorsFail, ResponseFuture, RouteRequest};
use crate::balancer::Balancer;
use crate::error::BuildError;

/// One service for all endpoints of a Service. Made by [`DiscoveryLayer`](super::DiscoveryLayer),
/// or of any [`Balancer`] of which the connections are services.
///
/// `Clone`, without a `Buffer`: a clone is one reference count, and clones share pools, policy and
/// load. There is no task between the caller and the endpoint.
///
/// **Always ready.** `poll_ready` cannot know which endpoint the request will go to, so it reserves
/// nothing, and a service that is dropped between `poll_ready` and `call` leaves nothing behind.
/// The waiting happens in `call`, up to the [acquire
/// timeout](crate::BalancerBuilder::acquire_timeout), and ends with an error that says what was
/// waited for. To refuse instead of waiting, limit the concurrency outside:
/// `ServiceBuilder::new().load_shed().concurrency_limit(n).service(balanced)`.
///
/// **Retries.** If a service says in `poll_ready` that its connection is dead, the request takes
/// another one. Once a service was called, its error is the caller's; `tower::retry` can be stacked
/// outside, because this is `Clone`.
pub struct Balanced<D: Connect, R = AnyEndpoint, C = ErrorsFail> {
    state: Arc<ServiceState<D, R, C>>,
}

impl<D: Connect> Balanced<D> {
    /// Calls the connections of `balancer`: any endpoint for any request.
    #[must_use]
    pub fn new(balancer: Balancer<D>) -> Self {
        Self::with(balancer, AnyEndpoint, ErrorsFail)
    }
}

impl<D: Connect, R, C> Balanced<D, R, C> {
    /// Calls the connections of `balancer`, with requests routed by `route` and results classified
    /// by `classify`.
    #[must_use]
    pub fn with(balancer: Balancer<D>, route: R, classify: C) -> Self {
        Self::built(Ok(balancer), route, classify)
    }

    pub(super) fn built(balancer: Result<Balancer<D>, BuildError>, route: R, classify: C) -> Self {
        let state = Arc::new(ServiceState {
            balancer,
            route,
            classify,
        });
        Self { state }
    }

    /// Returns the balancer: for [`stats`](Balancer::stats), [`set_roles`](Balancer::set_roles),
    /// [`shutdown`](Balancer::shutdown).
    ///
    /// # Errors
    /// What was wrong with the settings, if they were; every call fails with it.
    pub fn balancer(&self) -> Result<&Balancer<D>, &BuildError> {
        self.state.balancer.as_ref()
    }
}

impl<Req, D, R, C> Service<Req> for Balanced<D, R, C>
where
    Req: 'static,
    D: Connect,
    D::Conn: Service<Req>,
    <D::Conn as Service<Req>>::Error: Send + 'static,
    R: RouteRequest<Req> + Send + Sync + 'static,
    C: Classify<<D::Conn as Service<Req>>::Response, <D::Conn as Service<Req>>::Error> + Send + Sync + 'static,
{
    type Response = <D::Conn as Service<Req>>::Response;
    type Error = Error<<D::Conn as Service<Req>>::Error>;
    type Future = ResponseFuture<Req, D, R, C>;

    /// Ready at once, always.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// Picks an endpoint now, and counts the request on it.
    ///
    /// # Cancel safety
    /// Dropping the future before it resolves takes the request off its endpoint's load and closes
    /// its exclusive connection, which may still carry parts of the exchange. A multiplexed
    /// connection only loses one stream. An attempt to connect goes on, for the next caller.
    fn call(&mut self, request: Req) -> Self::Future {
        let route = self.state.route.route(&request);
        match self.balancer().map(|balancer| balancer.begin(route)) {
            Ok(Ok(lease)) => ResponseFuture::leased(&self.state, route, lease, request),
            Ok(Err(choice)) => ResponseFuture::waiting(&self.state, route, choice, request),
            Err(_) => ResponseFuture::waiting(&self.state, route, None, request),
        }
    }
}

impl<D: Connect, R, C> Clone for Balanced<D, R, C> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
        }
    }
}

impl<D: Connect, R, C> fmt::Debug for Balanced<D, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balanced")
            .field("balancer", &self.balancer())
            .finish_non_exhaustive()
    }
}
