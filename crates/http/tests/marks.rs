//! Answers that are asked for again on another pod: by the client (`retry_on`), and by a layer
//! outside that chooses the pods (`ExcludeEndpoints`, `OnEndpoint`).

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "common/raw.rs"]
mod raw;

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headless::policy::RoundRobin;
use headless::{Endpoint, EndpointKey};
use headless_http::{
    Client, ClientBuilder, Error, ExcludeEndpoints, Idempotent, OnEndpoint, RequestBody, ResponseBody, RetryBudget,
};
use headless_testkit::{RawConnection, RawPod};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tower::ServiceExt;
use tower::retry::{Policy, Retry};

const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// Starts a pod that answers each request with `status` and the body `whole`.
fn pod(status: u16) -> RawPod {
    RawPod::answering(format!("HTTP/1.1 {status} Status\r\ncontent-length: 5\r\n\r\nwhole")).unwrap()
}

async fn client(pods: &[SocketAddr], set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    let builder = raw::builder(pods).await.policy(RoundRobin::default());
    set(builder).build().unwrap()
}

fn addrs(pods: &[RawPod]) -> Vec<SocketAddr> {
    pods.iter().map(RawPod::addr).collect()
}

fn accepted(pods: &[RawPod]) -> Vec<usize> {
    pods.iter().map(|pod| pod.stats().accepted).collect()
}

fn key(pod: &RawPod) -> EndpointKey {
    Endpoint::new(pod.addr()).key().clone()
}

/// Asserts that the whole answer of one pod came.
async fn assert_whole(reply: headless_http::Response, status: u16) {
    assert_eq!(reply.status(), status);
    assert_eq!(reply.text().await.unwrap(), "whole");
}

fn on_unavailable(builder: ClientBuilder) -> ClientBuilder {
    builder.retry_on([UNAVAILABLE, StatusCode::BAD_GATEWAY])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_a_chosen_status_is_asked_for_elsewhere() {
    let pods = [pod(503), pod(200), pod(200)];
    let chosen = client(&addrs(&pods), on_unavailable).await;
    for _ in 0..30 {
        assert_whole(chosen.get("/").await.unwrap(), 200).await;
    }
    assert!(pods[0].stats().accepted > 0);

    let by_default = client(&addrs(&pods[..1]), |builder| builder).await;
    assert_whole(by_default.get("/").await.unwrap(), 503).await;
}

#[tokio::test]
async fn the_connection_of_a_short_answer_that_another_replaces_is_kept() {
    let pods = [pod(503), pod(200)];
    let client = client(&addrs(&pods), on_unavailable).await;
    for _ in 0..10 {
        assert_whole(client.get("/").await.unwrap(), 200).await;
    }
    assert!(pods[0].stats().requests > 1);
    let connections = pods.each_ref().map(|pod| pod.stats().accepted);
    assert_eq!(connections, [1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_the_last_word_for_what_may_not_be_sent_twice() {
    let pods = [pod(503), pod(200)];
    let client = client(&addrs(&pods), on_unavailable).await;
    let statuses = [
        client.post("/", "order").await.unwrap().status(),
        client.post("/", "order").await.unwrap().status(),
    ];
    assert!(statuses.contains(&UNAVAILABLE), "{statuses:?}");
    for _ in 0..4 {
        let marked = Request::post("/").extension(Idempotent).body("order").unwrap();
        assert_whole(client.request(marked).await.unwrap(), 200).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_answer_is_the_callers() {
    for (count, asked) in [(1, 1), (2, 2), (5, 3)] {
        let pods: Vec<_> = (0..count).map(|_| pod(502)).collect();
        let all = client(&addrs(&pods), on_unavailable).await;
        assert_whole(all.get("/").await.unwrap(), 502).await;
        let connections = accepted(&pods);
        assert_eq!(connections.iter().sum::<usize>(), asked, "{connections:?}");
        assert!(connections.iter().all(|&once| once <= 1), "no pod is asked twice");
    }
    let pods = [pod(503), pod(503)];
    type Set = fn(ClientBuilder) -> ClientBuilder;
    let limits: [Set; 3] = [
        |builder| builder.max_retries(0),
        |builder| builder.retry_budget(RetryBudget::new(0, 0)),
        |builder| builder.retry_on([StatusCode::BAD_GATEWAY]),
    ];
    for limit in limits {
        let before = accepted(&pods).iter().sum::<usize>();
        let limited = client(&addrs(&pods), |builder| limit(on_unavailable(builder))).await;
        assert_whole(limited.get("/").await.unwrap(), 503).await;
        assert_eq!(accepted(&pods).iter().sum::<usize>(), before + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_survives_if_there_is_no_connection_to_another_pod() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let only = pod(503);
    let client = client(&[only.addr(), closed], on_unavailable).await;
    for _ in 0..2 {
        assert_whole(client.get("/").await.unwrap(), 503).await;
    }
    let pool = &client.balancer().stats().endpoints;
    let pool = &pool
        .iter()
        .find(|endpoint| endpoint.endpoint.addr() == only.addr())
        .unwrap()
        .pool;
    assert_eq!((pool.opened, pool.idle), (1, 1), "the connection served both");
}

#[tokio::test]
async fn a_status_that_is_no_error_is_refused_by_name() {
    let builder = raw::builder(&["127.0.0.1:1".parse().unwrap()]).await;
    let error = builder.retry_on([UNAVAILABLE, StatusCode::OK]).build().unwrap_err();
    assert!(error.to_string().contains("`retry_on` has 200 OK"), "{error}");
}

/// Asks for each 503 again, on another pod.
#[derive(Clone)]
struct OnAnotherPod {
    retries: usize,
}

type Answer = Result<Response<ResponseBody>, Error>;

impl<B: Clone> Policy<Request<B>, Response<ResponseBody>, Error> for OnAnotherPod {
    type Future = Ready<()>;

    fn retry(&mut self, request: &mut Request<B>, answer: &mut Answer) -> Option<Ready<()>> {
        let answer = answer.as_ref().ok()?;
        if answer.status() != UNAVAILABLE || self.retries == 0 {
            return None;
        }
        self.retries -= 1;
        let pod = answer.extensions().get::<Arc<Endpoint>>()?.key().clone();
        let excluded: &mut ExcludeEndpoints = request.extensions_mut().get_or_insert_default();
        excluded.0.push(pod);
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn towers_retry_leaves_the_pods_that_answered() {
    let pods = [pod(503), pod(503), pod(200)];
    let client = client(&addrs(&pods), |builder| builder).await;
    let retrying = Retry::new(OnAnotherPod { retries: 2 }, client);
    for _ in 0..300 {
        let request = Request::post("/").body(Empty::<Bytes>::new()).unwrap();
        let answer = retrying.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.body().endpoint().unwrap().addr(), pods[2].addr());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn excluded_pods_are_better_than_none() {
    let pods = [pod(200), pod(200)];
    let client = client(&addrs(&pods), |builder| builder).await;
    for (excluded, expected) in [
        (vec![key(&pods[0])], vec![&pods[1]]),
        (vec![key(&pods[1])], vec![&pods[0]]),
        (vec![key(&pods[0]), key(&pods[1])], vec![&pods[0], &pods[1]]),
        (
            vec![Endpoint::new("10.0.0.9:80".parse().unwrap()).key().clone()],
            vec![&pods[0], &pods[1]],
        ),
    ] {
        for _ in 0..4 {
            let request = Request::get("/").extension(ExcludeEndpoints(excluded.clone()));
            let reply = client.request(request.body(()).unwrap()).await.unwrap();
            assert!(
                expected.iter().any(|pod| pod.addr() == reply.endpoint().addr()),
                "{excluded:?}"
            );
            reply.bytes().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_for_one_pod_goes_nowhere_else() {
    let pods = [pod(503), pod(200), pod(200)];
    let some = client(&addrs(&pods), on_unavailable).await;
    let on = |pod: EndpointKey| {
        Request::get("/")
            .extension(OnEndpoint(pod))
            .body(RequestBody::from(()))
            .unwrap()
    };
    for pod in &pods {
        for _ in 0..4 {
            let reply = some.request(on(key(pod))).await.unwrap();
            assert_eq!(reply.endpoint().addr(), pod.addr());
            reply.bytes().await.unwrap();
        }
    }
    let error = some
        .request(on(Endpoint::new("10.0.0.9:80".parse().unwrap()).key().clone()))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::NoSuchEndpoint { .. }) && error.is_not_sent(),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("10.0.0.9:80 is not among the pods of `web`"),
        "{error}"
    );

    let kills = RawPod::start(|mut connection: RawConnection| async move {
        connection.request().await;
    })
    .unwrap();
    let some = client(&[kills.addr(), pods[1].addr()], |builder| builder).await;
    let error = some.request(on(key(&kills))).await.unwrap_err();
    assert_eq!(error.endpoint().unwrap().addr(), kills.addr());
    assert_eq!(
        (kills.stats().accepted, pods[1].stats().accepted),
        (2, 1),
        "sent again there: {error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_passes_a_tower_stack() {
    let pods = [pod(200), pod(200)];
    let client = client(&addrs(&pods), |builder| builder).await;
    let stack = tower::ServiceBuilder::new()
        .timeout(Duration::from_secs(30))
        .service(client);
    for pod in &pods {
        let request = Request::get("/").extension(OnEndpoint(key(pod)));
        let answer = stack
            .clone()
            .oneshot(request.body(Empty::new()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.body().endpoint().unwrap().addr(), pod.addr());
    }
}
