//! The lookup against a scripted DNS: a table of replies and a list of the questions, without
//! sockets and real time. Only `wire` opens sockets, to its own servers on loopback.

mod bad_input;
mod builder;
mod confirm;
mod hostile;
mod memory;
mod properties;
mod strategies;
mod verifier;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headless_core::{BoxFuture, Failure, FailureKind, Negative, NegativeKind, Resolution, ServiceName, Target};

use crate::IpFamily;
use crate::Naming;
use crate::lookup::Lookup;
use crate::params::LookupParams;
use crate::records::{Data, Kind, LookupError, Question, Record, Records, Reply, Transport};
use crate::strategy::Plan;

const SERVICE: &str = "web.shop.svc.cluster.local.";
const NAMED: &str = "_http._tcp.web.shop.svc.cluster.local.";

/// A DNS that answers from a script and remembers the questions. A name without any record does not
/// exist.
#[derive(Clone, Default)]
struct Script {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    replies: BTreeMap<Question, Reply>,
    asked: Vec<Question>,
    under_way: usize,
    most_under_way: usize,
}

impl Script {
    fn set(&self, kind: Kind, name: &str, reply: Reply) -> &Self {
        self.state
            .lock()
            .unwrap()
            .replies
            .insert(Question::new(kind, name), reply);
        self
    }

    fn remove(&self, kind: Kind, name: &str) -> &Self {
        self.state.lock().unwrap().replies.remove(&Question::new(kind, name));
        self
    }

    /// Sets the addresses of `name`, as A and AAAA records with a TTL of 5 s.
    fn ips(&self, name: &str, ips: &[&str]) -> &Self {
        self.remove(Kind::A, name).remove(Kind::Aaaa, name);
        for (kind, v4) in [(Kind::A, true), (Kind::Aaaa, false)] {
            let records: Vec<Record> = ips
                .iter()
                .map(|ip| address(name, ip))
                .filter(|r| is_v4(r) == v4)
                .collect();
            if !records.is_empty() {
                self.set(
                    kind,
                    name,
                    Ok(Records {
                        answers: records,
                        ..Records::default()
                    }),
                );
            }
        }
        self
    }

    /// Sets SRV records at `name`, one for each target, port and address. The addresses are in the
    /// additional section, in another order.
    fn srv(&self, name: &str, pods: &[(&str, u16, &str)]) -> &Self {
        let srv = |(target, port, _): &(&str, u16, &str)| {
            record(
                name,
                5,
                Data::Srv {
                    target: under_service(target),
                    port: *port,
                },
            )
        };
        let glue = |(target, _, ip): &(&str, u16, &str)| (!ip.is_empty()).then(|| address(&under_service(target), ip));
        let answers = pods.iter().map(srv).collect();
        let additionals = pods.iter().rev().filter_map(glue).collect();
        self.set(
            Kind::Srv,
            name,
            Ok(Records {
                answers,
                additionals,
                ..Records::default()
            }),
        )
    }

    /// Sets a pod's own name and its PTR.
    fn pod(&self, pod: &str, ip: &str) -> &Self {
        self.ips(&under_service(pod), &[ip]).ptr(ip, &[&under_service(pod)])
    }

    fn ptr(&self, ip: &str, names: &[&str]) -> &Self {
        let question = Question::reverse(ip.parse().unwrap());
        let answers = names
            .iter()
            .map(|name| record(&question.name, 30, Data::Name((*name).to_owned())))
            .collect();
        self.set(
            Kind::Ptr,
            &question.name,
            Ok(Records {
                answers,
                ..Records::default()
            }),
        )
    }

    /// Returns the questions since the last call, each once, sorted, without the zone.
    fn asked(&self) -> Vec<String> {
        let short = |q: Question| {
            q.to_string()
                .replace(".shop.svc.cluster.local.", "")
                .replace(".in-addr.arpa.", "")
        };
        let asked: BTreeSet<String> = self.state.lock().unwrap().asked.drain(..).map(short).collect();
        asked.into_iter().collect()
    }

    fn count(&self) -> usize {
        self.state.lock().unwrap().asked.drain(..).count()
    }

    fn reply(&self, question: &Question) -> Reply {
        let state = self.state.lock().unwrap();
        state.replies.get(question).cloned().unwrap_or_else(|| {
            let exists = state
                .replies
                .iter()
                .any(|(other, reply)| other.name == question.name && reply.is_ok());
            let kind = if exists {
                NegativeKind::NoData
            } else {
                NegativeKind::NoSuchName
            };
            Err(LookupError::Negative(Negative::new(
                kind,
                Some(Duration::from_secs(5)),
                question.to_string(),
            )))
        })
    }
}

impl Transport for Script {
    fn query<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            {
                let mut state = self.state.lock().unwrap();
                state.asked.push(question.clone());
                state.under_way += 1;
                state.most_under_way = state.most_under_way.max(state.under_way);
            }
            tokio::task::yield_now().await;
            self.state.lock().unwrap().under_way -= 1;
            self.reply(question)
        })
    }
}

/// A lookup of `web.shop` with some settings.
struct Setup {
    port: &'static str,
    naming: Naming,
    family: IpFamily,
    set: Option<&'static str>,
    first_ordinal: u32,
    external_name: bool,
}

impl Setup {
    fn port(port: &'static str) -> Self {
        Self {
            port,
            naming: Naming::Auto,
            family: IpFamily::PreferV4,
            set: None,
            first_ordinal: 0,
            external_name: false,
        }
    }

    fn lookup(self, script: &Script) -> Lookup {
        let port = if self.port.is_empty() {
            String::new()
        } else {
            format!(":{}", self.port)
        };
        let target: Target = format!("web.shop{port}").parse().unwrap();
        let params = LookupParams {
            service: ServiceName::new("web", "shop", "cluster.local").unwrap(),
            family: self.family,
            set: self.set.map(Into::into),
            first_ordinal: self.first_ordinal,
            external_name: self.external_name,
        };
        let plan = Plan::new("web.shop", target.port(), self.naming, self.set.is_some()).unwrap();
        Lookup::new(params, plan, Box::new(script.clone()))
    }
}

/// Returns a lookup of `web.shop:80`, with IPv4 only.
fn v4_lookup(script: &Script, set: Option<&'static str>) -> Lookup {
    Setup {
        set,
        family: IpFamily::V4Only,
        ..Setup::port("80")
    }
    .lookup(script)
}

fn record(owner: &str, ttl: u64, data: Data) -> Record {
    Record {
        owner: owner.to_owned(),
        ttl: Duration::from_secs(ttl),
        data,
    }
}

fn address(owner: &str, ip: &str) -> Record {
    record(owner, 5, Data::Ip(ip.parse().unwrap()))
}

fn is_v4(record: &Record) -> bool {
    matches!(record.data, Data::Ip(IpAddr::V4(_)))
}

/// `web-0` → `web-0.web.shop.svc.cluster.local.`; an absolute name stays as it is.
fn under_service(pod: &str) -> String {
    if pod.ends_with('.') {
        pod.to_owned()
    } else {
        format!("{pod}.{SERVICE}")
    }
}

fn failing(kind: FailureKind) -> Reply {
    Err(LookupError::failed(kind, "scripted"))
}

/// Returns the strategy and the endpoints as text, with the ordinal after a `#`.
async fn found(lookup: &Lookup) -> (String, Vec<String>) {
    match lookup.resolve().await {
        Resolution::Found(answer) => {
            let text = |e: &headless_core::Endpoint| match e.ordinal() {
                Some(ordinal) => format!("{e} #{ordinal}"),
                None => e.to_string(),
            };
            (answer.found_by.to_string(), answer.endpoints.iter().map(text).collect())
        }
        other => panic!("{other:?}"),
    }
}

async fn failed(lookup: &Lookup) -> Failure {
    match lookup.resolve().await {
        Resolution::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

async fn no_endpoints(lookup: &Lookup) -> Negative {
    match lookup.resolve().await {
        Resolution::NoEndpoints(negative) => negative,
        other => panic!("{other:?}"),
    }
}

fn says(failure: &Failure, kind: FailureKind, parts: &[&str]) {
    assert_eq!(failure.kind, kind, "{failure}");
    for part in parts {
        assert!(failure.detail.contains(part), "`{part}` in: {failure}");
    }
}
