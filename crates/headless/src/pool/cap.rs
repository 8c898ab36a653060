//! [`Cap`]: one limit of connections over all pods of a balancer. Who is over it waits here, and idle connections of other pods
//! give way. Nothing of this is touched where no such limit is set, nor by a request that finds an idle connection.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use headless_core::Connect;

use super::slots::Permits;
use crate::backend::Backend;

/// The limit over all pods.
pub(crate) struct Cap<C: Connect> {
    pub(crate) permits: Arc<Permits>,
    lists: Mutex<Lists<C>>,
}

struct Lists<C: Connect> {
    /// Every pod that may have connections.
    members: Vec<Weak<Backend<C>>>,
    /// Pods whose callers wait for a permit, longest first.
    starved: VecDeque<Weak<Backend<C>>>,
    /// Whose turn it is to give way.
    next: usize,
}

impl<C: Connect> Cap<C> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            permits: Arc::new(Permits::new(limit)),
            lists: Mutex::new(Lists {
                members: Vec::new(),
                starved: VecDeque::new(),
                next: 0,
            }),
        }
    }

    pub(crate) fn join(&self, pod: &Arc<Backend<C>>) {
        let mut lists = self.lists();
        // Those that have left go when there is no room: once for many that come.
        if lists.members.len() == lists.members.capacity() {
            lists.members.retain(|member| member.strong_count() > 0);
        }
        lists.members.push(Arc::downgrade(pod));
    }

    /// `pod` would dial and may not: it will when a permit comes back, and an idle connection elsewhere gives way now.
    pub(super) fn starve(&self, pod: &Arc<Backend<C>>) {
        {
            let mut lists = self.lists();
            if !lists.starved.iter().any(|other| is(other, pod)) {
                lists.starved.push_back(Arc::downgrade(pod));
            }
            self.permits.set_starved(lists.starved.len());
        }
        self.make_room(pod);
        self.feed();
    }

    /// The last caller of `pod` has left: nobody need give way to it.
    pub(super) fn forget(&self, pod: &Arc<Backend<C>>) {
        {
            let mut lists = self.lists();
            lists.starved.retain(|other| !is(other, pod));
            self.permits.set_starved(lists.starved.len());
        }
        // Unless another came meanwhile: it found the pod on the list, and puts it there anew.
        pod.dial_for_waiters();
    }

    /// If no permit is left, closes one idle connection of another pod, each pod in its turn.
    pub(super) fn make_room(&self, starved: &Arc<Backend<C>>) {
        if self.permits.any_left() {
            return;
        }
        let pods = self.lists().members.len();
        for _ in 0..pods {
            let pod = {
                let mut lists = self.lists();
                lists.next = (lists.next + 1) % lists.members.len().max(1);
                lists.members.get(lists.next).and_then(Weak::upgrade)
            };
            // Outside the lock of the lists: a pool's lock may be held by somebody who wants them.
            if pod.is_some_and(|pod| !Arc::ptr_eq(&pod, starved) && pod.yield_idle()) {
                return;
            }
        }
    }

    /// Gives the permits that are left to the pods that wait for them.
    pub(super) fn feed(&self) {
        while self.permits.starves() && self.permits.any_left() {
            let pod = {
                let mut lists = self.lists();
                let pod = lists.starved.pop_front();
                self.permits.set_starved(lists.starved.len());
                pod
            };
            // It enlists again if it needs more than there is.
            if let Some(pod) = pod.and_then(|pod| pod.upgrade()) {
                pod.dial_for_waiters();
            }
        }
    }

    fn lists(&self) -> MutexGuard<'_, Lists<C>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is<C: Connect>(listed: &Weak<Backend<C>>, pod: &Arc<Backend<C>>) -> bool {
    std::ptr::eq(listed.as_ptr(), Arc::as_ptr(pod))
}
