//! The embedded cluster: a StatefulSet behind a headless Service, whose pods answer at different
//! speeds.

use std::time::Duration;

use demo_support::ServiceArgs;
use headless_testkit::{App, Cluster, Error, Event, Termination, Workload};

use crate::log::Log;
use crate::script;

/// How many pods there are at first, and after each scene.
pub(crate) const PODS: u32 = 3;

/// How often DNS is asked at most, and so the TTL of its records.
const TTL: u32 = 1;

/// A cluster to be watched.
pub(crate) struct Embedded {
    pub(crate) cluster: Cluster,
    pub(crate) web: Workload,
}

impl Embedded {
    /// What `kubectl apply` would do with a StatefulSet and its Service.
    pub(crate) async fn start(log: &Log) -> Result<Self, Error> {
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
        let embedded = Self { cluster, web };
        for pod in embedded.web.pods() {
            embedded.set_speed(pod.name());
        }
        log.add(
            "cluster",
            format!("a StatefulSet of {PODS} pods, and a headless Service"),
        );
        Ok(embedded)
    }

    /// How the Service is found from here. In a pod of the cluster, its name would be enough.
    pub(crate) fn service(&self) -> ServiceArgs {
        ServiceArgs {
            service: "web:http".to_owned(),
            nameservers: vec![self.cluster.nameserver()],
            namespace: Some(self.cluster.namespace().to_owned()),
            zone: Some(self.cluster.zone().to_owned()),
            stateful_set: None,
        }
    }

    /// Plays the script until it is dropped, and tells of each pod's life.
    pub(crate) async fn play(self, log: Log) {
        let mut events = self.cluster.events();
        let told = async {
            while let Some(event) = events.next().await {
                self.tell(&event, &log);
            }
        };
        tokio::select! {
            () = told => {}
            outcome = script::play(&self, &log) => match outcome {
                Ok(()) => {}
                Err(error) => {
                    log.add("cluster", format!("the script ends: {error}"));
                    // The cluster goes on as it is.
                    std::future::pending().await
                }
            }
        }
    }

    fn tell(&self, event: &Event, log: &Log) {
        let what = match event {
            Event::PodReady(pod) => {
                self.set_speed(&pod.name);
                "is ready: DNS lists it"
            }
            Event::PodUnready(_) => "is not ready: DNS no longer lists it",
            Event::PodCrashed(_) => "is dead: connections are refused, DNS goes on listing it",
            Event::PodTerminating(_) => "terminates: it serves, DNS no longer lists it",
            Event::PodGone(_) => "is gone",
            _ => return,
        };
        if let Some(pod) = event.pod() {
            log.add("cluster", format!("{} ({}) {what}", pod.name, pod.ip));
        }
    }

    /// Each ordinal has a speed of its own: 20 ms, 35 ms, 50 ms and again.
    fn set_speed(&self, name: &str) {
        // It may be gone already; then there is nothing to set.
        if let Ok(pod) = self.web.pod(name) {
            pod.set_latency(Duration::from_millis(
                20 + 15 * u64::from(pod.ordinal().unwrap_or(0) % 3),
            ));
        }
    }
}
