//! Faults that need real sockets: injected on the wire, under HTTP load, where no request may fail.
//!
//! The rules of membership are tested one by one in `crates/core/tests/refresh.rs`, what the engine
//! makes of them under paused time in `crates/headless/tests/scenarios`, and what a resolver makes
//! of an answer in `dns_strategies.rs`. No test sleeps: each waits for a counter of the status, for
//! the snapshot, or for a number of responses.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::time::Duration;

use headless::{Discovery, Event, RefreshConfig};
use headless_http::Client;
use headless_testkit::{
    Address, App, BareSrv, Cluster, ClusterBuilder, Fault, FaultRule, ForgedAnswer, Phase, Pod, RecordType, Roll,
    Workload,
};
use headless_tests::support::load::{Failed, Load, Problem, get};
use headless_tests::support::resolution::{NAMESPACE, builder, built};
use headless_tests::support::wait::until;

const POLL: Duration = Duration::from_millis(100);

/// Polls so short that a test takes a second, and too short for negative answers to empty the set.
fn quick() -> RefreshConfig {
    let mut config = RefreshConfig::default();
    config.min_poll = Duration::from_millis(20);
    config.max_poll = POLL;
    config.min_reresolve_interval = Duration::from_millis(20);
    config.retry_first = Duration::from_millis(20);
    config.retry_max = POLL;
    config
}

async fn stateful_set(cluster: &Cluster, name: &str, service: &str, replicas: u32) -> Workload {
    let set = cluster.stateful_set(name).service(service).port("http", 8080);
    let set = set.replicas(replicas).app(App::http()).parallel();
    set.start().await.unwrap()
}

fn load(client: &Client) -> Load<Problem> {
    let client = client.clone();
    Load::start(4, Duration::from_millis(1), move |_| get(client.clone()))
}

/// Ends the load. Not one request failed, and each was answered by the pod it was meant for.
async fn was_fine(load: Load<Problem>) {
    let failed = load.failed().await;
    assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
}

/// A cluster with the StatefulSet `web`, a client of it, and load.
struct Scene {
    cluster: Cluster,
    web: Workload,
    discovery: Discovery,
    client: Client,
    load: Load<Problem>,
}

impl Scene {
    async fn new(replicas: u32) -> Self {
        Self::with(Cluster::builder(), replicas, "web:http").await
    }

    async fn with(cluster: ClusterBuilder, replicas: u32, target: &str) -> Self {
        let cluster = cluster.namespace(NAMESPACE).ttl(1).seed(3).start().await.unwrap();
        let web = stateful_set(&cluster, "web", "web", replicas).await;
        let resolver = built(builder(cluster.dns_addr(), target).timeout(POLL / 2));
        let discovery = Discovery::builder(resolver).refresh(quick()).start().await.unwrap();
        let client = Client::builder(discovery.clone()).build().unwrap();
        let load = load(&client);
        // Connections to every pod, before anything goes wrong.
        load.more(50).await;
        Self {
            cluster,
            web,
            discovery,
            client,
            load,
        }
    }

    fn count(&self, event: Event) -> u64 {
        self.discovery.status().counters.get(&event).copied().unwrap_or(0)
    }

    /// Waits until an event has been counted this often since the start.
    async fn counts(&self, event: Event, times: u64) {
        until(
            || self.count(event) >= times,
            || format!("{event:?} {times} times: {:?}", self.discovery.status()),
        )
        .await;
    }

    /// Waits for so many more answers with pods.
    async fn resolutions(&self, times: u64) {
        let events = [
            Event::Found,
            Event::Released,
            Event::ShrinkHeld,
            Event::ReplaceHeld,
            Event::Truncated,
        ];
        let good = || events.into_iter().map(|event| self.count(event)).sum::<u64>();
        // One more: a resolution under way may be older than the caller's last change.
        let wanted = good() + times + 1;
        until(
            || good() >= wanted,
            || format!("{times} answers: {:?}", self.discovery.status()),
        )
        .await;
    }

    fn pods(&self) -> Vec<String> {
        let snapshot = self.discovery.snapshot();
        let names = snapshot.iter().map(|endpoint| endpoint.pod().unwrap().to_string());
        names.collect()
    }

    /// Waits until exactly these pods are in the set.
    async fn has(&self, pods: &[&str]) {
        until(
            || self.pods() == pods,
            || {
                format!(
                    "{pods:?}, but there are {:?}: {:?}",
                    self.pods(),
                    self.discovery.status()
                )
            },
        )
        .await;
    }

    /// Waits until the set is the ready pods of `web`, at their addresses.
    async fn has_all(&self) {
        let is = || {
            let snapshot = self.discovery.snapshot();
            let ready = self.web.ready();
            snapshot
                .iter()
                .map(|endpoint| endpoint.addr())
                .eq(ready.iter().map(Pod::addr))
        };
        until(is, || format!("{:?}: {:?}", self.web.ready(), self.discovery.status())).await;
    }
}

#[tokio::test]
async fn no_dns_fault_takes_a_pod_away() {
    let scene = Scene::new(3).await;
    let generation = scene.discovery.snapshot().generation();
    let alias = ForgedAnswer::new().cname("web.shop.example.com");
    // Only the port's name is denied: that contradicts the rest, and is no answer.
    let port_denied = Fault::NxDomain.on_name(&format!("_http._tcp.{}", scene.cluster.fqdn("web")));
    let faults: [(FaultRule, Event, &str); 8] = [
        (Fault::ServFail.into(), Event::FailureKept, "SERVFAIL"),
        (Fault::Refused.into(), Event::FailureKept, "efused"),
        (Fault::Drop.into(), Event::FailureKept, "no answer in time"),
        (Fault::Malformed.into(), Event::FailureKept, ""),
        (alias.into(), Event::FailureKept, "CNAME"),
        (port_denied, Event::FailureKept, ""),
        (Fault::NxDomain.into(), Event::NegativeKept, ""),
        (Fault::NoData.into(), Event::NegativeKept, ""),
    ];
    for (fault, event, text) in faults {
        let before = scene.count(event);
        scene.cluster.dns().fail(fault.clone());
        scene.counts(event, before + 4).await;
        scene.load.more(50).await;
        let status = scene.discovery.status();
        assert_eq!(status.generation, generation.get(), "{fault:?}: {status:?}");
        if event == Event::FailureKept {
            let failure = status.last_failure.unwrap().failure;
            assert!(failure.to_string().contains(text), "`{text}` is not in: {failure}");
        }
        scene.cluster.dns().heal();
        scene.resolutions(1).await;
        scene.load.more(50).await;
        assert_eq!(scene.discovery.status().failures, 0, "{fault:?}");
        assert_eq!(scene.discovery.snapshot().generation(), generation, "{fault:?}");
    }
    assert_eq!(scene.pods(), ["web-0", "web-1", "web-2"]);
    was_fine(scene.load).await;
}

#[tokio::test]
async fn a_pod_that_dies_while_dns_is_dead_costs_no_request() {
    let scene = Scene::new(3).await;
    let before = scene.count(Event::FailureKept);
    scene.cluster.dns().fail(Fault::ServFail);
    scene.counts(Event::FailureKept, before + 2).await;
    scene.web.evict("web-1").await.unwrap();
    scene.load.more(300).await;
    assert_eq!(scene.discovery.snapshot().len(), 3, "no answer has removed it");
    scene.cluster.dns().heal();
    scene.has(&["web-0", "web-2"]).await;
    was_fine(scene.load).await;
}

#[tokio::test]
async fn nodata_for_the_family_in_use_does_not_replace_pods_by_unreachable_addresses() {
    // The pods' IPv6 addresses are in DNS only: nothing listens there.
    let cluster = Cluster::builder().dual_stack(true).bare_srv(BareSrv::Off);
    let scene = Scene::with(cluster, 3, "web:8080").await;
    let id = scene.cluster.dns().fail(Fault::NoData.on_type(RecordType::A));
    scene.counts(Event::ReplaceHeld, 1).await;
    scene.resolutions(5).await;
    scene.load.more(100).await;
    assert!(scene.cluster.dns().remove(id));
    scene.has(&["web-0", "web-1", "web-2"]).await;
    was_fine(scene.load).await;
}

#[tokio::test]
async fn a_rolling_restart_that_keeps_addresses_costs_no_request() {
    let scene = Scene::new(3).await;
    scene.web.roll(Roll::default().keep_addresses()).await.unwrap();
    scene.has_all().await;
    scene.load.more(50).await;
    was_fine(scene.load).await;
}

#[tokio::test]
async fn a_pod_of_another_service_at_a_reused_address_gets_nothing_once_dns_shows_it() {
    let scene = Scene::new(3).await;
    let others = stateful_set(&scene.cluster, "other", "other", 0).await;
    let ip = scene.web.pod("web-2").unwrap().ip();
    // DNS lags: the address is another pod's, and the old answer stays.
    scene.cluster.dns().freeze();
    scene.web.evict("web-2").await.unwrap();
    let other = others.start_pod("other-0", Address::At(ip)).await.unwrap();
    other.wait_stats(|stats| stats.requests > 10).await.unwrap();
    scene.cluster.dns().thaw();
    scene.has(&["web-0", "web-1"]).await;
    let failed = scene.load.failed().await;
    let is_other = |failed: &Failed<Problem>| matches!(failed.error, Problem::OtherPod { .. });
    assert!(failed.iter().all(is_other), "{failed:#?}");
    assert!(!failed.is_empty(), "no client can notice before DNS shows it");
    // New requests, after everything that was under way.
    let (before, load) = (other.requests(), load(&scene.client));
    load.more(1000).await;
    was_fine(load).await;
    assert_eq!(other.requests(), before);
    other.wait_stats(|stats| stats.open == 0).await.unwrap();
}

#[tokio::test]
async fn a_crashed_pod_that_dns_still_lists_costs_no_get() {
    let scene = Scene::new(3).await;
    let pod = scene.web.pod("web-1").unwrap();
    scene.web.kill("web-1").await.unwrap();
    pod.wait_phase(Phase::Crashed).await.unwrap();
    scene.load.more(2000).await;
    assert_eq!(scene.discovery.snapshot().len(), 3, "DNS still lists it");
    let stats = scene.client.balancer().stats();
    let unhealthy = stats.endpoints.iter().filter(|endpoint| endpoint.unhealthy);
    let unhealthy: Vec<_> = unhealthy.map(|endpoint| endpoint.endpoint.addr()).collect();
    assert_eq!(unhealthy, [pod.addr()]);
    was_fine(scene.load).await;
}
