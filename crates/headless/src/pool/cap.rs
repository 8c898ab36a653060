//! [`Cap`]: one limit of connections over all endpoints of a balancer. Pools over it wait here, and
//! idle connections of other endpoints are evicted. Not touched where no such limit is set, nor by
//! a request that finds an idle connection.

use std::collections::VecDeque;
use std::ptr::addr_eq;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::slots::Permits;

/// The limit over all endpoints.
pub(crate) struct Cap {
    pub(super) permits: Arc<Permits>,
    lists: Mutex<Lists>,
}

/// A pool under the limit.
pub(super) trait CapMember: Send + Sync {
    /// Closes an idle connection. Says whether there was one.
    fn evict_idle(&self) -> bool;

    /// Starts the dials that the pool's callers wait for, as far as the limits allow now.
    fn dial_for_waiters(self: Arc<Self>);
}

struct Lists {
    members: Vec<Weak<dyn CapMember>>,
    /// Pools whose callers wait for a permit, the longest first.
    waiting: VecDeque<Weak<dyn CapMember>>,
    /// The member that was asked last for an idle connection.
    last_asked: usize,
}

impl Cap {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            permits: Arc::new(Permits::new(limit)),
            lists: Mutex::new(Lists {
                members: Vec::new(),
                waiting: VecDeque::new(),
                last_asked: 0,
            }),
        }
    }

    pub(super) fn join(&self, pool: &Arc<dyn CapMember>) {
        let mut lists = self.lists.lock();
        // Pools that are gone are removed when there is no room: once for many that join.
        if lists.members.len() == lists.members.capacity() {
            lists.members.retain(|member| member.strong_count() > 0);
        }
        lists.members.push(Arc::downgrade(pool));
    }

    /// `pool` needs a connection and has no permit: it dials when a permit comes back, and an idle
    /// connection of another pool is evicted now.
    pub(super) fn wait_for_permit(&self, pool: &Arc<dyn CapMember>) {
        {
            let mut lists = self.lists.lock();
            if !lists.waiting.iter().any(|other| is(other, pool)) {
                lists.waiting.push_back(Arc::downgrade(pool));
            }
            self.permits.set_awaited(lists.waiting.len());
        }
        self.make_room(pool);
        self.grant();
    }

    /// The last caller of `pool` has left: it needs no permit.
    pub(super) fn forget(&self, pool: &Arc<dyn CapMember>) {
        {
            let mut lists = self.lists.lock();
            lists.waiting.retain(|other| !is(other, pool));
            self.permits.set_awaited(lists.waiting.len());
        }
        // A caller that came meanwhile found the pool on the list; this puts it there again.
        Arc::clone(pool).dial_for_waiters();
    }

    /// If no permit is left, evicts one idle connection of another pool, each pool in its turn.
    pub(super) fn make_room(&self, pool: &Arc<dyn CapMember>) {
        if self.permits.any_left() {
            return;
        }
        let members = self.lists.lock().members.len();
        for _ in 0..members {
            let member = {
                let mut lists = self.lists.lock();
                lists.last_asked = (lists.last_asked + 1) % lists.members.len().max(1);
                lists.members.get(lists.last_asked).and_then(Weak::upgrade)
            };
            // Outside the lock of the lists: a task that holds a pool's lock may wait for it.
            if member.is_some_and(|member| !Arc::ptr_eq(&member, pool) && member.evict_idle()) {
                return;
            }
        }
    }

    /// Grants the permits that are left to the pools that wait for them.
    pub(super) fn grant(&self) {
        while self.permits.is_awaited() && self.permits.any_left() {
            let pool = {
                let mut lists = self.lists.lock();
                let pool = lists.waiting.pop_front();
                self.permits.set_awaited(lists.waiting.len());
                pool
            };
            // It waits again if it needs more than there are.
            if let Some(pool) = pool.and_then(|pool| pool.upgrade()) {
                pool.dial_for_waiters();
            }
        }
    }
}

fn is(listed: &Weak<dyn CapMember>, pool: &Arc<dyn CapMember>) -> bool {
    addr_eq(listed.as_ptr(), Arc::as_ptr(pool))
}
