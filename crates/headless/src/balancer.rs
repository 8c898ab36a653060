//! [`Balancer`]: the choice of an endpoint, the part of the hot path that all requests share.
//!
//! ```text
//!   view ── pick(route, entropy) ── count in flight ── idle connection? ── yes ──► Lease
//!     │                                                      │ no
//!     │                 ┌────────────────────────────────────┘
//!     │                 ▼
//!     │      wait for this endpoint's pool: a returned or a new connection, whichever is first
//!     │                 │ refused (cannot connect, removed, full)
//!     │                 ▼
//!     └──── pick again, among those not tried ── none left ── wait for a change ── AcquireError
//! ```
//!
//! Up to the idle connection nothing waits, locks for long or allocates. Invariant I6: there is no
//! await between a pick and its count. `acquire.rs` is the future around this, `acquire_slow.rs`
//! what waits, `reconcile.rs` says what is in the view, `pool.rs` what a pool does.

use std::fmt;
use std::sync::Arc;

use headless_core::policy::{Excluded, PickArgs};
use headless_core::{Connect, EndpointKey, InFlight, Route, Timestamp};

use crate::backend::Backend;
use crate::entropy::entropy;
use crate::lease::Lease;
use crate::pick::Pick;
use crate::pool::Slot;
use crate::state::BalancerState;
use crate::view::View;

/// Balances requests over the endpoints of a Service, with a pool of connections per endpoint.
///
/// All methods take `&self`, a clone is one reference count, and there is no channel and no worker
/// between the caller and the endpoint. Made by [`Balancer::builder`]. When the last clone is
/// dropped, idle connections close; leases stay valid.
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
    pub(crate) state: Arc<BalancerState<C>>,
}

impl<C: Connect> Balancer<C> {
    /// Returns an idle connection to the endpoint that the policy chooses, if there is one now.
    /// Never waits, connects or allocates.
    #[inline]
    #[must_use]
    pub fn try_acquire(&self, route: Route) -> Option<Lease<C>> {
        self.choose(route, Excluded::NONE)?.idle().ok()
    }

    /// Returns an endpoint that fits `route`, chosen by the policy and counted, for a request whose
    /// connection lives elsewhere. `None` if no endpoint fits. Never waits, locks or allocates.
    ///
    /// Endpoints that the pools could not connect to are picked last, as usual, but a pick reports
    /// no such failure itself: see [`Pick::finish`].
    #[inline]
    #[must_use]
    pub fn pick(&self, route: Route) -> Option<Pick<C>> {
        let Choice { in_flight, now, .. } = self.choose(route, Excluded::NONE)?;
        Some(Pick::new(in_flight, now))
    }

    /// Returns whether the endpoint is in the set.
    #[must_use]
    pub fn contains(&self, endpoint: &EndpointKey) -> bool {
        let view = self.state.reconciler.view_full();
        view.backends.iter().any(|backend| backend.endpoint.key() == endpoint)
    }

    /// Closes the connections to one endpoint: idle ones now, those in use when they are returned.
    /// Returns whether the endpoint is in the set.
    ///
    /// For a caller who learns that what was true when they were opened no longer is: a database's
    /// primary was demoted.
    pub fn evict(&self, endpoint: &EndpointKey) -> bool {
        let view = self.state.reconciler.view_full();
        let backend = view.backends.iter().find(|backend| backend.endpoint.key() == endpoint);
        backend.inspect(|backend| backend.pool.invalidate_idle()).is_some()
    }

    /// The half of an acquisition that never waits. Without an idle connection, the choice is
    /// returned all the same, so that the waiting goes on with it and a request takes one turn, not
    /// two.
    #[inline(always)]
    pub(crate) fn begin(&self, route: Route) -> Result<Lease<C>, Option<Choice<C>>> {
        match self.choose(route, Excluded::NONE) {
            Some(choice) => choice.idle().map_err(Some),
            None => Err(None),
        }
    }

    /// Picks and counts, with nothing between the two (invariant I6).
    #[inline(always)]
    pub(crate) fn choose(&self, route: Route, excluded: Excluded<'_>) -> Option<Choice<C>> {
        self.choose_in(&self.state.reconciler.view(), route, excluded)
    }

    #[inline(always)]
    pub(crate) fn choose_in(&self, view: &View<C>, route: Route, excluded: Excluded<'_>) -> Option<Choice<C>> {
        if route.role().is_some() && !self.state.role_aware {
            return None;
        }
        // Reading the clock costs more than all the rest of a pick.
        let now = match view.timed {
            true => self.state.context.pools.clock.now(),
            false => Timestamp::ZERO,
        };
        let index = view
            .picker
            .pick(&PickArgs::new(route, entropy()).at(now).excluding(excluded))?;
        let backend = view.backends.get(index)?;
        Some(Choice {
            index,
            now,
            in_flight: InFlight::begin(Arc::clone(backend)),
        })
    }
}

impl<C: Connect> Clone for Balancer<C> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
        }
    }
}

impl<C: Connect> fmt::Debug for Balancer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer")
            .field("service", &self.state.context.pools.service)
            .finish_non_exhaustive()
    }
}

/// An endpoint, chosen and counted.
pub(crate) struct Choice<C: Connect> {
    pub(crate) index: usize,
    now: Timestamp,
    pub(crate) in_flight: InFlight<Arc<Backend<C>>>,
}

impl<C: Connect> Choice<C> {
    /// The endpoint's newest idle connection, or the choice back. WHY two steps: in the usual case
    /// a connection has one way to the lease, and is not copied where ways meet.
    #[inline(always)]
    pub(crate) fn idle(self) -> Result<Lease<C>, Self> {
        match self.in_flight.on().pool.take_idle() {
            Some((conn, slot)) => Ok(self.lease(conn, slot)),
            None => self.idle_otherwise(),
        }
    }

    /// The same for multiplexed connections, and where the newest idle connection is dead.
    #[inline(never)]
    pub(crate) fn idle_otherwise(self) -> Result<Lease<C>, Self> {
        match self.in_flight.on().pool.try_checkout() {
            Some((conn, slot)) => Ok(self.lease(conn, slot)),
            None => Err(self),
        }
    }

    /// The index of the endpoint in `view`, which may be newer than the one it was chosen from.
    pub(crate) fn index_in(&self, view: &View<C>) -> Option<usize> {
        let is_it = |backend: &Arc<Backend<C>>| Arc::ptr_eq(backend, self.in_flight.on());
        match view.backends.get(self.index).is_some_and(is_it) {
            true => Some(self.index),
            false => view.backends.iter().position(is_it),
        }
    }

    #[inline]
    pub(crate) fn lease(self, conn: C::Conn, slot: Slot) -> Lease<C> {
        Lease::new(conn, slot, self.now, self.in_flight)
    }
}
