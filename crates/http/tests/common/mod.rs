//! What the tests share: a cluster with a StatefulSet, and clients that resolve over its DNS.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod frames;

use std::collections::BTreeMap;

use headless::Discovery;
use headless::dns::DnsResolver;
use headless_http::{Client, ClientBuilder, Error};
use headless_testkit::{App, Cluster, Workload};

/// A cluster with StatefulSet and Service `web`: named port `http`, 8080 in the container.
pub(crate) struct Web {
    pub(crate) cluster: Cluster,
    pub(crate) set: Workload,
}

impl Web {
    pub(crate) async fn start(replicas: u32) -> Self {
        Self::start_with(replicas, App::http()).await
    }

    pub(crate) async fn start_with(replicas: u32, app: App) -> Self {
        let cluster = Cluster::builder().namespace("shop").ttl(1).start().await.unwrap();
        let set = cluster.stateful_set("web").service("web").port("http", 8080);
        let set = set.replicas(replicas).app(app).start().await.unwrap();
        Self { cluster, set }
    }

    pub(crate) async fn discover(&self, target: &str) -> Discovery {
        let resolver = DnsResolver::builder(target.parse().unwrap());
        let resolver = resolver
            .nameserver(self.cluster.dns_addr())
            .zone("cluster.local")
            .build();
        Discovery::builder(resolver.unwrap()).start().await.unwrap()
    }

    pub(crate) async fn builder(&self) -> ClientBuilder {
        Client::builder(self.discover("web.shop.svc:http").await)
    }

    pub(crate) async fn client(&self) -> Client {
        self.builder().await.build().unwrap()
    }

    /// Connections accepted by all pods so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.set.pods().iter().map(|pod| pod.stats().accepted).sum()
    }

    /// Requests received by each pod so far.
    pub(crate) fn requests(&self) -> BTreeMap<String, u64> {
        let pods = self.set.pods();
        pods.iter().map(|pod| (pod.name().to_owned(), pod.requests())).collect()
    }
}

/// The name of the pod that answers a GET, as the pod says it.
pub(crate) async fn get(client: &Client) -> Result<String, Error> {
    let reply = client.get("/").await?;
    assert_eq!(reply.status(), 200);
    let endpoint = reply.endpoint().clone();
    let text = reply.text().await?;
    let name = text.trim();
    assert_eq!(endpoint.pod().map(ToString::to_string).as_deref(), Some(name));
    Ok(name.to_owned())
}

/// Requests in flight in the balancer's own count.
pub(crate) fn in_flight(client: &Client) -> u32 {
    client
        .balancer()
        .stats()
        .endpoints
        .iter()
        .map(|pod| pod.in_flight)
        .sum()
}
