//! [`Monitor`]: the one task that knows who the pods are. It takes in what the probes see, decides, and publishes: roles to the
//! balancer, an [`Overview`] to whoever routes. The only writer of both.
//!
//! What follows from what was seen is decided in `roles.rs` and `lag.rs`; here is only what must be done about it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use headless::{Balancer, Discovery, Endpoint, EndpointKey, Role, RoleRule};
use headless_core::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::builder::Settings;
use crate::conn::name_of;
use crate::connector::Connector;
use crate::gtid::Flavor;
use crate::lag::{Gate, LagMeter};
use crate::probe::{Answer, Observation, Probe};
use crate::roles::{Identity, Sample, Seen, decide, forget};
use crate::statement::Dialect;
use crate::topology::{Health, Overview, PodStatus, Topology, Writer, WriterProblem};

/// The task behind a [`Splitter`](crate::Splitter).
pub(crate) struct Monitor {
    discovery: Discovery,
    connector: Connector,
    balancer: Balancer<Connector>,
    topology: Arc<Topology>,
    look_again: Arc<Notify>,
    known: Arc<OnceLock<Known>>,
    max_lag: Duration,
    interval: Duration,
    limit: Duration,
    zero: Instant,
    pods: BTreeMap<EndpointKey, Pod>,
    meter: LagMeter,
    /// Who was the primary last, by name.
    writer: Option<String>,
}

/// What the first pod that answers shows of all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) flavor: Flavor,
    pub(crate) dialect: Dialect,
}

/// What came of the first look at all pods.
#[derive(Debug)]
pub(crate) enum Probed {
    Someone,
    /// None could be looked at: what each said.
    Nobody(String),
}

/// One pod.
struct Pod {
    endpoint: Arc<Endpoint>,
    probe: AbortHandle,
    health: Arc<Health>,
    gate: Gate,
    /// Its answers, the newest last: as far back as a writer may have been asked whose answer is awaited.
    samples: Vec<Sample>,
    /// Why its last answer does not count, if so.
    problem: Option<String>,
    identity: Option<Identity>,
    /// Since when another server answers at its address.
    stranger_since: Option<Timestamp>,
    privileged: Option<String>,
}

impl Monitor {
    pub(crate) fn new(
        discovery: Discovery,
        connector: Connector,
        balancer: Balancer<Connector>,
        topology: Arc<Topology>,
        settings: &Settings,
        look_again: Arc<Notify>,
        known: Arc<OnceLock<Known>>,
    ) -> Self {
        Self {
            discovery,
            connector,
            balancer,
            topology,
            look_again,
            known,
            max_lag: settings.max_lag,
            interval: settings.probe_interval,
            limit: settings.probe_timeout,
            zero: Instant::now(),
            pods: BTreeMap::new(),
            meter: LagMeter::default(),
            writer: None,
        }
    }

    /// Runs until it is aborted or the discovery ends. `first_look` hears when each pod was looked at once.
    pub(crate) async fn run(mut self, first_look: oneshot::Sender<Probed>) {
        let (reports, mut observations) = mpsc::channel(64);
        let mut probes = JoinSet::new();
        let mut first_look = Some(first_look);
        self.follow(&mut probes, &reports);
        loop {
            tokio::select! {
                changed = self.discovery.changed() => match changed {
                    Ok(_) => self.follow(&mut probes, &reports),
                    Err(_closed) => return,
                },
                Some(observation) = observations.recv() => self.take_in(observation),
            }
            self.publish();
            let looked = |pod: &Pod| !pod.samples.is_empty() || pod.problem.is_some();
            // A writer that cannot be compared with the others yet can be after the next look.
            if self.pods.values().all(looked)
                && self.topology.current().writer != Writer::Unavailable(WriterProblem::NotLookedAtYet)
                && let Some(first_look) = first_look.take()
            {
                let _nobody_waits = first_look.send(self.first_look());
            }
        }
    }

    /// Probes exactly the pods of the current set.
    fn follow(&mut self, probes: &mut JoinSet<()>, reports: &mpsc::Sender<Observation>) {
        let snapshot = self.discovery.snapshot();
        let listed: BTreeMap<&EndpointKey, &Arc<Endpoint>> =
            snapshot.iter().map(|endpoint| (endpoint.key(), endpoint)).collect();
        self.pods.retain(|key, pod| {
            let stays = listed.contains_key(key);
            if !stays {
                pod.probe.abort();
            }
            stays
        });
        for (key, endpoint) in listed {
            if self.pods.contains_key(key) {
                continue;
            }
            let probe = Probe {
                endpoint: Arc::clone(endpoint),
                connector: self.connector.clone(),
                zero: self.zero,
                interval: self.interval,
                limit: self.limit,
                look_again: Arc::clone(&self.look_again),
                reports: reports.clone(),
            };
            let pod = Pod::new(Arc::clone(endpoint), probes.spawn(probe.run()));
            self.pods.insert(key.clone(), pod);
        }
    }

    fn take_in(&mut self, Observation { pod: key, seen }: Observation) {
        let now = self.now();
        let Some(pod) = self.pods.get_mut(&key) else { return };
        match seen {
            Ok(Answer {
                sample,
                dialect,
                privileged,
            }) => {
                self.known.get_or_init(|| Known {
                    flavor: sample.flavor,
                    dialect,
                });
                pod.health.set_answers(true);
                if let Some(problem) = pod.is_stranger(&sample, now, &self.discovery) {
                    pod.problem = Some(problem);
                    return;
                }
                if pod.identity.as_ref() != Some(&sample.identity) {
                    // Who it was before says nothing of who it is now; nor do connections to who it was.
                    if pod.identity.is_some() {
                        warn!(target: "headless_mysql", pod = %name_of(&pod.endpoint), now = %sample.identity, "pod has another server");
                        pod.samples.clear();
                        self.balancer.evict(&key);
                    }
                    pod.identity = Some(sample.identity.clone());
                }
                pod.problem = None;
                pod.privileged = privileged;
                pod.samples.push(sample);
                forget(&mut pod.samples, now, self.interval + 2 * self.limit);
            }
            Err(problem) => {
                pod.health.set_answers(false);
                pod.problem = Some(problem);
            }
        }
    }

    /// Decides who is what, and tells everybody.
    fn publish(&mut self) {
        let now = self.now();
        let named: Vec<(String, &Pod)> = self.pods.values().map(|pod| (name_of(&pod.endpoint), pod)).collect();
        let seen: Vec<Seen<'_>> = named.iter().map(|(name, pod)| pod.seen(name)).collect();
        let decided = decide(&seen);
        if let Writer::Pod(name) = &decided {
            let primary = named.iter().find(|(other, _)| other == name);
            if self.writer.as_ref() != Some(name) {
                self.meter.restart();
            }
            if let Some(sample) = primary.and_then(|(_, pod)| pod.samples.last()) {
                self.meter.primary_at(sample.at, sample.executed.clone());
            }
        }
        let before = self.topology.current();
        let (meter, max_lag, interval) = (&self.meter, self.max_lag, self.interval);
        let mut statuses: Vec<PodStatus> = Vec::with_capacity(self.pods.len());
        for pod in self.pods.values_mut() {
            statuses.push(pod.status(&decided, meter, max_lag, interval, now));
        }
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
        let overview = Overview {
            privileged: self.pods.values().find_map(|pod| pod.privileged.clone()),
            writer: decided,
            pods: statuses,
        };
        self.report(&before, &overview);
        let roles = |overview: &Overview| -> BTreeMap<EndpointKey, Role> {
            let roles = overview
                .pods
                .iter()
                .filter_map(|pod| Some((pod.key.clone(), pod.role?)));
            roles.collect()
        };
        let now = roles(&overview);
        // First the roles: who sees the overview may rely on reads and writes going accordingly.
        if now != roles(&before) {
            let rule = move |endpoint: &Endpoint| now.get(endpoint.key()).copied();
            self.balancer.set_roles(RoleRule::external(rule));
        }
        self.topology.publish(overview);
    }

    /// Says what changed, and closes the connections of a primary that is none any more (F7).
    fn report(&mut self, before: &Overview, now: &Overview) {
        let service = self.discovery.service();
        if let Some(old) = before.primary()
            && now.role_of(&old.key) != Some(Role::Primary)
        {
            self.balancer.evict(&old.key);
        }
        match &now.writer {
            Writer::Pod(name) => {
                if before.writer != now.writer {
                    info!(target: "headless_mysql", service, primary = %name, "primary verified");
                }
                self.writer = Some(name.clone());
            }
            Writer::Ambiguous(pods) if before.writer != now.writer => {
                warn!(target: "headless_mysql", service, pods = %pods.join(", "), "several pods are writable: no writes");
            }
            Writer::Unavailable(problem)
                if std::mem::discriminant(&before.writer) != std::mem::discriminant(&now.writer) =>
            {
                warn!(target: "headless_mysql", service, %problem, "no primary: no writes");
            }
            Writer::Ambiguous(_) | Writer::Unavailable(_) => {}
        }
    }

    fn first_look(&self) -> Probed {
        if self.pods.values().any(|pod| !pod.samples.is_empty()) {
            return Probed::Someone;
        }
        let said: Vec<String> = self
            .pods
            .values()
            .map(|pod| {
                format!(
                    "{}: {}",
                    name_of(&pod.endpoint),
                    pod.problem.as_deref().unwrap_or("not looked at")
                )
            })
            .collect();
        Probed::Nobody(format!(
            "no pod of {} can be used: {}",
            self.discovery.service(),
            said.join("; ")
        ))
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_elapsed(self.zero.elapsed())
    }
}

impl Pod {
    fn new(endpoint: Arc<Endpoint>, probe: AbortHandle) -> Self {
        Self {
            endpoint,
            probe,
            health: Health::new(),
            gate: Gate::default(),
            samples: Vec::new(),
            problem: None,
            identity: None,
            stranger_since: None,
            privileged: None,
        }
    }

    /// Why the server behind the address is not believed to be this pod (F10): it is another than before, and DNS has not confirmed
    /// since then that the address is still the pod's.
    fn is_stranger(&mut self, sample: &Sample, now: Timestamp, discovery: &Discovery) -> Option<String> {
        let known = self.identity.as_ref()?;
        if sample.identity.is_same_server(known) {
            self.stranger_since = None;
            return None;
        }
        let since = *self.stranger_since.get_or_insert(now);
        let confirmed = discovery
            .status()
            .last_good_age
            .is_some_and(|age| age + SETTLED < now.since(since));
        if confirmed {
            self.stranger_since = None;
            return None;
        }
        discovery.request_reresolution();
        Some(format!(
            "another server answers at its address: expected {known}, found {}",
            sample.identity
        ))
    }

    fn seen<'a>(&'a self, name: &'a str) -> Seen<'a> {
        Seen {
            name,
            samples: match &self.problem {
                Some(problem) => Err(problem),
                None if self.samples.is_empty() => Err("not looked at yet"),
                None => Ok(&self.samples),
            },
        }
    }

    fn status(
        &mut self,
        writer: &Writer,
        meter: &LagMeter,
        max_lag: Duration,
        interval: Duration,
        now: Timestamp,
    ) -> PodStatus {
        let name = name_of(&self.endpoint);
        let is_primary = *writer == Writer::Pod(name.clone());
        let sample = self.samples.last().filter(|_| self.problem.is_none());
        let follows = !is_primary && sample.is_some_and(|sample| sample.writable.is_err());
        let lag = sample
            .filter(|_| follows)
            .and_then(|sample| meter.lag(&sample.replicated, now, interval));
        let fresh = follows && self.gate.pass(lag, max_lag);
        let problem = self.problem.clone().or_else(|| match (is_primary, follows, fresh) {
            (true, ..) | (_, true, true) => None,
            (false, true, false) => Some("too far behind".to_owned()),
            (false, false, _) => Some("writable, but not the primary".to_owned()),
        });
        PodStatus {
            name,
            key: self.endpoint.key().clone(),
            role: match (is_primary, fresh) {
                (true, _) => Some(Role::Primary),
                (false, true) => Some(Role::Replica),
                (false, false) => None,
            },
            follows,
            lag: if is_primary { Some(Duration::ZERO) } else { lag },
            position: sample
                .map(|sample| sample.replicated_or_executed(is_primary))
                .unwrap_or_default(),
            problem,
            identity: self.identity.clone(),
            health: Arc::clone(&self.health),
        }
    }
}

impl Sample {
    /// What tokens are compared with: of the primary all that it has, of a replica what it has of the primary's.
    fn replicated_or_executed(&self, is_primary: bool) -> crate::gtid::Position {
        match is_primary {
            true => self.executed.clone(),
            false => self.replicated.clone(),
        }
    }
}

/// An answer of DNS that is so much younger than a doubt was asked for because of it.
const SETTLED: Duration = Duration::from_secs(1);
