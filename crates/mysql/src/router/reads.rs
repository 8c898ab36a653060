//! Where a read goes: [`Router::place_read`]. Fresh replicas first; for a token, one that has it,
//! or waits for it; then what the policy allows. How the connection is used is `conn.rs`.
//!
//! ```text
//!   no token, usual lag ─────────────────────► any fresh replica, by the balancer's policy
//!   token or own lag ── replicas that are fresh enough and have the token ── some ──► one of them
//!                    │  (from the last probe: no round trip)
//!                    └─ none has it
//!                       ├─ the nearest one reaches it within the wait ──► that one
//!                       └─ the primary, if it has it ──► the primary;  it has not ──► write lost
//!   none is fresh enough ── the policy: the primary (few at a time), the least stale, or an error
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use headless::{EndpointKey, Lease, Outcome, Role, Route};
use tokio::time::{Instant, timeout};

use super::{Place, Router};
use crate::connector::Connector;
use crate::error::Error;
use crate::gtid::{Position, Token, Wait, WaitOutcome};
use crate::routing::{ReadOptions, RouteReason, StalePolicy};
use crate::topology::{Overview, PodStatus};

impl Router {
    /// A connection for a read, on none of the pods in `tried`.
    pub(crate) async fn place_read(&self, options: &ReadOptions, tried: &[EndpointKey]) -> Result<Place, Error> {
        if tried.is_empty()
            && let Some(place) = self.place_at_once(options)
        {
            return Ok(place);
        }
        let overview = self.topology.current();
        let usual = options.token.is_empty() && options.max_lag.is_none();
        if usual && tried.is_empty() && overview.replicas().next().is_some() {
            let none_left = |overview: &Overview| overview.replicas().next().is_none();
            return match self.unless(none_left, self.balancer.acquire(Route::read())).await {
                Some(lease) => Ok(self.place(lease.map_err(Error::NotSent)?, &overview, RouteReason::FreshReplica)),
                None => self.place_when_stale(options, tried, &self.topology.current()).await,
            };
        }
        let fresh: Vec<&PodStatus> = overview
            .followers()
            .filter(|pod| !tried.contains(&pod.key) && is_fresh(pod, options))
            .collect();
        if fresh.is_empty() {
            return self.place_when_stale(options, tried, &overview).await;
        }
        let mut reached = Vec::new();
        for pod in &fresh {
            if options.token.is_reached_by(&pod.position)? {
                reached.push(pod.key.clone());
            }
        }
        if reached.is_empty() {
            return self.place_for_token(options, &fresh, &overview).await;
        }
        let lease = match options.token.is_empty() {
            true => self.acquire_from(&reached).await,
            // A pod that has the token and cannot be connected to is no better than one that does
            // not get it in time.
            false => match timeout(self.token_wait(options), self.acquire_from(&reached)).await {
                Ok(Some(Ok(lease))) => Some(Ok(lease)),
                Ok(Some(Err(_)) | None) | Err(_) => return self.place_for_token(options, &[], &overview).await,
            },
        };
        match lease {
            Some(lease) => Ok(self.place(lease?, &overview, fresh_reason(options))),
            None => self.place_when_stale(options, tried, &self.topology.current()).await,
        }
    }

    /// An idle connection to the replica that the balancer would take, if that one will do. Most
    /// are fresh and have the token, and a lease from certain replicas costs several times as much.
    fn place_at_once(&self, options: &ReadOptions) -> Option<Place> {
        // More replicas would do than the balancer takes.
        if options.max_lag.is_some_and(|lag| lag > self.settings.max_lag) {
            return None;
        }
        let lease = self.balancer.try_acquire(Route::read())?;
        let has_token = |pod: &PodStatus| {
            options.token.is_empty() || options.token.is_reached_by(&pod.position).is_ok_and(|reached| reached)
        };
        let will_do = |pod: &&PodStatus| pod.follows && is_fresh(pod, options) && has_token(pod);
        let health = {
            let overview = self.topology.borrow();
            let pod = overview.pod(lease.endpoint().key()).filter(will_do);
            pod.map(|pod| Arc::clone(&pod.health))
        };
        if health.is_none() {
            // Nothing was asked: it must not count as a fast answer.
            lease.finish(Outcome::Cancelled);
            return None;
        }
        Some(Place {
            lease,
            reason: fresh_reason(options),
            health,
            permit: None,
        })
    }

    /// A connection to one of these replicas; `None` if none of them answers any more.
    async fn acquire_from(&self, pods: &[EndpointKey]) -> Option<Result<Lease<Connector>, Error>> {
        let gone = |overview: &Overview| !overview.followers().any(|pod| pods.contains(&pod.key));
        let lease = self
            .unless(gone, self.balancer.acquire_from(Route::any(), pods))
            .await?;
        Some(lease.map_err(Error::NotSent))
    }

    /// No replica is known to have the token: the nearest one may have it in a moment; the primary
    /// has it, unless it was lost.
    async fn place_for_token(
        &self,
        options: &ReadOptions,
        fresh: &[&PodStatus],
        overview: &Overview,
    ) -> Result<Place, Error> {
        let wait = self.token_wait(options);
        // Of several that are as near, one after the other.
        let next = self.next_wait.fetch_add(1, Relaxed) % fresh.len().max(1);
        let (later, sooner) = fresh.split_at(next);
        if let Some(nearest) = sooner.iter().chain(later).min_by_key(|pod| pod.lag)
            && let Ok(turn) = Arc::clone(&nearest.health.token_waits).try_acquire_owned()
        {
            let start = Instant::now();
            if let Some(place) = self.wait_for_token(&options.token, nearest, wait).await? {
                let reason = RouteReason::WaitedForToken(start.elapsed());
                return Ok(Place { reason, ..place });
            }
            drop(turn);
        }
        let place = self.primary_for_read(RouteReason::TokenOnPrimary).await?;
        let known = overview.primary().map_or(&Position::Empty, |primary| &primary.position);
        if options.token.is_reached_by(known)? {
            return Ok(place);
        }
        self.verify_on_primary(&options.token, place).await
    }

    /// Waits on a replica until it has the token. `None` if it does not in time.
    async fn wait_for_token(&self, token: &Token, pod: &PodStatus, limit: Duration) -> Result<Option<Place>, Error> {
        let Some(wait) = Wait::for_token(token, limit) else {
            return Ok(None);
        };
        // Within the limit, too: a pod that refuses connections would hold the read up for as long
        // as the pool waits for a connection.
        let Ok(Some(Ok(lease))) = timeout(limit, self.acquire_from(std::slice::from_ref(&pod.key))).await else {
            return Ok(None);
        };
        let mut place = self.place(lease, &self.topology.current(), RouteReason::HasToken);
        let answer = self.ask(&mut place, wait.sql()).await;
        let reached = answer.is_ok_and(|rows| {
            let number = rows.first().and_then(|mut row| row.take(0)).unwrap_or(None);
            wait.outcome(number) == WaitOutcome::Reached
        });
        if reached && place.is_clean() {
            return Ok(Some(place));
        }
        self.release(place);
        Ok(None)
    }

    fn token_wait(&self, options: &ReadOptions) -> Duration {
        options.token_wait.unwrap_or(self.settings.token_wait)
    }

    /// The primary was last probed before the write, perhaps. It is asked once more; if it does not
    /// have the write, no pod ever will.
    async fn verify_on_primary(&self, token: &Token, mut place: Place) -> Result<Place, Error> {
        let position = self.position_of(&mut place).await;
        let reached = match &position {
            Ok(position) => token.is_reached_by(position).map_err(Error::Token),
            Err(error) => Err(error.clone()),
        };
        if place.is_clean() && matches!(reached, Ok(true)) {
            return Ok(place);
        }
        let pod = place.pod();
        self.release(place);
        if reached? {
            return Err(self.no_writer(&self.topology.current()));
        }
        self.lost_writes.fetch_add(1, Relaxed);
        let missing = Token::from(token.position().minus(&position?));
        tracing::warn!(
            target: "headless_mysql", service = %self.service, %pod, %missing,
            "a write was lost in a failover"
        );
        Err(Error::WriteLost { pod, missing })
    }

    /// No replica is fresh enough.
    async fn place_when_stale(
        &self,
        options: &ReadOptions,
        tried: &[EndpointKey],
        overview: &Overview,
    ) -> Result<Place, Error> {
        let policy = options.when_stale.unwrap_or(self.settings.when_stale);
        match policy {
            StalePolicy::Primary => match self.primary_for_read(RouteReason::StaleReplicas).await {
                // What holds for the token holds here too: only the primary can say that it was
                // lost.
                Ok(place) if options.token.is_empty() => Ok(place),
                Ok(place) => self.verify_on_primary(&options.token, place).await,
                Err(Error::NoWriter { .. } | Error::AmbiguousWriter { .. } | Error::NotSent(_))
                    if options.token.is_empty() && options.max_lag.is_none() =>
                {
                    self.least_stale(options, tried, overview).await
                }
                Err(error) => Err(error),
            },
            StalePolicy::LeastStale if options.token.is_empty() => self.least_stale(options, tried, overview).await,
            StalePolicy::LeastStale | StalePolicy::Error => Err(self.too_stale(options, overview, tried)),
        }
    }

    /// The replica that is least behind; one whose lag is unknown comes last.
    async fn least_stale(
        &self,
        options: &ReadOptions,
        tried: &[EndpointKey],
        overview: &Overview,
    ) -> Result<Place, Error> {
        let followers = overview.followers().filter(|pod| !tried.contains(&pod.key));
        match followers.min_by_key(|pod| pod.lag.unwrap_or(Duration::MAX)) {
            Some(pod) => match self.acquire_from(std::slice::from_ref(&pod.key)).await {
                Some(lease) => Ok(self.place(lease?, overview, RouteReason::LeastStale)),
                None => Err(self.too_stale(options, overview, tried)),
            },
            None => Err(self.too_stale(options, overview, tried)),
        }
    }

    /// The primary takes a read, as one of a few.
    async fn primary_for_read(&self, reason: RouteReason) -> Result<Place, Error> {
        let limit = self.settings.primary_reads;
        let permit = Arc::clone(&self.primary_reads)
            .try_acquire_owned()
            .map_err(|_| Error::PrimaryBusy {
                service: Arc::clone(&self.service),
                limit,
            })?;
        let mut place = self.place_write(reason).await?;
        place.permit = Some(permit);
        Ok(place)
    }

    fn too_stale(&self, options: &ReadOptions, overview: &Overview, tried: &[EndpointKey]) -> Error {
        let followers = overview.followers().filter(|pod| !tried.contains(&pod.key));
        let best_lag = followers.filter_map(|pod| pod.lag).min();
        let max_lag = options.max_lag.unwrap_or(self.settings.max_lag);
        let wanted = match options.token.is_empty() {
            true => format!("at most {max_lag:?} behind"),
            false => format!("the token {}", options.token),
        };
        Error::TooStale {
            service: Arc::clone(&self.service),
            wanted,
            best_lag,
        }
    }
}

/// A replica that is fresh by the splitter's own settings has its role; a limit of the caller's own
/// is compared here.
fn is_fresh(pod: &PodStatus, options: &ReadOptions) -> bool {
    match options.max_lag {
        None => pod.role == Some(Role::Replica),
        Some(max_lag) => pod.lag.is_some_and(|lag| lag <= max_lag),
    }
}

/// Why a read is on a replica that is fresh, and has the token if there is one.
const fn fresh_reason(options: &ReadOptions) -> RouteReason {
    match options.token.is_empty() {
        true => RouteReason::FreshReplica,
        false => RouteReason::HasToken,
    }
}
