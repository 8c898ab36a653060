//! Where a read goes: [`Shared::place_read`]. Fresh replicas first; for a token, one that has it, or waits for it; then what the
//! policy allows. How the connection is used is `conn.rs`.
//!
//! ```text
//!   no token, usual lag ───────────────────────────► any fresh replica, by the balancer's policy
//!   token or own lag ── replicas that are fresh enough and have the token (polled: no round trip) ── some ──► one of them
//!                                │ none has it
//!                                ├─ the nearest one reaches it within the wait ──► that one
//!                                └─ the primary, if it has it ──► the primary;  it has not ──► the write was lost
//!   none is fresh enough ── the policy: the primary (a few at a time), the least stale, or an error
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use headless::{EndpointKey, Lease, Outcome, Role, Route};
use mysql_async::prelude::Queryable;
use tokio::time::{Instant, timeout};

use crate::conn::{Access, Conn, Place};
use crate::connector::Connector;
use crate::error::Error;
use crate::explain::Why;
use crate::gtid::{Position, Token, Wait, WaitOutcome};
use crate::options::{ReadOptions, StalePolicy};
use crate::splitter::Shared;
use crate::topology::{Overview, PodStatus};

impl Shared {
    /// A connection for a read, on none of the pods in `tried`.
    pub(crate) async fn place_read(
        self: &Arc<Self>,
        options: &ReadOptions,
        tried: &[EndpointKey],
    ) -> Result<Place, Error> {
        if tried.is_empty()
            && let Some(place) = self.place_now(options)
        {
            return Ok(place);
        }
        let overview = self.topology.current();
        let usual = options.token.is_empty() && options.max_lag.is_none();
        if usual && tried.is_empty() && overview.replicas().next().is_some() {
            let none_left = |overview: &Overview| overview.replicas().next().is_none();
            return match self.unless(none_left, self.balancer.acquire(Route::read())).await {
                Some(lease) => Ok(self.place(lease.map_err(Error::NotSent)?, &overview, Why::FreshReplica)),
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
            true => self.lease_among(&reached).await,
            // A pod that has the token and cannot be connected to is no better than one that does not get it in time.
            false => match timeout(self.token_wait(options), self.lease_among(&reached)).await {
                Ok(Some(Ok(lease))) => Some(Ok(lease)),
                Ok(Some(Err(_)) | None) | Err(_) => return self.place_for_token(options, &[], &overview).await,
            },
        };
        match lease {
            Some(lease) => Ok(self.place(lease?, &overview, why_fresh(options))),
            None => self.place_when_stale(options, tried, &self.topology.current()).await,
        }
    }

    /// An idle connection to the replica that the balancer would take, if that one will do. Most are fresh and have the token, and to
    /// ask for one among certain replicas costs several times as much.
    fn place_now(&self, options: &ReadOptions) -> Option<Place> {
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
            let overview = self.topology.look();
            let pod = overview.pod(lease.endpoint().key()).filter(will_do);
            pod.map(|pod| Arc::clone(&pod.health))
        };
        if health.is_none() {
            // Nothing was asked: it shall not count as a fast answer.
            lease.finish(Outcome::Cancelled);
            return None;
        }
        Some(Place {
            lease,
            why: why_fresh(options),
            health,
            permit: None,
        })
    }

    /// A connection to one of these replicas; `None` if none of them answers any more.
    async fn lease_among(&self, pods: &[EndpointKey]) -> Option<Result<Lease<Connector>, Error>> {
        let gone = |overview: &Overview| !overview.followers().any(|pod| pods.contains(&pod.key));
        let lease = self
            .unless(gone, self.balancer.acquire_from(Route::any(), pods))
            .await?;
        Some(lease.map_err(Error::NotSent))
    }

    /// Waits for `lease`, but no longer than there is hope: `None` once the pods are seen to be hopeless.
    pub(crate) async fn unless<T>(
        &self,
        mut hopeless: impl FnMut(&Overview) -> bool,
        lease: impl Future<Output = T>,
    ) -> Option<T> {
        let mut overviews = self.topology.subscribe();
        tokio::select! {
            biased;
            lease = lease => Some(lease),
            Ok(_) = overviews.wait_for(|overview| hopeless(overview)) => None,
        }
    }

    /// No replica is known to have the token: the nearest one may have it in a moment; the primary has it, unless it was lost.
    async fn place_for_token(
        self: &Arc<Self>,
        options: &ReadOptions,
        fresh: &[&PodStatus],
        overview: &Overview,
    ) -> Result<Place, Error> {
        let wait = self.token_wait(options);
        // Of several that are as near, each in its turn.
        let turn = self.turn.fetch_add(1, Relaxed) % fresh.len().max(1);
        let (later, sooner) = fresh.split_at(turn);
        if let Some(nearest) = sooner.iter().chain(later).min_by_key(|pod| pod.lag)
            && let Ok(turn) = Arc::clone(&nearest.health.token_waits).try_acquire_owned()
        {
            let start = Instant::now();
            if let Some(place) = self.wait_for_token(&options.token, nearest, wait).await? {
                let why = Why::WaitedForToken(start.elapsed());
                return Ok(Place { why, ..place });
            }
            drop(turn);
        }
        let place = self.primary_for_read(Why::TokenOnPrimary).await?;
        let known = overview.primary().map_or(&Position::Empty, |primary| &primary.position);
        if options.token.is_reached_by(known)? {
            return Ok(place);
        }
        self.verify_on_primary(&options.token, place).await
    }

    /// Waits on a replica until it has the token. `None` if it does not in time.
    async fn wait_for_token(
        self: &Arc<Self>,
        token: &Token,
        pod: &PodStatus,
        limit: Duration,
    ) -> Result<Option<Place>, Error> {
        let Some(wait) = Wait::for_token(token, limit) else {
            return Ok(None);
        };
        // Within the limit, too: a pod that refuses connections would hold the read up for as long as one waits for a connection.
        let Ok(Some(Ok(lease))) = timeout(limit, self.lease_among(std::slice::from_ref(&pod.key))).await else {
            return Ok(None);
        };
        let place = self.place(lease, &self.topology.current(), Why::HasToken);
        let mut conn = Conn::new(self, place, Access::Read, ReadOptions::default());
        let reached = match conn.own(wait.sql()).await {
            Ok(row) => wait.outcome(row.and_then(|mut row| row.take(0)).unwrap_or(None)) == WaitOutcome::Reached,
            Err(_) => false,
        };
        Ok(reached.then(|| conn.into_place()).flatten())
    }

    fn token_wait(&self, options: &ReadOptions) -> Duration {
        options.token_wait.unwrap_or(self.settings.token_wait)
    }

    /// The primary was last seen before the write, perhaps. It is asked once more; if it does not have the write, nobody will.
    async fn verify_on_primary(self: &Arc<Self>, token: &Token, place: Place) -> Result<Place, Error> {
        let mut conn = Conn::new(self, place, Access::Read, ReadOptions::default());
        let position = self.position_of(&mut conn).await?;
        if token.is_reached_by(&position)? {
            return conn
                .into_place()
                .ok_or_else(|| self.no_writer(&self.topology.current()));
        }
        self.lost_writes.fetch_add(1, Relaxed);
        let missing = Token::from(token.position().minus(&position));
        tracing::warn!(target: "headless_mysql", service = %self.service, pod = %conn.pod(), %missing, "a write was lost in a failover");
        Err(Error::WriteLost {
            pod: conn.pod(),
            missing,
        })
    }

    /// No replica is fresh enough.
    async fn place_when_stale(
        self: &Arc<Self>,
        options: &ReadOptions,
        tried: &[EndpointKey],
        overview: &Overview,
    ) -> Result<Place, Error> {
        let policy = options.when_stale.unwrap_or(self.settings.when_stale);
        match policy {
            StalePolicy::Primary => match self.primary_for_read(Why::StaleReplicas).await {
                // What holds for the token holds here too: only the primary can say that it was lost.
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
            Some(pod) => match self.lease_among(std::slice::from_ref(&pod.key)).await {
                Some(lease) => Ok(self.place(lease?, overview, Why::LeastStale)),
                None => Err(self.too_stale(options, overview, tried)),
            },
            None => Err(self.too_stale(options, overview, tried)),
        }
    }

    /// The primary takes a read, as one of a few.
    async fn primary_for_read(self: &Arc<Self>, why: Why) -> Result<Place, Error> {
        let limit = self.settings.primary_reads;
        let permit = Arc::clone(&self.primary_reads)
            .try_acquire_owned()
            .map_err(|_| Error::PrimaryBusy {
                service: Arc::clone(&self.service),
                limit,
            })?;
        let mut place = self.place_write(why).await?;
        place.permit = Some(permit);
        Ok(place)
    }

    pub(crate) fn place(&self, lease: Lease<Connector>, overview: &Overview, why: Why) -> Place {
        let health = overview.pod(lease.endpoint().key()).map(|pod| Arc::clone(&pod.health));
        Place {
            lease,
            why,
            health,
            permit: None,
        }
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

    /// Resets a connection off its user's path, then gives it back.
    pub(crate) fn reset(&self, mut lease: Lease<Connector>) {
        let limit = self.settings.statement_timeout;
        self.runtime.spawn(async move {
            match timeout(limit, is_reset(&mut lease.conn)).await {
                Ok(Ok(true)) => {
                    lease.forget();
                    lease.finish(Outcome::Success);
                }
                // Dropped: closed. What cannot be reset is replaced by a new connection.
                Ok(Ok(false) | Err(_)) | Err(_) => drop(lease),
            }
        });
    }
}

/// Makes a session as it was when it was opened. A reset leaves one thing as it is, the default schema (T7), and that has ways to change
/// that no text shows (`EXECUTE IMMEDIATE 'USE ...'`), so the server is asked.
async fn is_reset(conn: &mut mysql_async::Conn) -> Result<bool, mysql_async::Error> {
    if !conn.reset().await? {
        return Ok(false);
    }
    let schema: Option<Option<String>> = conn.query_first("SELECT DATABASE()").await?;
    Ok(schema.flatten().as_deref() == conn.opts().db_name())
}

/// A replica that is fresh by the splitter's own settings has its role; a limit of the caller's own is compared here.
fn is_fresh(pod: &PodStatus, options: &ReadOptions) -> bool {
    match options.max_lag {
        None => pod.role == Some(Role::Replica),
        Some(max_lag) => pod.lag.is_some_and(|lag| lag <= max_lag),
    }
}

/// Why a read is on a replica that is fresh, and has the token if there is one.
const fn why_fresh(options: &ReadOptions) -> Why {
    match options.token.is_empty() {
        true => Why::FreshReplica,
        false => Why::HasToken,
    }
}
