//! [`Balancer::acquire`]: the hot path, whole.
//!
//! ```text
//!   view.load() ── pick(route, entropy) ── count in flight ── idle connection? ── yes ──► Lease
//!       │                                                          │ no
//!       │                     ┌────────────────────────────────────┘
//!       │                     ▼
//!       │        wait for this pod's pool: a returned connection or a finished dial, whichever is first
//!       │                     │ refused (cannot connect, removed, full)
//!       │                     ▼
//!       └──────── pick again, among those not tried ── none left ── wait for a change ── deadline ──► AcquireError
//! ```
//!
//! Up to the idle connection nothing waits, locks for long or allocates. Invariant I6: there is no await between a pick and
//! its count. What waits is `acquire_slow.rs`; who is in the view is `reconcile.rs`; what a pool does is `pool/`.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use headless_core::policy::{Excluded, PickArgs};
use headless_core::{BoxFuture, Connect, EndpointKey, InFlight, Route, Timestamp};

use crate::acquire_slow::Wanted;
use crate::backend::Backend;
use crate::entropy::entropy;
use crate::error::AcquireError;
use crate::lease::Lease;
use crate::pick::Pick;
use crate::pool::Slot;
use crate::reconcile::Shared;
use crate::view::View;

/// Balances requests over the pods of a Service, with a pool of connections per pod.
///
/// `&self` everywhere; a clone is one reference count; there is no channel and no worker between the caller and the pod.
/// Made by [`Balancer::builder`]. When the last clone is dropped, idle connections close; leases stay valid.
///
/// ```no_run
/// # async fn run(connector: impl headless::Connect) -> Result<(), Box<dyn std::error::Error>> {
/// use headless::{Balancer, Discovery, Outcome, Route};
///
/// let balancer = Balancer::builder(Discovery::start("db.shop.svc:db").await?, connector).build()?;
/// let lease = balancer.acquire(Route::any()).await?;
/// println!("talking to {}", lease.endpoint());
/// lease.finish(Outcome::Success); // without this line the connection would be closed
/// # Ok(())
/// # }
/// ```
pub struct Balancer<C: Connect> {
    pub(crate) shared: Arc<Shared<C>>,
}

impl<C: Connect> Balancer<C> {
    /// A connection to a pod that fits `route`, chosen by the policy.
    ///
    /// Waits, up to the [acquire timeout](crate::BalancerBuilder::acquire_timeout): for the chosen pod's pool; on other pods if
    /// the chosen one cannot be connected to; for pods, if there are none.
    ///
    /// # Errors
    /// [`AcquireError`], which says what was waited for, and for how long.
    ///
    /// # Cancel safety
    /// Dropping the future leaves every queue. A dial that it started goes on, and its connection serves the next caller.
    #[inline]
    pub fn acquire(&self, route: Route) -> Acquire<'_, C> {
        Acquire {
            balancer: self,
            route,
            waiting: None,
        }
    }

    /// The half of [`acquire`](Self::acquire) that never waits. If there is no idle connection, the choice is made all the same:
    /// [`acquire_slow`](Self::acquire_slow) goes on with it, so that a request takes one turn and not two.
    #[inline(always)]
    pub(crate) fn begin(&self, route: Route) -> Result<Lease<C>, Option<Choice<C>>> {
        match self.choose(route, Excluded::NONE) {
            Some(choice) => choice.idle().map_err(Some),
            None => Err(None),
        }
    }

    pub(crate) fn acquire_timeout(&self) -> Duration {
        self.shared.acquire_timeout
    }

    /// As [`acquire`](Self::acquire), but on another pod than those in `avoid` if any other fits: for retries. Takes the way
    /// that allocates; a first attempt is better off with [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_excluding(&self, route: Route, avoid: &[EndpointKey]) -> Result<Lease<C>, AcquireError> {
        self.acquire_slow(route, None, Wanted::RatherNot(avoid)).await
    }

    /// As [`acquire`](Self::acquire), but only on one of `pods`: for a caller who knows more about them than the policy does (which
    /// replica is fresh enough). Takes the way that allocates.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_from(&self, route: Route, pods: &[EndpointKey]) -> Result<Lease<C>, AcquireError> {
        self.acquire_slow(route, None, Wanted::Only(pods)).await
    }

    /// Closes the connections of one pod: idle ones now, lent ones when they come back. For a caller who learns that what was
    /// true when they were opened no longer is (a database's primary that was demoted). Says whether the pod is in the set.
    pub fn evict(&self, pod: &EndpointKey) -> bool {
        let view = self.shared.view.load_full();
        let backend = view.backends.iter().find(|backend| backend.endpoint.key() == pod);
        backend.inspect(|backend| backend.sweep()).is_some()
    }

    /// An idle connection of the pod that the policy chooses, if it has one now. Never waits, dials or allocates.
    #[inline]
    #[must_use]
    pub fn try_acquire(&self, route: Route) -> Option<Lease<C>> {
        self.choose(route, Excluded::NONE)?.idle().ok()
    }

    /// A pod that fits `route`, chosen by the policy and counted, for a request whose connection lives elsewhere. Never waits, locks or
    /// allocates; `None` if no pod fits. What pods the pools have found dead is heeded, but nobody reports here: see
    /// [`Pick::finish`].
    #[inline]
    #[must_use]
    pub fn pick(&self, route: Route) -> Option<Pick<C>> {
        let Choice { in_flight, now, .. } = self.choose(route, Excluded::NONE)?;
        Some(Pick::new(in_flight, now))
    }

    /// Picks and counts, in one breath (invariant I6).
    #[inline(always)]
    fn choose(&self, route: Route, tried: Excluded<'_>) -> Option<Choice<C>> {
        self.choose_in(&self.shared.view.load(), route, tried)
    }

    #[inline(always)]
    pub(crate) fn choose_in(&self, view: &View<C>, route: Route, tried: Excluded<'_>) -> Option<Choice<C>> {
        if route.role().is_some() && !self.shared.role_aware {
            return None;
        }
        // Reading the clock costs more than all the rest of a pick.
        let now = match view.timed {
            true => self.shared.env.clock.now(),
            false => Timestamp::ZERO,
        };
        let index = view
            .picker
            .pick(&PickArgs::new(route, entropy()).at(now).excluding(tried))?;
        let backend = view.backends.get(index)?;
        Some(Choice {
            index,
            now,
            in_flight: InFlight::begin(Arc::clone(backend)),
        })
    }

    /// What [`choose`](Self::choose) would choose, for the stress test.
    #[cfg(test)]
    pub(crate) fn choose_endpoint(&self, route: Route, tried: Excluded<'_>) -> Option<Arc<headless_core::Endpoint>> {
        self.choose(route, tried)
            .map(|choice| Arc::clone(&choice.in_flight.on().endpoint))
    }
}

/// The connection to be of [`Balancer::acquire`].
///
/// WHY: not an `async fn`. Almost every call ends in its first poll; the state of all the waiting, a kilobyte, is made only for one
/// that does not.
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
        // WHY: not by `Choice::idle`. A lease that is made where it is returned is not copied on the way.
        match choice.in_flight.on().take_idle() {
            Some((conn, slot)) => Poll::Ready(Ok(choice.lend(conn, slot))),
            None => self.otherwise(choice, cx),
        }
    }
}

impl<C: Connect> Acquire<'_, C> {
    // Not cold: the usual way of shared connections.
    #[inline(never)]
    fn otherwise(&mut self, choice: Choice<C>, cx: &mut Context<'_>) -> Poll<Result<Lease<C>, AcquireError>> {
        // Where connections are exclusive and the newest will not do, the queue is the place to look for another.
        let choice = match choice.in_flight.on().shares() {
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
        self.waiting = Some(Box::pin(balancer.acquire_slow(route, choice, Wanted::Any)));
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

impl<C: Connect> Clone for Balancer<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C: Connect> fmt::Debug for Balancer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer")
            .field("service", &self.shared.env.service)
            .finish_non_exhaustive()
    }
}

/// A pod, chosen and counted.
pub(crate) struct Choice<C: Connect> {
    pub(crate) index: usize,
    now: Timestamp,
    pub(crate) in_flight: InFlight<Arc<Backend<C>>>,
}

impl<C: Connect> Choice<C> {
    /// The pod's newest idle connection, or the choice back. WHY two steps: a connection has one way to the lease in the usual case,
    /// and is not copied where ways meet.
    #[inline(always)]
    fn idle(self) -> Result<Lease<C>, Self> {
        match self.in_flight.on().take_idle() {
            Some((conn, slot)) => Ok(self.lend(conn, slot)),
            None => self.idle_otherwise(),
        }
    }

    /// The same for shared connections, and where the newest idle connection is dead.
    #[inline(never)]
    fn idle_otherwise(self) -> Result<Lease<C>, Self> {
        match self.in_flight.on().try_checkout() {
            Some((conn, slot)) => Ok(self.lend(conn, slot)),
            None => Err(self),
        }
    }

    /// Where the pod is in `view`; another than the one it was chosen from, perhaps.
    pub(crate) fn index_in(&self, view: &View<C>) -> Option<usize> {
        let is_it = |backend: &Arc<Backend<C>>| Arc::ptr_eq(backend, self.in_flight.on());
        match view.backends.get(self.index).is_some_and(is_it) {
            true => Some(self.index),
            false => view.backends.iter().position(is_it),
        }
    }

    #[inline]
    pub(crate) fn lend(self, conn: C::Conn, slot: Slot) -> Lease<C> {
        Lease::new(conn, slot, self.now, self.in_flight)
    }
}

/// How long `acquire` waits unless told otherwise: as long as a caller will usually wait for an answer, and longer than a pod
/// takes to be replaced in DNS.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
