//! `Discovery` and `Balancer` on real sockets: starting, following, and every failed start with its
//! text.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::time::Duration;

use headless::policy::{PowerOfTwo, RoleAware, RoundRobin};
use headless::{
    Balancer, BuildError, Connect, Discovery, Endpoint, OnStart, Outcome, RefreshConfig, Route, StartError,
};
use headless_testkit::{Address, App, Cluster, Fault, Roll, Workload};
use headless_tests::support::resolution::{NAMESPACE, resolver};
use tokio::net::TcpStream;

async fn cluster() -> Cluster {
    let settings = Cluster::builder().namespace(NAMESPACE).ttl(1).seed(1);
    settings.start().await.unwrap()
}

async fn web(cluster: &Cluster, replicas: u32) -> Workload {
    cluster
        .stateful_set("web")
        .service("web")
        .port("http", 8080)
        .replicas(replicas)
        .app(App::echo())
        .start()
        .await
        .unwrap()
}

async fn start(cluster: &Cluster, target: &str) -> Result<Discovery, StartError> {
    Discovery::builder(resolver(cluster.dns_addr(), target)).start().await
}

/// Checks the text of a failed start: the question, the answer, and what to do.
async fn fails(cluster: &Cluster, target: &str, says: &[&str]) {
    let error = start(cluster, target).await.unwrap_err();
    for part in says {
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    }
}

fn pods(discovery: &Discovery) -> Vec<String> {
    discovery
        .snapshot()
        .iter()
        .map(|endpoint| endpoint.pod().unwrap().to_string())
        .collect()
}

struct Tcp;

impl Connect for Tcp {
    type Conn = TcpStream;
    type Error = std::io::Error;

    async fn connect(&self, endpoint: &Endpoint) -> std::io::Result<TcpStream> {
        TcpStream::connect(endpoint.addr()).await
    }
}

#[tokio::test]
async fn a_start_finds_the_pods_with_their_ordinals() {
    let cluster = cluster().await;
    let web = web(&cluster, 3).await;
    let discovery = start(&cluster, "web:http").await.unwrap();
    assert_eq!(pods(&discovery), ["web-0", "web-1", "web-2"]);
    let addrs: Vec<_> = discovery.snapshot().iter().map(|endpoint| endpoint.addr()).collect();
    assert_eq!(addrs, web.pods().iter().map(|pod| pod.addr()).collect::<Vec<_>>());
    assert_eq!(discovery.service(), "web.shop.svc.cluster.local:http");
}

#[tokio::test]
async fn a_watch_follows_scaling_and_a_rolling_restart() {
    let cluster = cluster().await;
    let web = web(&cluster, 2).await;
    let mut discovery = start(&cluster, "web:http").await.unwrap();
    web.scale(4).await.unwrap();
    discovery.wait_for(|snapshot| snapshot.len() == 4).await.unwrap();
    let before = discovery.snapshot();
    web.roll(Roll::default()).await.unwrap();
    discovery
        .wait_for(|now| now.len() == 4 && now.iter().all(|endpoint| before.get(endpoint.key()).is_none()))
        .await
        .unwrap();
    assert_eq!(
        pods(&discovery),
        ["web-0", "web-1", "web-2", "web-3"],
        "same names and ordinals, new addresses"
    );
    web.scale(1).await.unwrap();
    discovery.wait_for(|snapshot| snapshot.len() == 1).await.unwrap();
    assert_eq!(pods(&discovery), ["web-0"]);
}

#[tokio::test]
async fn a_service_that_does_not_exist() {
    let cluster = cluster().await;
    fails(
        &cluster,
        "wbe.shop.svc:http",
        &[
            "wbe.shop.svc.cluster.local:http has no ready pod",
            "NXDOMAIN",
            "check that the Service exists in that namespace",
            "clusterIP: None",
            "kubectl get endpointslices",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_service_without_ready_pods() {
    let cluster = cluster().await;
    let _web = web(&cluster, 0).await;
    fails(
        &cluster,
        "web:http",
        &["web.shop.svc.cluster.local:http has no ready pod", "pods are Ready"],
    )
    .await;
}

#[tokio::test]
async fn a_port_name_that_the_service_does_not_have() {
    let cluster = cluster().await;
    let _web = web(&cluster, 1).await;
    fails(&cluster, "web:grpc", &["no port named `grpc`", "8080"]).await;
}

#[tokio::test]
async fn a_name_server_that_fails() {
    let cluster = cluster().await;
    let _web = web(&cluster, 1).await;
    cluster.dns().fail(Fault::ServFail);
    fails(
        &cluster,
        "web:http",
        &["cannot resolve web.shop.svc.cluster.local:http", "SERVFAIL"],
    )
    .await;
}

#[tokio::test]
async fn a_name_that_cannot_be_parsed() {
    let error = Discovery::start("web.shop.scv:http").await.unwrap_err();
    assert!(matches!(error, StartError::Name(_)));
    assert!(
        error.to_string().contains("the third label must be `svc`, found `scv`"),
        "{error}"
    );
}

#[tokio::test]
async fn roles_by_ordinal_on_a_deployment() {
    let cluster = cluster().await;
    let api = cluster
        .deployment("api")
        .service("api")
        .port("http", 8080)
        .replicas(2)
        .app(App::echo());
    let _api = api.start().await.unwrap();
    let discovery = start(&cluster, "api:http").await.unwrap();
    let error = Balancer::builder(discovery, Tcp)
        .policy(RoleAware::new(PowerOfTwo::default()))
        .build()
        .unwrap_err();
    assert!(matches!(error, BuildError::NoOrdinals { pods: 2, .. }));
    assert!(
        error
            .to_string()
            .contains("must belong to a StatefulSet whose serviceName is this Service"),
        "{error}"
    );
}

#[tokio::test]
async fn a_start_that_may_wait_waits_for_the_first_pod() {
    let cluster = cluster().await;
    let web = web(&cluster, 0).await;
    let starting = tokio::spawn({
        let watch = Discovery::builder(resolver(cluster.dns_addr(), "web:http"));
        watch.on_start(OnStart::WaitUpTo(Duration::from_secs(30))).start()
    });
    cluster.dns().wait_total(1).await.unwrap();
    web.scale(1).await.unwrap();
    assert_eq!(pods(&starting.await.unwrap().unwrap()), ["web-0"]);
}

#[tokio::test]
async fn a_start_that_may_wait_ends_with_the_same_error() {
    let cluster = cluster().await;
    let watch = Discovery::builder(resolver(cluster.dns_addr(), "web:http"));
    let error = watch
        .on_start(OnStart::WaitUpTo(Duration::from_millis(1)))
        .start()
        .await
        .unwrap_err();
    assert!(matches!(error, StartError::NoReadyPods { .. }), "{error}");
}

#[tokio::test]
async fn a_start_may_be_empty_and_requests_wait_for_the_first_pod() {
    let cluster = cluster().await;
    let web = web(&cluster, 0).await;
    let discovery = Discovery::builder(resolver(cluster.dns_addr(), "web:http"))
        .on_start(OnStart::Empty)
        .start()
        .await
        .unwrap();
    let balancer = Balancer::builder(discovery, Tcp)
        .policy(RoundRobin::default())
        .build()
        .unwrap();
    let (lease, scaled) = tokio::join!(balancer.acquire(Route::any()), web.scale(1));
    scaled.unwrap();
    let lease = lease.unwrap();
    assert_eq!(lease.endpoint().pod().unwrap().as_str(), "web-0");
    lease.finish(Outcome::Success);
}

#[tokio::test]
async fn a_pod_that_lost_its_address_since_the_last_resolution_is_refused_by_the_verifier() {
    let cluster = cluster().await;
    let web = web(&cluster, 2).await;
    let resolver = resolver(cluster.dns_addr(), "web:http");
    let verifier = resolver.ptr_verifier();
    let mut slow = RefreshConfig::default();
    (slow.min_poll, slow.max_poll) = (Duration::from_secs(60), Duration::from_secs(60));
    (slow.min_reresolve_interval, slow.max_cached_poll) = (Duration::from_secs(60), Duration::from_secs(60));
    let discovery = Discovery::builder(resolver).refresh(slow).start().await.unwrap();
    let balancer = Balancer::builder(discovery, Tcp)
        .policy(RoundRobin::default())
        .verify_peer(verifier)
        .build()
        .unwrap();
    // web-1 moves, and web-2 gets its address, before the next resolution.
    let reused = web.pod("web-1").unwrap().ip();
    web.replace("web-1", Address::New).await.unwrap();
    web.start_pod("web-2", Address::At(reused)).await.unwrap();
    for _ in 0..10 {
        let lease = balancer.acquire(Route::any()).await.unwrap();
        assert_eq!(lease.endpoint().pod().unwrap().as_str(), "web-0");
        lease.finish(Outcome::Success);
    }
    assert_eq!(web.pod("web-2").unwrap().requests(), 0, "the other pod gets no request");
}
