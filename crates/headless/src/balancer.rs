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
//! its count. Who is in the view is `reconcile.rs`; what a pool does is `pool/`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless_core::policy::{PickArgs, Tried};
use headless_core::{Connect, Endpoint, EndpointKey, InFlight, Route, Timestamp};
use tokio::time::{Instant, timeout_at};

use crate::backend::Backend;
use crate::entropy::entropy;
use crate::error::AcquireError;
use crate::lease::Lease;
use crate::pool::{Counts, DialError, Refusal, Slot, Stage};
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
    pub async fn acquire(&self, route: Route) -> Result<Lease<C>, AcquireError> {
        match self.begin(route) {
            Ok(lease) => Ok(lease),
            Err(choice) => self.acquire_chosen(route, choice).await,
        }
    }

    /// The half of [`acquire`](Self::acquire) that never waits. If there is no idle connection, the choice is made all the same:
    /// [`acquire_chosen`](Self::acquire_chosen) goes on with it, so that a request takes one turn and not two.
    #[inline]
    pub(crate) fn begin(&self, route: Route) -> Result<Lease<C>, Option<Choice<C>>> {
        match self.choose(route, Tried::NONE) {
            Some(choice) => choice.idle().map_err(Some),
            None => Err(None),
        }
    }

    /// The half of [`acquire`](Self::acquire) that waits.
    pub(crate) async fn acquire_chosen(
        &self,
        route: Route,
        choice: Option<Choice<C>>,
    ) -> Result<Lease<C>, AcquireError> {
        self.acquire_slowly(route, choice, Wanted::Any).await
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
    pub async fn acquire_after(&self, route: Route, avoid: &[EndpointKey]) -> Result<Lease<C>, AcquireError> {
        self.acquire_slowly(route, None, Wanted::RatherNot(avoid)).await
    }

    /// As [`acquire`](Self::acquire), but only on one of `pods`: for a caller who knows more about them than the policy does (which
    /// replica is fresh enough). Takes the way that allocates.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_among(&self, route: Route, pods: &[EndpointKey]) -> Result<Lease<C>, AcquireError> {
        self.acquire_slowly(route, None, Wanted::Only(pods)).await
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
        self.choose(route, Tried::NONE)?.idle().ok()
    }

    /// Picks and counts, in one breath (invariant I6).
    #[inline]
    fn choose(&self, route: Route, tried: Tried<'_>) -> Option<Choice<C>> {
        self.choose_in(&self.shared.view.load(), route, tried)
    }

    #[inline]
    fn choose_in(&self, view: &View<C>, route: Route, tried: Tried<'_>) -> Option<Choice<C>> {
        if route.role().is_some() && !self.shared.role_aware {
            return None;
        }
        let now = match self.shared.env.latency_window {
            Some(_) => self.shared.env.clock.now(),
            None => Timestamp::ZERO,
        };
        let index = view
            .picker
            .pick(&PickArgs::new(route, entropy()).at(now).after(tried))?;
        let backend = view.backends.get(index)?;
        Some(Choice {
            index,
            now,
            in_flight: InFlight::begin(Arc::clone(backend)),
        })
    }

    /// What [`choose`](Self::choose) would choose, for the stress test.
    #[cfg(test)]
    pub(crate) fn choose_endpoint(&self, route: Route, tried: Tried<'_>) -> Option<Arc<Endpoint>> {
        self.choose(route, tried)
            .map(|choice| Arc::clone(&choice.in_flight.on().endpoint))
    }

    /// Everything that waits.
    #[cold]
    async fn acquire_slowly(
        &self,
        route: Route,
        mut first: Option<Choice<C>>,
        wanted: Wanted<'_>,
    ) -> Result<Lease<C>, AcquireError> {
        let start = Instant::now();
        let deadline = start + self.shared.acquire_timeout;
        if let Some(role) = route.role().filter(|_| !self.shared.role_aware) {
            return Err(AcquireError::RolesNotConfigured {
                service: Arc::clone(&self.shared.env.service),
                role,
            });
        }
        let mut round = Round::default();
        loop {
            // Listened to before the view is read: what changes afterwards is not missed.
            let changed = self.shared.env.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            round = match self.round(route, first.take(), wanted, deadline).await {
                Ok(lease) => return Ok(lease),
                Err(next) => next.after(round),
            };
            if round.is_final() || self.shared.is_shut_down() || Instant::now() >= deadline {
                return Err(self.shared.explain(route, round, start.elapsed()));
            }
            // Nobody fits, or nobody can be reached: DNS is asked, and the next round comes with a change or in a while.
            self.shared.env.evidence.look_soon();
            let _changed = timeout_at(deadline.min(Instant::now() + NEXT_ROUND), changed).await;
        }
    }

    /// Tries each pod of the current view that fits, once.
    async fn round(
        &self,
        route: Route,
        first: Option<Choice<C>>,
        wanted: Wanted<'_>,
        deadline: Instant,
    ) -> Result<Lease<C>, Round> {
        let view = self.shared.view.load_full();
        let listed = |key: &EndpointKey| view.backends.iter().position(|backend| backend.endpoint.key() == key);
        let mut tried: Vec<usize> = match wanted {
            Wanted::Any => Vec::new(),
            Wanted::RatherNot(pods) => pods.iter().filter_map(listed).collect(),
            Wanted::Only(pods) => {
                let listed: Vec<usize> = pods.iter().filter_map(listed).collect();
                (0..view.backends.len())
                    .filter(|index| !listed.contains(index))
                    .collect()
            }
        };
        let second_choice = matches!(wanted, Wanted::RatherNot(_)) && !tried.is_empty();
        let mut round = Round::default();
        // The view may have changed since the first choice: its index is that of the pod now, or of nobody.
        let mut first = first.map(|choice| (listed(choice.in_flight.on().endpoint.key()), choice));
        loop {
            let choice = first.take().or_else(|| {
                let choice = self.choose_in(&view, route, Tried::of(&tried))?;
                Some((Some(choice.index), choice))
            });
            let Some((index, choice)) = choice else {
                // Nobody else fits. Those to be avoided are better than nobody, once.
                if second_choice && round.tried == 0 && !tried.is_empty() {
                    tried.clear();
                    continue;
                }
                return Err(round);
            };
            tried.extend(index);
            round.tried += 1;
            let mut stage = Stage::default();
            match timeout_at(deadline, choice.in_flight.on().checkout(&mut stage)).await {
                Ok(Ok((conn, slot))) => return Ok(choice.lend(conn, slot)),
                Ok(Err(Refusal::Removed)) => {}
                Ok(Err(Refusal::Full)) => round.full += 1,
                Ok(Err(Refusal::Dial(error))) => round.last_dial = Some(error),
                Err(_elapsed) => {
                    let backend = choice.in_flight.on();
                    round.timed_out = Some(Late {
                        endpoint: Arc::clone(&backend.endpoint),
                        stage,
                        counts: backend.counts(),
                        last_failure: backend.last_failure(),
                    });
                    return Err(round);
                }
            }
        }
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

/// Which pods a caller wants.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Any,
    /// Others than these; these if no other fits.
    RatherNot(&'a [EndpointKey]),
    /// These, or nobody.
    Only(&'a [EndpointKey]),
}

/// A pod, chosen and counted.
pub(crate) struct Choice<C: Connect> {
    index: usize,
    now: Timestamp,
    in_flight: InFlight<Arc<Backend<C>>>,
}

impl<C: Connect> Choice<C> {
    #[inline]
    fn idle(self) -> Result<Lease<C>, Self> {
        match self.in_flight.on().try_checkout() {
            Some((conn, slot)) => Ok(self.lend(conn, slot)),
            None => Err(self),
        }
    }

    #[inline]
    fn lend(self, conn: C::Conn, slot: Slot) -> Lease<C> {
        Lease::new(conn, slot, self.now, self.in_flight)
    }
}

/// What one round over all fitting pods came to.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) tried: usize,
    pub(crate) full: usize,
    pub(crate) last_dial: Option<DialError>,
    pub(crate) timed_out: Option<Late>,
}

/// The pod that was being waited for when the time was up.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) stage: Stage,
    pub(crate) counts: Counts,
    pub(crate) last_failure: Option<DialError>,
}

impl Round {
    /// This round, with what the one before had learnt: the deadline may cut the last round short.
    fn after(mut self, before: Self) -> Self {
        self.tried = self.tried.max(before.tried);
        self.last_dial = self.last_dial.or(before.last_dial);
        self
    }

    /// Whether waiting for a change is pointless: the time is up, or every pod that fits has a full queue.
    fn is_final(&self) -> bool {
        self.timed_out.is_some() || (self.tried > 0 && self.full == self.tried)
    }
}

/// How long `acquire` waits unless told otherwise: as long as a caller will usually wait for an answer, and longer than a pod
/// takes to be replaced in DNS.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller that found nobody waits before it tries everybody again, unless something changes sooner.
const NEXT_ROUND: Duration = Duration::from_secs(1);
