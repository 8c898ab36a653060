//! [`Balanced`]: a [`Balancer`] as a tower [`Service`]. Asks for a lease in `call`, when the request and its route are known.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use headless_core::Connect;
use tower_service::Service;

use super::future::ServiceState;
use super::{AnyPod, Classify, Error, ErrorsFail, ResponseFuture, RouteRequest};
use crate::balancer::Balancer;
use crate::error::BuildError;

/// One service for all pods of a Service. Made by [`DiscoveryLayer`](super::DiscoveryLayer), or of any [`Balancer`] whose
/// connections are services.
///
/// `Clone`, without a `Buffer`: a clone is one reference count, and clones share pools, policy and load. There is no task
/// between caller and pod.
///
/// **Always ready.** `poll_ready` cannot know which pod the request will go to, so it reserves nothing, and a service that is
/// dropped between `poll_ready` and `call` has taken nothing from anyone. Waiting happens in `call`, up to the
/// [acquire timeout](crate::BalancerBuilder::acquire_timeout), and ends with an error that says what was waited for. Who wants to
/// refuse instead of wait limits concurrency outside: `ServiceBuilder::new().load_shed().concurrency_limit(n).service(balanced)`.
///
/// **Retries.** A connection whose service says in `poll_ready` that it is dead costs the request nothing: it takes another one.
/// Once a service was called, its error is the caller's; `tower::retry` can be stacked outside, because this is `Clone`.
pub struct Balanced<D: Connect, R = AnyPod, C = ErrorsFail> {
    state: Arc<ServiceState<D, R, C>>,
}

impl<D: Connect> Balanced<D> {
    /// Calls the connections of `balancer`: any pod for any request.
    #[must_use]
    pub fn new(balancer: Balancer<D>) -> Self {
        Self::with(balancer, AnyPod, ErrorsFail)
    }
}

impl<D: Connect, R, C> Balanced<D, R, C> {
    /// Calls the connections of `balancer`, with requests routed by `route` and calls judged by `classify`.
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

    /// The balancer inside: for [`stats`](Balancer::stats), [`set_roles`](Balancer::set_roles), [`shutdown`](Balancer::shutdown).
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

    /// Picks a pod now, and counts the request on it.
    ///
    /// # Cancel safety
    /// Dropping the future before it resolves takes the request off its pod's load and closes its exclusive connection, since
    /// nobody knows what that still carries. A shared connection only loses one stream. A dial goes on, for the next caller.
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
