//! [`Embedded`]: a StatefulSet of three pods behind a headless Service, on loopback addresses, with
//! a DNS server of its own.

use std::time::Duration;

use headless_testkit::{App, Cluster, Error, Termination, Workload};

use crate::cli::ServiceArgs;

/// How many pods there are at first.
pub const PODS: u32 = 3;
/// How often DNS is asked at most, and so the TTL of its records.
const TTL: u32 = 1;

/// The cluster and its StatefulSet.
#[derive(Debug)]
pub struct Embedded {
    /// The cluster, with its DNS.
    pub cluster: Cluster,
    /// The StatefulSet, `web`.
    pub web: Workload,
}

impl Embedded {
    /// What `kubectl apply` would do with a StatefulSet and its Service.
    ///
    /// # Errors
    /// If there is no free address, or a pod does not start.
    pub async fn start() -> Result<Self, Error> {
        let cluster = Cluster::builder().namespace("shop").ttl(TTL).start().await?;
        let web = cluster
            .stateful_set("web")
            .service("web") // serviceName
            .port("http", 8080)
            .replicas(PODS)
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
        Ok(Self { cluster, web })
    }

    /// How the Service is found from here. In a pod of the cluster, `web:http` would be enough.
    pub fn service(&self) -> ServiceArgs {
        ServiceArgs {
            service: "web:http".to_owned(),
            nameservers: vec![self.cluster.dns_addr()],
            namespace: Some(self.cluster.namespace().to_owned()),
            zone: Some(self.cluster.zone().to_owned()),
            stateful_set: None,
        }
    }

    /// Sets how long a pod needs for an answer.
    pub fn set_latency(&self, pod: &str, latency: Duration) {
        // It may be gone already; then there is nothing to set.
        if let Ok(pod) = self.web.pod(pod) {
            pod.set_latency(latency);
        }
    }
}
