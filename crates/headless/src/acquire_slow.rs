//! Everything in [`Balancer::acquire`] that waits: for a pool, for other endpoints, for any
//! endpoint. The way without a wait is `acquire.rs`.
//!
//! A *round* tries each endpoint of the view that fits, once. Between rounds it waits for a change,
//! until the deadline.

use std::sync::Arc;
use std::time::Duration;

use headless_core::policy::Excluded;
use headless_core::{Connect, EndpointKey, Route};
use tokio::time::{Instant, timeout_at};

use crate::backend::Backend;
use crate::balancer::{Balancer, Choice};
use crate::error::{AcquireError, Attempts, Circumstances, TimedOut};
use crate::lease::Lease;
use crate::pool::{ConnectFault, Refusal, Stage};
use crate::view::View;

/// Which endpoints a caller accepts.
#[derive(Clone, Copy)]
pub(crate) enum EndpointFilter<'a> {
    Any,
    /// Others than these; these if no other fits, or none of those that fit has a connection.
    Excluding(&'a [EndpointKey]),
    /// Others than these, once, without waiting for a change.
    Other(&'a [EndpointKey]),
    /// These only.
    Only(&'a [EndpointKey]),
}

impl<C: Connect> Balancer<C> {
    /// Waits for a connection, no longer than the acquire timeout and `limit`. `first` is an
    /// endpoint that was chosen already.
    #[cold]
    pub(crate) async fn acquire_slow(
        &self,
        route: Route,
        mut first: Option<Choice<C>>,
        filter: EndpointFilter<'_>,
        limit: Option<Duration>,
    ) -> Result<Lease<C>, AcquireError> {
        let start = Instant::now();
        let timeout = self.state.acquire_timeout;
        let deadline = start + limit.map_or(timeout, |limit| limit.min(timeout));
        let context = &self.state.context;
        if let Some(role) = route.role().filter(|_| !self.state.role_aware) {
            let service = Arc::clone(&context.pools.service);
            return Err(AcquireError::RolesNotConfigured { service, role });
        }
        let mut attempts = Attempts::default();
        loop {
            // Made before the view is read: a change from now on is not missed.
            let changed = context.changed.notified();
            attempts = match self.round(route, first.take(), filter, deadline).await {
                Ok(lease) => return Ok(lease),
                Err(next) => next.after(attempts),
            };
            let is_last = self.state.reconciler.is_closed() || matches!(filter, EndpointFilter::Other(_));
            if attempts.is_final() || is_last || Instant::now() >= deadline {
                return Err(self.explain(attempts, route, start.elapsed()));
            }
            // No endpoint fits, or none can be reached: DNS is asked, and the next round comes with
            // a change or after a while.
            context.evidence.request_reresolution();
            let _changed = timeout_at(deadline.min(Instant::now() + NEXT_ROUND), changed).await;
        }
    }

    /// Tries each endpoint of the current view that fits, once.
    async fn round(
        &self,
        route: Route,
        first: Option<Choice<C>>,
        filter: EndpointFilter<'_>,
        deadline: Instant,
    ) -> Result<Lease<C>, Attempts> {
        let view = self.state.reconciler.view_full();
        // What the filter leaves out, and what this round has tried.
        let mut excluded = filter.excluded_from(&view);
        let mut tried = Vec::new();
        // The excluded ones are better than none, once.
        let mut may_fall_back = matches!(filter, EndpointFilter::Excluding(_)) && !excluded.is_empty();
        let mut attempts = Attempts {
            requested: match filter {
                EndpointFilter::Only(endpoints) => Some(endpoints.len()),
                EndpointFilter::Other(_) => Some((0..view.backends.len()).filter(|at| !excluded.contains(at)).count()),
                EndpointFilter::Any | EndpointFilter::Excluding(_) => None,
            },
            ..Attempts::default()
        };
        // The view may have changed since the first choice: the index is that of the endpoint now.
        let mut first = first.map(|choice| (choice.index_in(&view), choice));
        loop {
            let choice = first.take().or_else(|| {
                let choice = self.choose_in(&view, route, Excluded::of(&excluded))?;
                Some((Some(choice.index), choice))
            });
            let Some((index, choice)) = choice else {
                if std::mem::take(&mut may_fall_back) {
                    excluded.clone_from(&tried);
                    continue;
                }
                return Err(attempts);
            };
            attempts.tried += 1;
            let mut stage = Stage::default();
            let pool = &choice.in_flight.on().pool;
            match pool.checkout_until(deadline, &mut stage).await {
                Ok(Ok((conn, slot))) => return Ok(choice.lease(conn, slot)),
                Ok(Err(Refusal::Removed)) => {}
                Ok(Err(Refusal::Full)) => attempts.full += 1,
                Ok(Err(Refusal::NoStreams)) => {
                    attempts.barred = Some(TimedOut::at(choice.in_flight.on(), Stage::NoStreams));
                }
                Ok(Err(Refusal::Connect(error))) => {
                    // Every endpoint would have to be waited for on the same runtime.
                    let is_over = matches!(error.fault, ConnectFault::RuntimeStalled(_));
                    attempts.permanent += usize::from(error.fault.is_permanent());
                    attempts.last_connect_error = Some(error);
                    if is_over {
                        attempts.permanent = attempts.tried;
                        return Err(attempts);
                    }
                }
                Err(_elapsed) => {
                    attempts.timed_out = Some(TimedOut::at(choice.in_flight.on(), stage));
                    return Err(attempts);
                }
            }
            excluded.extend(index);
            tried.extend(index);
        }
    }

    fn explain(&self, attempts: Attempts, route: Route, waited: Duration) -> AcquireError {
        let pools = &self.state.context.pools;
        let service = &pools.service;
        if self.state.reconciler.is_closed() {
            let service = Arc::clone(service);
            return AcquireError::ShutDown { service };
        }
        let status = self.state.discovery.status();
        let failure = status.last_failure.filter(|_| status.failures > 0);
        let dns_said = status.last_negative.or(failure.map(|last| last.failure.to_string()));
        attempts.explain(Circumstances {
            service,
            role: route.role(),
            endpoints: self.state.reconciler.view().backends.len(),
            max_connections: pools.config.max_connections_per_endpoint,
            max_waiters: pools.config.max_waiters_per_endpoint,
            last_good_age: status.last_good_age,
            dns_said,
            waited,
        })
    }
}

impl TimedOut {
    fn at<C: Connect>(backend: &Backend<C>, stage: Stage) -> Self {
        Self {
            endpoint: Arc::clone(&backend.endpoint),
            stage,
            counts: backend.pool.counts(),
            last_failure: backend.last_failure(),
        }
    }
}

impl EndpointFilter<'_> {
    /// The indices of the endpoints of `view` that it excludes.
    fn excluded_from<C: Connect>(self, view: &View<C>) -> Vec<usize> {
        let index_of = |key: &EndpointKey| view.backends.iter().position(|backend| backend.endpoint.key() == key);
        match self {
            Self::Any => Vec::new(),
            Self::Excluding(endpoints) | Self::Other(endpoints) => endpoints.iter().filter_map(index_of).collect(),
            Self::Only(endpoints) => {
                let accepted: Vec<usize> = endpoints.iter().filter_map(index_of).collect();
                let all = 0..view.backends.len();
                all.filter(|index| !accepted.contains(index)).collect()
            }
        }
    }
}

/// How long a caller without an endpoint waits before it tries again, unless something changes
/// sooner.
const NEXT_ROUND: Duration = Duration::from_secs(1);
