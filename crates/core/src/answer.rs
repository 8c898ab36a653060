//! What one lookup of a Service came to: [`Resolution`], in words that no resolver library owns.
//!
//! Three kinds, which mean three different things to [`Refresh`](crate::Refresh): pods were found, DNS says there are none,
//! or DNS did not say. Also [`AnswerBuilder`], which makes endpoints of records: SRV targets meet addresses by *owner name*
//! (CoreDNS shuffles the additional section, so never by position). No lookup happens here.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::{Endpoint, PodName, ServiceName};

/// The outcome of one lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolution {
    /// Ready pods.
    Found(Answer),
    /// DNS says that there are none. Zero ready pods, a deleted Service and a wrong namespace look alike.
    /// SPEC(k8s-dns 2.4.1): a headless Service without ready endpoints is answered with NXDOMAIN.
    NoEndpoints(Negative),
    /// DNS did not say: nothing is known that was not known before.
    Failed(Failure),
}

/// The pods one lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Each endpoint once, in no particular order.
    pub endpoints: Vec<Endpoint>,
    /// The smallest TTL among the records used.
    pub ttl: Duration,
    /// Some records did not fit into the message: pods may be missing, so nothing may be removed on its word.
    pub truncated: bool,
    /// Which way the pods and their names were found.
    pub found_by: FoundBy,
}

impl Answer {
    /// A complete answer.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>, ttl: Duration, found_by: FoundBy) -> Self {
        Self {
            endpoints,
            ttl,
            truncated: false,
            found_by,
        }
    }

    /// The same answer, marked as cut short.
    #[must_use]
    pub fn truncated(mut self) -> Self {
        self.truncated = true;
        self
    }
}

/// The ways to learn a Service's pods from DNS, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FoundBy {
    /// SRV of a named port: names, addresses and ports in one query, on every DNS server.
    NamedPort,
    /// SRV at the Service's own name: CoreDNS and kube-dns answer it, also for ports without a name.
    ServiceSrv,
    /// A/AAAA of the Service, and of each `<set>-<k>` below it.
    PodNames,
    /// A/AAAA of the Service, and the PTR of each address, confirmed by a forward lookup.
    Reverse,
    /// A/AAAA of the Service only: addresses without names.
    Addresses,
    /// Not by DNS: a list given by the program.
    Static,
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NamedPort => "SRV of the named port",
            Self::ServiceSrv => "SRV of the Service",
            Self::PodNames => "A/AAAA with pod names",
            Self::Reverse => "A/AAAA with PTR",
            Self::Addresses => "A/AAAA",
            Self::Static => "a static list",
        })
    }
}

/// DNS says that the Service has no ready pods.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negative {
    /// How it said so.
    pub kind: NegativeKind,
    /// How long the server lets this be believed (from the SOA record), if it said.
    pub ttl: Option<Duration>,
    /// What was asked, for error messages: `A web.shop.svc.cluster.local.`.
    pub question: String,
}

impl Negative {
    /// A negative answer to `question`.
    #[must_use]
    pub fn new(kind: NegativeKind, ttl: Option<Duration>, question: impl Into<String>) -> Self {
        Self {
            kind,
            ttl,
            question: question.into(),
        }
    }
}

impl fmt::Display for Negative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered with {}", self.question, self.kind)
    }
}

/// The two negative answers of DNS (RFC 2308).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NegativeKind {
    /// NXDOMAIN: the name does not exist.
    NoSuchName,
    /// NODATA, for every address family asked: the name exists, without such records.
    NoData,
}

impl fmt::Display for NegativeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchName => "NXDOMAIN",
            Self::NoData => "no records (NODATA)",
        })
    }
}

/// DNS did not say. Never a reason to remove a pod (invariant I5).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// What was asked, of whom, and what came back, in one sentence for the person who reads the log.
    pub detail: String,
}

impl Failure {
    /// A failure of `kind`; `detail` completes the sentence.
    #[must_use]
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}

impl std::error::Error for Failure {}

/// The kinds of [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The server could not answer (SERVFAIL): CoreDNS not synced, or a cache that lost its upstream.
    ServFail,
    /// The server would not answer (REFUSED), or another error code.
    Refused,
    /// No answer in time.
    Timeout,
    /// The server could not be reached.
    Io,
    /// The answer could not be read.
    Malformed,
    /// The set does not fit into a DNS message, even over TCP.
    TooLarge,
    /// The answer speaks of other names than were asked (a CNAME, a foreign owner).
    Foreign,
    /// The question itself cannot work; asking again will not help until something is changed.
    Misconfigured,
}

impl FailureKind {
    /// Every kind, for tables and counters.
    pub const ALL: &[Self] = &[
        Self::ServFail,
        Self::Refused,
        Self::Timeout,
        Self::Io,
        Self::Malformed,
        Self::TooLarge,
        Self::Foreign,
        Self::Misconfigured,
    ];
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServFail => "DNS server failure (SERVFAIL)",
            Self::Refused => "DNS server refused",
            Self::Timeout => "DNS timed out",
            Self::Io => "DNS server unreachable",
            Self::Malformed => "DNS answer unreadable",
            Self::TooLarge => "DNS answer too large",
            Self::Foreign => "DNS answer about another name",
            Self::Misconfigured => "name and cluster do not fit together",
        })
    }
}

/// Which IP addresses of a pod count. A pod is *one* endpoint even when it has one address of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum IpFamily {
    /// IPv4; IPv6 for a pod that has no IPv4 address. The default: it works in single- and dual-stack clusters.
    #[default]
    PreferV4,
    /// IPv6; IPv4 for a pod that has no IPv6 address.
    PreferV6,
    /// IPv4 only; AAAA is never asked.
    V4Only,
    /// IPv6 only; A is never asked.
    V6Only,
}

impl IpFamily {
    /// Whether A records are wanted.
    #[must_use]
    pub const fn wants_v4(self) -> bool {
        !matches!(self, Self::V6Only)
    }

    /// Whether AAAA records are wanted.
    #[must_use]
    pub const fn wants_v6(self) -> bool {
        !matches!(self, Self::V4Only)
    }

    /// Of the addresses of one pod, those of the preferred family, or of the other if there are none.
    fn choose(self, ips: impl Iterator<Item = IpAddr> + Clone) -> Vec<IpAddr> {
        let of = |v4: bool| -> Vec<IpAddr> { ips.clone().filter(|ip| ip.is_ipv4() == v4).collect() };
        match self {
            Self::V4Only => of(true),
            Self::V6Only => of(false),
            Self::PreferV4 => Some(of(true)).filter(|v4| !v4.is_empty()).unwrap_or_else(|| of(false)),
            Self::PreferV6 => Some(of(false)).filter(|v6| !v6.is_empty()).unwrap_or_else(|| of(true)),
        }
    }
}

/// Makes endpoints of the records of one lookup.
///
/// Addresses that no pod can have (unspecified, broadcast, multicast) are refused and counted, pods of another Service too.
///
/// ```
/// use headless_core::{AnswerBuilder, FoundBy, IpFamily, ServiceName};
/// use std::time::Duration;
///
/// let web = ServiceName::new("web", "shop", "cluster.local")?;
/// let mut records = AnswerBuilder::new(&web, IpFamily::PreferV4);
/// records.srv("web-1.web.shop.svc.cluster.local.", 8080);
/// records.srv("web-0.web.shop.svc.cluster.local.", 8080);
/// records.address("WEB-0.web.shop.svc.cluster.local.", "10.0.0.7".parse().unwrap()); // matched by name, case folded
/// assert_eq!(records.targets_without_address(), ["web-1.web.shop.svc.cluster.local"]);
/// records.address("web-1.web.shop.svc.cluster.local.", "10.0.0.9".parse().unwrap());
/// let answer = records.finish(Duration::from_secs(5), FoundBy::NamedPort);
/// assert_eq!(answer.endpoints.len(), 2);
/// assert_eq!(answer.endpoints[0].to_string(), "web-0 (10.0.0.7:8080)");
/// # Ok::<(), headless_core::NameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AnswerBuilder<'a> {
    service: &'a ServiceName,
    family: IpFamily,
    set: Option<&'a str>,
    /// Target name → ports and addresses. A BTreeMap, so that nothing depends on hash order.
    targets: BTreeMap<String, TargetRecords>,
    refused: usize,
}

#[derive(Clone, Debug, Default)]
struct TargetRecords {
    ports: Vec<u16>,
    ips: Vec<IpAddr>,
}

impl<'a> AnswerBuilder<'a> {
    /// No records yet.
    #[must_use]
    pub fn new(service: &'a ServiceName, family: IpFamily) -> Self {
        Self {
            service,
            family,
            set: None,
            targets: BTreeMap::new(),
            refused: 0,
        }
    }

    /// Gives ordinals to the pods of this StatefulSet only. Without it, every name of the shape `<set>-<digits>` has one.
    #[must_use]
    pub fn only_set(mut self, set: Option<&'a str>) -> Self {
        self.set = set;
        self
    }

    /// An SRV record: this pod has this port.
    pub fn srv(&mut self, target: &str, port: u16) {
        let target = fold(target);
        if self.service.pod_of(&target).is_none() || port == 0 {
            self.refused += 1;
            return;
        }
        let ports = &mut self.targets.entry(target).or_default().ports;
        if !ports.contains(&port) {
            ports.push(port);
        }
    }

    /// An A or AAAA record. It counts only if an SRV record names its owner, before or after.
    pub fn address(&mut self, owner: &str, ip: IpAddr) {
        if !can_be_a_pod(ip) {
            self.refused += 1;
            return;
        }
        let ips = &mut self.targets.entry(fold(owner)).or_default().ips;
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }

    /// The SRV targets whose address is still missing, to be looked up one by one.
    #[must_use]
    pub fn targets_without_address(&self) -> Vec<String> {
        let missing = |t: &TargetRecords| !t.ports.is_empty() && self.family.choose(t.ips.iter().copied()).is_empty();
        self.targets
            .iter()
            .filter(|(name, t)| missing(t) && !self.is_named_after_address(name, t))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Whether `name` is `target`'s address written with dashes. Such a name has no other address, and the pod behind it
    /// may have another such name: a pod without hostname has one for each of its addresses.
    fn is_named_after_address(&self, name: &str, target: &TargetRecords) -> bool {
        let pod = self.service.pod_of(name);
        pod.is_some_and(|pod| target.ips.iter().any(|ip| pod.is_dashed(*ip)))
    }

    /// The ports that the SRV records name, each once, sorted.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.targets.values().flat_map(|t| t.ports.iter().copied()).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// Keeps the pods, replaces their ports by `port`: the user named a number, the SRV records served for the names.
    pub fn set_port(&mut self, port: u16) {
        for target in self.targets.values_mut().filter(|t| !t.ports.is_empty()) {
            target.ports = vec![port];
        }
    }

    /// How many records were refused so far.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// The answer: one endpoint per pod, port and address of the chosen family, sorted.
    #[must_use]
    pub fn finish(self, ttl: Duration, found_by: FoundBy) -> Answer {
        // Nobody can tell which two dashed names are one pod; one family for all counts each pod once.
        let dashed = self
            .targets
            .iter()
            .filter(|(name, t)| !t.ports.is_empty() && self.is_named_after_address(name, t));
        let dashed: Vec<IpAddr> = dashed.flat_map(|(_, t)| t.ips.iter().copied()).collect();
        let dashed_v4 = self.family.choose(dashed.iter().copied()).first().map(IpAddr::is_ipv4);
        let mut endpoints = Vec::with_capacity(self.targets.len());
        for (name, target) in &self.targets {
            let Some(pod) = self.service.pod_of(name) else { continue };
            for ip in self.family.choose(target.ips.iter().copied()) {
                if pod.is_dashed(ip) && dashed_v4 != Some(ip.is_ipv4()) {
                    continue;
                }
                for &port in &target.ports {
                    endpoints.push(named_endpoint(SocketAddr::new(ip, port), pod.clone(), self.set));
                }
            }
        }
        endpoints.sort_unstable();
        Answer::new(endpoints, ttl, found_by)
    }
}

/// An endpoint of `pod`; with `set`, the ordinal is kept only for pods of that StatefulSet.
#[must_use]
pub fn named_endpoint(addr: SocketAddr, pod: PodName, set: Option<&str>) -> Endpoint {
    let in_set = set.is_none_or(|set| pod.set() == Some(set));
    let endpoint = Endpoint::new(addr).with_pod(pod);
    if in_set { endpoint } else { endpoint.without_ordinal() }
}

/// Of the addresses of a Service that came without names, those of the chosen family that a pod can have, sorted, each once.
///
/// Without names nobody can tell which A and which AAAA belong to one pod; one family for all counts each pod once.
#[must_use]
pub fn nameless_addresses(ips: &[IpAddr], family: IpFamily) -> Vec<IpAddr> {
    let mut ips = family.choose(ips.iter().copied().filter(|ip| can_be_a_pod(*ip)));
    ips.sort_unstable();
    ips.dedup();
    ips
}

/// Whether `ip` can be a pod's address at all.
#[must_use]
pub fn can_be_a_pod(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}

fn fold(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> ServiceName {
        ServiceName::new("web", "shop", "cluster.local").unwrap()
    }

    fn pod(k: u32) -> String {
        format!("web-{k}.web.shop.svc.cluster.local.")
    }

    fn finish(builder: AnswerBuilder<'_>) -> Vec<String> {
        let answer = builder.finish(Duration::from_secs(5), FoundBy::NamedPort);
        answer.endpoints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_dual_stack_pod_is_one_endpoint() {
        let service = web();
        for (family, want) in [
            (IpFamily::PreferV4, vec!["web-0 (10.0.0.1:80)", "web-1 ([fd00::2]:80)"]),
            (IpFamily::PreferV6, vec!["web-0 ([fd00::1]:80)", "web-1 ([fd00::2]:80)"]),
            (IpFamily::V4Only, vec!["web-0 (10.0.0.1:80)"]),
            (IpFamily::V6Only, vec!["web-0 ([fd00::1]:80)", "web-1 ([fd00::2]:80)"]),
        ] {
            let mut records = AnswerBuilder::new(&service, family);
            records.srv(&pod(0), 80);
            records.srv(&pod(1), 80);
            records.address(&pod(1), "fd00::2".parse().unwrap());
            records.address(&pod(0), "fd00::1".parse().unwrap());
            records.address(&pod(0), "10.0.0.1".parse().unwrap());
            assert_eq!(finish(records), want, "{family:?}");
        }
    }

    /// CoreDNS, for a pod without hostname: one name, and one SRV record, for each of its addresses.
    #[test]
    fn a_dual_stack_pod_without_hostname_is_one_endpoint() {
        for (family, expected) in [
            (IpFamily::PreferV4, "10-0-0-1 (10.0.0.1:80)"),
            (IpFamily::V4Only, "10-0-0-1 (10.0.0.1:80)"),
            (IpFamily::PreferV6, "fd00--1 ([fd00::1]:80)"),
            (IpFamily::V6Only, "fd00--1 ([fd00::1]:80)"),
        ] {
            let service = web();
            let mut records = AnswerBuilder::new(&service, family);
            for (label, ip) in [("10-0-0-1", "10.0.0.1"), ("fd00--1", "fd00::1")] {
                let name = format!("{label}.web.shop.svc.cluster.local.");
                records.srv(&name, 80);
                assert_eq!(records.targets_without_address(), [name.trim_end_matches('.')]);
                records.address(&name, ip.parse().unwrap());
                assert!(records.targets_without_address().is_empty(), "it has no other address");
            }
            assert_eq!(finish(records), [expected], "{family:?}");
        }
    }

    #[test]
    fn several_addresses_of_one_name_are_all_kept() {
        let service = web();
        let mut records = AnswerBuilder::new(&service, IpFamily::PreferV4);
        records.srv(&pod(0), 80);
        for ip in ["10.0.0.1", "10.0.0.2", "10.0.0.1"] {
            records.address(&pod(0), ip.parse().unwrap());
        }
        assert_eq!(finish(records), ["web-0 (10.0.0.1:80)", "web-0 (10.0.0.2:80)"]);
    }

    #[test]
    fn foreign_targets_and_impossible_addresses_are_refused_and_counted() {
        let service = web();
        let mut records = AnswerBuilder::new(&service, IpFamily::PreferV4);
        records.srv("evil.example.com.", 80);
        records.srv("web-0.other.shop.svc.cluster.local.", 80);
        records.srv(&pod(0), 0);
        records.srv(&pod(1), 80);
        for ip in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "ff02::1"] {
            records.address(&pod(1), ip.parse().unwrap());
        }
        records.address("evil.example.com.", "10.9.9.9".parse().unwrap());
        assert_eq!(records.refused(), 7);
        assert_eq!(records.targets_without_address(), ["web-1.web.shop.svc.cluster.local"]);
        assert_eq!(finish(records), Vec::<String>::new());
    }

    #[test]
    fn a_pinned_set_takes_the_ordinals_of_the_others() {
        let service = web();
        let mut records = AnswerBuilder::new(&service, IpFamily::PreferV4).only_set(Some("web"));
        records.srv(&pod(0), 80);
        records.srv("blue-0.web.shop.svc.cluster.local", 80);
        records.address(&pod(0), "10.0.0.1".parse().unwrap());
        records.address("blue-0.web.shop.svc.cluster.local", "10.0.0.2".parse().unwrap());
        let answer = records.finish(Duration::ZERO, FoundBy::NamedPort);
        let ordinals: Vec<_> = answer
            .endpoints
            .iter()
            .map(|e| (e.pod().unwrap().as_str(), e.ordinal().is_some()))
            .collect();
        assert_eq!(ordinals, [("blue-0", false), ("web-0", true)]);
    }

    #[test]
    fn a_number_replaces_the_ports_of_the_records() {
        let service = web();
        let mut records = AnswerBuilder::new(&service, IpFamily::PreferV4);
        records.srv(&pod(0), 80);
        records.srv(&pod(0), 90);
        records.address(&pod(0), "10.0.0.1".parse().unwrap());
        assert_eq!(records.ports(), [80, 90]);
        records.set_port(3306);
        assert_eq!(finish(records), ["web-0 (10.0.0.1:3306)"]);
    }
}
