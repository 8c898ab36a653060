//! Every rule of membership on real sockets: the fault is injected on the wire, HTTP load runs through it, and where pods live no
//! request fails. The same rules under paused time: `crates/core/tests/refresh.rs`, `crates/headless/tests/scenarios`.
//!
//! Nothing sleeps: a scenario waits for the rule's counter, for the snapshot, or for so many answers.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use headless::dns::{DnsResolver, DnsResolverBuilder};
use headless::{Discovery, Event, IpFamily, OnStart, RefreshConfig};
use headless_http::Client;
use headless_testkit::{
    Address, App, BareSrv, Cluster, ClusterBuilder, Failure, Fault, Lie, Phase, Pod, RecordType, Roll, Transport,
    Workload,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
const CALLERS: usize = 4;

/// Polls so short that a scenario takes a second, and negatives that do not add up to an empty set before its end.
fn quick() -> RefreshConfig {
    let mut config = RefreshConfig::default();
    config.min_poll = Duration::from_millis(20);
    config.max_poll = POLL;
    config.min_reresolve_interval = Duration::from_millis(20);
    config.retry_first = Duration::from_millis(20);
    config.retry_max = POLL;
    config
}

fn cluster() -> ClusterBuilder {
    Cluster::builder().namespace("shop").ttl(1).seed(3)
}

async fn stateful_set(cluster: &Cluster, name: &str, service: &str, replicas: u32) -> Workload {
    let set = cluster.stateful_set(name).service(service).port("http", 8080);
    set.replicas(replicas)
        .app(App::http())
        .parallel()
        .start()
        .await
        .unwrap()
}

fn resolver(cluster: &Cluster, target: &str) -> DnsResolverBuilder {
    let builder = DnsResolver::builder(target.parse().unwrap());
    builder
        .nameserver(cluster.dns_addr())
        .namespace("shop")
        .zone("cluster.local")
        .timeout(POLL / 2)
}

/// A cluster with the StatefulSet `web`, a client that watches it, and load.
struct Scene {
    cluster: Cluster,
    web: Workload,
    watch: Watch,
    client: Client,
    load: Load,
}

impl Scene {
    async fn new(replicas: u32) -> Self {
        Self::with(cluster(), replicas, quick(), "web:http").await
    }

    async fn with(cluster: ClusterBuilder, replicas: u32, refresh: RefreshConfig, target: &str) -> Self {
        let cluster = cluster.start().await.unwrap();
        let web = stateful_set(&cluster, "web", "web", replicas).await;
        Self::over(cluster, web, refresh, target, |resolver| resolver).await
    }

    async fn over(
        cluster: Cluster,
        web: Workload,
        refresh: RefreshConfig,
        target: &str,
        settings: impl FnOnce(DnsResolverBuilder) -> DnsResolverBuilder,
    ) -> Self {
        let resolver = settings(resolver(&cluster, target)).build().unwrap();
        let discovery = Discovery::builder(resolver).refresh(refresh).start().await.unwrap();
        let client = Client::builder(discovery.clone()).build().unwrap();
        let load = Load::start(&client, CALLERS);
        let scene = Self {
            cluster,
            web,
            watch: Watch(discovery),
            client,
            load,
        };
        // Connections to every pod, before anything goes wrong.
        scene.load.more(50).await;
        scene
    }

    /// Injects a fault, until the rule has applied so often.
    async fn fails(&self, fault: &Fault, rule: Event, times: u64) {
        let before = self.watch.count(rule);
        let id = self.cluster.dns().fail(fault.clone());
        self.watch.counts(rule, before + times).await;
        self.load.more(50).await;
        assert!(self.cluster.dns().remove(id));
    }

    /// Lets the next look find the truth.
    async fn healed(&self) {
        self.cluster.dns().heal();
        self.watch.looks(1).await;
        self.load.more(50).await;
    }
}

/// A discovery, and the ways to wait for it.
struct Watch(Discovery);

impl Watch {
    fn count(&self, rule: Event) -> u64 {
        self.0.status().counters.get(&rule).copied().unwrap_or(0)
    }

    /// Waits until a rule has applied so often in all.
    async fn counts(&self, rule: Event, times: u64) {
        until(
            || self.count(rule) >= times,
            || format!("{rule:?} {times} times: {:?}", self.0.status()),
        )
        .await;
    }

    /// Waits for so many more good answers.
    async fn looks(&self, times: u64) {
        let good = || {
            let rules = [
                Event::Found,
                Event::Released,
                Event::ShrinkHeld,
                Event::ReplaceHeld,
                Event::Truncated,
            ];
            rules.into_iter().map(|rule| self.count(rule)).sum::<u64>()
        };
        // The answer of a look that is under way may be older than what the caller has just done.
        let wanted = good() + times + 1;
        until(
            || good() >= wanted,
            || format!("{times} good looks: {:?}", self.0.status()),
        )
        .await;
    }

    fn pods(&self) -> Vec<String> {
        let snapshot = self.0.snapshot();
        let name = |endpoint: &Arc<headless::Endpoint>| {
            endpoint
                .pod()
                .map_or_else(|| endpoint.addr().to_string(), ToString::to_string)
        };
        snapshot.iter().map(name).collect()
    }

    fn ordinals(&self) -> Vec<Option<u32>> {
        let snapshot = self.0.snapshot();
        snapshot
            .iter()
            .map(|endpoint| endpoint.ordinal().map(|ordinal| ordinal.get()))
            .collect()
    }

    /// Waits until exactly these pods are believed.
    async fn sees(&self, pods: &[&str]) {
        until(
            || self.pods() == pods,
            || format!("{pods:?}, but there are {:?}: {:?}", self.pods(), self.0.status()),
        )
        .await;
    }

    /// Waits until it believes the ready pods of `web`, at their addresses.
    async fn sees_all_of(&self, web: &Workload) {
        let addrs = |pods: Vec<Pod>| pods.iter().map(Pod::addr).collect::<Vec<_>>();
        let seen = || {
            self.0
                .snapshot()
                .iter()
                .map(|endpoint| endpoint.addr())
                .collect::<Vec<_>>()
        };
        until(
            || seen() == addrs(web.ready()),
            || format!("{:?}: {:?}", addrs(web.ready()), self.0.status()),
        )
        .await;
    }
}

async fn until(mut condition: impl FnMut() -> bool, what: impl Fn() -> String) {
    let mut look = interval(Duration::from_millis(2));
    let holds = async {
        while !condition() {
            look.tick().await;
        }
    };
    assert!(timeout(PATIENCE, holds).await.is_ok(), "did not happen: {}", what());
}

/// Callers that GET again and again, about a thousand times a second each.
struct Load {
    callers: JoinSet<Tally>,
    answered: watch::Sender<u64>,
    stop: watch::Sender<bool>,
}

/// What callers saw.
#[derive(Default)]
struct Tally {
    failed: Vec<String>,
    /// Answers of another pod than the one that the request was for.
    strangers: u64,
    ok: u64,
}

impl Load {
    fn start(client: &Client, callers: usize) -> Self {
        Self::paced(client, callers, Duration::from_millis(1))
    }

    fn paced(client: &Client, callers: usize, pace: Duration) -> Self {
        let (answered, stop) = (watch::Sender::new(0), watch::Sender::new(false));
        let caller = |_| {
            let (client, answered, mut stopped) = (client.clone(), answered.clone(), stop.subscribe());
            async move {
                let mut tally = Tally::default();
                let mut ticks = interval(pace);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !*stopped.borrow_and_update() {
                    match get(&client).await {
                        Ok(was_meant) => {
                            tally.ok += 1;
                            tally.strangers += u64::from(!was_meant);
                            answered.send_modify(|count| *count += 1);
                        }
                        Err(error) => tally.failed.push(error),
                    }
                    ticks.tick().await;
                }
                tally
            }
        };
        Self {
            callers: (0..callers).map(caller).collect(),
            answered,
            stop,
        }
    }

    /// Waits for so many more answers.
    async fn more(&self, count: u64) {
        let mut answered = self.answered.subscribe();
        let wanted = *answered.borrow() + count;
        let wait = answered.wait_for(|answered| *answered >= wanted);
        assert!(
            timeout(PATIENCE * 3, wait).await.is_ok(),
            "no answers: {} of {wanted}",
            *self.answered.borrow()
        );
    }

    async fn stop(self) -> Tally {
        self.stop.send_replace(true);
        let mut all = Tally::default();
        for tally in self.callers.join_all().await {
            all.failed.extend(tally.failed);
            all.strangers += tally.strangers;
            all.ok += tally.ok;
        }
        all
    }

    /// Not one request failed, and each was answered by the pod it was for.
    async fn was_fine(self) -> u64 {
        let tally = self.stop().await;
        assert!(
            tally.failed.is_empty(),
            "{} failed: {:#?}",
            tally.failed.len(),
            tally.failed
        );
        assert_eq!(tally.strangers, 0, "answered by strangers");
        tally.ok
    }
}

/// Whether the pod that answered is the one that was meant, as far as both names are known.
async fn get(client: &Client) -> Result<bool, String> {
    let reply = client.get("/").await.map_err(|error| chain(&error))?;
    let is_named = reply.headers().contains_key("x-ordinal");
    let name = reply.headers()["x-pod"].to_str().unwrap().to_owned();
    let meant = reply.endpoint().pod().map(ToString::to_string).filter(|_| is_named);
    let status = reply.status();
    reply.bytes().await.map_err(|error| chain(&error))?;
    match status.is_success() {
        true => Ok(meant.is_none_or(|meant| meant == name)),
        false => Err(format!("{status} from {name}")),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

// DNS does not say.

/// A fault that is no answer: the set stays as it is, and what DNS said is in the status.
async fn is_a_failure(fault: Fault, says: &str) {
    let scene = Scene::new(3).await;
    let before = scene.watch.0.snapshot();
    scene.fails(&fault, Event::FailureKept, 4).await;
    let status = scene.watch.0.status();
    assert_eq!(status.generation, before.generation().get(), "{status:?}");
    let (_, failure) = status.last_failure.unwrap();
    assert!(failure.to_string().contains(says), "`{says}` is not in: {failure}");
    scene.healed().await;
    assert_eq!(scene.watch.0.status().failures, 0);
    assert_eq!(scene.watch.pods(), ["web-0", "web-1", "web-2"]);
    scene.load.was_fine().await;
}

#[tokio::test]
async fn servfail_keeps_the_pods() {
    is_a_failure(Fault::ServFail, "SERVFAIL").await;
}

#[tokio::test]
async fn refused_keeps_the_pods() {
    is_a_failure(Fault::Refused, "efused").await;
}

#[tokio::test]
async fn silence_keeps_the_pods() {
    is_a_failure(Fault::Drop, "no answer in time").await;
}

#[tokio::test]
async fn a_malformed_answer_keeps_the_pods() {
    is_a_failure(Fault::Malformed, "").await;
}

#[tokio::test]
async fn an_unexpected_alias_is_refused() {
    let elsewhere = Lie::new().cname("web.shop.example.com");
    is_a_failure(Fault::Lie(elsewhere), "CNAME").await;
}

#[tokio::test]
async fn a_pod_that_dies_while_dns_is_dead_costs_no_request() {
    let scene = Scene::new(3).await;
    let before = scene.watch.count(Event::FailureKept);
    scene.cluster.dns().fail(Fault::ServFail);
    scene.watch.counts(Event::FailureKept, before + 2).await;
    scene.web.evict("web-1").await.unwrap();
    scene.load.more(300).await;
    assert_eq!(scene.watch.0.snapshot().len(), 3, "nobody has said that it is gone");
    scene.cluster.dns().heal();
    scene.watch.sees(&["web-0", "web-2"]).await;
    scene.load.was_fine().await;
}

#[tokio::test]
async fn a_set_that_nothing_confirms_for_too_long_is_given_up_if_that_is_wanted() {
    let mut config = quick();
    config.max_stale = Some(Duration::from_millis(300));
    let scene = Scene::with(cluster(), 2, config, "web:http").await;
    scene.cluster.dns().fail(Fault::ServFail);
    scene.watch.counts(Event::Stale, 1).await;
    assert!(scene.watch.0.snapshot().is_empty());
    scene.cluster.dns().heal();
    scene.watch.sees(&["web-0", "web-1"]).await;
    scene.load.more(50).await;
    scene.load.was_fine().await;
}

// DNS says that there is nothing.

#[tokio::test]
async fn nxdomain_blips_with_live_pods() {
    let scene = Scene::new(3).await;
    let generation = scene.watch.0.snapshot().generation();
    for _ in 0..10 {
        scene.fails(&Fault::NxDomain, Event::NegativeKept, 1).await;
        scene.healed().await;
    }
    // The port's name alone is denied: that contradicts the rest, and is no answer.
    let named = Fault::NxDomain.on_name(&format!("_http._tcp.{}", scene.cluster.fqdn("web")));
    scene.cluster.dns().fail(named);
    scene.watch.counts(Event::FailureKept, 3).await;
    scene.healed().await;
    assert_eq!(scene.watch.0.snapshot().generation(), generation);
    scene.load.was_fine().await;
}

#[tokio::test]
async fn nodata_for_everything_with_live_pods() {
    let scene = Scene::new(3).await;
    scene.fails(&Fault::NoData, Event::NegativeKept, 5).await;
    assert_eq!(scene.watch.0.status().endpoints, 3);
    scene.healed().await;
    scene.load.was_fine().await;
}

#[tokio::test]
async fn nodata_for_one_family_or_both_with_live_pods() {
    // Without SRV the addresses decide, and pods have no IPv6 ones: NODATA for AAAA is the ordinary case.
    let scene = Scene::with(cluster().bare_srv(BareSrv::Off), 3, quick(), "web:8080").await;
    let generation = scene.watch.0.snapshot().generation();
    scene.cluster.dns().fail(Fault::NoData.on_type(RecordType::Aaaa));
    scene.watch.looks(2).await;
    assert_eq!(
        scene.watch.count(Event::NegativeKept),
        0,
        "{:?}",
        scene.watch.0.status()
    );
    let v4 = scene.cluster.dns().fail(Fault::NoData.on_type(RecordType::A));
    scene.watch.counts(Event::NegativeKept, 3).await;
    assert!(scene.cluster.dns().remove(v4));
    scene.healed().await;
    assert_eq!(scene.watch.0.snapshot().generation(), generation);
    scene.load.was_fine().await;
}

#[tokio::test]
async fn nodata_for_the_only_family_wanted_of_pods_that_have_both() {
    let cluster = cluster().dual_stack(true).bare_srv(BareSrv::Off).start().await.unwrap();
    let web = stateful_set(&cluster, "web", "web", 3).await;
    let v4_only = |resolver: DnsResolverBuilder| resolver.family(IpFamily::V4Only);
    let scene = Scene::over(cluster, web, quick(), "web:8080", v4_only).await;
    let generation = scene.watch.0.snapshot().generation();
    let id = scene.cluster.dns().fail(Fault::NoData.on_type(RecordType::A));
    scene.watch.counts(Event::NegativeKept, 3).await;
    scene.load.more(100).await;
    assert!(scene.cluster.dns().remove(id));
    scene.healed().await;
    assert_eq!(scene.watch.0.snapshot().generation(), generation);
    scene.load.was_fine().await;
}

#[tokio::test]
async fn nodata_for_the_family_in_use_does_not_take_pods_away_for_one_that_leads_nowhere() {
    // The pods' IPv6 addresses are in DNS only: nobody can be reached there.
    let cluster = cluster().dual_stack(true).bare_srv(BareSrv::Off).start().await.unwrap();
    let web = stateful_set(&cluster, "web", "web", 3).await;
    let scene = Scene::over(cluster, web, quick(), "web:8080", |resolver| resolver).await;
    let id = scene.cluster.dns().fail(Fault::NoData.on_type(RecordType::A));
    scene.watch.counts(Event::ReplaceHeld, 1).await;
    scene.watch.looks(5).await;
    scene.load.more(100).await;
    assert!(scene.cluster.dns().remove(id));
    scene.watch.sees(&["web-0", "web-1", "web-2"]).await;
    scene.load.was_fine().await;
}

#[tokio::test]
async fn nxdomain_for_good_empties_the_set_and_requests_wait_for_its_end() {
    let mut config = quick();
    config.negative_hold = Duration::from_millis(200);
    let scene = Scene::with(cluster(), 3, config, "web:http").await;
    scene.cluster.dns().fail(Fault::NxDomain);
    scene.watch.counts(Event::Emptied, 1).await;
    assert!(
        scene.watch.count(Event::NegativeKept) >= 2,
        "{:?}",
        scene.watch.0.status()
    );
    scene.watch.counts(Event::Empty, 1).await;
    assert!(scene.watch.0.snapshot().is_empty());
    scene.cluster.dns().heal();
    scene.watch.sees(&["web-0", "web-1", "web-2"]).await;
    scene.load.more(50).await;
    scene.load.was_fine().await;
}

#[tokio::test]
async fn nothing_at_the_start_then_pods() {
    let cluster = cluster().start().await.unwrap();
    let web = stateful_set(&cluster, "web", "web", 0).await;
    let discovery = Discovery::builder(resolver(&cluster, "web:http").build().unwrap())
        .refresh(quick())
        .on_start(OnStart::Empty)
        .start()
        .await
        .unwrap();
    let client = Client::builder(discovery.clone()).build().unwrap();
    let (watch, load) = (Watch(discovery), Load::start(&client, CALLERS));
    watch.counts(Event::Empty, 3).await;
    web.scale(2).await.unwrap();
    watch.sees(&["web-0", "web-1"]).await;
    load.more(50).await;
    load.was_fine().await;
}

// DNS says less than there is.

#[tokio::test]
async fn an_answer_cut_short_over_udp_is_fetched_over_tcp() {
    let scene = Scene::new(3).await;
    let generation = scene.watch.0.snapshot().generation();
    scene
        .cluster
        .dns()
        .fail(Fault::Truncate { keep: 1 }.over(Transport::Udp));
    scene.watch.looks(2).await;
    assert_eq!(scene.watch.count(Event::Truncated), 0);
    assert_eq!(scene.watch.0.snapshot().generation(), generation);
    assert!(scene.cluster.dns().count(|query| query.transport == Transport::Tcp) > 0);
    scene.load.was_fine().await;
}

#[tokio::test]
async fn an_answer_cut_short_adds_and_never_removes() {
    let scene = Scene::with(cluster().bare_srv(BareSrv::Off), 3, quick(), "web:8080").await;
    let id = scene
        .cluster
        .dns()
        .fail(Fault::Truncate { keep: 1 }.on_type(RecordType::A));
    scene.watch.counts(Event::Truncated, 3).await;
    assert_eq!(scene.watch.pods(), ["web-0", "web-1", "web-2"]);
    scene.web.scale(4).await.unwrap();
    scene.watch.sees(&["web-0", "web-1", "web-2", "web-3"]).await;
    assert!(scene.cluster.dns().remove(id));
    scene.web.scale(2).await.unwrap();
    scene.watch.sees(&["web-0", "web-1"]).await;
    scene.load.was_fine().await;
}

fn most_of_five() -> Lie {
    Lie::new().omit("web-1").omit("web-2").omit("web-4")
}

#[tokio::test]
async fn most_pods_forgotten_once_are_kept() {
    let scene = Scene::new(5).await;
    let generation = scene.watch.0.snapshot().generation();
    scene.cluster.dns().fail(Fault::Lie(most_of_five()).times(1));
    scene.watch.counts(Event::ShrinkHeld, 1).await;
    scene.watch.looks(1).await;
    assert_eq!(scene.watch.0.snapshot().generation(), generation, "they never left");
    scene.load.was_fine().await;
}

#[tokio::test]
async fn most_pods_forgotten_twice_are_gone() {
    let scene = Scene::new(5).await;
    scene.cluster.dns().fail(most_of_five());
    scene.watch.sees(&["web-0", "web-3"]).await;
    let rules = [Event::ShrinkHeld, Event::Released].map(|rule| scene.watch.count(rule));
    assert_eq!(rules, [1, 1], "held by the first answer, let go by the second");
    scene.cluster.dns().heal();
    scene.watch.sees(&["web-0", "web-1", "web-2", "web-3", "web-4"]).await;
    scene.load.more(50).await;
    scene.load.was_fine().await;
}

#[tokio::test]
async fn all_pods_replaced_by_pods_that_do_not_work_yet() {
    let cluster = cluster().start().await.unwrap();
    let web = stateful_set(&cluster, "web", "web", 6).await;
    let hide = |pods: [&str; 3]| pods.into_iter().fold(Lie::new(), Lie::omit);
    let (old, new) = (["web-0", "web-1", "web-2"], ["web-3", "web-4", "web-5"]);
    let before = cluster.dns().fail(hide(new));
    let scene = Scene::over(cluster, web, quick(), "web:http", |resolver| resolver).await;
    for pod in new {
        scene.web.pod(pod).unwrap().fail(Failure::Refuse);
    }
    scene.cluster.dns().fail(hide(old));
    assert!(scene.cluster.dns().remove(before));
    scene.watch.counts(Event::ReplaceHeld, 1).await;
    scene.watch.looks(3).await;
    scene.load.more(200).await;
    assert_eq!(
        scene.watch.0.snapshot().len(),
        6,
        "the old ones work, and no new one has: {:?}",
        scene.watch.0.status()
    );
    for pod in new {
        scene.web.pod(pod).unwrap().heal();
    }
    scene.watch.counts(Event::Released, 1).await;
    scene.watch.sees(&new).await;
    scene.load.more(50).await;
    scene.load.was_fine().await;
}

#[tokio::test]
async fn more_pods_than_allowed_are_refused_whole() {
    let mut config = quick();
    config.max_endpoints = 3;
    let scene = Scene::with(cluster(), 3, config, "web:http").await;
    scene.web.scale(5).await.unwrap();
    scene.watch.counts(Event::TooMany, 2).await;
    assert_eq!(scene.watch.pods(), ["web-0", "web-1", "web-2"]);
    let (_, failure) = scene.watch.0.status().last_failure.unwrap();
    assert!(failure.to_string().contains("max_endpoints"), "{failure}");
    scene.load.was_fine().await;
}

// When it is asked again.

#[tokio::test]
async fn a_ttl_of_zero_does_not_spin() {
    let config = quick();
    let least = config.min_poll;
    let scene = Scene::with(cluster().ttl(0), 2, config, "web:http").await;
    let (begin, found) = (Instant::now(), scene.watch.count(Event::Found));
    scene.watch.counts(Event::Found, found + 10).await;
    assert!(begin.elapsed() >= least * 9, "10 looks in {:?}", begin.elapsed());
    scene.load.was_fine().await;
}

#[tokio::test]
async fn a_long_ttl_does_not_delay_the_news() {
    let scene = Scene::with(cluster().ttl(86_400), 2, quick(), "web:http").await;
    assert_eq!(scene.watch.0.status().ttl, Some(Duration::from_secs(86_400)));
    scene.web.scale(3).await.unwrap();
    scene.watch.sees(&["web-0", "web-1", "web-2"]).await;
    assert!(scene.watch.0.status().next_poll_in < POLL * 2);
    scene.load.was_fine().await;
}

#[tokio::test]
async fn a_cache_in_between_is_noticed_by_its_aged_ttl() {
    let scene = Scene::with(cluster().ttl(30).dns_cache(true), 2, quick(), "web:http").await;
    scene.cluster.dns().age_cache(Duration::from_secs(10));
    until(
        || scene.watch.0.status().next_poll_in > Duration::from_secs(15),
        || format!("{:?}", scene.watch.0.status()),
    )
    .await;
    scene.load.more(100).await;
    scene.load.was_fine().await;
}

// Who is who.

#[tokio::test]
async fn the_same_pod_under_a_new_address() {
    let scene = Scene::new(3).await;
    let before = scene.web.pod("web-1").unwrap().addr();
    let after = scene.web.replace("web-1", Address::New).await.unwrap().addr();
    assert_ne!(before, after);
    scene.watch.sees_all_of(&scene.web).await;
    assert_eq!(scene.watch.ordinals(), [Some(0), Some(1), Some(2)]);
    scene.load.more(100).await;
    assert!(scene.web.pod("web-1").unwrap().requests() > 0);
    scene.load.was_fine().await;
}

#[tokio::test]
async fn a_rolling_restart_costs_no_request() {
    let scene = Scene::new(3).await;
    for roll in [Roll::default(), Roll::default().keep_addresses()] {
        scene.web.roll(roll).await.unwrap();
        scene.watch.sees_all_of(&scene.web).await;
        scene.load.more(50).await;
    }
    scene.load.was_fine().await;
}

#[tokio::test]
async fn one_pod_with_several_addresses_is_one_endpoint() {
    let scene = Scene::with(cluster().dual_stack(true), 2, quick(), "web:http").await;
    scene.watch.sees_all_of(&scene.web).await;
    let v6 = resolver(&scene.cluster, "web:http")
        .family(IpFamily::V6Only)
        .build()
        .unwrap();
    let v6 = Discovery::builder(v6).refresh(quick()).start().await.unwrap();
    let ips: Vec<_> = v6.snapshot().iter().map(|endpoint| endpoint.addr().ip()).collect();
    let expected: Vec<_> = scene
        .web
        .pods()
        .iter()
        .map(|pod| IpAddr::from(pod.ipv6().unwrap()))
        .collect();
    assert_eq!(ips, expected);
    scene.load.was_fine().await;
}

#[tokio::test]
async fn two_stateful_sets_under_one_service() {
    let cluster = cluster().start().await.unwrap();
    let web = stateful_set(&cluster, "web", "web", 2).await;
    let other = stateful_set(&cluster, "canary", "web", 2).await;
    let scene = Scene::over(cluster, web, quick(), "web:http", |resolver| resolver).await;
    scene.watch.sees(&["canary-0", "canary-1", "web-0", "web-1"]).await;
    let pinned = resolver(&scene.cluster, "web:http")
        .stateful_set("web")
        .build()
        .unwrap();
    let pinned = Watch(Discovery::builder(pinned).refresh(quick()).start().await.unwrap());
    assert_eq!(pinned.ordinals(), [None, None, Some(0), Some(1)], "{:?}", pinned.pods());
    other.scale(1).await.unwrap();
    scene.watch.sees(&["canary-0", "web-0", "web-1"]).await;
    scene.load.more(100).await;
    assert!(other.pod("canary-0").unwrap().requests() > 0);
    scene.load.was_fine().await;
}

#[tokio::test]
async fn a_gap_in_the_ordinals() {
    let scene = Scene::new(4).await;
    scene.web.delete("web-1").await.unwrap();
    scene.watch.sees(&["web-0", "web-2", "web-3"]).await;
    assert_eq!(scene.watch.ordinals(), [Some(0), Some(2), Some(3)]);
    scene.web.start_pod("web-1", Address::New).await.unwrap();
    scene.watch.sees_all_of(&scene.web).await;
    scene.load.was_fine().await;
}

#[tokio::test]
async fn ordinals_that_do_not_begin_at_zero() {
    let cluster = cluster().bare_srv(BareSrv::Off).start().await.unwrap();
    let web = cluster
        .stateful_set("web")
        .service("web")
        .port("http", 8080)
        .replicas(3);
    let web = web.app(App::http()).first_ordinal(5).start().await.unwrap();
    let settings = |resolver: DnsResolverBuilder| resolver.stateful_set("web").first_ordinal(5);
    let scene = Scene::over(cluster, web, quick(), "web:8080", settings).await;
    scene.watch.sees(&["web-5", "web-6", "web-7"]).await;
    assert_eq!(scene.watch.ordinals(), [Some(5), Some(6), Some(7)]);
    scene.web.scale(4).await.unwrap();
    scene.watch.sees(&["web-5", "web-6", "web-7", "web-8"]).await;
    scene.load.was_fine().await;
}

#[tokio::test]
async fn dashed_names_have_no_ordinals() {
    let cluster = cluster().start().await.unwrap();
    let web = cluster.deployment("web").service("web").port("http", 8080).replicas(3);
    let web = web.app(App::http()).start().await.unwrap();
    let scene = Scene::over(cluster, web, quick(), "web:http", |resolver| resolver).await;
    assert_eq!(scene.watch.ordinals(), [None, None, None]);
    let dashed = |pod: &Pod| pod.ip().to_string().replace('.', "-");
    let mut expected: Vec<_> = scene.web.pods().iter().map(dashed).collect();
    let mut pods = scene.watch.pods();
    expected.sort();
    pods.sort();
    assert_eq!(pods, expected);
    scene.web.roll(Roll::default()).await.unwrap();
    until(
        || scene.watch.0.snapshot().len() == 3,
        || format!("{:?}", scene.watch.pods()),
    )
    .await;
    scene.load.was_fine().await;
}

// What must hold.

/// Runs `count` requests of their own after everything that was under way, and returns how many of them a pod got.
async fn share_of(scene: &Scene, pod: &Pod, count: u64) -> u64 {
    let before = pod.requests();
    let load = Load::start(&scene.client, CALLERS);
    load.more(count).await;
    load.was_fine().await;
    pod.requests() - before
}

#[tokio::test]
async fn a_stranger_at_a_reused_address_gets_nothing_once_dns_shows_it() {
    let mut scene = Scene::new(3).await;
    let strangers = stateful_set(&scene.cluster, "other", "other", 0).await;
    let ip = scene.web.pod("web-2").unwrap().ip();
    // DNS is behind: the address changes hands, and the old answer stays.
    scene.cluster.dns().freeze();
    scene.web.evict("web-2").await.unwrap();
    let stranger = strangers.start_pod("other-0", Address::At(ip)).await.unwrap();
    stranger.wait_stats(|stats| stats.requests > 10).await.unwrap();
    scene.cluster.dns().thaw();
    scene.watch.sees(&["web-0", "web-1"]).await;
    let load = std::mem::replace(&mut scene.load, Load::paced(&scene.client, 0, POLL));
    let tally = load.stop().await;
    assert_eq!(tally.failed, [""; 0]);
    assert!(tally.strangers > 0, "nobody can know before DNS says so");
    assert_eq!(share_of(&scene, &stranger, 1000).await, 0);
    stranger.wait_stats(|stats| stats.open == 0).await.unwrap();
}

#[tokio::test]
async fn a_reused_address_under_another_name_of_the_service_is_another_pod_at_once() {
    let mut scene = Scene::new(5).await;
    let ip = scene.web.pod("web-2").unwrap().ip();
    scene.cluster.dns().freeze();
    // More than half is missing, which alone would be doubted.
    for pod in ["web-1", "web-2", "web-3"] {
        scene.web.evict(pod).await.unwrap();
    }
    let other = scene.web.start_pod("web-7", Address::At(ip)).await.unwrap();
    other.wait_stats(|stats| stats.requests > 10).await.unwrap();
    scene.cluster.dns().thaw();
    let seen = || scene.watch.pods();
    until(|| seen().contains(&"web-7".to_owned()), || format!("{:?}", seen())).await;
    assert!(!seen().contains(&"web-2".to_owned()), "{:?}", seen());
    let load = std::mem::replace(&mut scene.load, Load::paced(&scene.client, 0, POLL));
    assert_eq!(load.stop().await.failed, [""; 0]);
    // Whoever is asked for web-7 is web-7: `was_fine` says so.
    assert!(share_of(&scene, &other, 1000).await > 100);
    scene.watch.sees(&["web-0", "web-4", "web-7"]).await;
}

#[tokio::test]
async fn new_pods_get_their_share_within_two_polls() {
    let mut scene = Scene::new(5).await;
    let load = std::mem::replace(&mut scene.load, Load::paced(&scene.client, 0, POLL));
    load.was_fine().await;
    let load = Load::start(&scene.client, 40);
    scene.web.scale(20).await.unwrap();
    let begin = Instant::now();
    let seen = scene
        .watch
        .0
        .clone()
        .wait_for(|snapshot| snapshot.len() == 20)
        .await
        .unwrap();
    let seen_after = begin.elapsed();
    assert_eq!(seen.len(), 20);
    until(|| begin.elapsed() >= POLL * 2, String::new).await;
    let pods = scene.web.pods();
    let requests = || pods.iter().map(Pod::requests).collect::<Vec<_>>();
    let before = requests();
    load.more(20 * 1000).await;
    let shares: Vec<u64> = requests()
        .iter()
        .zip(&before)
        .map(|(after, before)| after - before)
        .collect();
    let fair = shares.iter().sum::<u64>() / 20;
    println!(
        "seen after {seen_after:?}; fair {fair}, least {:?}, most {:?}",
        shares.iter().min(),
        shares.iter().max()
    );
    assert!(
        shares.iter().all(|share| share * 10 >= fair * 9),
        "fair is {fair}: {shares:?}"
    );
    load.was_fine().await;
}

#[tokio::test]
async fn a_crashed_pod_that_dns_still_lists_costs_no_get() {
    let scene = Scene::new(3).await;
    let pod = scene.web.pod("web-1").unwrap();
    scene.web.kill("web-1").await.unwrap();
    pod.wait_phase(Phase::Crashed).await.unwrap();
    scene.load.more(2000).await;
    assert_eq!(scene.watch.0.snapshot().len(), 3, "DNS still lists it");
    let stats = scene.client.balancer().stats();
    let unhealthy: Vec<_> = stats
        .endpoints
        .iter()
        .filter(|pod| pod.unhealthy)
        .map(|pod| pod.endpoint.addr())
        .collect();
    assert_eq!(unhealthy, [pod.addr()]);
    println!("{} GETs, none failed", scene.load.was_fine().await);
}

/// How long after the pods are back the first request succeeds.
async fn recovery(down: impl AsyncFn(&Workload), up: impl AsyncFn(&Workload)) -> Duration {
    let mut config = quick();
    (config.min_poll, config.max_poll, config.min_reresolve_interval) = (POLL * 4, POLL * 4, POLL * 4);
    config.retry_max = POLL * 4;
    let scene = Scene::with(cluster(), 3, config, "web:http").await;
    let pods = scene.web.pods();
    down(&scene.web).await;
    for pod in pods {
        until(|| pod.stats().listening == 0, || format!("{pod:?} still listens")).await;
    }
    // All callers wait, each up to its acquire timeout, 5 s.
    scene.watch.0.request_reresolution();
    let looks = scene.cluster.dns().total();
    scene.cluster.dns().wait_total(looks + 2).await.unwrap();
    up(&scene.web).await;
    let back = Instant::now();
    scene.load.more(1).await;
    let waited = back.elapsed();
    scene.load.more(50).await;
    scene.load.was_fine().await;
    waited
}

/// One poll with its jitter, and generously one dial.
const RECOVERED: Duration = Duration::from_millis(440 + 200);

#[tokio::test]
async fn all_pods_gone_then_back_under_new_addresses() {
    let waited = recovery(
        async |web| web.scale(0).await.unwrap(),
        async |web| web.scale(3).await.unwrap(),
    )
    .await;
    println!("first success after {waited:?}");
    assert!(waited <= RECOVERED, "{waited:?}");
}

#[tokio::test]
async fn all_pods_dead_while_listed_then_back_where_they_were() {
    let kill = async |web: &Workload| {
        for pod in ["web-0", "web-1", "web-2"] {
            web.kill(pod).await.unwrap();
        }
    };
    let back = async |web: &Workload| {
        for pod in ["web-0", "web-1", "web-2"] {
            web.replace(pod, Address::Same).await.unwrap();
        }
    };
    let waited = recovery(kill, back).await;
    println!("first success after {waited:?}");
    assert!(waited <= RECOVERED, "{waited:?}");
}
