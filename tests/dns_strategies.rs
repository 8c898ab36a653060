//! Every discovery strategy against the testkit's DNS, which answers as CoreDNS does: ordinals, the
//! life of pods, every failure of DNS, and the number of queries.

#[path = "dns_strategies/bad_input.rs"]
mod bad_input;
#[path = "dns_strategies/failures.rs"]
mod failures;
#[path = "dns_strategies/families.rs"]
mod families;
#[path = "dns_strategies/forged.rs"]
mod forged;
#[path = "dns_strategies/life.rs"]
mod life;
#[path = "dns_strategies/ordinals.rs"]
mod ordinals;
#[path = "dns_strategies/servers.rs"]
mod servers;
#[path = "dns_strategies/sizes.rs"]
mod sizes;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use headless::dns::{ConfigError, DnsResolver, DnsResolverBuilder, IpFamily, Naming};
use headless::{FailureKind, FoundBy, NegativeKind, Resolve, Target};
use headless_testkit::{
    Address, App, BareSrv, Cluster, ClusterBuilder, Error, Fault, ForgedAnswer, Query, RecordType, Roll, Transport,
    Workload,
};
use headless_tests::support::resolution::{
    NAMESPACE, Strategy, ZONE, builder, built, failed, found, lines, no_endpoints, resolver, says,
};

const SERVICE: &str = "web.shop.svc.cluster.local.";
const NAMED: &str = "_http._tcp.web.shop.svc.cluster.local.";
/// TTL of all records, in seconds. Not the default, so that a test shows that it is read.
const TTL: u32 = 7;
/// Timeout of an attempt that gets no answer.
const SHORT: Duration = Duration::from_millis(150);

fn settings() -> ClusterBuilder {
    Cluster::builder().namespace(NAMESPACE).ttl(TTL)
}

/// The StatefulSet `web` under the Service `web`, with the port `http`, 8080.
async fn web(cluster: ClusterBuilder, pods: u32) -> Result<(Cluster, Workload), Error> {
    let cluster = cluster.start().await?;
    let set = cluster.stateful_set("web").service("web").port("http", 8080).parallel();
    let set = set.replicas(pods).app(App::none()).start().await?;
    Ok((cluster, set))
}

/// The lines of an answer for `set`: all ready pods, by ordinal.
fn pods(set: &Workload, port: u16) -> Vec<String> {
    let line = |pod: &headless_testkit::Pod| {
        let ordinal = pod.ordinal().expect("a StatefulSet's pods have ordinals");
        format!("{} ({}:{port}) #{ordinal}", pod.name(), pod.ip())
    };
    set.ready().iter().map(line).collect()
}

/// The lines of an answer where the pods are named after their addresses.
fn dashed(workload: &Workload) -> Vec<String> {
    let line = |ip: Ipv4Addr| format!("{} ({ip}:8080)", ip.to_string().replace('.', "-"));
    sorted(workload.ready().iter().map(|pod| line(pod.ip())).collect())
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    lines
}

/// The queries that reached the server since the last time, without the Service's domain:
/// `SRV _http._tcp.web`, with `x2` if there were two, and `over TCP`.
struct Questions<'a> {
    cluster: &'a Cluster,
    before: BTreeMap<Query, u64>,
}

impl<'a> Questions<'a> {
    fn from_now(cluster: &'a Cluster) -> Self {
        let before = cluster.dns().counts();
        Self { cluster, before }
    }

    fn since(&mut self) -> Vec<String> {
        let counts = self.cluster.dns().counts();
        let lines = counts.iter().filter_map(|(query, count)| {
            let name = query
                .name
                .trim_end_matches(".in-addr.arpa")
                .trim_end_matches(".svc.cluster.local");
            let name = name.trim_end_matches(".shop");
            let over = if query.transport == Transport::Tcp {
                " over TCP"
            } else {
                ""
            };
            match count - self.before.get(query).copied().unwrap_or_default() {
                0 => None,
                1 => Some(format!("{} {name}{over}", query.rtype)),
                times => Some(format!("{} {name}{over} x{times}", query.rtype)),
            }
        });
        let lines = sorted(lines.collect());
        self.before = counts;
        lines
    }

    /// The number of each type.
    fn per_type(&mut self) -> BTreeMap<String, u64> {
        let counts = self.cluster.dns().counts();
        let mut types = BTreeMap::new();
        for (query, count) in &counts {
            let new = count - self.before.get(query).copied().unwrap_or_default();
            if new > 0 {
                *types.entry(query.rtype.to_string()).or_default() += new;
            }
        }
        self.before = counts;
        types
    }
}

/// A cluster with the records of this strategy, and none of one before it.
fn cluster_for(strategy: Strategy) -> ClusterBuilder {
    settings().bare_srv(match strategy {
        Strategy::ServiceSrv => BareSrv::AllPorts,
        Strategy::NamedPort | Strategy::PodNames | Strategy::Reverse => BareSrv::Off,
    })
}

/// The queries of a resolution once the names are known.
fn steady(strategy: Strategy) -> &'static [&'static str] {
    match strategy {
        Strategy::NamedPort => &["SRV _http._tcp.web"],
        Strategy::ServiceSrv => &["SRV web"],
        Strategy::PodNames | Strategy::Reverse => &["A web", "AAAA web"],
    }
}
