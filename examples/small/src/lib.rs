//! What the examples run against: the Service on the command line, or pods in this process.

use std::error::Error;

use headless::Discovery;
use headless::dns::DnsResolver;
use headless_testkit::{App, Cluster, Workload};

/// A StatefulSet `web` of three pods behind a headless Service of the same name. It ends when it is
/// dropped.
#[derive(Debug)]
pub struct Pods {
    /// The cluster, with its DNS.
    pub cluster: Cluster,
    /// The StatefulSet.
    pub web: Workload,
}

impl Pods {
    /// Starts three pods that run `app`.
    pub async fn start(app: App) -> Result<Self, Box<dyn Error>> {
        let cluster = Cluster::builder().namespace("shop").ttl(1).start().await?;
        let web = cluster.stateful_set("web").service("web").port("http", 8080);
        let web = web.replicas(3).app(app).start().await?;
        Ok(Self { cluster, web })
    }

    /// Discovers the pods. Inside a Kubernetes cluster, `Discovery::start("web.shop.svc:http")`
    /// does it.
    pub async fn discover(&self) -> Result<Discovery, Box<dyn Error>> {
        let resolver = DnsResolver::builder("web.shop.svc:http".parse()?)
            .nameserver(self.cluster.dns_addr())
            .zone(self.cluster.zone())
            .build()?;
        Ok(Discovery::builder(resolver).start().await?)
    }
}

/// Discovers the Service that is the first argument. Without an argument, three pods in this
/// process that run `app`.
pub async fn discover(app: App) -> Result<(Discovery, Option<Pods>), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(service) => Ok((Discovery::start(&service).await?, None)),
        None => {
            let pods = Pods::start(app).await?;
            Ok((pods.discover().await?, Some(pods)))
        }
    }
}
