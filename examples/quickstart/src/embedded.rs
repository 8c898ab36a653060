//! The embedded cluster: a StatefulSet of three pods behind a headless Service, on loopback
//! addresses, with a DNS server of its own.

use std::error::Error;
use std::time::Duration;

use headless::Discovery;
use headless::dns::DnsResolver;
use headless_testkit::{App, Cluster, Termination, Workload};
use hickory_proto::rr::RecordType;

use crate::dig::{Dig, dig};

/// How long a pod needs for an answer.
const FAST: Duration = Duration::from_millis(2);
/// How long the slow one needs.
const SLOW: Duration = Duration::from_millis(25);
/// Which one is slow. Not the primary: then only reads have a choice to make.
pub(crate) const SLOW_POD: &str = "web-2";

/// How often DNS is asked at most, and so the TTL of its records.
const TTL: u32 = 1;

pub(crate) struct Embedded {
    pub(crate) cluster: Cluster,
    pub(crate) web: Workload,
}

impl Embedded {
    /// What `kubectl apply` would do with a StatefulSet and its Service.
    pub(crate) async fn start() -> Result<Self, headless_testkit::Error> {
        let cluster = Cluster::builder().namespace("shop").ttl(TTL).start().await?;
        let web = cluster
            .stateful_set("web")
            .service("web") // serviceName
            .port("http", 8080)
            .replicas(3)
            .app(App::http())
            .startup(Duration::from_millis(300))
            .termination(Termination {
                // The preStop hook: serve until every client has asked DNS again, which takes one
                // TTL and a bit.
                pre_stop: Duration::from_millis(1500),
                ..Termination::default()
            })
            .start()
            .await?;
        let embedded = Self { cluster, web };
        for pod in embedded.web.pods() {
            pod.set_latency(if pod.name() == SLOW_POD { SLOW } else { FAST });
        }
        Ok(embedded)
    }

    /// What any client can ask the cluster's DNS.
    pub(crate) async fn dig(&self) -> Result<Vec<Dig>, Box<dyn Error>> {
        let (server, web) = (self.cluster.nameserver(), self.cluster.fqdn("web"));
        Ok(vec![
            dig(server, &format!("_http._tcp.{web}"), RecordType::SRV).await?,
            dig(server, &web, RecordType::A).await?,
        ])
    }

    /// Discovers the Service.
    ///
    /// In a pod this is `Discovery::start("web:http")`: name server, namespace and domain are known
    /// there.
    pub(crate) async fn discover(&self) -> Result<Discovery, Box<dyn Error>> {
        let resolver = DnsResolver::builder("web:http".parse()?)
            .nameserver(self.cluster.nameserver())
            .namespace(self.cluster.namespace())
            .zone(self.cluster.zone())
            .build()?;
        Ok(Discovery::builder(resolver).start().await?)
    }

    /// A new pod is as fast as the others.
    pub(crate) fn pod_started(&self, name: &str) {
        // It may be gone already; then there is nothing to set.
        if let Ok(pod) = self.web.pod(name) {
            pod.set_latency(FAST);
        }
    }
}
