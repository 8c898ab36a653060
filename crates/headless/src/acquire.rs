//! [`Balancer::acquire`] and its future: the hot path of a request that needs a connection, and the
//! door to what waits.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use headless_core::policy::Excluded;
use headless_core::{BoxFuture, Connect, EndpointKey, Route};

use crate::acquire_slow::EndpointFilter;
use crate::balancer::{Balancer, Choice};
use crate::error::AcquireError;
use crate::lease::Lease;

impl<C: Connect> Balancer<C> {
    /// Returns a connection to an endpoint that fits `route`, chosen by the policy.
    ///
    /// Waits, up to the [acquire timeout](crate::BalancerBuilder::acquire_timeout): for the pool of
    /// the chosen endpoint; for other endpoints, if the chosen one cannot be connected to; for any
    /// endpoint, if there are none.
    ///
    /// # Errors
    /// [`AcquireError`], which says what was waited for, and for how long.
    ///
    /// # Cancel safety
    /// Dropping the future leaves every queue. An attempt to connect that it started goes on, and
    /// its connection serves the next caller.
    #[inline]
    pub fn acquire(&self, route: Route) -> Acquire<'_, C> {
        Acquire {
            balancer: self,
            route,
            limit: None,
            state: State::Direct,
        }
    }

    /// As [`acquire`](Self::acquire), but on another endpoint than those in `excluded` if any other
    /// fits: for retries. It allocates; for a first attempt [`acquire`](Self::acquire) is faster.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub fn acquire_excluding<'a>(&'a self, route: Route, excluded: &'a [EndpointKey]) -> Acquire<'a, C> {
        self.acquire_filtered(route, EndpointFilter::Excluding(excluded))
    }

    /// As [`acquire`](Self::acquire), but only on one of `endpoints`: for a caller who knows more
    /// about them than the policy does (which replica is fresh enough). It allocates.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub fn acquire_from<'a>(&'a self, route: Route, endpoints: &'a [EndpointKey]) -> Acquire<'a, C> {
        self.acquire_filtered(route, EndpointFilter::Only(endpoints))
    }

    /// As [`acquire`](Self::acquire), but on another endpoint than those in `tried` or not at all,
    /// and without waiting for a change: each endpoint that fits is tried once. For a caller that
    /// has something to fall back on, such as an answer that another endpoint might better. It
    /// allocates.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire); [`AcquireError::NoneOfRequested`] at once if no other
    /// endpoint fits.
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub fn acquire_other<'a>(&'a self, route: Route, tried: &'a [EndpointKey]) -> Acquire<'a, C> {
        self.acquire_filtered(route, EndpointFilter::Other(tried))
    }

    fn acquire_filtered<'a>(&'a self, route: Route, filter: EndpointFilter<'a>) -> Acquire<'a, C> {
        Acquire {
            balancer: self,
            route,
            limit: None,
            state: State::Filtered(filter),
        }
    }
}

/// The future of [`Balancer::acquire`] and its variants.
///
/// WHY: not an `async fn`. Almost every call ends in its first poll; the state of the waiting, a
/// kilobyte, is made only for one that does not.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire<'a, C: Connect> {
    balancer: &'a Balancer<C>,
    route: Route,
    limit: Option<Duration>,
    state: State<'a, C>,
}

enum State<'a, C: Connect> {
    /// Any endpoint will do, and an idle connection is there at once.
    Direct,
    Filtered(EndpointFilter<'a>),
    Waiting(BoxFuture<'a, Result<Lease<C>, AcquireError>>),
}

impl<C: Connect> Future for Acquire<'_, C> {
    type Output = Result<Lease<C>, AcquireError>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !matches!(self.state, State::Direct) {
            return self.poll_waiting(cx);
        }
        let Some(choice) = self.balancer.choose(self.route, Excluded::NONE) else {
            return self.wait(None, EndpointFilter::Any, cx);
        };
        // WHY: not by `Choice::idle`. A lease that is made where it is returned is not copied.
        match choice.in_flight.on().pool.take_idle() {
            Some((conn, slot)) => Poll::Ready(Ok(choice.lease(conn, slot))),
            None => self.otherwise(choice, cx),
        }
    }
}

impl<'a, C: Connect> Acquire<'a, C> {
    /// Waits no longer than this, or than the
    /// [acquire timeout](crate::BalancerBuilder::acquire_timeout) if that is shorter.
    ///
    /// A timer around the future would lose what the [`AcquireError`] explains.
    #[inline]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    // Not cold: the usual way of multiplexed connections.
    #[inline(never)]
    fn otherwise(&mut self, choice: Choice<C>, cx: &mut Context<'_>) -> Poll<Result<Lease<C>, AcquireError>> {
        // Where connections are exclusive and the newest cannot be used, the queue looks for
        // another.
        let choice = match choice.in_flight.on().pool.is_multiplexed() {
            true => choice.idle_otherwise(),
            false => Err(choice),
        };
        match choice {
            Ok(lease) => Poll::Ready(Ok(lease)),
            Err(choice) => self.wait(Some(choice), EndpointFilter::Any, cx),
        }
    }

    #[cold]
    fn wait(
        &mut self,
        choice: Option<Choice<C>>,
        filter: EndpointFilter<'a>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Lease<C>, AcquireError>> {
        let (balancer, route, limit) = (self.balancer, self.route, self.limit);
        self.state = State::Waiting(Box::pin(balancer.acquire_slow(route, choice, filter, limit)));
        self.poll_waiting(cx)
    }

    #[cold]
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<Lease<C>, AcquireError>> {
        match &mut self.state {
            State::Waiting(waiting) => waiting.as_mut().poll(cx),
            &mut State::Filtered(filter) => self.wait(None, filter, cx),
            State::Direct => self.wait(None, EndpointFilter::Any, cx),
        }
    }
}

impl<C: Connect> fmt::Debug for Acquire<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("route", &self.route)
            .field("waiting", &matches!(self.state, State::Waiting(_)))
            .finish_non_exhaustive()
    }
}
