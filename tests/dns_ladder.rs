//! The whole discovery ladder against the testkit's DNS, which answers as CoreDNS does: every way to ordinals, the life of
//! pods, every way DNS can fail, and how many questions all of it takes.

#[path = "dns_ladder/bad_input.rs"]
mod bad_input;
#[path = "dns_ladder/failures.rs"]
mod failures;
#[path = "dns_ladder/families.rs"]
mod families;
#[path = "dns_ladder/lies.rs"]
mod lies;
#[path = "dns_ladder/life.rs"]
mod life;
#[path = "dns_ladder/servers.rs"]
mod servers;
#[path = "dns_ladder/sizes.rs"]
mod sizes;
#[path = "dns_ladder/ways.rs"]
mod ways;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use headless_core::{FailureKind, FoundBy, IpFamily, NegativeKind, Resolve, Target};
use headless_dns::{ConfigError, DnsResolver, DnsResolverBuilder, Naming};
use headless_testkit::{
    Address, App, BareSrv, Cluster, ClusterBuilder, Error, Fault, ForgedAnswer, Query, RecordType, Roll, Transport,
    Workload,
};
use headless_tests::support::looks::{NAMESPACE, ZONE, builder, built, failed, found, lines, nobody, resolver, says};

const SERVICE: &str = "web.shop.svc.cluster.local.";
const NAMED: &str = "_http._tcp.web.shop.svc.cluster.local.";
/// TTL of all records, in seconds. Not the default, so that it is seen to be read.
const TTL: u32 = 7;
/// How long one attempt waits where silence is expected.
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

/// What a look at `set` finds: all ready pods, by ordinal.
fn pods(set: &Workload, port: u16) -> Vec<String> {
    let line = |pod: &headless_testkit::Pod| {
        let ordinal = pod.ordinal().expect("a StatefulSet's pods have ordinals");
        format!("{} ({}:{port}) #{ordinal}", pod.name(), pod.ip())
    };
    set.ready().iter().map(line).collect()
}

/// What a look finds where the pods are known by their addresses.
fn dashed(workload: &Workload) -> Vec<String> {
    let line = |ip: Ipv4Addr| format!("{} ({ip}:8080)", ip.to_string().replace('.', "-"));
    sorted(workload.ready().iter().map(|pod| line(pod.ip())).collect())
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    lines
}

/// The questions that reached the server since the last time, without the Service's domain: `SRV _http._tcp.web`, and
/// how often if not once, and `over TCP`.
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

    /// How many of each type.
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

/// The four ways to ordinals: what the server offers, and what the user says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    NamedPort,
    ServiceSrv,
    PodNames,
    Reverse,
}

impl Way {
    const ALL: [Self; 4] = [Self::NamedPort, Self::ServiceSrv, Self::PodNames, Self::Reverse];

    fn cluster(self) -> ClusterBuilder {
        settings().bare_srv(match self {
            Self::ServiceSrv => BareSrv::AllPorts,
            Self::NamedPort | Self::PodNames | Self::Reverse => BareSrv::Off,
        })
    }

    fn settings(self, cluster: &Cluster) -> DnsResolverBuilder {
        let server = cluster.dns_addr();
        match self {
            Self::NamedPort => builder(server, "web:http"),
            Self::ServiceSrv | Self::Reverse => builder(server, "web:8080"),
            Self::PodNames => builder(server, "web:8080").stateful_set("web"),
        }
    }

    fn resolver(self, cluster: &Cluster) -> DnsResolver {
        built(self.settings(cluster))
    }

    fn found_by(self) -> FoundBy {
        match self {
            Self::NamedPort => FoundBy::NamedPort,
            Self::ServiceSrv => FoundBy::ServiceSrv,
            Self::PodNames => FoundBy::PodNames,
            Self::Reverse => FoundBy::Reverse,
        }
    }

    /// What one look asks once the names are known.
    fn steady(self) -> &'static [&'static str] {
        match self {
            Self::NamedPort => &["SRV _http._tcp.web"],
            Self::ServiceSrv => &["SRV web"],
            Self::PodNames | Self::Reverse => &["A web", "AAAA web"],
        }
    }
}
