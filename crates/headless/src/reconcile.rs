//! The only writer of a balancer (invariant I1): a new snapshot, or a new rule of roles, becomes
//! backends, a picker and one [`View`].
//!
//! Order of an update: backends for the new endpoints are made, the policy prepares a picker, the
//! view is published; only then do the endpoints that left begin to drain. So additions are usable
//! before removals act, and a draining backend is in no later view (I4). What was replaced is freed
//! here, too, and never by a request ([`Retired`]).
//!
//! An endpoint that stays is moved twice, and counted once in the picker.

mod cell;
mod members;
mod retired;
mod roles;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};

use headless_core::policy::{Candidate, Policy};
use headless_core::{Connect, Diff, Endpoint, Generation, RoleRule, Snapshot, Timestamp};
use parking_lot::Mutex;
use tracing::{info, warn};

use self::cell::ViewCell;
pub(crate) use self::cell::ViewGuard;
use self::members::{Changed, Members, catch_up};
use self::retired::Retired;
use self::roles::Roles;
use crate::backend::{Backend, BackendContext};
use crate::drain::{Draining, DrainingEndpoint};
use crate::entropy::entropy;
use crate::view::View;

/// Makes views of snapshots, and has the current one.
pub(crate) struct Reconciler<C: Connect> {
    view: ViewCell<C>,
    context: Arc<BackendContext<C>>,
    writer: Mutex<Writer<C>>,
    /// ORDERING: Release on set, Acquire on read: a reader that sees it set sees the empty view
    /// stored before. Set under the writer's lock.
    closed: AtomicBool,
}

/// What only the writer touches. No reader takes its lock.
struct Writer<C: Connect> {
    policy: Box<dyn Policy>,
    roles: Roles,
    /// Those of the view, for the next one. Empty while a rule or the policy is asked, which may
    /// panic.
    members: Members<C>,
    draining: Draining<C>,
    retired: Retired<C>,
}

impl<C: Connect> Reconciler<C> {
    /// Begins with an empty view.
    pub(crate) fn new(mut policy: Box<dyn Policy>, rule: Option<RoleRule>, context: Arc<BackendContext<C>>) -> Self {
        let picker = policy.prepare(&[], entropy());
        let empty = View {
            generation: Generation::default(),
            backends: Box::default(),
            roles: Box::default(),
            picker,
            timed: policy.latency_window().is_some(),
        };
        Self {
            view: ViewCell::new(empty),
            context,
            writer: Mutex::new(Writer {
                policy,
                roles: Roles::new(rule),
                members: Members::default(),
                draining: Draining::default(),
                retired: Retired::default(),
            }),
            closed: AtomicBool::new(false),
        }
    }

    /// The current view, for a moment: not to be held across an await.
    #[inline]
    pub(crate) fn view(&self) -> ViewGuard<C> {
        self.view.load()
    }

    /// The current view, to keep.
    pub(crate) fn view_full(&self) -> Arc<View<C>> {
        self.view.load_full()
    }

    /// Puts `snapshot` into force. `diff` turns the snapshot before into it.
    pub(crate) fn apply(&self, snapshot: &Snapshot, diff: &Diff) {
        let mut writer = self.writer.lock();
        if self.is_closed() {
            return;
        }
        let view = self.view.load_full();
        if diff.base() == view.generation {
            drop(view);
            self.reconcile(&mut writer, snapshot.generation(), diff);
        } else {
            // A policy panicked when it was given the snapshot before.
            let own = Diff::between(&Members::snapshot_of(&view), snapshot);
            drop(view);
            self.reconcile(&mut writer, snapshot.generation(), &own);
        }
    }

    /// Replaces the rule of roles, and publishes the consequences before it returns.
    pub(crate) fn set_roles(&self, rule: RoleRule) {
        let mut writer = self.writer.lock();
        let view = self.view.load_full();
        let (mut members, generation) = (writer.take_members(&view), view.generation);
        drop(view);
        writer.roles.replace(rule, &mut members.candidates);
        self.publish(&mut writer, generation, members, &Diff::default());
        writer.retired.free();
    }

    /// Removes all endpoints, for good. They begin to drain.
    pub(crate) fn close(&self) {
        let mut writer = self.writer.lock();
        let view = self.view.load_full();
        let (generation, all) = (view.generation, Members::snapshot_of(&view));
        drop(view);
        self.reconcile(&mut writer, generation, &Diff::between(&all, &Snapshot::default()));
        self.closed.store(true, Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Acquire)
    }

    /// The endpoints that left and still have requests.
    pub(crate) fn draining(&self) -> Vec<DrainingEndpoint> {
        self.writer.lock().draining.remaining()
    }

    /// Aborts what still drains, and returns what it was.
    pub(crate) fn abort_draining(&self) -> Vec<DrainingEndpoint> {
        self.writer.lock().draining.expire(Timestamp::from_nanos(u64::MAX))
    }

    /// Ends the drains whose deadline has passed, and frees what was replaced. Returns the next
    /// deadline.
    pub(crate) fn maintain(&self, now: Timestamp) -> Option<Timestamp> {
        let mut writer = self.writer.lock();
        for late in writer.draining.expire(now) {
            let DrainingEndpoint { endpoint, requests } = late;
            warn!(service = %self.context.pools.service, %endpoint, requests, "drain deadline passed: cut");
        }
        writer.retired.free();
        writer.draining.next_deadline()
    }

    fn reconcile(&self, writer: &mut Writer<C>, generation: Generation, diff: &Diff) {
        let Changed {
            mut members,
            added,
            removed,
            any_kept_healthy,
        } = writer.change(&self.view.load_full(), diff, &self.context);
        writer.roles.refresh(&mut members.candidates);
        self.log(generation, diff);
        // A new endpoint is connected to before it takes requests, unless no other can take them.
        if any_kept_healthy {
            added.iter().for_each(|backend| backend.hold_back());
        }
        self.publish(writer, generation, members, diff);
        added.iter().for_each(|backend| backend.warm_up());
        let pools = &self.context.pools;
        let deadline = pools.clock.now() + pools.config.drain_timeout;
        for backend in &removed {
            writer.draining.begin(backend, deadline);
        }
        writer.retired.keep_backends(removed);
        writer.retired.free();
    }

    /// Makes `members` the view. `diff` turns those of the view before into them.
    fn publish(&self, writer: &mut Writer<C>, generation: Generation, members: Members<C>, diff: &Diff) {
        let Members { backends, candidates } = members;
        let roles = candidates.iter().map(|candidate| candidate.role).collect();
        let picker = writer.policy.prepare(&candidates, entropy());
        let replaced = self.view.store(View {
            generation,
            backends: backends.into(),
            roles,
            picker,
            timed: writer.policy.latency_window().is_some(),
        });
        let current = self.view.load_full();
        let backends = match Arc::try_unwrap(replaced) {
            Ok(replaced) => catch_up(replaced.backends, diff, &current.backends),
            Err(read) => {
                writer.retired.keep_view(read);
                current.backends.to_vec()
            }
        };
        writer.members = Members { backends, candidates };
        self.context.changed.notify_waiters();
    }

    fn log(&self, generation: Generation, diff: &Diff) {
        let service = &*self.context.pools.service;
        for endpoint in diff.added() {
            info!(service, %generation, %endpoint, "endpoint added");
        }
        for endpoint in diff.removed() {
            info!(service, %generation, %endpoint, "endpoint removed");
        }
    }
}

impl<C: Connect> Writer<C> {
    fn change(&mut self, old: &View<C>, diff: &Diff, context: &Arc<BackendContext<C>>) -> Changed<C> {
        let members = self.take_members(old);
        members.apply(diff, |endpoint: &Arc<Endpoint>| {
            let backend = Backend::new(Arc::clone(endpoint), Arc::clone(context));
            let candidate = Candidate::new(Arc::clone(endpoint), Arc::clone(&backend.load));
            (backend, candidate.with_role(self.roles.of(endpoint)))
        })
    }

    fn take_members(&mut self, view: &View<C>) -> Members<C> {
        let members = mem::take(&mut self.members);
        // They are missing after a panic in a rule or a policy.
        let whole = members.candidates.len() == view.backends.len();
        if whole { members } else { Members::of(view) }
    }
}

impl<C: Connect> Drop for Reconciler<C> {
    fn drop(&mut self) {
        // The last handle is gone: dials and probes end, idle connections close. Leases keep what
        // they need.
        for backend in &self.view.load_full().backends {
            backend.pool.close();
        }
    }
}
