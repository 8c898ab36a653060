//! One lookup of a Service: follows the strategies in order, remembers which of them works, and
//! explains what cannot work.
//!
//! Neither the wire (`name_servers.rs`) nor waiting belongs here: each question is bounded by the
//! transport. Which answers take effect, and for how long, is decided by
//! [`Refresh`](headless_core::Refresh).
//!
//! Source: the algorithm follows the tables of the CoreDNS kubernetes plugin 1.14 and the
//! Kubernetes DNS specification 1.1.0.

mod ports;

use std::collections::BTreeSet;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use headless_core::{Answer, Endpoint, Failure, FailureKind, FoundBy, Negative, NegativeKind, Resolution};
use tokio::time::Instant;

use self::ports::OtherPorts;
use crate::address::{Addresses, addresses, refuse_foreign, refuse_too_many};
use crate::answer::named_endpoint;
use crate::family::nameless_addresses;
use crate::names::Names;
use crate::naming::find_names;
use crate::params::LookupParams;
use crate::records::{Kind, LookupError, Question, Records, Reply, Transport};
use crate::strategy::{NameSource, Plan};
use crate::sync::lock;
use crate::{explain, srv};

/// Looks up one Service repeatedly.
pub(crate) struct Lookup {
    pub(crate) params: LookupParams,
    plan: Plan,
    pub(crate) transport: Box<dyn Transport>,
    names: Mutex<Names>,
    memory: Mutex<Memory>,
}

/// What earlier lookups have shown, apart from the names.
#[derive(Debug, Default)]
struct Memory {
    /// Until then only A/AAAA are asked for, as SRV did not help.
    skip_srv_until: Option<Instant>,
    /// The number of failures of SRV in a row.
    srv_failures: u32,
    /// The number of SRV answers that were read.
    turn: usize,
    /// Whether a warning was logged that only a part of the pods is known.
    part_reported: bool,
    /// Whether a pod of the StatefulSet was found, so that its name is right.
    set_seen: bool,
    /// What the pods publish, if the given port is none of it.
    other_ports: Option<OtherPorts>,
}

impl Lookup {
    pub(crate) fn new(params: LookupParams, plan: Plan, transport: Box<dyn Transport>) -> Self {
        Self {
            params,
            plan,
            transport,
            names: Mutex::default(),
            memory: Mutex::default(),
        }
    }

    /// Looks the pods up once.
    ///
    /// # Cancel safety
    /// If the future is dropped, what was learnt until then is kept, and the next call works.
    pub(crate) async fn resolve(&self) -> Resolution {
        let answer = match &self.plan {
            Plan::NamedPort(name) => self.named_port(name).await,
            Plan::OnlyPort => self.only_port().await,
            Plan::ServiceSrv { port, fallback } => self.service_srv(*port, *fallback).await,
            Plan::Addresses { port, names } => self.addresses(*port, *names).await,
        };
        let resolution = match answer.and_then(|answer| self.check_set(answer)) {
            Ok(answer) => Resolution::Found(answer),
            Err(LookupError::Negative(negative)) => Resolution::NoEndpoints(negative),
            Err(LookupError::Failed(failure)) => Resolution::Failed(failure),
            Err(LookupError::Truncated) => Resolution::Failed(explain::too_large(&self.params)),
        };
        self.trace(&resolution);
        resolution
    }

    async fn named_port(&self, name: &str) -> Result<Answer, LookupError> {
        let question = Question::new(Kind::Srv, self.params.service.srv_fqdn(name));
        match self.srv(&question).await {
            Ok(records) => self.listed(&question, &records, None, FoundBy::NamedPort).await,
            // The addresses tell whether there are no pods, or no such port.
            Err(LookupError::Negative(_)) => {
                let count = self.addresses_of_service().await?.ips.len();
                let bare = self.srv(&self.bare_question()).await.unwrap_or_default();
                Err(LookupError::Failed(explain::no_such_port(
                    &self.params,
                    name,
                    count,
                    &srv::ports(&bare),
                )))
            }
            Err(LookupError::Truncated) => Err(LookupError::Failed(explain::srv_too_large(&self.params))),
            Err(failed @ LookupError::Failed(_)) => Err(failed),
        }
    }

    async fn only_port(&self) -> Result<Answer, LookupError> {
        let question = self.bare_question();
        let records = match self.srv(&question).await {
            Ok(records) => records,
            Err(LookupError::Negative(_)) => {
                self.addresses_of_service().await?;
                return Err(LookupError::Failed(explain::port_unknown(
                    &self.params,
                    &BTreeSet::new(),
                )));
            }
            Err(LookupError::Truncated) => return Err(LookupError::Failed(explain::srv_too_large(&self.params))),
            Err(failed @ LookupError::Failed(_)) => return Err(failed),
        };
        let ports = srv::ports(&records);
        if ports.len() != 1 || ports.contains(&0) {
            return Err(LookupError::Failed(explain::port_unknown(&self.params, &ports)));
        }
        self.listed(&question, &records, None, FoundBy::ServiceSrv).await
    }

    async fn service_srv(&self, port: NonZeroU16, fallback: Option<NameSource>) -> Result<Answer, LookupError> {
        let now = Instant::now();
        let skipped = self.memory().skip_srv_until;
        if let (Some(names), true) = (fallback, skipped.is_some_and(|until| now < until)) {
            return self.addresses(port, names).await;
        }
        let question = self.bare_question();
        let error = match self.srv(&question).await {
            // About five times as many pods fit as addresses.
            Ok(records) if records.truncated && fallback.is_some() => LookupError::Truncated,
            Ok(records) => {
                let number = Some(port.get());
                let answer = self.listed(&question, &records, number, FoundBy::ServiceSrv).await?;
                self.compare_ports(port, &records).await;
                self.remember_pods(&answer, now);
                return Ok(answer);
            }
            Err(error) => error,
        };
        let Some(names) = fallback else {
            return Err(match error {
                LookupError::Negative(_) => {
                    self.addresses_of_service().await?;
                    LookupError::Failed(explain::no_service_srv(&self.params))
                }
                LookupError::Truncated => LookupError::Failed(explain::srv_too_large(&self.params)),
                failed @ LookupError::Failed(_) => failed,
            });
        };
        match error {
            // A server that refuses SRV may still answer A; one that is down answers nothing. If
            // SRV was only tried again, A has been answering.
            LookupError::Failed(failure) if failure.kind != FailureKind::Refused && skipped.is_none() => {
                self.without_srv(failure, port, names, now).await
            }
            LookupError::Negative(_) | LookupError::Truncated | LookupError::Failed(_) => {
                lock(&self.names).distrust(now);
                let answer = self.addresses(port, names).await;
                // Without pods, nothing was learnt about SRV; with pods, or with too many, it was.
                if answer.is_ok() || error == LookupError::Truncated {
                    self.skip_srv(now);
                }
                answer
            }
        }
    }

    /// Decides after a failure of SRV whether to ask for addresses from now on.
    ///
    /// WHY: a server whose SRV answer has outgrown a message may answer SERVFAIL, and a firewall
    /// may drop unknown types. One failure is not enough: a single lost packet would change how
    /// each pod is found.
    async fn without_srv(
        &self,
        failure: Failure,
        port: NonZeroU16,
        names: NameSource,
        now: Instant,
    ) -> Result<Answer, LookupError> {
        let failures = {
            let mut memory = self.memory();
            memory.srv_failures = memory.srv_failures.saturating_add(1);
            memory.srv_failures
        };
        if failures < SRV_FAILURES {
            return Err(LookupError::Failed(failure));
        }
        lock(&self.names).distrust(now);
        match self.addresses(port, names).await {
            Ok(answer) => {
                tracing::info!(
                    service = %self.params.service, %failure, failures,
                    "SRV keeps failing while addresses are answered: names are found in another way"
                );
                self.skip_srv(now);
                Ok(answer)
            }
            // DNS as a whole is down: the failure of the first question tells as much.
            Err(LookupError::Failed(_)) => Err(LookupError::Failed(failure)),
            Err(error) => Err(error),
        }
    }

    fn skip_srv(&self, now: Instant) {
        let mut memory = self.memory();
        memory.skip_srv_until = Some(now + TRY_SRV_AGAIN);
        memory.srv_failures = 0;
    }

    /// Returns the pods of an SRV answer.
    async fn listed(
        &self,
        question: &Question,
        records: &Records,
        number: Option<u16>,
        found_by: FoundBy,
    ) -> Result<Answer, LookupError> {
        let turn = {
            let mut memory = self.memory();
            memory.turn = memory.turn.wrapping_add(1);
            memory.turn
        };
        let listing = srv::Listing {
            question,
            records,
            number,
            found_by,
            turn,
        };
        match srv::pods(&*self.transport, &self.params, listing).await {
            Err(LookupError::Truncated) => Err(LookupError::Failed(explain::srv_too_large(&self.params))),
            answer => {
                self.report_part(records.truncated, explain::srv_too_large);
                answer
            }
        }
    }

    /// Returns whether the last answer was truncated.
    #[cfg(test)]
    pub(crate) fn has_reported_part(&self) -> bool {
        self.memory().part_reported
    }

    /// Warns once that only a part of the pods is known, and once more after the answer was
    /// complete.
    fn report_part(&self, is_part: bool, why: fn(&LookupParams) -> Failure) {
        let was_reported = mem::replace(&mut self.memory().part_reported, is_part);
        if is_part && !was_reported {
            let why = why(&self.params).detail;
            tracing::warn!(
                service = %self.params.service, why,
                "only a part of the pods can be seen: what is seen is used, and nothing is removed"
            );
        }
    }

    async fn addresses(&self, port: NonZeroU16, source: NameSource) -> Result<Answer, LookupError> {
        let found = self.addresses_of_service().await?;
        self.report_part(found.truncated, explain::too_large);
        find_names(source, &*self.transport, &self.params, &found, &self.names).await;
        let Addresses { ips, ttl, truncated } = found;
        let names = lock(&self.names);
        let endpoints: Vec<Endpoint> = ips
            .iter()
            .map(|ip| {
                let addr = SocketAddr::new(*ip, port.get());
                match names.pod(*ip) {
                    Some(pod) => named_endpoint(addr, pod.clone(), self.params.set.as_deref()),
                    None => Endpoint::new(addr),
                }
            })
            .collect();
        let named = endpoints.iter().any(|endpoint| endpoint.pod().is_some());
        if source == NameSource::PodNames && !named && names.covers(&ips) && !self.memory().set_seen {
            return Err(LookupError::Failed(explain::no_such_set_asked(&self.params, ips.len())));
        }
        let found_by = if named { source.found_by() } else { FoundBy::Addresses };
        let answer = Answer::new(endpoints, ttl, found_by);
        Ok(if truncated { answer.truncated() } else { answer })
    }

    /// Returns the addresses of the Service, sorted, of one family.
    async fn addresses_of_service(&self) -> Result<Addresses, LookupError> {
        let name = self.params.service.fqdn();
        let found = addresses(&*self.transport, &name, &self.params).await?;
        let ips = nameless_addresses(&found.ips, self.params.family);
        if ips.is_empty() && found.truncated {
            return Err(LookupError::Truncated);
        }
        if ips.is_empty() {
            let asked = format!("A, AAAA {name} (not counting addresses that no pod can have)");
            return Err(LookupError::Negative(Negative::new(
                NegativeKind::NoData,
                Some(found.ttl),
                asked,
            )));
        }
        Ok(Addresses { ips, ..found })
    }

    /// Returns the SRV records of the name in the question. An alias is refused; if aliases are
    /// allowed, it leaves no SRV records.
    async fn srv(&self, question: &Question) -> Reply {
        let records = self.transport.query(question).await?;
        refuse_too_many(&records, question)?;
        if !self.params.external_name {
            refuse_foreign(&records, question)?;
        } else if !srv::has_targets(&records) {
            let none = Negative::new(NegativeKind::NoData, None, question.to_string());
            return Err(LookupError::Negative(none));
        }
        Ok(records)
    }

    fn bare_question(&self) -> Question {
        Question::new(Kind::Srv, self.params.service.fqdn())
    }

    /// Keeps the names that SRV gave. WHY: should SRV fail the next time, the same pods must not
    /// turn into nameless endpoints.
    fn remember_pods(&self, answer: &Answer, now: Instant) {
        let mut ips: Vec<IpAddr> = answer.endpoints.iter().map(|endpoint| endpoint.addr().ip()).collect();
        ips.sort_unstable();
        let mut names = lock(&self.names);
        names.keep_only(&ips);
        for endpoint in &answer.endpoints {
            if let Some(pod) = endpoint.pod() {
                names.learn(endpoint.addr().ip(), pod.clone(), now);
            }
        }
        let mut memory = self.memory();
        memory.skip_srv_until = None;
        memory.srv_failures = 0;
    }

    /// Refuses an answer in which each pod has a name and none belongs to the StatefulSet, unless
    /// one did before.
    fn check_set(&self, answer: Answer) -> Result<Answer, LookupError> {
        let Some(set) = self.params.set.as_deref() else {
            return Ok(answer);
        };
        let mut memory = self.memory();
        memory.set_seen |= answer.endpoints.iter().any(|e| e.ordinal().is_some());
        if !memory.set_seen && !answer.truncated && answer.endpoints.iter().all(|endpoint| endpoint.pod().is_some()) {
            return Err(LookupError::Failed(explain::no_such_set_listed(
                &self.params,
                set,
                &answer.endpoints,
            )));
        }
        Ok(answer)
    }

    fn trace(&self, resolution: &Resolution) {
        let service = &self.params.service;
        match resolution {
            Resolution::Found(Answer {
                endpoints,
                found_by,
                ttl,
                ..
            }) => {
                tracing::debug!(%service, %found_by, endpoints = endpoints.len(), ?ttl, "pods found");
            }
            Resolution::NoEndpoints(negative) => {
                tracing::debug!(%service, question = negative.question, kind = %negative.kind, "no pods");
            }
            Resolution::Failed(failure) => tracing::debug!(%service, %failure, "lookup failed"),
            _ => {}
        }
    }

    /// Never held across an await.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }
}

/// The time after which SRV is tried again: the Service may have got a port, or the DNS server may
/// have been replaced.
const TRY_SRV_AGAIN: Duration = Duration::from_secs(300);
/// The number of failures of SRV in a row after which the addresses are asked for. Each is two
/// attempts already.
const SRV_FAILURES: u32 = 2;
