//! The only writer of a balancer (invariant I1): a new snapshot, or a new rule of roles, becomes backends, a picker and one
//! [`View`].
//!
//! Order of an update: backends for the new pods are made, the policy prepares a picker, the view is published; only then do the
//! pods that left begin to drain. So additions are usable before removals act, and a draining backend is in no later view (I4).
//! What was replaced is freed here, too, and never by a request ([`Retired`]).
//!
//! A pod that stays costs a few comparisons of pointers, and a count in the picker.

use std::cmp::Ordering;
use std::iter;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headless_core::policy::{Candidate, Policy};
use headless_core::{Connect, Endpoint, Generation, RoleRule, Route, Snapshot, Timestamp};
use tracing::{info, warn};

use crate::acquire_slow::Round;
use crate::backend::{Backend, Env};
use crate::discovery::Discovery;
use crate::drain::Draining;
use crate::driver::Subscriber;
use crate::entropy::entropy;
use crate::error::AcquireError;
use crate::view::{Backends, Retired, View, ViewCell};

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
    generation: Generation,
    /// The pods of the view, for the next one. Empty while a rule or the policy is asked, which may panic.
    pods: Pods<C>,
    draining: Draining<C>,
    retired: Retired<C>,
    next_upkeep: Timestamp,
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
            generation: Generation::default(),
            backends: Box::default(),
            roles: Box::default(),
            picker,
            timed: policy.latency_window().is_some(),
        };
        Self {
            view: ViewCell::new(empty),
            role_aware: policy.is_role_aware(),
            acquire_timeout,
            discovery,
            writer: Mutex::new(Writer {
                policy,
                rule,
                generation: Generation::default(),
                pods: Pods::default(),
                draining: Draining::default(),
                retired: Retired::default(),
                next_upkeep: Timestamp::ZERO,
            }),
            shut_down: AtomicBool::new(false),
            env,
        }
    }

    /// Makes `snapshot` the set in force.
    fn reconcile(&self, writer: &mut Writer<C>, snapshot: &Snapshot) {
        let Merged {
            pods,
            added,
            removed,
            others_take_requests,
        } = writer.merge(&self.view.load_full(), snapshot, &self.env);
        self.log(snapshot, &added, &removed);
        writer.generation = snapshot.generation();
        // A new pod is connected to before it takes requests, unless there is nobody else to take them.
        if others_take_requests {
            added.iter().for_each(|backend| backend.hold_back());
        }
        self.publish(writer, pods);
        added.iter().for_each(Backend::warm_up);
        let deadline = self.env.clock.now() + self.env.pool.drain_timeout;
        for backend in &removed {
            writer.draining.begin(backend, deadline);
        }
        writer.retired.keep_backends(removed);
        writer.retired.free();
    }

    fn publish(&self, writer: &mut Writer<C>, pods: Pods<C>) {
        let Pods { backends, candidates } = pods;
        let roles = candidates.iter().map(|candidate| candidate.role).collect();
        let picker = writer.policy.prepare(&candidates, entropy());
        let replaced = self.view.store(View {
            generation: writer.generation,
            backends: backends.into(),
            roles,
            picker,
            timed: writer.policy.latency_window().is_some(),
        });
        let now = self.view.load_full();
        let backends = match Arc::try_unwrap(replaced) {
            Ok(replaced) => caught_up(replaced.backends, &now.backends),
            Err(read) => {
                writer.retired.keep(read);
                now.backends.to_vec()
            }
        };
        writer.pods = Pods { backends, candidates };
        self.env.changed.notify_waiters();
    }

    fn writer(&self) -> MutexGuard<'_, Writer<C>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut writer = self.writer();
        let mut pods = writer.take_pods(&self.view.load_full());
        for candidate in &mut pods.candidates {
            candidate.role = rule.role_of(&candidate.endpoint);
        }
        writer.rule = Some(rule);
        self.publish(&mut writer, pods);
        writer.retired.free();
    }

    /// Stops giving out connections and begins to drain all pods.
    pub(crate) fn shut_down(&self) {
        let mut writer = self.writer();
        let nobody = Snapshot::new(writer.generation, iter::empty::<Endpoint>());
        self.reconcile(&mut writer, &nobody);
        self.shut_down.store(true, Release);
        self.env.changed.notify_waiters();
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.shut_down.load(Acquire)
    }

    /// The pods that left and still have work: what they are, and how many requests each has.
    pub(crate) fn draining(&self) -> Vec<(Arc<Endpoint>, usize)> {
        self.writer().draining.remaining()
    }

    /// Cuts what still drains, and says what it was.
    pub(crate) fn cut_draining(&self) -> Vec<(Arc<Endpoint>, usize)> {
        let mut writer = self.writer();
        writer.draining.expire(Timestamp::from_nanos(u64::MAX))
    }

    /// Turns a fruitless round into the error that explains it.
    pub(crate) fn explain(&self, route: Route, round: Round, waited: Duration) -> AcquireError {
        let service = Arc::clone(&self.env.service);
        let limit = self.env.pool.max_waiters_per_endpoint;
        if self.is_shut_down() {
            return AcquireError::ShutDown { service };
        }
        match (round.timed_out, round.last_connect_error) {
            // A pool whose connections are all in use is the cause; one that has none is a symptom of what the dials said.
            (Some(late), last) if last.is_none() || late.counts.busy > 0 => {
                return AcquireError::Timeout {
                    endpoint: late.endpoint,
                    waited,
                    stage: late.stage,
                    busy: late.counts.busy,
                    connecting: late.counts.connecting,
                    waiting: late.counts.waiting,
                    limit: self.env.pool.max_connections_per_endpoint,
                    last_connect_error: late.last_failure.or(last).map(Box::new),
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
            return AcquireError::NoneOfRequested {
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
        let mut writer = self.writer();
        if !self.is_shut_down() {
            self.reconcile(&mut writer, snapshot);
        }
    }

    fn sweep(&self, now: Timestamp) -> Duration {
        let pool = &self.env.pool;
        let often = [Some(pool.idle_timeout / 4), pool.keep_alive.map(|every| every / 2)];
        let often = often.into_iter().flatten().min().unwrap_or(pool.idle_timeout);
        // WHY: not at each sweep. One follows each change of the set, and would go through the pools of all those that stay.
        if now >= self.writer().next_upkeep {
            for backend in &self.view.load_full().backends {
                backend.upkeep(now);
            }
            self.writer().next_upkeep = now + often;
        }
        let mut writer = self.writer();
        for (endpoint, requests) in writer.draining.expire(now) {
            warn!(service = %self.env.service, %endpoint, requests, "drain deadline passed: cut");
        }
        writer.retired.free();
        let next = [Some(writer.next_upkeep), writer.draining.next_deadline()];
        next.into_iter().flatten().min().map_or(often, |next| next.since(now))
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

/// The pods of a view, in its order.
struct Pods<C: Connect> {
    /// Those that stay are the same objects from view to view, with their pools and their history.
    backends: Vec<Arc<Backend<C>>>,
    /// What the policy knows of each.
    candidates: Vec<Candidate>,
}

impl<C: Connect> Pods<C> {
    fn with_capacity(pods: usize) -> Self {
        Self {
            backends: Vec::with_capacity(pods),
            candidates: Vec::with_capacity(pods),
        }
    }

    fn of(view: &View<C>) -> Self {
        let candidate = |(backend, role): (&Arc<Backend<C>>, &Option<_>)| {
            Candidate::new(Arc::clone(&backend.endpoint), Arc::clone(&backend.load)).with_role(*role)
        };
        Self {
            backends: view.backends.to_vec(),
            candidates: iter::zip(&view.backends, &view.roles).map(candidate).collect(),
        }
    }
}

impl<C: Connect> Default for Pods<C> {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

/// What a new snapshot makes of the pods.
struct Merged<C: Connect> {
    /// All of the new snapshot.
    pods: Pods<C>,
    added: Vec<Arc<Backend<C>>>,
    removed: Vec<Arc<Backend<C>>>,
    /// One at least of those that stay is not unhealthy.
    others_take_requests: bool,
}

impl<C: Connect> Writer<C> {
    /// One pass over both, as both are sorted by key.
    fn merge(&mut self, old: &View<C>, snapshot: &Snapshot, env: &Arc<Env<C>>) -> Merged<C> {
        let (mut added, mut removed, mut others_take_requests) = (Vec::new(), Vec::new(), false);
        let Pods { backends, candidates } = self.take_pods(old);
        let (mut old_backends, mut olds) = (backends.into_iter(), candidates.into_iter());
        let mut pods = Pods::with_capacity(snapshot.len());
        let mut news = snapshot.iter();
        loop {
            // A pod that stays is almost always the same object: its name need not be read. They stay in runs.
            let (old, new) = (olds.as_slice(), news.as_slice());
            let same = iter::zip(old, new).take_while(|(old, new)| Arc::ptr_eq(&old.endpoint, new));
            let mut run = same.count();
            let next = old.get(run).zip(new.get(run));
            let order = next.map(|(old, new)| old.endpoint.key().cmp(new.key()));
            run += usize::from(order == Some(Ordering::Equal));
            others_take_requests = others_take_requests || old[..run].iter().any(|old| !old.load.is_unhealthy());
            pods.backends.extend(old_backends.by_ref().take(run));
            pods.candidates.extend(olds.by_ref().take(run));
            news = new[run..].iter();
            match order {
                Some(Ordering::Equal) => {}
                Some(Ordering::Less) => {
                    removed.extend(old_backends.next());
                    olds.next();
                }
                Some(Ordering::Greater) | None => {
                    let Some(endpoint) = news.next() else { break };
                    let new = Backend::new(Arc::clone(endpoint), Arc::clone(env));
                    let role = self.rule.as_ref().and_then(|rule| rule.role_of(endpoint));
                    let candidate = Candidate::new(Arc::clone(endpoint), Arc::clone(&new.load));
                    pods.candidates.push(candidate.with_role(role));
                    pods.backends.push(Arc::clone(&new));
                    added.push(new);
                }
            }
        }
        removed.extend(old_backends);
        if let Some(rule @ RoleRule::External(_)) = &self.rule {
            for candidate in &mut pods.candidates {
                candidate.role = rule.role_of(&candidate.endpoint);
            }
        }
        Merged {
            pods,
            added,
            removed,
            others_take_requests,
        }
    }

    fn take_pods(&mut self, view: &View<C>) -> Pods<C> {
        let pods = mem::take(&mut self.pods);
        // Otherwise what was asked the last time has panicked.
        let whole = pods.candidates.len() == view.backends.len();
        if whole { pods } else { Pods::of(view) }
    }
}

/// The backends of the view that was replaced, brought up to `now`. WHY: so that two lists take turns, and a pod that stays is moved
/// from place to place. If each view were a clone of the last, each pod would be counted up and down with every change.
fn caught_up<C: Connect>(replaced: Backends<C>, now: &[Arc<Backend<C>>]) -> Vec<Arc<Backend<C>>> {
    let mut replaced = replaced.into_vec().into_iter();
    let mut list = Vec::with_capacity(now.len());
    loop {
        let pairs = iter::zip(replaced.as_slice(), &now[list.len()..]);
        let run = pairs.take_while(|(old, new)| Arc::ptr_eq(old, new)).count();
        list.extend(replaced.by_ref().take(run));
        match (replaced.as_slice().first(), now.get(list.len())) {
            (_, None) => return list,
            (Some(old), Some(new)) if old.endpoint.key() <= new.endpoint.key() => drop(replaced.next()),
            (_, Some(new)) => list.push(Arc::clone(new)),
        }
    }
}
