//! [`ResponseFuture`]: lease → ready → call → outcome. With an idle connection nothing is boxed; only waiting is.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use headless_core::{BoxFuture, Connect, Outcome, Route};
use pin_project_lite::pin_project;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::service::Shared;
use super::{Classify, Error};
use crate::balancer::Choice;
use crate::lease::Lease;

/// How many connections a request is offered to before the error of the last one is its own. Each has said, before it took the
/// request, that it is dead; three in a row are more than bad luck with idle connections.
const ATTEMPTS: usize = 3;

type ErrorOf<D, Req> = <<D as Connect>::Conn as Service<Req>>::Error;
type Prepared<D, Req> = Result<Lease<D>, Error<ErrorOf<D, Req>>>;

pin_project! {
    /// The future of a call through [`Balanced`](super::Balanced). Holds the lease until the response is there.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<Req, D, R, C>
    where
        D: Connect,
        D::Conn: Service<Req>,
    {
        shared: Arc<Shared<D, R, C>>,
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
        // An idle connection was there. Its service has not been asked yet whether it is ready.
        Leased { lease: Option<Lease<D>> },
        // Something has to be waited for.
        Waiting { lease: BoxFuture<'static, Prepared<D, Req>> },
        // The service has the request. Dropped in this order: whatever the response still holds, before its connection.
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
    pub(super) fn leased(shared: &Arc<Shared<D, R, C>>, route: Route, lease: Lease<D>, request: Req) -> Self {
        Self::new(shared, route, request, State::Leased { lease: Some(lease) })
    }

    #[cold]
    pub(super) fn waiting(
        shared: &Arc<Shared<D, R, C>>,
        route: Route,
        choice: Option<Choice<D>>,
        request: Req,
    ) -> Self {
        let lease = Box::pin(prepare(Arc::clone(shared), route, Start::Chosen(choice)));
        Self::new(shared, route, request, State::Waiting { lease })
    }

    fn new(shared: &Arc<Shared<D, R, C>>, route: Route, request: Req, state: State<Req, D>) -> Self {
        let shared = Arc::clone(shared);
        let request = Some(request);
        Self {
            shared,
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
            let next = match this.state.as_mut().project() {
                StateProj::Leased { lease } => {
                    let mut lease = taken(lease);
                    let start = match Service::<Req>::poll_ready(&mut *lease, cx) {
                        Poll::Ready(Ok(())) => None,
                        Poll::Ready(Err(error)) => Some(Start::Dead(lease, error)),
                        Poll::Pending => Some(Start::Leased(lease)),
                    };
                    todo!()
                }
                _ => todo!(),
            };
        }
    }
}
