//! The tower services over real sockets and real DNS: the sketch of the README, and a set of pods
//! that changes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use headless::policy::{PowerOfTwo, RoundRobin};
use headless::tower::{DiscoveryLayer, Error};
use headless::{Discovery, Endpoint, RefreshConfig};
use headless_testkit::{App, Cluster, Error as TestkitError, Workload};
use headless_tests::support::resolution::{NAMESPACE, resolver};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// A line protocol on one connection: one line per request, one line per response.
struct Echo(Arc<Mutex<BufStream<TcpStream>>>);

async fn connect(pod: Endpoint) -> io::Result<Echo> {
    let stream = TcpStream::connect(pod.addr()).await?;
    Ok(Echo(Arc::new(Mutex::new(BufStream::new(stream)))))
}

impl Service<String> for Echo {
    type Response = String;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<String>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, line: String) -> Self::Future {
        let stream = Arc::clone(&self.0);
        Box::pin(async move {
            let mut stream = stream.lock().await;
            stream.write_all(format!("{line}\n").as_bytes()).await?;
            stream.flush().await?;
            let mut answer = String::new();
            match stream.read_line(&mut answer).await? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(answer.trim_end().to_owned()),
            }
        })
    }
}

async fn echo(pods: u32) -> Result<(Cluster, Workload, Discovery), TestkitError> {
    let cluster = Cluster::builder().namespace(NAMESPACE).ttl(1).start().await?;
    let set = cluster
        .stateful_set("echo")
        .service("echo")
        .port("line", 7000)
        .parallel();
    let set = set.replicas(pods).app(App::echo()).start().await?;
    let mut refresh = RefreshConfig::default();
    (refresh.min_poll, refresh.max_poll) = (Duration::from_millis(50), Duration::from_millis(50));
    let discovery = Discovery::builder(resolver(cluster.dns_addr(), "echo:line")).refresh(refresh);
    let discovery = discovery.start().await.expect("the pods are ready");
    Ok((cluster, set, discovery))
}

/// How many of `calls` sequential calls each pod answered; none may fail.
async fn ask<S>(service: &S, calls: usize) -> Vec<(String, usize)>
where
    S: Service<String, Response = String, Error = Error<io::Error>> + Clone,
{
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..calls {
        let answer = service.clone().oneshot("hello".to_owned()).await.expect("an answer");
        let (pod, line) = answer.split_once(' ').expect("a pod and a line");
        assert_eq!(line, "hello");
        *counts.entry(pod.to_owned()).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

/// `count` concurrent calls.
fn calls<S>(service: &mut S, count: usize) -> JoinSet<Result<String, Error<io::Error>>>
where
    S: Service<String, Response = String, Error = Error<io::Error>, Future: Send + 'static>,
{
    let mut calls = JoinSet::new();
    for _ in 0..count {
        calls.spawn(service.call("hello".to_owned()));
    }
    calls
}

fn each(pods: &[&str], calls: usize) -> Vec<(String, usize)> {
    pods.iter().map(|pod| ((*pod).to_owned(), calls)).collect()
}

#[tokio::test]
async fn any_protocol_over_tcp() -> Result<(), TestkitError> {
    let (_cluster, set, discovery) = echo(3).await?;
    let service = ServiceBuilder::new()
        .layer(DiscoveryLayer::new(discovery).policy(PowerOfTwo::default()))
        .service(service_fn(connect));

    let mut calls = JoinSet::new();
    for n in 0..100 {
        calls.spawn(service.clone().oneshot(format!("line {n}")));
    }
    while let Some(answer) = calls.join_next().await {
        let answer = answer.expect("no panic").expect("an answer");
        assert!(answer.starts_with("echo-"), "{answer}");
    }
    for pod in set.pods() {
        assert!(pod.requests() > 0, "{} has taken none", pod.name());
    }
    assert_eq!(set.pods().iter().map(headless_testkit::Pod::requests).sum::<u64>(), 100);
    Ok(())
}

#[tokio::test]
async fn new_pods_are_used_and_removed_ones_are_not() -> Result<(), TestkitError> {
    let (_cluster, set, mut discovery) = echo(2).await?;
    let service = DiscoveryLayer::new(discovery.clone()).policy(RoundRobin::default());
    let service = ServiceBuilder::new().layer(service).service(service_fn(connect));
    assert_eq!(ask(&service, 4).await, each(&["echo-0", "echo-1"], 2));

    set.scale(4).await?;
    discovery
        .wait_for(|pods| pods.len() == 4)
        .await
        .expect("the watch runs");
    // A new pod gets its share once it has been connected to.
    let balancer = service.balancer().expect("built").clone();
    while balancer.stats().endpoints.iter().any(|pod| pod.unhealthy) || balancer.stats().endpoints.len() < 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        ask(&service, 8).await,
        each(&["echo-0", "echo-1", "echo-2", "echo-3"], 2)
    );

    set.set_ready("echo-3", false)?;
    discovery
        .wait_for(|pods| pods.len() == 3)
        .await
        .expect("the watch runs");
    assert_eq!(ask(&service, 6).await, each(&["echo-0", "echo-1", "echo-2"], 2));
    let idle = set.pod("echo-3")?.wait_stats(|stats| stats.open == 0).await?;
    assert_eq!(idle.requests, 2, "its idle connection is closed, too");
    Ok(())
}

#[tokio::test]
async fn a_killed_pod_costs_the_calls_it_has_and_no_other() -> Result<(), TestkitError> {
    let (_cluster, set, discovery) = echo(3).await?;
    let mut service = ServiceBuilder::new()
        .layer(DiscoveryLayer::new(discovery).policy(RoundRobin::default()))
        .service(service_fn(connect));
    let victim = set.pod("echo-1")?;

    // Three connections to each pod, two of which are in use at the victim when it dies.
    let answers = calls(&mut service, 9).join_all().await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(victim.stats().open, 3);
    victim.hold();
    let held = calls(&mut service, 6);
    victim.wait_stats(|stats| stats.in_flight == 2).await?;
    set.kill("echo-1").await?;
    let (answered, failed): (Vec<_>, Vec<_>) = held.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((answered.len(), failed.len()), (4, 2));
    for error in failed.into_iter().filter_map(Result::err) {
        assert!(matches!(error, Error::Service(_)), "{error}");
    }

    // DNS still lists it. Its third connection, idle and dead, is not used; connecting is refused,
    // and other pods are used.
    let answers = ask(&service, 12).await;
    let pods: Vec<_> = answers.iter().map(|(pod, _)| pod.as_str()).collect();
    assert_eq!(pods, ["echo-0", "echo-2"]);
    Ok(())
}
