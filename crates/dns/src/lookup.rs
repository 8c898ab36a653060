//! One lookup of a Service: climbs down the ladder from the best rung, remembers where it held, and explains what
//! cannot work.
//!
//! Nothing here knows the wire (`transport.rs`), and nothing here waits: each question is bounded below. Which answers
//! are believed, and for how long, is [`headless_core::Refresh`]'s business.
//!
//! Source: the algorithm follows the tables of the CoreDNS kubernetes plugin 1.14 and the Kubernetes DNS specification
//! 1.1.0.

use std::collections::BTreeSet;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headless_core::{
    Answer, Endpoint, Failure, FailureKind, FoundBy, Negative, NegativeKind, Resolution, named_endpoint,
    nameless_addresses,
};
use tokio::time::Instant;

use crate::address::{Addresses, Wanted, addresses, refuse_foreign, refuse_too_many};
use crate::ladder::{NameBy, Plan};
use crate::names::{Names, lock};
use crate::naming::find_names;
use crate::records::{Ask, Kind, Miss, Question, Records, Reply};
use crate::{explain, srv};

/// Looks up one Service, again and again.
pub(crate) struct Lookup {
    pub(crate) wanted: Wanted,
    plan: Plan,
    pub(crate) ask: Box<dyn Ask>,
    names: Mutex<Names>,
    memory: Mutex<Memory>,
}

/// What earlier lookups taught, apart from the names.
#[derive(Debug, Default)]
struct Memory {
    /// SRV did not help: A/AAAA are asked alone until then.
    skip_srv_until: Option<Instant>,
    /// How often in a row SRV has failed.
    srv_failures: u32,
    /// How many SRV answers have been read.
    turn: usize,
    /// It has been said that only a part of the pods is known.
    part_told: bool,
    /// A pod of the wanted StatefulSet was seen, so its name is right.
    set_seen: bool,
    /// The number given and the ports listed, once the contradiction was reported.
    warned: Option<BTreeSet<u16>>,
}

impl Lookup {
    pub(crate) fn new(wanted: Wanted, plan: Plan, ask: Box<dyn Ask>) -> Self {
        Self {
            wanted,
            plan,
            ask,
            names: Mutex::default(),
            memory: Mutex::default(),
        }
    }

    /// Asks once.
    ///
    /// # Cancel safety
    /// Dropped at any await, it has learnt what it has learnt; the next call works.
    pub(crate) async fn resolve(&self) -> Resolution {
        let answer = match &self.plan {
            Plan::NamedPort(name) => self.named_port(name).await,
            Plan::OnlyPort => self.only_port().await,
            Plan::ServiceSrv { port, below } => self.service_srv(*port, *below).await,
            Plan::Addresses { port, names } => self.addresses(*port, *names).await,
        };
        let resolution = match answer.and_then(|answer| self.check_set(answer)) {
            Ok(answer) => Resolution::Found(answer),
            Err(Miss::Negative(negative)) => Resolution::NoEndpoints(negative),
            Err(Miss::Failed(failure)) => Resolution::Failed(failure),
            Err(Miss::Truncated) => Resolution::Failed(explain::too_large(&self.wanted)),
        };
        self.trace(&resolution);
        resolution
    }

    async fn named_port(&self, name: &str) -> Result<Answer, Miss> {
        let question = Question::new(Kind::Srv, self.wanted.service.srv_fqdn(name));
        match self.srv(&question).await {
            Ok(records) => self.listed(&question, &records, None, FoundBy::NamedPort).await,
            // No pods, or no such port? The addresses tell.
            Err(Miss::Negative(_)) => {
                let count = self.addresses_of_service().await?.ips.len();
                let bare = self.srv(&self.bare_question()).await.unwrap_or_default();
                Err(Miss::Failed(explain::no_such_port(
                    &self.wanted,
                    name,
                    count,
                    &srv::ports(&bare),
                )))
            }
            Err(Miss::Truncated) => Err(Miss::Failed(explain::srv_too_large(&self.wanted))),
            Err(failed @ Miss::Failed(_)) => Err(failed),
        }
    }

    async fn only_port(&self) -> Result<Answer, Miss> {
        let question = self.bare_question();
        let records = match self.srv(&question).await {
            Ok(records) => records,
            Err(Miss::Negative(_)) => {
                self.addresses_of_service().await?;
                return Err(Miss::Failed(explain::port_unknown(&self.wanted, &BTreeSet::new())));
            }
            Err(Miss::Truncated) => return Err(Miss::Failed(explain::srv_too_large(&self.wanted))),
            Err(failed @ Miss::Failed(_)) => return Err(failed),
        };
        let ports = srv::ports(&records);
        if ports.len() != 1 || ports.contains(&0) {
            return Err(Miss::Failed(explain::port_unknown(&self.wanted, &ports)));
        }
        self.listed(&question, &records, None, FoundBy::ServiceSrv).await
    }

    async fn service_srv(&self, port: NonZeroU16, below: Option<NameBy>) -> Result<Answer, Miss> {
        let now = Instant::now();
        let skipped = self.memory().skip_srv_until;
        if let (Some(names), true) = (below, skipped.is_some_and(|until| now < until)) {
            return self.addresses(port, names).await;
        }
        let question = self.bare_question();
        let miss = match self.srv(&question).await {
            // Of addresses, about five times as many fit.
            Ok(records) if records.truncated && below.is_some() => Miss::Truncated,
            Ok(records) => {
                let number = Some(port.get());
                let answer = self.listed(&question, &records, number, FoundBy::ServiceSrv).await?;
                self.compare_ports(port, &records);
                self.remember_pods(&answer, now);
                return Ok(answer);
            }
            Err(miss) => miss,
        };
        let Some(names) = below else {
            return Err(match miss {
                Miss::Negative(_) => {
                    self.addresses_of_service().await?;
                    Miss::Failed(explain::no_service_srv(&self.wanted))
                }
                Miss::Truncated => Miss::Failed(explain::srv_too_large(&self.wanted)),
                failed @ Miss::Failed(_) => failed,
            });
        };
        match miss {
            // A server that refuses SRV may still answer A; one that is down answers nothing. Where SRV was merely
            // tried again, A has been answering.
            Miss::Failed(failure) if failure.kind != FailureKind::Refused && skipped.is_none() => {
                self.without_srv(failure, port, names, now).await
            }
            Miss::Negative(_) | Miss::Truncated | Miss::Failed(_) => {
                lock(&self.names).distrust(now);
                let answer = self.addresses(port, names).await;
                // Without pods, nothing was learnt about SRV; with pods, or with too many, it was.
                if answer.is_ok() || miss == Miss::Truncated {
                    self.skip_srv(now);
                }
                answer
            }
        }
    }

    /// SRV has failed: once, or for good while the addresses can be had?
    ///
    /// WHY: a server whose SRV answer has outgrown a message may say SERVFAIL, and a firewall may drop what it does not
    /// know. One failure is too little to tell: all pods would change their way of being found over one lost packet.
    async fn without_srv(
        &self,
        failure: Failure,
        port: NonZeroU16,
        names: NameBy,
        now: Instant,
    ) -> Result<Answer, Miss> {
        let failures = {
            let mut memory = self.memory();
            memory.srv_failures = memory.srv_failures.saturating_add(1);
            memory.srv_failures
        };
        if failures < SRV_FAILURES {
            return Err(Miss::Failed(failure));
        }
        lock(&self.names).distrust(now);
        match self.addresses(port, names).await {
            Ok(answer) => {
                tracing::info!(
                    service = %self.wanted.service, %failure, failures,
                    "SRV keeps failing while addresses are answered: names are found in another way"
                );
                self.skip_srv(now);
                Ok(answer)
            }
            // DNS as a whole is down: what it said to the first question tells as much.
            Err(Miss::Failed(_)) => Err(Miss::Failed(failure)),
            Err(miss) => Err(miss),
        }
    }

    fn skip_srv(&self, now: Instant) {
        let mut memory = self.memory();
        memory.skip_srv_until = Some(now + TRY_SRV_AGAIN);
        memory.srv_failures = 0;
    }

    /// The pods of an SRV answer.
    async fn listed(
        &self,
        question: &Question,
        records: &Records,
        number: Option<u16>,
        found_by: FoundBy,
    ) -> Result<Answer, Miss> {
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
        match srv::pods(&*self.ask, &self.wanted, listing).await {
            Err(Miss::Truncated) => Err(Miss::Failed(explain::srv_too_large(&self.wanted))),
            answer => {
                self.tell_part(records.truncated, explain::srv_too_large);
                answer
            }
        }
    }

    /// Whether the last answer was cut off.
    #[cfg(test)]
    pub(crate) fn says_part(&self) -> bool {
        self.memory().part_told
    }

    /// Says once that only a part of the pods is known, and once more after it was whole.
    fn tell_part(&self, is_part: bool, why: fn(&Wanted) -> Failure) {
        let told = mem::replace(&mut self.memory().part_told, is_part);
        if is_part && !told {
            let why = why(&self.wanted).detail;
            tracing::warn!(
                service = %self.wanted.service, why,
                "only a part of the pods can be seen: what is seen is used, and nothing is removed"
            );
        }
    }

    async fn addresses(&self, port: NonZeroU16, by: NameBy) -> Result<Answer, Miss> {
        let found = self.addresses_of_service().await?;
        self.tell_part(found.truncated, explain::too_large);
        find_names(by, &*self.ask, &self.wanted, &found, &self.names).await;
        let Addresses { ips, ttl, truncated } = found;
        let names = lock(&self.names);
        let endpoints: Vec<Endpoint> = ips
            .iter()
            .map(|ip| {
                let addr = SocketAddr::new(*ip, port.get());
                match names.pod(*ip) {
                    Some(pod) => named_endpoint(addr, pod.clone(), self.wanted.set.as_deref()),
                    None => Endpoint::new(addr),
                }
            })
            .collect();
        let named = endpoints.iter().any(|endpoint| endpoint.pod().is_some());
        if by == NameBy::PodNames && !named && names.covers(&ips) && !self.memory().set_seen {
            return Err(Miss::Failed(explain::no_such_set_asked(&self.wanted, ips.len())));
        }
        let found_by = if named { by.found_by() } else { FoundBy::Addresses };
        let answer = Answer::new(endpoints, ttl, found_by);
        Ok(if truncated { answer.truncated() } else { answer })
    }

    /// The addresses of the Service, sorted, of one family.
    async fn addresses_of_service(&self) -> Result<Addresses, Miss> {
        let name = self.wanted.service.fqdn();
        let found = addresses(&*self.ask, &name, &self.wanted).await?;
        let ips = nameless_addresses(&found.ips, self.wanted.family);
        if ips.is_empty() && found.truncated {
            return Err(Miss::Truncated);
        }
        if ips.is_empty() {
            let asked = format!("A, AAAA {name} (not counting addresses that no pod can have)");
            return Err(Miss::Negative(Negative::new(
                NegativeKind::NoData,
                Some(found.ttl),
                asked,
            )));
        }
        Ok(Addresses { ips, ..found })
    }

    /// SRV records of the name asked for. An alias is refused, or, where it is allowed, leaves no SRV records.
    async fn srv(&self, question: &Question) -> Reply {
        let records = self.ask.ask(question).await?;
        refuse_too_many(&records, question)?;
        if !self.wanted.external_name {
            refuse_foreign(&records, question)?;
        } else if !srv::has_targets(&records) {
            let none = Negative::new(NegativeKind::NoData, None, question.to_string());
            return Err(Miss::Negative(none));
        }
        Ok(records)
    }

    fn bare_question(&self) -> Question {
        Question::new(Kind::Srv, self.wanted.service.fqdn())
    }

    /// Says once that the number given is none of the ports listed: it is likely the Service's port, not the
    /// container's.
    fn compare_ports(&self, port: NonZeroU16, records: &Records) {
        let mut listed = srv::ports(records);
        listed.remove(&0);
        let mut memory = self.memory();
        if listed.is_empty() || listed.contains(&port.get()) || memory.warned.as_ref() == Some(&listed) {
            return;
        }
        tracing::warn!(
            service = %self.wanted.service, given = port.get(), listed = ?listed,
            "the port given is none of those that the pods publish; a headless Service needs the container's port \
             (targetPort)"
        );
        memory.warned = Some(listed);
    }

    /// Keeps the names that SRV gave. WHY: should SRV fail to help next time, the same pods must not turn into nameless
    /// endpoints.
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

    /// Refuses an answer in which every pod has a name and none belongs to the wanted StatefulSet, unless one did
    /// before.
    fn check_set(&self, answer: Answer) -> Result<Answer, Miss> {
        let Some(set) = self.wanted.set.as_deref() else {
            return Ok(answer);
        };
        let mut memory = self.memory();
        memory.set_seen |= answer.endpoints.iter().any(|e| e.ordinal().is_some());
        if !memory.set_seen && !answer.truncated && answer.endpoints.iter().all(|endpoint| endpoint.pod().is_some()) {
            return Err(Miss::Failed(explain::no_such_set_listed(
                &self.wanted,
                set,
                &answer.endpoints,
            )));
        }
        Ok(answer)
    }

    fn trace(&self, resolution: &Resolution) {
        let service = &self.wanted.service;
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

    /// Never held across an await. A poisoned lock is taken all the same: each field stands for itself.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// SRV is tried again after this: the Service may have got a port, or the DNS server been replaced.
const TRY_SRV_AGAIN: Duration = Duration::from_secs(300);
/// Failures of SRV in a row after which the addresses are asked. Each is two attempts already.
const SRV_FAILURES: u32 = 2;
