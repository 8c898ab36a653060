//! [`Monitor`]: the one task that knows the pods' roles. It takes in what the probes report,
//! decides, and publishes: roles to the balancer, an [`Overview`] to the router. The only writer of
//! both.
//!
//! The decisions are made in `roles.rs` and `lag.rs`; here is only what must be done about them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headless::{Balancer, Discovery, Endpoint, EndpointKey, Role, RoleRule, Timestamp};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::connector::Connector;
use crate::gtid::Position;
use crate::lag::{Gate, LagMeter};
use crate::probe::{Answer, Observation, Probe};
use crate::roles::{PodSamples, Sample, decide, forget};
use crate::router::Settings;
use crate::statement::Classifier;
use crate::topology::{Health, Overview, PodStatus, ServerIdentity, Topology, Writer, WriterProblem, pod_name};

/// The task behind a [`Splitter`](crate::Splitter).
pub(crate) struct Monitor {
    discovery: Discovery,
    connector: Connector,
    balancer: Balancer<Connector>,
    topology: Arc<Topology>,
    classifier: Arc<Classifier>,
    probe_now: Arc<Notify>,
    max_lag: Duration,
    interval: Duration,
    limit: Duration,
    zero: Instant,
    pods: BTreeMap<EndpointKey, Pod>,
    meter: LagMeter,
    /// The last primary, by name.
    writer: Option<String>,
}

/// One pod.
struct Pod {
    endpoint: Arc<Endpoint>,
    probe: AbortHandle,
    health: Arc<Health>,
    gate: Gate,
    /// Its answers, the newest last: as far back as a writer may have been
    /// asked that has not answered yet.
    samples: Vec<Sample>,
    /// Why its last answer does not count, if so.
    problem: Option<String>,
    identity: Option<ServerIdentity>,
    /// Since when another server answers at its address.
    mismatch_since: Option<Timestamp>,
    privileged: Option<String>,
}

impl Monitor {
    pub(crate) fn new(
        discovery: Discovery,
        connector: Connector,
        balancer: Balancer<Connector>,
        topology: Arc<Topology>,
        classifier: Arc<Classifier>,
        probe_now: Arc<Notify>,
        settings: &Settings,
    ) -> Self {
        Self {
            discovery,
            connector,
            balancer,
            topology,
            classifier,
            probe_now,
            max_lag: settings.max_lag,
            interval: settings.probe_interval,
            limit: settings.probe_timeout,
            zero: Instant::now(),
            pods: BTreeMap::new(),
            meter: LagMeter::default(),
            writer: None,
        }
    }

    /// Runs until it is aborted or the discovery ends. `first_probe` is told when each pod was
    /// probed once, and `Err` if none of them answered.
    pub(crate) async fn run(mut self, first_probe: oneshot::Sender<Result<(), String>>) {
        let (reports, mut observations) = mpsc::channel(64);
        let mut probes = JoinSet::new();
        let mut first_probe = Some(first_probe);
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
            let probed = |pod: &Pod| !pod.samples.is_empty() || pod.problem.is_some();
            // A writer that cannot be compared with the others yet can be after the next probe.
            if self.pods.values().all(probed)
                && self.topology.current().writer != Writer::Unavailable(WriterProblem::NotProbedYet)
                && let Some(first_probe) = first_probe.take()
            {
                let _not_awaited = first_probe.send(self.any_answered());
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
                probe_now: Arc::clone(&self.probe_now),
                reports: reports.clone(),
            };
            let pod = Pod::new(Arc::clone(endpoint), probes.spawn(probe.run()));
            self.pods.insert(key.clone(), pod);
        }
    }

    fn take_in(&mut self, Observation { pod: key, answer }: Observation) {
        let now = self.now();
        let Some(pod) = self.pods.get_mut(&key) else { return };
        match answer {
            Ok(Answer {
                sample,
                dialect,
                privileged,
            }) => {
                // What the first pod that answers shows of all.
                self.topology.set_flavor(sample.flavor);
                self.classifier.set_dialect(dialect);
                pod.health.set_answers(true);
                if let Some(problem) = pod.peer_mismatch(&sample, now, &self.discovery) {
                    pod.problem = Some(problem);
                    return;
                }
                if pod.identity.as_ref() != Some(&sample.identity) {
                    // What was known of the server before, and connections to it, say nothing of
                    // this one.
                    if pod.identity.is_some() {
                        warn!(
                            target: "headless_mysql", pod = %pod_name(&pod.endpoint), now = %sample.identity,
                            "pod has another server"
                        );
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

    /// Decides which pod is what, and publishes it.
    fn publish(&mut self) {
        let now = self.now();
        let named: Vec<(String, &Pod)> = self.pods.values().map(|pod| (pod_name(&pod.endpoint), pod)).collect();
        let samples: Vec<PodSamples<'_>> = named.iter().map(|(name, pod)| pod.samples(name)).collect();
        let decided = decide(&samples);
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
        // First the roles: a caller that has the overview may rely on reads and writes going
        // accordingly.
        if now != roles(&before) {
            let rule = move |endpoint: &Endpoint| now.get(endpoint.key()).copied();
            self.balancer.set_roles(RoleRule::external(rule));
        }
        self.topology.publish(overview);
    }

    /// Logs what changed, and closes the connections of a primary that is none any more (F7).
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
                warn!(
                    target: "headless_mysql", service, pods = %pods.join(", "),
                    "several pods are writable: no writes"
                );
            }
            Writer::Unavailable(problem)
                if std::mem::discriminant(&before.writer) != std::mem::discriminant(&now.writer) =>
            {
                warn!(target: "headless_mysql", service, %problem, "no primary: no writes");
            }
            Writer::Ambiguous(_) | Writer::Unavailable(_) => {}
        }
    }

    /// Whether any pod could be probed; if not, what each of them said.
    fn any_answered(&self) -> Result<(), String> {
        if self.pods.values().any(|pod| !pod.samples.is_empty()) {
            return Ok(());
        }
        let problems = self.pods.values().map(|pod| {
            let problem = pod.problem.as_deref().unwrap_or("not probed");
            format!("{}: {problem}", pod_name(&pod.endpoint))
        });
        let problems: Vec<String> = problems.collect();
        Err(format!(
            "no pod of {} can be used: {}",
            self.discovery.service(),
            problems.join("; ")
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
            mismatch_since: None,
            privileged: None,
        }
    }

    /// Why the server behind the address is not taken for this pod (F10): it is another than
    /// before, and DNS has not confirmed since then that the address is still the pod's.
    fn peer_mismatch(&mut self, sample: &Sample, now: Timestamp, discovery: &Discovery) -> Option<String> {
        let known = self.identity.as_ref()?;
        if sample.identity.is_same_server(known) {
            self.mismatch_since = None;
            return None;
        }
        let since = *self.mismatch_since.get_or_insert(now);
        let confirmed = discovery
            .status()
            .last_good_age
            .is_some_and(|age| age + SETTLED < now.since(since));
        if confirmed {
            self.mismatch_since = None;
            return None;
        }
        discovery.request_reresolution();
        Some(format!(
            "another server answers at its address: expected {known}, found {}",
            sample.identity
        ))
    }

    fn samples<'a>(&'a self, name: &'a str) -> PodSamples<'a> {
        PodSamples {
            name,
            samples: match &self.problem {
                Some(problem) => Err(problem),
                None if self.samples.is_empty() => Err("not probed yet"),
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
        let name = pod_name(&self.endpoint);
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
    /// What tokens are compared with: of the primary all that it has, of a replica what it has of
    /// the primary's.
    fn replicated_or_executed(&self, is_primary: bool) -> Position {
        match is_primary {
            true => self.executed.clone(),
            false => self.replicated.clone(),
        }
    }
}

/// An answer of DNS that is younger than a doubt by this much was asked for because of it.
const SETTLED: Duration = Duration::from_secs(1);
