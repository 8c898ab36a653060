//! From one request to the bytes of its reply: log, faults, cache, zone, shuffle, encoding. No
//! socket here.

use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;
use hickory_proto::op::Message;
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

use super::{
    cache::Cache,
    endpoint::Endpoint,
    log::{Log, Query, Transport},
    record::{Data, Record, RecordType},
    wire::{Rcode, Reply},
    zone::{Answer, Zone},
};
use crate::{
    event::{Event, Hub},
    fault::{Fault, FaultRule, ForgedAnswer},
    lock::lock,
    registry::Registry,
};

/// UDP limit of a query without OPT record, and the least that an OPT record can ask for (RFC 6891
/// section 6.2.3).
const PLAIN_UDP: u16 = 512;
/// Bytes of a message before its question.
const HEADER: usize = 12;
const TCP_LIMIT: usize = u16::MAX as usize;

/// What the server does with a request: `reply` after `delay`, or nothing.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) delay: Duration,
    pub(super) reply: Option<Vec<u8>>,
}

/// Everything the DNS server needs to answer.
#[derive(Debug)]
pub(crate) struct Responder {
    pub(super) registry: Arc<Registry>,
    hub: Arc<Hub>,
    state: Mutex<State>,
    /// Number of queries so far.
    pub(super) arrived: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) log: Log,
    pub(super) rules: Vec<(u64, FaultRule)>,
    pub(super) next_rule: u64,
    pub(super) cache: Option<Cache>,
    pub(super) frozen: Option<Arc<Zone>>,
    rng: Rng,
}

impl Responder {
    pub(crate) fn new(registry: Arc<Registry>, hub: Arc<Hub>, seed: u64, cache: bool) -> Self {
        Self {
            registry,
            hub,
            state: Mutex::new(State {
                log: Log::default(),
                rules: Vec::new(),
                next_rule: 0,
                cache: cache.then(Cache::default),
                frozen: None,
                rng: Rng::with_seed(seed),
            }),
            arrived: watch::Sender::new(0),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// `bytes` are those that `request` was read from.
    pub(super) fn respond(&self, request: &Message, bytes: &[u8], transport: Transport) -> Outcome {
        let tcp = transport == Transport::Tcp;
        let mut reply = Reply {
            id: request.metadata.id,
            opcode: request.metadata.op_code.into(),
            recursion_desired: request.metadata.recursion_desired,
            authoritative: false,
            truncated: false,
            rcode: Rcode::NoError,
            question: question_in(bytes, request),
            qname: "",
            answers: &[],
            authority: &[],
            additional: &[],
            opt: request.edns.as_ref().map(|_| request.max_payload()),
        };
        let limit = match (tcp, &request.edns) {
            (true, _) => TCP_LIMIT,
            (false, Some(_)) => usize::from(request.max_payload().max(PLAIN_UDP)),
            (false, None) => usize::from(PLAIN_UDP),
        };
        let [question] = &*request.queries else {
            reply.rcode = Rcode::FormErr;
            reply.question = &[];
            return Outcome::now(reply.encode(limit));
        };
        if reply.opcode != 0 {
            reply.rcode = Rcode::NotImp;
            return Outcome::now(reply.encode(limit));
        }
        let qname = text(question.name());
        reply.qname = &qname;
        let query = Query {
            name: qname.to_ascii_lowercase(),
            rtype: RecordType::from_code(question.query_type().into()),
            transport,
        };
        let mut state = self.state();
        state.log.record(&query);
        self.arrived.send_modify(|count| *count += 1);
        self.hub.send(|| Event::DnsQuery(query.clone()));
        let (delay, fault) = state.take_faults(&query);
        let reply = self.answer(&mut state, reply, &query, fault, limit);
        Outcome { delay, reply }
    }

    fn answer(
        &self,
        state: &mut State,
        mut reply: Reply<'_>,
        query: &Query,
        fault: Option<Fault>,
        limit: usize,
    ) -> Option<Vec<u8>> {
        let zone = match &state.frozen {
            Some(zone) => Arc::clone(zone),
            None => self.registry.zone(),
        };
        let qname = reply.qname;
        let mut keep = None;
        let answer = match fault {
            Some(Fault::Drop) => return None,
            Some(Fault::Malformed) => return Some(malformed(&reply)),
            Some(Fault::ServFail) => {
                reply.rcode = Rcode::ServFail;
                return Some(reply.encode(limit));
            }
            Some(Fault::Refused) => Answer::Refused,
            Some(Fault::NxDomain) => zone.nx_domain(),
            Some(Fault::NoData) => zone.no_data(),
            Some(Fault::Forge(forged)) => forge(&zone, &forged, qname, query.rtype),
            Some(Fault::Truncate { keep: count }) => {
                keep = Some(count);
                zone.lookup(qname, query.rtype)
            }
            Some(Fault::Delay(_)) | None => {
                let fresh = || (zone.ttl, zone.lookup(qname, query.rtype));
                match &mut state.cache {
                    Some(cache) => cache.answer(Instant::now(), qname, query.rtype, fresh),
                    None => fresh().1,
                }
            }
        };
        reply.authoritative = answer != Answer::Refused;
        let (mut answers, mut authority, mut additional) = (Vec::new(), Vec::new(), Vec::new());
        match answer {
            Answer::Found {
                answers: found,
                additional: more,
            } => (answers, additional) = (found, more),
            Answer::NoData(soa) => authority.push(soa),
            Answer::NxDomain(soa) => {
                reply.rcode = Rcode::NxDomain;
                authority.push(soa);
            }
            Answer::Refused => reply.rcode = Rcode::Refused,
        }
        // CoreDNS's loadbalance plugin: addresses in random order, SRV left alone. It runs before
        // the cut, so that a truncated reply carries a random subset.
        shuffle_addresses(&mut state.rng, &mut answers);
        shuffle_addresses(&mut state.rng, &mut additional);
        if let Some(keep) = keep {
            state.rng.shuffle(&mut answers);
            answers.truncate(keep);
            additional.clear();
            reply.truncated = true;
        }
        let reply = Reply {
            answers: &answers,
            authority: &authority,
            additional: &additional,
            ..reply
        };
        Some(reply.encode(limit))
    }
}

impl Outcome {
    fn now(reply: Vec<u8>) -> Self {
        Self {
            delay: Duration::ZERO,
            reply: Some(reply),
        }
    }
}

impl State {
    /// Returns the total delay and the first other fault that apply to `query`; counts them down.
    fn take_faults(&mut self, query: &Query) -> (Duration, Option<Fault>) {
        let mut delay = Duration::ZERO;
        let mut fault = None;
        for (_, rule) in &mut self.rules {
            if !rule.matches(query) {
                continue;
            }
            match &rule.fault {
                Fault::Delay(by) => delay += *by,
                _ if fault.is_some() => continue,
                other => fault = Some(other.clone()),
            }
            if let Some(left) = &mut rule.left {
                *left = left.saturating_sub(1);
            }
        }
        self.rules.retain(|(_, rule)| rule.left != Some(0));
        (delay, fault)
    }
}

fn forge(zone: &Zone, forged: &ForgedAnswer, qname: &str, rtype: RecordType) -> Answer {
    let mut zone = zone.clone();
    for service in zone.services.values_mut() {
        service.endpoints.retain(|e| !forged.omit.contains(&e.pod));
        let foreign = forged.add.iter().map(|ip| Endpoint::foreign(*ip));
        service.endpoints.extend(foreign);
    }
    let mut answer = zone.lookup(qname, rtype);
    if let (Some(target), Answer::Found { answers, .. }) = (&forged.cname, &mut answer) {
        for record in answers.iter_mut() {
            record.owner = target.as_str().into();
        }
        let alias = Record {
            owner: qname.into(),
            ttl: zone.ttl,
            data: Data::Cname(target.as_str().into()),
        };
        answers.insert(0, alias);
    }
    answer
}

/// A header that promises one answer, the question, and nothing else.
fn malformed(reply: &Reply<'_>) -> Vec<u8> {
    let mut bytes = reply.encode(TCP_LIMIT);
    bytes.truncate(12 + reply.question.len());
    bytes[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    bytes
}

fn shuffle_addresses(rng: &mut Rng, records: &mut [Record]) {
    let is_address = |record: &Record| matches!(record.data, Data::A(_) | Data::Aaaa(_));
    let places: Vec<usize> = (0..records.len()).filter(|at| is_address(&records[*at])).collect();
    for last in (1..places.len()).rev() {
        records.swap(places[last], places[rng.usize(..=last)]);
    }
}

/// The question as it was asked, to be repeated in the reply: the same bytes, in the same case.
fn question_in<'b>(bytes: &'b [u8], request: &Message) -> &'b [u8] {
    let [question] = &*request.queries else { return &[] };
    // Each label has a length before it, and the last one is empty; then the type and the class.
    let name: usize = question.name().iter().map(|label| label.len() + 1).sum();
    bytes.get(HEADER..HEADER + name + 5).unwrap_or_default()
}

/// The name as text, without the trailing dot. Bytes that no Kubernetes name has become U+FFFD, and
/// the name is then unknown.
fn text(name: &hickory_proto::rr::Name) -> String {
    let labels: Vec<_> = name.iter().map(String::from_utf8_lossy).collect();
    labels.join(".")
}
