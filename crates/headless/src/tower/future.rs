//! [`ResponseFuture`]: lease → ready → call → outcome. With an idle connection nothing is boxed;
//! only waiting is.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use headless_core::{BoxFuture, Connect, Outcome, Route};
use pin_project_lite::pin_project;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::{Classify, Error};
use crate::acquire_slow::EndpointFilter;
use crate::balancer::{Balancer, Choice};
use crate::error::BuildError;
use crate::lease::Lease;

/// How many dead connections a request meets before the error of the last one is its own. Each said
/// so before it took the request; three in a row are more than bad luck with idle connections.
const ATTEMPTS: usize = 3;

type ErrorOf<D, Req> = <<D as Connect>::Conn as Service<Req>>::Error;
type Prepared<D, Req> = Result<Lease<D>, Error<ErrorOf<D, Req>>>;

/// What the clones of a [`Balanced`](super::Balanced) and their calls share.
pub(super) struct ServiceState<D: Connect, R, C> {
    pub(super) balancer: Result<Balancer<D>, BuildError>,
    pub(super) route: R,
    pub(super) classify: C,
}

pin_project! {
    /// The future of a call through [`Balanced`](super::Balanced). Holds the lease until the
    /// response is there.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<Req, D, R, C>
    where
        D: Connect,
        D::Conn: Service<Req>,
    {
        service: Arc<ServiceState<D, R, C>>,
        route: Route,
        request: Option<Req>,
        #[pin]
        state: State<Req, D>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<Req, D>
    where
        D: Connect,
        D::Conn: Service<Req>,
    {
        // An idle connection was there. Its service was not asked yet whether it is ready.
        Leased { lease: Option<Lease<D>> },
        // Something has to be waited for.
        Waiting { lease: BoxFuture<'static, Prepared<D, Req>> },
        // The service has the request. Dropped in this order: what the response still holds, before
        // its connection.
        Called {
            #[pin]
            response: <D::Conn as Service<Req>>::Future,
            lease: Option<Lease<D>>,
        },
        Done,
    }
}

impl<Req, D, R, C> ResponseFuture<Req, D, R, C>
where
    Req: 'static,
    D: Connect,
    D::Conn: Service<Req>,
    ErrorOf<D, Req>: Send + 'static,
    R: Send + Sync + 'static,
    C: Send + Sync + 'static,
{
    pub(super) fn leased(service: &Arc<ServiceState<D, R, C>>, route: Route, lease: Lease<D>, request: Req) -> Self {
        Self::new(service, route, request, State::Leased { lease: Some(lease) })
    }

    #[cold]
    pub(super) fn waiting(
        service: &Arc<ServiceState<D, R, C>>,
        route: Route,
        choice: Option<Choice<D>>,
        request: Req,
    ) -> Self {
        let lease = Box::pin(prepare(Arc::clone(service), route, Start::Chosen(choice)));
        Self::new(service, route, request, State::Waiting { lease })
    }

    fn new(service: &Arc<ServiceState<D, R, C>>, route: Route, request: Req, state: State<Req, D>) -> Self {
        let service = Arc::clone(service);
        let request = Some(request);
        Self {
            service,
            route,
            request,
            state,
        }
    }
}

impl<Req, D, R, C> Future for ResponseFuture<Req, D, R, C>
where
    Req: 'static,
    D: Connect,
    D::Conn: Service<Req>,
    ErrorOf<D, Req>: Send + 'static,
    R: Send + Sync + 'static,
    C: Classify<<D::Conn as Service<Req>>::Response, ErrorOf<D, Req>> + Send + Sync + 'static,
{
    type Output = Result<<D::Conn as Service<Req>>::Response, Error<ErrorOf<D, Req>>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let lease = match this.state.as_mut().project() {
                StateProj::Leased { lease } => {
                    let mut lease = taken(lease);
                    let start = match lease.poll_ready(cx) {
                        Poll::Ready(Ok(())) => Ok(lease),
                        Poll::Ready(Err(error)) => Err(Start::Dead(lease, error)),
                        Poll::Pending => Err(Start::Leased(lease)),
                    };
                    match start {
                        Ok(lease) => lease,
                        Err(start) => {
                            let lease = Box::pin(prepare(Arc::clone(this.service), *this.route, start));
                            this.state.set(State::Waiting { lease });
                            continue;
                        }
                    }
                }
                StateProj::Waiting { lease } => match ready!(lease.as_mut().poll(cx)) {
                    Ok(lease) => lease,
                    Err(error) => {
                        this.state.set(State::Done);
                        return Poll::Ready(Err(error));
                    }
                },
                StateProj::Called { response, lease } => {
                    let result = ready!(response.poll(cx));
                    let lease = taken(lease);
                    // The response's future ends before the next request gets its connection.
                    this.state.set(State::Done);
                    end(lease, this.service.classify.classify(&result), result.is_err());
                    return Poll::Ready(result.map_err(Error::Service));
                }
                StateProj::Done => unreachable!("polled after it was done"),
            };
            let mut lease = lease;
            let response = lease.call(taken(this.request));
            let lease = Some(lease);
            this.state.set(State::Called { response, lease });
        }
    }
}

/// Ends the lease by the outcome of the call: the table in [`Classify`].
fn end<D: Connect>(lease: Lease<D>, outcome: Outcome, is_error: bool) {
    match outcome {
        Outcome::Success => lease.finish(outcome),
        Outcome::Failure if is_error => lease.broken(),
        Outcome::Failure | Outcome::Overloaded { .. } => lease.finish(outcome),
        _ => drop(lease),
    }
}

/// Where the waiting begins.
enum Start<D: Connect, E> {
    /// The endpoint is chosen, if there was one to choose, and has no idle connection.
    Chosen(Option<Choice<D>>),
    /// There is a connection, and its service is not ready yet.
    Leased(Lease<D>),
    /// There was one, and its service says that it is dead.
    Dead(Lease<D>, E),
}

/// Waits for a connection with a service that is ready. Bounded by the acquire timeout, once to get
/// a connection and once to have it ready (invariant I8).
async fn prepare<Req, D, R, C>(
    service: Arc<ServiceState<D, R, C>>,
    route: Route,
    start: Start<D, ErrorOf<D, Req>>,
) -> Prepared<D, Req>
where
    D: Connect,
    D::Conn: Service<Req>,
{
    let balancer = service.balancer.as_ref().map_err(|error| Error::Build(error.clone()))?;
    let (mut lease, mut dead) = match start {
        Start::Chosen(choice) => (
            balancer
                .acquire_slow(route, choice, EndpointFilter::Any, None)
                .await
                .map_err(Error::Acquire)?,
            None,
        ),
        Start::Leased(lease) => (lease, None),
        Start::Dead(lease, error) => (lease, Some(error)),
    };
    let began = Instant::now();
    let deadline = began + balancer.state.acquire_timeout;
    let mut tried = Vec::new();
    loop {
        let asked = match dead.take() {
            Some(error) => Ok(Err(error)),
            None => timeout_at(deadline, poll_fn(|cx| lease.poll_ready(cx))).await,
        };
        let error = match asked {
            Ok(Ok(())) => return Ok(lease),
            Ok(Err(error)) => error,
            Err(_elapsed) => {
                let (endpoint, waited) = (Arc::clone(lease.endpoint()), began.elapsed());
                return Err(Error::Timeout { endpoint, waited });
            }
        };
        tried.push(lease.endpoint().key().clone());
        lease.broken();
        if tried.len() == ATTEMPTS {
            return Err(Error::NotReady(error));
        }
        // The request has not left: another pod may have it, or this one again on a new connection.
        lease = match timeout_at(deadline, balancer.acquire_excluding(route, &tried)).await {
            Ok(Ok(lease)) => lease,
            Ok(Err(_)) | Err(_) => return Err(Error::NotReady(error)),
        };
    }
}

/// What a state holds until the step that leaves it.
fn taken<T>(option: &mut Option<T>) -> T {
    option
        .take()
        .unwrap_or_else(|| unreachable!("taken by the step that leaves the state, once"))
}

impl<Req, D, R, C> fmt::Debug for ResponseFuture<Req, D, R, C>
where
    D: Connect,
    D::Conn: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Leased { .. } => "leased",
            State::Waiting { .. } => "waiting",
            State::Called { .. } => "called",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("route", &self.route)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
