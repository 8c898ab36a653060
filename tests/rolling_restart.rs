//! Zero-loss rolling restarts: five pods are replaced one after the other, several times, at full
//! closed-loop load, and no request fails. When pods are killed instead, only orders fail that were
//! on the wire of the killed pod.
//!
//! `HEADLESS_RESTART_REQUESTS` is the number of requests per test, and makes everything real: a
//! pre-stop wait of 5 s, the client with its defaults. 1000000 is the acceptance run, some minutes
//! in release. Unset, there are few requests and time runs faster.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

#[path = "rolling_restart/load.rs"]
mod load;
#[path = "rolling_restart/shop.rs"]
mod shop;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use headless::{Discovery, EndpointStats};
use headless_http::{Client, ClientBuilder, Error, Protocol};
use headless_testkit::{Address, Cluster, Pod, Roll, Termination, Workload};
use headless_tests::support::load::{Failed, Load};
use headless_tests::support::resolution::{NAMESPACE, refresh_at, resolver};
use headless_tests::support::wait::until;
use http::Method;
use tokio::runtime::{Builder, Handle};
use tokio::time::Instant;

use load::{CALLERS, Cause, Problem};
use shop::{Close, Shop, addrs};

const PODS: u32 = 5;
/// Each pod is replaced this often at least.
const ROLLS: u32 = 2;
/// Requests over which the balance is checked: a pod's share of them deviates by about 3 %.
const QUIET: u64 = 5000;

/// The length of a test, and the speed of time.
#[derive(Clone, Copy)]
struct Scale {
    requests: u64,
    /// The duration of one second of the settings of Kubernetes and of the client.
    second: Duration,
}

impl Scale {
    fn from_env() -> Self {
        match std::env::var("HEADLESS_RESTART_REQUESTS") {
            Ok(requests) => Self {
                requests: requests.parse().unwrap(),
                second: Duration::from_secs(1),
            },
            Err(_) => Self {
                requests: 10_000,
                second: Duration::from_millis(100),
            },
        }
    }
}

/// Five pods, a client of them, and load.
struct Scene {
    scale: Scale,
    protocol: Protocol,
    shop: Arc<Shop>,
    _cluster: Cluster,
    web: Workload,
    client: Client,
    load: Load<Problem>,
    begin: Instant,
}

impl Scene {
    async fn new(
        pods: &Handle,
        protocol: Protocol,
        close: Close,
        pre_stop: u32,
        settings: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Self {
        let scale = Scale::from_env();
        let shop = Arc::new(Shop::default());
        let app = shop.app(protocol, close);
        let termination = Termination {
            pre_stop: scale.second * pre_stop,
            stop_accepting: true,
            grace: scale.second * 25,
        };
        let start = async move {
            // The TTL of kubeadm's CoreDNS.
            let cluster = Cluster::builder().namespace(NAMESPACE).ttl(30).start().await.unwrap();
            let web = cluster.stateful_set("web").service("web").port("http", 8080);
            let web = web.replicas(PODS).parallel().app(app);
            let web = web.termination(termination).startup(scale.second);
            (web.start().await.unwrap(), cluster)
        };
        let (web, cluster) = pods.spawn(start).await.unwrap();
        let discovery = Discovery::builder(resolver(cluster.dns_addr(), "web:http")).refresh(refresh_at(scale.second));
        let builder = Client::builder(discovery.start().await.unwrap()).protocol(protocol);
        let client = settings(builder).build().unwrap();
        Self {
            scale,
            protocol,
            shop,
            _cluster: cluster,
            web,
            load: load::start(&client),
            client,
            begin: Instant::now(),
        }
    }

    /// Whether there are to be more rolls.
    fn goes_on(&self, rolls: u32) -> bool {
        rolls < ROLLS || self.load.done() < self.scale.requests
    }

    /// Kills a pod; returns when.
    async fn kill(&self, pod: &Pod) -> Kill {
        let from = Instant::now();
        self.web.kill(pod.name()).await.unwrap();
        Kill {
            addr: pod.addr(),
            from,
            to: Instant::now(),
        }
    }

    /// Waits until this pod has processed an item and an order that it does not answer.
    async fn hold(&self, pod: &Pod) {
        self.shop.hold(pod);
        let stuck = || self.shop.stuck();
        until(
            || stuck().items > 0 && stuck().orders > 0,
            || format!("both: {:?}", stuck()),
        )
        .await;
    }

    async fn all_have_served(&self) {
        let idle = || self.web.pods().into_iter().find(|pod| self.shop.served(pod) == 0);
        until(
            || idle().is_none(),
            || format!("a request to {:?}: {:?}", idle(), self.client.balancer().stats()),
        )
        .await;
    }

    /// Waits until the client has all pods, and each gets its share.
    async fn has_all_pods(&self) {
        let in_use = |pod: &EndpointStats| !pod.unhealthy && !pod.warming;
        self.client_is(|_, pod| in_use(pod)).await;
    }

    /// Waits until the client has all pods, no pod is draining, and `is_right` accepts each.
    async fn client_is(&self, is_right: impl Fn(&Pod, &EndpointStats) -> bool) {
        let pods = self.web.ready();
        assert_eq!(pods.len(), PODS as usize);
        let balancer = self.client.balancer();
        let is = || {
            let stats = balancer.stats();
            let addresses = stats.endpoints.iter().map(|pod| pod.endpoint.addr());
            addresses.eq(addrs(&pods))
                && stats.draining.is_empty()
                && pods
                    .iter()
                    .zip(&stats.endpoints)
                    .all(|(pod, stats)| is_right(pod, stats))
        };
        until(is, || format!("{:?}: {:#?}", addrs(&pods), balancer.stats())).await;
    }

    /// Without changes, each pod gets its fifth.
    async fn is_fair(&self) {
        self.has_all_pods().await;
        let served = || {
            let pods = self.web.ready();
            pods.iter().map(|pod| self.shop.served(pod)).collect::<Vec<_>>()
        };
        let before = served();
        self.load.more(QUIET).await;
        let shares: Vec<_> = served()
            .iter()
            .zip(&before)
            .map(|(after, before)| after - before)
            .collect();
        let fair = shares.iter().sum::<u64>() / u64::from(PODS);
        assert!(
            shares.iter().all(|share| share.abs_diff(fair) * 5 <= fair),
            "shares within 20 % of {fair} expected: {shares:?}"
        );
    }

    /// Ends the load, and checks that client and pods agree about every connection.
    async fn ends(self, rolls: u32) -> Report {
        let (shop, time) = (Arc::clone(&self.shop), self.begin.elapsed());
        self.load.stop();
        let protocol = self.protocol;
        self.client_is(|pod, stats| {
            let pool = &stats.pool;
            let is_calm = (stats.in_flight, pool.busy, pool.waiting, pool.connecting) == (0, 0, 0, 0);
            let is_enough = match protocol {
                Protocol::Http2 => pool.idle == 1,
                _ => (1..=CALLERS).contains(&(pool.idle as u64)),
            };
            is_calm && is_enough && !stats.unhealthy && !stats.warming && pod.stats().open == pool.idle as u64
        })
        .await;
        let requests = self.load.done();
        let report = Report {
            requests,
            failed: self.load.failed().await,
            rolls,
            rate: requests as f64 / time.as_secs_f64(),
            connections: shop.connections(),
            sent: shop.total_served(),
        };
        assert!(requests >= self.scale.requests);
        assert_eq!(shop.twice(), [0; 0], "orders that were processed twice");
        report
    }
}

/// The outcome of a test.
struct Report {
    requests: u64,
    failed: Vec<Failed<Problem>>,
    rolls: u32,
    rate: f64,
    connections: u64,
    /// Requests that the pods received, each retry counted.
    sent: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            rolls,
            rate,
            connections,
            sent,
            ..
        } = self;
        let failed = self.failed.len();
        write!(
            f,
            "{requests} requests, {failed} failed, {sent} received, {rolls} rolls, {rate:.0} requests/s, {connections} connections"
        )
    }
}

/// A pod that was killed, and when.
struct Kill {
    addr: SocketAddr,
    from: Instant,
    to: Instant,
}

impl Kill {
    /// Whether no client could have escaped the failure: an order that this pod may have had when
    /// it died.
    fn explains(&self, failed: &Failed<Problem>) -> bool {
        let Cause::Error(
            error @ Error::Send {
                may_have_been_processed: true,
                ..
            },
        ) = &failed.error.cause
        else {
            return false;
        };
        let is_here = error.endpoint().is_some_and(|endpoint| endpoint.addr() == self.addr);
        let is_now = failed.from <= self.to + UNNOTICED && self.from <= failed.to;
        failed.error.method == Method::POST && is_here && is_now
    }
}

/// How long a client cannot know of a kill: it learns of its sockets once per turn of its runtime,
/// which other tests may hold up. An order that is sent meanwhile is on the wire of a dead pod.
const UNNOTICED: Duration = Duration::from_millis(100);

/// Runs the test, with a thread of their own for the pods: they may act between any two steps of
/// the client.
fn scenario(run: impl AsyncFnOnce(&Handle)) {
    let pods = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let client = Builder::new_current_thread().enable_all().build().unwrap();
    client.block_on(run(pods.handle()));
}

fn none(failed: &[Failed<Problem>]) {
    let some: Vec<_> = failed
        .iter()
        .take(10)
        .map(|failed| format!("\n  {} (after {:?})", failed.error, failed.to - failed.from))
        .collect();
    assert!(failed.is_empty(), "{} requests failed:{}", failed.len(), some.concat());
}

/// Rolls all pods, waiting `pre_stop` seconds between leaving DNS and not accepting any more.
fn restart(protocol: Protocol, pre_stop: u32) {
    scenario(async |pods| {
        let scene = Scene::new(pods, protocol, Close::Gracefully, pre_stop, |client| client).await;
        let mut rolls = 0;
        while scene.goes_on(rolls) {
            scene.web.roll(Roll::default()).await.unwrap();
            scene.all_have_served().await;
            rolls += 1;
        }
        scene.is_fair().await;
        let report = scene.ends(rolls).await;
        println!("{protocol:?}, pre-stop {pre_stop} s: {report}");
        none(&report.failed);
    });
}

#[test]
fn http1_pods_that_finish_what_they_have_cost_no_request() {
    restart(Protocol::Http1, 0);
}

#[test]
fn http1_pods_that_wait_before_they_stop_cost_no_request() {
    restart(Protocol::Http1, 5);
}

#[test]
fn http2_pods_that_finish_what_they_have_cost_no_request() {
    restart(Protocol::Http2, 0);
}

#[test]
fn http2_pods_that_wait_before_they_stop_cost_no_request() {
    restart(Protocol::Http2, 5);
}

/// Kills all pods one after the other; each returns at another address. Every second roll waits
/// until the pod has processed requests and not answered them.
fn crash(protocol: Protocol) {
    scenario(async |pods| {
        let scene = Scene::new(pods, protocol, Close::Abruptly, 0, |client| client).await;
        let (mut rolls, mut kills, mut unanswered) = (0, Vec::new(), 0);
        while scene.goes_on(rolls) {
            for pod in scene.web.ready() {
                scene.has_all_pods().await;
                if rolls % 2 == 0 {
                    scene.hold(&pod).await;
                }
                kills.push(scene.kill(&pod).await);
                unanswered += scene.shop.release().orders;
                scene.load.more(200).await;
                scene.web.replace(pod.name(), Address::New).await.unwrap();
                scene.all_have_served().await;
            }
            rolls += 1;
        }
        scene.is_fair().await;
        let report = scene.ends(rolls).await;
        println!(
            "{protocol:?}, {} crashes, {unanswered} orders unanswered: {report}",
            kills.len()
        );
        let (explained, others): (Vec<_>, Vec<_>) = report
            .failed
            .into_iter()
            .partition(|failed| kills.iter().any(|kill| kill.explains(failed)));
        none(&others);
        assert!(
            explained.len() as u64 >= unanswered,
            "{unanswered} orders were processed and not answered"
        );
    });
}

#[test]
fn http1_pods_that_are_killed_cost_the_orders_on_their_wires() {
    crash(Protocol::Http1);
}

#[test]
fn http2_pods_that_are_killed_cost_the_orders_on_their_wires() {
    crash(Protocol::Http2);
}

/// A check of the tests themselves: they notice a worse client.
#[test]
fn a_client_that_sends_nothing_again_loses_items() {
    scenario(async |pods| {
        let scene = Scene::new(pods, Protocol::Http1, Close::Abruptly, 0, |client| {
            client.max_retries(0)
        })
        .await;
        let pod = scene.web.pod("web-0").unwrap();
        scene.hold(&pod).await;
        scene.kill(&pod).await;
        scene.load.more(200).await;
        let failed = scene.load.failed().await;
        assert!(
            failed.iter().any(|failed| failed.error.method == Method::GET),
            "no item failed"
        );
    });
}
