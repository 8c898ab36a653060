//! [`Balancer::acquire`] and its future: the hot path of a request that needs a connection, and the
//! door to what waits.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

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
            waiting: None,
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
    pub async fn acquire_excluding(&self, route: Route, excluded: &[EndpointKey]) -> Result<Lease<C>, AcquireError> {
        self.acquire_slow(route, None, EndpointFilter::Excluding(excluded))
            .await
    }

    /// As [`acquire`](Self::acquire), but only on one of `endpoints`: for a caller who knows more
    /// about them than the policy does (which replica is fresh enough). It allocates.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_from(&self, route: Route, endpoints: &[EndpointKey]) -> Result<Lease<C>, AcquireError> {
        self.acquire_slow(route, None, EndpointFilter::Only(endpoints)).await
    }
}

/// The future of [`Balancer::acquire`].
///
/// WHY: not an `async fn`. Almost every call ends in its first poll; the state of the waiting, a
/// kilobyte, is made only for one that does not.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire<'a, C: Connect> {
    balancer: &'a Balancer<C>,
    route: Route,
    waiting: Option<BoxFuture<'a, Result<Lease<C>, AcquireError>>>,
}

impl<C: Connect> Future for Acquire<'_, C> {
    type Output = Result<Lease<C>, AcquireError>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.waiting.is_some() {
            return self.poll_waiting(cx);
        }
        let Some(choice) = self.balancer.choose(self.route, Excluded::NONE) else {
            return self.wait(None, cx);
        };
        // WHY: not by `Choice::idle`. A lease that is made where it is returned is not copied.
        match choice.in_flight.on().pool.take_idle() {
            Some((conn, slot)) => Poll::Ready(Ok(choice.lease(conn, slot))),
            None => self.otherwise(choice, cx),
        }
    }
}

impl<C: Connect> Acquire<'_, C> {
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
            Err(choice) => self.wait(Some(choice), cx),
        }
    }

    #[cold]
    fn wait(&mut self, choice: Option<Choice<C>>, cx: &mut Context<'_>) -> Poll<Result<Lease<C>, AcquireError>> {
        let (balancer, route) = (self.balancer, self.route);
        self.waiting = Some(Box::pin(balancer.acquire_slow(route, choice, EndpointFilter::Any)));
        self.poll_waiting(cx)
    }

    #[cold]
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<Lease<C>, AcquireError>> {
        match &mut self.waiting {
            Some(waiting) => waiting.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<C: Connect> fmt::Debug for Acquire<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("route", &self.route)
            .field("waiting", &self.waiting.is_some())
            .finish_non_exhaustive()
    }
}
