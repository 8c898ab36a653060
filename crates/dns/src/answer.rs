//! [`AnswerBuilder`]: joins the records of one lookup into endpoints. SRV targets are matched with
//! addresses by *owner name*, and never by position, as CoreDNS shuffles the additional section. No
//! lookup happens here.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use headless_core::{Answer, Endpoint, FoundBy, PodName, ServiceName};

use crate::family::{IpFamily, can_be_a_pod};

/// Joins the records of one lookup into endpoints.
///
/// Addresses that no pod can have (unspecified, broadcast, multicast) and pods of other Services
/// are refused and counted.
#[derive(Clone, Debug)]
pub(crate) struct AnswerBuilder<'a> {
    service: &'a ServiceName,
    family: IpFamily,
    set: Option<&'a str>,
    /// The ports and addresses of each target. A BTreeMap, so that nothing depends on hash order.
    targets: BTreeMap<String, TargetRecords>,
    refused: usize,
}

#[derive(Clone, Debug, Default)]
struct TargetRecords {
    ports: Vec<u16>,
    ips: Vec<IpAddr>,
}

impl<'a> AnswerBuilder<'a> {
    /// Returns a builder without records.
    pub(crate) fn new(service: &'a ServiceName, family: IpFamily) -> Self {
        Self {
            service,
            family,
            set: None,
            targets: BTreeMap::new(),
            refused: 0,
        }
    }

    /// Gives ordinals to the pods of this StatefulSet only. Without it, each name of the form
    /// `<set>-<digits>` has one.
    pub(crate) fn only_set(mut self, set: Option<&'a str>) -> Self {
        self.set = set;
        self
    }

    /// Adds an SRV record: `target` has this port.
    pub(crate) fn srv(&mut self, target: &str, port: u16) {
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

    /// Adds an A or AAAA record. It counts only if an SRV record names its owner, before or after.
    pub(crate) fn address(&mut self, owner: &str, ip: IpAddr) {
        if !can_be_a_pod(ip) {
            self.refused += 1;
            return;
        }
        let ips = &mut self.targets.entry(fold(owner)).or_default().ips;
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }

    /// Returns the SRV targets without an address, to be looked up one by one.
    pub(crate) fn targets_without_address(&self) -> Vec<String> {
        let missing = |t: &TargetRecords| !t.ports.is_empty() && self.family.choose(t.ips.iter().copied()).is_empty();
        self.targets
            .iter()
            .filter(|(name, t)| missing(t) && !self.is_named_after_address(name, t))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Returns whether `name` is an address of `target` written with dashes. Such a name has no
    /// other address, but the pod may have another such name: a pod without a host name has one per
    /// address.
    fn is_named_after_address(&self, name: &str, target: &TargetRecords) -> bool {
        let pod = self.service.pod_of(name);
        pod.is_some_and(|pod| target.ips.iter().any(|ip| pod.is_dashed(*ip)))
    }

    /// Returns the number of refused records.
    pub(crate) fn refused(&self) -> usize {
        self.refused
    }

    /// Returns the answer: one endpoint per pod, port and address of the chosen family, sorted.
    pub(crate) fn finish(self, ttl: Duration, found_by: FoundBy) -> Answer {
        // Two dashed names may be one pod. With one family for all of them, each pod is counted
        // once.
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

/// Returns an endpoint of `pod`. With `set`, only pods of that StatefulSet keep their ordinal.
pub(crate) fn named_endpoint(addr: SocketAddr, pod: PodName, set: Option<&str>) -> Endpoint {
    let in_set = set.is_none_or(|set| pod.set() == Some(set));
    let endpoint = Endpoint::new(addr).with_pod(pod);
    if in_set { endpoint } else { endpoint.without_ordinal() }
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

    /// CoreDNS has one name, and one SRV record, for each address of a pod without a host name.
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
    fn addresses_are_matched_by_owner_name_in_any_case() {
        let service = web();
        let mut records = AnswerBuilder::new(&service, IpFamily::PreferV4);
        records.srv(&pod(1), 80);
        records.srv(&pod(0), 80);
        records.address(&pod(0).to_uppercase(), "10.0.0.7".parse().unwrap());
        assert_eq!(records.targets_without_address(), ["web-1.web.shop.svc.cluster.local"]);
        assert_eq!(finish(records), ["web-0 (10.0.0.7:80)"]);
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
}
