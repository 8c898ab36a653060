//! The only writer of a balancer (invariant I1): a new snapshot, or a new rule of roles, becomes backends, a picker and one
//! [`View`].
//!
//! Order of an update: backends for the new pods are made, the policy prepares a picker, the view is published; only then do the
//! pods that left begin to drain. So additions are usable before removals act, and a draining backend is in no later view (I4).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headless_core::policy::{Candidate, Policy};
use headless_core::{Connect, Endpoint, RoleRule, Route, Snapshot, Timestamp};
use tracing::{info, warn};

use crate::backend::{Backend, Env};
use crate::discovery::Discovery;
use crate::drain::Draining;
use crate::driver::Subscriber;
use crate::entropy::entropy;
use crate::error::AcquireError;
use crate::rounds::Round;
use crate::view::{Backends, View, ViewCell};

/// What all clones of a balancer share.
pub(crate) struct Shared<C: Connect> {
    pub(crate) view: ViewCell<C>,
    pub(crate) env: Arc<Env<C>>,
    pub(crate) role_aware: bool,
    pub(crate) acquire_timeout: Duration,
    /// Keeps the watch alive.
    pub(crate) discovery: Discovery,
    writer: Mutex<Writer<C>>,
    /// ORDERING: Release on set, Acquire on read: who sees it set sees the empty view stored before.
    shut_down: AtomicBool,
}

/// What only the writer touches.
struct Writer<C: Connect> {
    policy: Box<dyn Policy>,
    rule: Option<RoleRule>,
    snapshot: Arc<Snapshot>,
    draining: Draining<C>,
}

impl<C: Connect> Shared<C> {
    pub(crate) fn new(
        mut policy: Box<dyn Policy>,
        rule: Option<RoleRule>,
        env: Arc<Env<C>>,
        acquire_timeout: Duration,
        discovery: Discovery,
    ) -> Self {
        let picker = policy.prepare(&[], entropy());
        let empty = View {
            generation: headless_core::Generation::default(),
            backends: Box::default(),
            roles: Box::default(),
            picker,
        };
        Self {
            view: ViewCell::new(empty),
            role_aware: policy.is_role_aware(),
            acquire_timeout,
            discovery,
            writer: Mutex::new(Writer {
                policy,
                rule,
                snapshot: Arc::default(),
                draining: Draining::default(),
            }),
            shut_down: AtomicBool::new(false),
            env,
        }
    }

    /// Makes `snapshot` the set in force.
    fn reconcile(&self, writer: &mut Writer<C>, snapshot: &Arc<Snapshot>) {
        let old = self.view.load_full();
        let Merged {
            backends,
            added,
            removed,
            others_take_requests,
        } = merge(&old.backends, snapshot, &self.env);
        self.log(snapshot, &added, &removed);
        writer.snapshot = Arc::clone(snapshot);
        // A new pod is connected to before it takes requests, unless there is nobody else to take them.
        if others_take_requests {
            added.iter().for_each(|backend| backend.hold_back());
        }
        self.publish(writer, backends);
        added.iter().for_each(Backend::warm_up);
        let deadline = self.env.clock.now() + self.env.pool.drain_timeout;
        for backend in removed {
            writer.draining.begin(backend, deadline);
        }
    }

    fn publish(&self, writer: &mut Writer<C>, backends: Backends<C>) {
        let role_of = |endpoint: &Endpoint| writer.rule.as_ref().and_then(|rule| rule.role_of(endpoint));
        let roles: Box<[_]> = backends.iter().map(|backend| role_of(&backend.endpoint)).collect();
        let candidate = |(backend, role): (&Arc<Backend<C>>, &Option<_>)| {
            Candidate::new(Arc::clone(&backend.endpoint), Arc::clone(&backend.load)).with_role(*role)
        };
        let candidates: Vec<Candidate> = backends.iter().zip(&roles).map(candidate).collect();
        let picker = writer.policy.prepare(&candidates, entropy());
        self.view.store(View {
            generation: writer.snapshot.generation(),
            backends,
            roles,
            picker,
        });
        self.env.changed.notify_waiters();
    }

    fn log(&self, snapshot: &Snapshot, added: &[Arc<Backend<C>>], removed: &[Arc<Backend<C>>]) {
        let (service, generation) = (&*self.env.service, snapshot.generation());
        for backend in added {
            info!(service, %generation, endpoint = %backend.endpoint, "endpoint added");
        }
        for backend in removed {
            info!(service, %generation, endpoint = %backend.endpoint, "endpoint removed");
        }
    }

    /// Replaces the rule of roles at run time, and publishes the consequences at once.
    pub(crate) fn set_rule(&self, rule: RoleRule) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.rule = Some(rule);
        let backends = self.view.load_full().backends.clone();
        self.publish(&mut writer, backends);
    }

    /// Stops giving out connections and begins to drain all pods.
    pub(crate) fn shut_down(&self) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let nobody = Snapshot::new(writer.snapshot.generation(), Vec::<Arc<Endpoint>>::new());
        self.reconcile(&mut writer, &Arc::new(nobody));
        self.shut_down.store(true, Ordering::Release);
        self.env.changed.notify_waiters();
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::Acquire)
    }

    /// The pods that left and still have work: what they are, and how many requests each has.
    pub(crate) fn draining(&self) -> Vec<(Arc<Endpoint>, usize)> {
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .draining
            .remaining()
    }

    /// Cuts what still drains, and says what it was.
    pub(crate) fn cut_draining(&self) -> Vec<(Arc<Endpoint>, usize)> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.draining.expire(Timestamp::from_nanos(u64::MAX))
    }

    /// Turns a fruitless round into the error that explains it.
    pub(crate) fn explain(&self, route: Route, round: Round, waited: Duration) -> AcquireError {
        let service = Arc::clone(&self.env.service);
        let limit = self.env.pool.max_waiters_per_pod;
        if self.is_shut_down() {
            return AcquireError::ShutDown { service };
        }
        match (round.timed_out, round.last_dial) {
            // A pool whose connections are all in use is the cause; one that has none is a symptom of what the dials said.
            (Some(late), last) if last.is_none() || late.counts.busy > 0 => {
                return AcquireError::Timeout {
                    endpoint: late.endpoint,
                    waited,
                    stage: late.stage,
                    busy: late.counts.busy,
                    dialling: late.counts.dialling,
                    waiting: late.counts.waiting,
                    limit: self.env.pool.connections_per_pod,
                    last_dial: late.last_failure.or(last).map(Box::new),
                };
            }
            (_, Some(last)) if round.full == 0 => {
                return AcquireError::Unreachable {
                    service,
                    tried: round.tried,
                    waited,
                    last: Box::new(last),
                };
            }
            _ if round.full > 0 => return AcquireError::Overloaded { service, limit },
            _ => {}
        }
        let pods = self.view.load().backends.len();
        if let Some(asked) = round.asked.filter(|_| pods > 0) {
            return AcquireError::NotAmong {
                service,
                asked,
                pods,
                waited,
            };
        }
        match route.role().filter(|_| pods > 0) {
            Some(role) => AcquireError::NoSuchRole {
                service,
                role,
                pods,
                waited,
            },
            None => {
                let status = self.discovery.status();
                let failure = status
                    .last_failure
                    .filter(|_| status.failures > 0)
                    .map(|(_, failure)| failure.to_string());
                let reason = status.last_negative.or(failure);
                AcquireError::NoEndpoints {
                    service,
                    waited,
                    last_good_age: status.last_good_age,
                    reason,
                }
            }
        }
    }
}

impl<C: Connect> Subscriber for Shared<C> {
    fn apply(&self, snapshot: &Arc<Snapshot>) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_shut_down() {
            self.reconcile(&mut writer, snapshot);
        }
    }

    fn sweep(&self, now: Timestamp) -> Duration {
        for backend in &self.view.load_full().backends {
            backend.upkeep(now);
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        for (endpoint, requests) in writer.draining.expire(now) {
            warn!(service = %self.env.service, %endpoint, requests, "drain deadline passed: cut");
        }
        let until_drained = writer.draining.next_deadline().map(|deadline| deadline.since(now));
        let pool = &self.env.pool;
        let often = [
            Some(pool.idle_timeout / 4),
            pool.keep_alive.map(|every| every / 2),
            until_drained,
        ];
        often.into_iter().flatten().min().unwrap_or(pool.idle_timeout)
    }
}

impl<C: Connect> Drop for Shared<C> {
    fn drop(&mut self) {
        // The last handle is gone: dials and probes end, idle connections close. Leases keep what they need.
        for backend in &self.view.load_full().backends {
            backend.close();
        }
    }
}

/// What a new snapshot makes of the backends.
struct Merged<C: Connect> {
    /// All of the new snapshot, in its order. Those that stay are the same objects, with their pools and their history.
    backends: Backends<C>,
    added: Vec<Arc<Backend<C>>>,
    removed: Vec<Arc<Backend<C>>>,
    /// One at least of those that stay is not avoided.
    others_take_requests: bool,
}

/// One pass over both, as both are sorted by key.
fn merge<C: Connect>(old: &[Arc<Backend<C>>], snapshot: &Snapshot, env: &Arc<Env<C>>) -> Merged<C> {
    let (mut added, mut removed, mut others_take_requests) = (Vec::new(), Vec::new(), false);
    let mut olds = old.iter().peekable();
    let backends = snapshot.iter().map(|endpoint| {
        while let Some(gone) = olds.next_if(|old| old.endpoint.key() < endpoint.key()) {
            removed.push(Arc::clone(gone));
        }
        match olds.next_if(|old| old.endpoint.key() == endpoint.key()) {
            Some(stays) => {
                others_take_requests |= !stays.load.is_avoided();
                Arc::clone(stays)
            }
            None => {
                let new = Backend::new(Arc::clone(endpoint), Arc::clone(env));
                added.push(Arc::clone(&new));
                new
            }
        }
    });
    let backends = backends.collect();
    removed.extend(olds.cloned());
    Merged {
        backends,
        added,
        removed,
        others_take_requests,
    }
}
