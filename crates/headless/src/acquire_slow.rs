//! Everything in [`Balancer::acquire`] that waits: for a pool, for other pods, for pods at all. The way without a wait is
//! `balancer.rs`.
//!
//! A *round* tries each pod of the view that fits, once. Between rounds it waits for a change, until the deadline.

use std::sync::Arc;
use std::time::Duration;

use headless_core::policy::Excluded;
use headless_core::{Connect, Endpoint, EndpointKey, Route};
use tokio::time::{Instant, timeout_at};

use crate::balancer::{Balancer, Choice};
use crate::error::AcquireError;
use crate::lease::Lease;
use crate::pool::{ConnectError, Counts, Refusal, Stage};

impl<C: Connect> Balancer<C> {
    /// Everything that waits.
    #[cold]
    pub(crate) async fn acquire_slow(
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
            // Made before the view is read: what `notify_waiters` announces from now on is not missed.
            let changed = self.shared.env.changed.notified();
            round = match self.round(route, first.take(), wanted, deadline).await {
                Ok(lease) => return Ok(lease),
                Err(next) => next.after(round),
            };
            if round.is_final() || self.shared.is_shut_down() || Instant::now() >= deadline {
                return Err(self.shared.explain(route, round, start.elapsed()));
            }
            // Nobody fits, or nobody can be reached: DNS is asked, and the next round comes with a change or in a while.
            self.shared.env.evidence.request_reresolution();
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
        let mut round = Round {
            asked: match wanted {
                Wanted::Only(pods) => Some(pods.len()),
                Wanted::Any | Wanted::RatherNot(_) => None,
            },
            ..Round::default()
        };
        // The view may have changed since the first choice: its index is that of the pod now, or of nobody.
        let mut first = first.map(|choice| (choice.index_in(&view), choice));
        loop {
            let choice = first.take().or_else(|| {
                let choice = self.choose_in(&view, route, Excluded::of(&tried))?;
                Some((Some(choice.index), choice))
            });
            let Some((index, choice)) = choice else {
                // Nobody else fits. Those to be unhealthy are better than nobody, once.
                if second_choice && round.tried == 0 && !tried.is_empty() {
                    tried.clear();
                    continue;
                }
                return Err(round);
            };
            round.tried += 1;
            let mut stage = Stage::default();
            match timeout_at(deadline, choice.in_flight.on().checkout(&mut stage)).await {
                Ok(Ok((conn, slot))) => return Ok(choice.lend(conn, slot)),
                Ok(Err(Refusal::Removed)) => {}
                Ok(Err(Refusal::Full)) => round.full += 1,
                Ok(Err(Refusal::Dial(error))) => round.last_connect_error = Some(error),
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
            tried.extend(index);
        }
    }
}

/// Which pods a caller wants.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    Any,
    /// Others than these; these if no other fits.
    RatherNot(&'a [EndpointKey]),
    /// These, or nobody.
    Only(&'a [EndpointKey]),
}

/// What one round over all fitting pods came to.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// How many pods the caller named, if no other will do.
    pub(crate) asked: Option<usize>,
    pub(crate) tried: usize,
    pub(crate) full: usize,
    pub(crate) last_connect_error: Option<ConnectError>,
    pub(crate) timed_out: Option<Late>,
}

/// The pod that was being waited for when the time was up.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) stage: Stage,
    pub(crate) counts: Counts,
    pub(crate) last_failure: Option<ConnectError>,
}

impl Round {
    /// This round, with what the one before had learnt: the deadline may cut the last round short.
    fn after(mut self, before: Self) -> Self {
        self.tried = self.tried.max(before.tried);
        self.last_connect_error = self.last_connect_error.or(before.last_connect_error);
        self
    }

    /// Whether waiting for a change is pointless: the time is up, or every pod that fits has a full queue.
    fn is_final(&self) -> bool {
        self.timed_out.is_some() || (self.tried > 0 && self.full == self.tried)
    }
}

/// How long a caller that found nobody waits before it tries everybody again, unless something changes sooner.
const NEXT_ROUND: Duration = Duration::from_secs(1);
