//! The task behind all clones of a [`Discovery`](crate::Discovery): the single writer of everything
//! that follows from DNS.
//!
//! It drives [`Refresh`] with a [`Resolve`] and timers, applies each new [`Snapshot`] to the
//! balancers that use it, in the same turn, and takes in what their connections have shown
//! ([`Evidence`](crate::evidence::Evidence)). No thread, no lock held across an await.

use std::sync::Arc;
use std::time::Duration;

use headless_core::{BoxFuture, Event, Failure, FailureKind, Refresh, Resolution, Resolve, Snapshot, Step, Timestamp};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, info, warn};

use super::registry;
use super::watch::WatchState;
use crate::entropy::entropy;

/// Resolves once, bounded: a resolver that never answers is a timeout (invariant I8).
pub(super) async fn resolve(resolver: Arc<dyn Resolve>) -> Resolution {
    match timeout(RESOLVE_LIMIT, resolver.resolve()).await {
        Ok(resolution) => resolution,
        Err(_elapsed) => Resolution::Failed(Failure::new(
            FailureKind::Timeout,
            format!(
                "the lookup of {} did not end within {RESOLVE_LIMIT:?}",
                resolver.service()
            ),
        )),
    }
}

/// The task's own state.
pub(super) struct Driver {
    resolver: Arc<dyn Resolve>,
    refresh: Refresh,
    watch: Arc<WatchState>,
    publisher: Arc<watch::Sender<Arc<Snapshot>>>,
    next_maintenance: Timestamp,
    /// The last answer did not confirm the membership.
    doubted: bool,
}

impl Driver {
    pub(super) fn new(
        resolver: Arc<dyn Resolve>,
        refresh: Refresh,
        watch: Arc<WatchState>,
        publisher: Arc<watch::Sender<Arc<Snapshot>>>,
    ) -> Self {
        Self {
            resolver,
            refresh,
            watch,
            publisher,
            next_maintenance: Timestamp::ZERO,
            doubted: false,
        }
    }

    pub(super) async fn run(mut self) {
        let mut resolving: Option<BoxFuture<'static, Resolution>> = None;
        loop {
            let clock = Arc::clone(&self.watch.clock);
            let poll_due = sleep_until(clock.instant(self.refresh.next_poll()));
            let tick = self
                .refresh
                .next_tick()
                .map_or(self.next_maintenance, |tick| tick.min(self.next_maintenance));
            tokio::select! {
                () = self.publisher.closed() => {
                    if registry::leave(&self.publisher) {
                        return;
                    }
                }
                resolution = resolved(&mut resolving) => {
                    resolving = None;
                    let step = self.refresh.on(resolution, clock.advance(), entropy());
                    self.report(&step);
                }
                () = poll_due, if resolving.is_none() => {
                    resolving = Some(Box::pin(resolve(Arc::clone(&self.resolver))));
                }
                () = self.watch.evidence.arrived() => self.take_evidence(),
                () = sleep_until(clock.instant(tick)) => {
                    if let Some(step) = self.refresh.tick(clock.advance()) {
                        self.report(&step);
                    }
                }
            }
            let now = clock.advance();
            if now >= self.next_maintenance {
                let wait = self.watch.maintain(now).unwrap_or(MAINTENANCE_MAX);
                self.next_maintenance = now + wait.clamp(MAINTENANCE_MIN, MAINTENANCE_MAX);
            }
        }
    }

    /// Takes in what connections have shown meanwhile.
    fn take_evidence(&mut self) {
        let evidence = self.watch.evidence.take();
        for key in evidence.connected {
            if let Some(step) = self.refresh.on_connected(&key) {
                self.report(&step);
            }
        }
        if evidence.reresolve {
            self.refresh.request_reresolution(self.watch.clock.now());
        }
    }

    /// Logs and counts what an event led to, and publishes the new membership, if there is one.
    fn report(&mut self, step: &Step) {
        self.log(step);
        {
            let mut progress = self.watch.progress.lock();
            progress.refresh = self.refresh.state();
            *progress.counters.entry(step.event).or_insert(0) += 1;
        }
        if let Some(snapshot) = &step.snapshot {
            self.watch.apply(snapshot, &step.diff, || {
                self.publisher.send_replace(Arc::clone(snapshot));
            });
            // Endpoints that left have a deadline now; the maintenance says when it is.
            self.next_maintenance = Timestamp::ZERO;
        }
    }

    /// One event per change, with fixed field names: `service`, `event`, `generation`, `endpoints`,
    /// `reason`.
    fn log(&mut self, step: &Step) {
        let (service, event) = (&*self.watch.service, step.event);
        let snapshot = self.refresh.snapshot();
        let (generation, endpoints) = (snapshot.generation().get(), snapshot.len());
        let state = self.refresh.state();
        let reason = match event {
            Event::NegativeKept => state.last_negative.map(|negative| negative.to_string()),
            Event::FailureKept | Event::TooMany => state.last_failure.map(|last| last.failure.to_string()),
            _ => None,
        };
        let doubted = reason.is_some();
        match reason {
            Some(reason) => warn!(service, ?event, generation, endpoints, reason, "pods kept"),
            None if step.snapshot.is_some() => info!(service, ?event, generation, endpoints, "pods changed"),
            None if self.doubted => info!(service, ?event, generation, endpoints, "pods confirmed"),
            None => debug!(service, ?event, generation, endpoints, "pods unchanged"),
        }
        // What time brings (a hold that ends) neither doubts nor confirms what DNS said last.
        if event != Event::Released {
            self.doubted = doubted;
        }
    }
}

/// The end of the lookup under way; without one, never.
async fn resolved(resolving: &mut Option<BoxFuture<'static, Resolution>>) -> Resolution {
    match resolving {
        Some(resolving) => resolving.await,
        None => std::future::pending().await,
    }
}

/// The longest one lookup may take, above what `headless-dns` needs for all its questions.
const RESOLVE_LIMIT: Duration = Duration::from_secs(15);
/// How often balancers are maintained, at most and at least.
const MAINTENANCE_MIN: Duration = Duration::from_millis(10);
const MAINTENANCE_MAX: Duration = Duration::from_secs(3600);
