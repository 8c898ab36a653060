//! A request that gets no connection within its time: the error keeps the cause and the advice that
//! fits it, whichever of the two timeouts is the shorter.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "common/pki.rs"]
mod pki;
#[path = "common/raw.rs"]
mod raw;

use std::error::Error as _;
use std::net::SocketAddr;
use std::time::Duration;

use headless::{AcquireError, Discovery, OnStart, PoolConfig, StaticList};
use headless_http::{Client, ClientBuilder, Error, Protocol, Tls, TlsProvider};
use headless_testkit::{RawConnection, RawPod};
use pki::Ca;

const SHORT: Duration = Duration::from_millis(300);

/// The request timeout is the shorter one, as it is with the defaults of many applications.
fn hasty(builder: ClientBuilder) -> Client {
    let builder = builder.request_timeout(SHORT).acquire_timeout(Duration::from_secs(5));
    builder.build().unwrap()
}

/// An address at which nothing listens.
fn closed_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Sends a request that gets no connection, and returns the error and its cause in the pool.
async fn failure(client: &Client) -> (Error, AcquireError) {
    let error = client.post("/", "order").await.unwrap_err();
    assert!(error.is_timeout() && error.is_not_sent(), "{error:?}");
    assert!(
        matches!(&error, Error::Timeout { limit, endpoint: None, .. } if *limit == SHORT),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains("no answer within 300ms (`request_timeout`)"), "{text}");
    assert!(text.contains("the request was not sent"), "{text}");
    assert!(!text.contains("raise `request_timeout`"), "{text}");
    let cause = error.source().unwrap().downcast_ref::<AcquireError>().unwrap().clone();
    (error, cause)
}

#[tokio::test]
async fn pods_that_refuse_are_named_with_the_cause() {
    for count in [1, 3] {
        let ports: Vec<_> = (0..count).map(|_| closed_port()).collect();
        let client = hasty(raw::builder(&ports).await);
        let (error, cause) = failure(&client).await;
        assert!(matches!(cause, AcquireError::Unreachable { .. }), "{cause:?}");
        let text = error.to_string();
        assert!(text.contains("can be reached") && text.contains("refused"), "{text}");
        assert!(ports.iter().any(|port| text.contains(&port.to_string())), "{text}");
    }
}

#[tokio::test]
async fn a_pod_that_accepts_and_does_not_begin_is_named() {
    // It never answers the handshake of TLS, and sends no SETTINGS.
    let pod = RawPod::start(|mut connection: RawConnection| async move {
        connection.rest().await;
    })
    .unwrap();
    let pods = [pod.addr()];
    let builder = || raw::builder(&pods);
    let tls = Tls::with_ca(Ca::new("ca").pem()).provider(TlsProvider::Ring);
    let over_http2 = builder().await.protocol(Protocol::Http2);
    for client in [hasty(builder().await.tls(tls)), hasty(over_http2)] {
        let (error, cause) = failure(&client).await;
        assert!(matches!(cause, AcquireError::Timeout { .. }), "{cause:?}");
        let text = error.to_string();
        assert!(text.contains("waiting for one to be opened"), "{text}");
        assert!(
            text.contains("the pod hangs, or a network policy drops its packets"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_attempt_to_connect_that_timed_out_before_is_told() {
    let pod = RawPod::start(|mut connection: RawConnection| async move {
        connection.rest().await;
    })
    .unwrap();
    let builder = raw::builder(&[pod.addr()]).await.protocol(Protocol::Http2);
    let client = hasty(builder.connect_timeout(Duration::from_millis(50)));
    let (error, cause) = failure(&client).await;
    assert!(matches!(cause, AcquireError::Unreachable { .. }), "{cause:?}");
    assert!(error.to_string().contains("no connection within 50ms"), "{error}");
}

#[tokio::test]
async fn a_service_without_pods_is_named() {
    let nothing = StaticList::new("web.shop.svc", Vec::new());
    let discovery = Discovery::builder(nothing).on_start(OnStart::Empty).start().await;
    let client = hasty(Client::builder(discovery.unwrap()));
    let (error, cause) = failure(&client).await;
    assert!(matches!(cause, AcquireError::NoEndpoints { .. }), "{cause:?}");
    assert!(error.to_string().contains("has no ready pod"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_in_use_says_which_limit_is_too_small() {
    let pod = RawPod::start(|mut connection: RawConnection| async move {
        connection.request().await;
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
        connection.rest().await;
    })
    .unwrap();
    let client = hasty(raw::builder(&[pod.addr()]).await.max_connections_per_endpoint(1));
    let held = client.get("/").await.unwrap();
    let (error, cause) = failure(&client).await;
    drop(held);
    assert!(matches!(cause, AcquireError::Timeout { busy: 1, .. }), "{cause:?}");
    assert!(
        error
            .to_string()
            .contains("`max_connections_per_endpoint` is too small"),
        "{error}"
    );
}

#[tokio::test]
async fn a_full_queue_is_told_at_once_and_not_as_a_timeout() {
    let pod = RawPod::start(|mut connection: RawConnection| async move {
        connection.rest().await;
    })
    .unwrap();
    let mut pool = PoolConfig::default();
    (pool.max_connections_per_endpoint, pool.max_waiters_per_endpoint) = (1, 1);
    let client = hasty(raw::builder(&[pod.addr()]).await.pool(pool));
    let (first, second, third) = tokio::join!(client.get("/"), client.get("/"), client.get("/"));
    assert!(first.unwrap_err().is_timeout());
    for error in [second.unwrap_err(), third.unwrap_err()] {
        let is_overloaded = matches!(error, Error::Acquire(AcquireError::Overloaded { .. }));
        assert!(is_overloaded && !error.is_timeout(), "{error:?}");
    }
}

#[tokio::test]
async fn the_acquire_timeout_keeps_its_own_error() {
    let builder = raw::builder(&[closed_port()]).await.acquire_timeout(SHORT);
    let error = builder.build().unwrap().get("/").await.unwrap_err();
    assert!(
        matches!(error, Error::Acquire(AcquireError::Unreachable { .. })),
        "{error:?}"
    );
}
