//! What the cluster's DNS knows at one moment, and what it answers. Pure: no socket, no clock, no
//! randomness.
//!
//! Source: Kubernetes DNS specification, schema 1.1.0 (kubernetes/dns `docs/specification.md`), and
//! where the specification is silent, the kubernetes plugin of CoreDNS 1.14
//! (`plugin/kubernetes/{kubernetes,parse,reverse}.go`, `plugin/backend_lookup.go`). Must not live
//! here: which pods are ready (`registry`), shuffling and size limits (`responder`, `wire`).

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    endpoint::Endpoint,
    question,
    record::{Data, Name, Record, RecordType},
};
use crate::names::Port;

/// What an SRV query for the bare Service name (`<svc>.<ns>.svc.<zone>`, without port labels) is
/// answered with. The specification does not mention such a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BareSrv {
    /// All ports of all pods, unnamed ones too: CoreDNS.
    #[default]
    AllPorts,
    /// One record per pod, with port 0: kube-dns.
    PortZero,
    /// No record (NODATA): Cloud DNS for GKE.
    Off,
}

/// All records of the cluster, indexed by Service.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    pub(crate) origin: String,
    pub(crate) namespace: String,
    pub(crate) ttl: u32,
    pub(crate) serial: u32,
    pub(crate) bare_srv: BareSrv,
    pub(crate) services: HashMap<String, ListedService>,
}

/// A headless Service with the endpoints DNS lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListedService {
    pub(crate) ports: Vec<Port>,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// What a query is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Found {
        answers: Vec<Record>,
        additional: Vec<Record>,
    },
    NoData(Record),
    NxDomain(Record),
    /// The name belongs to no zone served here.
    Refused,
}

/// Which records a Service name with labels before it means.
enum Scope<'q> {
    Service,
    Endpoint(&'q str),
    Port { name: &'q str, protocol: &'q str },
}

impl Zone {
    /// Answers `qname` as the client wrote it, without the trailing dot.
    pub(crate) fn lookup(&self, qname: &str, rtype: RecordType) -> Answer {
        let asked = qname.to_ascii_lowercase();
        const TRANSFERS: [RecordType; 2] = [RecordType::Other(251), RecordType::Other(252)];
        if TRANSFERS.contains(&rtype) {
            return Answer::Refused;
        }
        if let Some(reverse) = question::reverse_zone(&asked) {
            return self.reverse(&asked, reverse, qname, rtype);
        }
        let Some(relative) = question::relative(&asked, &self.origin) else {
            return Answer::Refused;
        };
        let owner: Name = qname.into();
        let labels: Vec<&str> = relative.split('.').filter(|l| !l.is_empty()).collect();
        match labels.as_slice() {
            [] => self.no_data(),
            // SPEC(k8s-dns 2.2): the schema version is published as TXT.
            ["dns-version"] if rtype == RecordType::Txt => {
                self.found(vec![self.record(owner, Data::Txt("1.1.0".to_owned()))])
            }
            ["dns-version"] => self.no_data(),
            [namespace, "svc"] if *namespace == self.namespace => self.no_data(),
            [before @ .., service, namespace, "svc"] if *namespace == self.namespace => {
                let scope = match before {
                    [] => Scope::Service,
                    [label] => Scope::Endpoint(label),
                    [port, protocol] => Scope::Port {
                        name: port.trim_start_matches('_'),
                        protocol: protocol.trim_start_matches('_'),
                    },
                    _ => return self.nx_domain(),
                };
                match self.services.get(*service) {
                    // SPEC(k8s-dns 2.4.1): no ready endpoint is answered with NXDOMAIN, as a
                    // missing Service is.
                    Some(found) if !found.endpoints.is_empty() => self.service(found, service, &scope, &owner, rtype),
                    _ => self.nx_domain(),
                }
            }
            _ => self.nx_domain(),
        }
    }

    fn service(
        &self,
        service: &ListedService,
        name: &str,
        scope: &Scope<'_>,
        owner: &Name,
        rtype: RecordType,
    ) -> Answer {
        let endpoints: Vec<&Endpoint> = service
            .endpoints
            .iter()
            .filter(|e| !matches!(scope, Scope::Endpoint(label) if *label != e.label))
            .collect();
        let ports: Vec<u16> = match scope {
            Scope::Port { name, protocol } => service
                .ports
                .iter()
                // CoreDNS: an empty label matches any port (`_._tcp.<svc>`), unnamed ones too.
                .filter(|port| name.is_empty() || port.name.as_deref() == Some(*name))
                .filter(|_| matches!(*protocol, "tcp" | ""))
                .map(|port| port.number)
                .collect(),
            Scope::Service | Scope::Endpoint(_) => match self.bare_srv {
                BareSrv::AllPorts => service.ports.iter().map(|port| port.number).collect(),
                BareSrv::PortZero => vec![0],
                BareSrv::Off => Vec::new(),
            },
        };
        if endpoints.is_empty() || (matches!(scope, Scope::Port { .. }) && ports.is_empty()) {
            return self.nx_domain();
        }
        match (rtype, scope) {
            (RecordType::A | RecordType::Aaaa, Scope::Service | Scope::Endpoint(_)) => {
                let mut seen = HashSet::new();
                let answers = endpoints
                    .iter()
                    .flat_map(|e| e.addresses())
                    .filter(|data| data.rtype() == rtype && seen.insert(address(data)))
                    .map(|data| self.record(Arc::clone(owner), data))
                    .collect();
                self.found(answers)
            }
            (RecordType::Srv, _) => self.srv(&endpoints, &ports, name, owner),
            _ => self.no_data(),
        }
    }

    fn srv(&self, endpoints: &[&Endpoint], ports: &[u16], service: &str, owner: &Name) -> Answer {
        let targets: Vec<Name> = endpoints.iter().map(|e| self.endpoint_name(e, service)).collect();
        let weight = (100 / (endpoints.len() * ports.len()).max(1)).max(1) as u16;
        let mut seen = HashSet::new();
        let mut answers = Vec::new();
        let mut additional = Vec::new();
        for &port in ports {
            for target in &targets {
                if seen.insert((Arc::clone(target), port)) {
                    let data = Data::Srv {
                        weight,
                        port,
                        target: Arc::clone(target),
                    };
                    answers.push(self.record(Arc::clone(owner), data));
                }
            }
        }
        if !answers.is_empty() {
            for (endpoint, target) in endpoints.iter().zip(&targets) {
                let addresses = endpoint.addresses();
                additional.extend(addresses.map(|data| self.record(Arc::clone(target), data)));
            }
        }
        match answers.is_empty() {
            true => self.no_data(),
            false => Answer::Found { answers, additional },
        }
    }

    /// SPEC(k8s-dns 2.4.4) asks PTR for endpoints with a hostname; CoreDNS answers for all, once
    /// per Service that lists the pod.
    fn reverse(&self, asked: &str, zone: &str, qname: &str, rtype: RecordType) -> Answer {
        let ip = question::reverse_ip(asked);
        let mut answers = Vec::new();
        let mut services: Vec<_> = self.services.iter().collect();
        services.sort_by_key(|service| service.0);
        for (name, service) in services {
            let matching = service.endpoints.iter().filter(|e| match ip {
                Some(IpAddr::V4(ip)) => e.v4 == Some(ip),
                Some(IpAddr::V6(ip)) => e.v6 == Some(ip),
                None => false,
            });
            answers.extend(matching.map(|e| {
                let data = Data::Ptr(self.endpoint_name(e, name));
                self.record(qname.into(), data)
            }));
        }
        let soa = self.soa(zone);
        match answers.is_empty() {
            true if asked == zone => Answer::NoData(soa),
            true => Answer::NxDomain(soa),
            false if rtype != RecordType::Ptr => Answer::NoData(soa),
            false => self.found(answers),
        }
    }

    fn endpoint_name(&self, endpoint: &Endpoint, service: &str) -> Name {
        let (label, namespace, origin) = (&endpoint.label, &self.namespace, &self.origin);
        format!("{label}.{service}.{namespace}.svc.{origin}").into()
    }

    fn found(&self, answers: Vec<Record>) -> Answer {
        match answers.is_empty() {
            true => self.no_data(),
            false => Answer::Found {
                answers,
                additional: Vec::new(),
            },
        }
    }

    fn record(&self, owner: Name, data: Data) -> Record {
        Record {
            owner,
            ttl: self.ttl,
            data,
        }
    }

    pub(crate) fn no_data(&self) -> Answer {
        Answer::NoData(self.soa(&self.origin))
    }

    pub(crate) fn nx_domain(&self) -> Answer {
        Answer::NxDomain(self.soa(&self.origin))
    }

    fn soa(&self, zone: &str) -> Record {
        const LONGEST: u32 = 300;
        Record {
            owner: zone.into(),
            ttl: self.ttl.min(LONGEST),
            data: Data::Soa {
                mname: format!("ns.dns.{zone}").into(),
                rname: format!("hostmaster.{zone}").into(),
                serial: self.serial,
                minimum: self.ttl,
            },
        }
    }
}

fn address(data: &Data) -> Option<IpAddr> {
    match data {
        Data::A(ip) => Some(IpAddr::V4(*ip)),
        Data::Aaaa(ip) => Some(IpAddr::V6(*ip)),
        Data::Cname(_) | Data::Ptr(_) | Data::Txt(_) | Data::Srv { .. } | Data::Soa { .. } => None,
    }
}
