//! [`BalancerState`]: what all clones of a balancer share.

use std::sync::Arc;
use std::time::Duration;

use headless_core::{Connect, Diff, Snapshot, Timestamp};
use parking_lot::Mutex;

use crate::backend::BackendContext;
use crate::discovery::{Discovery, Subscriber};
use crate::reconcile::Reconciler;

/// What all clones of a balancer share.
pub(crate) struct BalancerState<C: Connect> {
    pub(crate) reconciler: Reconciler<C>,
    pub(crate) context: Arc<BackendContext<C>>,
    pub(crate) role_aware: bool,
    pub(crate) acquire_timeout: Duration,
    /// Keeps the watch alive.
    pub(crate) discovery: Discovery,
    next_pool_maintenance: Mutex<Timestamp>,
}

impl<C: Connect> BalancerState<C> {
    pub(crate) fn new(
        reconciler: Reconciler<C>,
        context: Arc<BackendContext<C>>,
        role_aware: bool,
        acquire_timeout: Duration,
        discovery: Discovery,
    ) -> Self {
        Self {
            reconciler,
            context,
            role_aware,
            acquire_timeout,
            discovery,
            next_pool_maintenance: Mutex::new(Timestamp::ZERO),
        }
    }

    /// Stops giving out connections, and begins to drain all endpoints.
    pub(crate) fn shut_down(&self) {
        self.reconciler.close();
        self.context.changed.notify_waiters();
    }

    /// Maintains all pools, if it is time to. Returns when it is next.
    fn maintain_pools(&self, now: Timestamp) -> Timestamp {
        let mut next = self.next_pool_maintenance.lock();
        // WHY: not at each call. One follows each change of the set, and would go through the pools
        // of all endpoints that stay.
        if now >= *next {
            for backend in &self.reconciler.view_full().backends {
                backend.pool.maintain(now);
            }
            *next = now + self.context.pools.config.maintenance_interval();
        }
        *next
    }
}

impl<C: Connect> Subscriber for BalancerState<C> {
    fn apply(&self, snapshot: &Snapshot, diff: &Diff) {
        self.reconciler.apply(snapshot, diff);
    }

    fn maintain(&self, now: Timestamp) -> Duration {
        let pools = self.maintain_pools(now);
        let drains = self.reconciler.maintain(now);
        drains.map_or(pools, |drains| drains.min(pools)).since(now)
    }
}
