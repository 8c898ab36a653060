//! `/etc/resolv.conf` as Kubernetes writes it into a pod: the name servers, and what the search
//! list tells about the cluster.
//!
//! The search list is read for the namespace and the zone only. It is never searched, since all
//! queries are for absolute names. Options are ignored: those that suit a shell (`ndots:5`, no
//! EDNS, 5 s) do not suit a client that polls.
//!
//! Source: resolv.conf(5); Kubernetes "DNS for Services and Pods": `search <ns>.svc.<zone>
//! svc.<zone> <zone>`.

use std::net::{IpAddr, SocketAddr};

/// The contents of one `resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResolvConf {
    /// At most three, as in glibc (`MAXNS`).
    pub(crate) nameservers: Vec<SocketAddr>,
    search: Vec<String>,
}

impl ResolvConf {
    /// Parses the text of the file. Invalid lines are skipped, as in every resolver.
    pub(crate) fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") if conf.nameservers.len() < 3 => {
                    let ip = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    conf.nameservers.extend(ip.map(|ip| SocketAddr::new(ip, 53)));
                }
                // The last of `search` and `domain` counts.
                Some("search" | "domain") => {
                    conf.search = words
                        .map(|word| word.trim_end_matches('.').to_ascii_lowercase())
                        .collect();
                }
                _ => {}
            }
        }
        conf
    }

    /// Returns the cluster's zone, from the entry `svc.<zone>`, or else from `<ns>.svc.<zone>`.
    pub(crate) fn zone(&self) -> Option<&str> {
        let bare = self.search.iter().find_map(|entry| entry.strip_prefix("svc."));
        bare.or_else(|| self.pod_entry().map(|(_, zone)| zone))
            .filter(|zone| !zone.is_empty())
    }

    /// Returns the pod's own namespace, from the entry `<ns>.svc.<zone>`.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.pod_entry().map(|(namespace, _)| namespace)
    }

    fn pod_entry(&self) -> Option<(&str, &str)> {
        let parts = self.search.iter().find_map(|entry| entry.split_once(".svc."));
        parts.filter(|(namespace, _)| !namespace.is_empty() && !namespace.contains('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(text: &str) -> (Option<String>, Option<String>) {
        let conf = ResolvConf::parse(text);
        (
            conf.namespace().map(ToOwned::to_owned),
            conf.zone().map(ToOwned::to_owned),
        )
    }

    fn some(namespace: &str, zone: &str) -> (Option<String>, Option<String>) {
        (Some(namespace.to_owned()), Some(zone.to_owned()))
    }

    #[test]
    fn a_pods_file() {
        let text =
            "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
        assert_eq!(ResolvConf::parse(text).nameservers, ["10.96.0.10:53".parse().unwrap()]);
        assert_eq!(detected(text), some("shop", "cluster.local"));
    }

    #[test]
    fn another_zone_case_dots_and_node_entries() {
        let text = "search Shop.svc.K8s.Example.com. svc.k8s.example.com. k8s.example.com. ec2.internal";
        assert_eq!(detected(text), some("shop", "k8s.example.com"));
    }

    #[test]
    fn the_namespace_entry_alone_tells_the_zone_too() {
        assert_eq!(detected("search shop.svc.cluster.local"), some("shop", "cluster.local"));
    }

    #[test]
    fn a_file_from_outside_a_cluster_tells_nothing() {
        for text in [
            "",
            "search lan example.com",
            "domain example.com",
            "search svc.",
            "search .svc.cluster.local",
            "search",
        ] {
            assert_eq!(detected(text), (None, None), "{text}");
        }
    }

    #[test]
    fn the_last_search_line_counts() {
        assert_eq!(detected("search a.svc.one\nsearch b.svc.two"), some("b", "two"));
    }

    #[test]
    fn three_name_servers_at_most_and_nonsense_is_passed_over() {
        let text = "# nameserver 9.9.9.9\nnameserver\nnameserver x\nnameserver 10.0.0.1\nnameserver ::1\nnameserver \
        10.0.0.3 # third\nnameserver 10.0.0.4";
        let servers: Vec<String> = ResolvConf::parse(text)
            .nameservers
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(servers, ["10.0.0.1:53", "[::1]:53", "10.0.0.3:53"]);
    }
}
