//! Role-aware routing: reads to the replicas, writes to the primary.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::{Web, get};
use headless::policy::{PowerOfTwo, RoleAware, RoundRobin};
use headless::{AcquireError, Ordinal, RoleRule, Route};
use headless_http::Error;

#[tokio::test]
async fn reads_never_go_to_ordinal_0_and_writes_nowhere_else() {
    let web = Web::start(3).await;
    let policy = RoleAware::new(RoundRobin::default());
    let client = web.builder().await.policy(policy).build().unwrap();
    for _ in 0..20 {
        assert_ne!(get(&client).await.unwrap(), "web-0");
    }
    for _ in 0..5 {
        let reply = client.post("/", "order").await.unwrap();
        assert_eq!(reply.endpoint().ordinal(), Some(Ordinal::ZERO));
        reply.bytes().await.unwrap();
    }
    let expected = [("web-0", 5), ("web-1", 10), ("web-2", 10)];
    assert!(
        web.requests().iter().map(|(pod, n)| (pod.as_str(), *n)).eq(expected),
        "{:?}",
        web.requests()
    );
}

#[tokio::test]
async fn a_write_is_never_sent_to_a_replica() {
    let web = Web::start(3).await;
    let builder = web.builder().await.policy(RoleAware::<PowerOfTwo>::default());
    let client = builder
        .acquire_timeout(std::time::Duration::from_millis(200))
        .build()
        .unwrap();
    web.set.kill("web-0").await.unwrap();
    let error = client.post("/", "order").await.unwrap_err();
    assert!(
        matches!(error, Error::Acquire(AcquireError::Unreachable { .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(error.is_not_sent());
    assert_eq!(web.requests().values().sum::<u64>(), 0);
}

#[tokio::test]
async fn the_route_can_be_chosen_by_the_head() {
    let web = Web::start(2).await;
    let builder = web.builder().await.policy(RoleAware::<PowerOfTwo>::default());
    let builder = builder.roles(RoleRule::primary_is(Ordinal::new(1)));
    let client = builder.route_by(|head| match head.uri().path() {
        "/fresh" => Route::write(),
        _ => Route::read(),
    });
    let client = client.build().unwrap();
    for (path, ordinal) in [("/", 0), ("/fresh", 1)] {
        let reply = client.get(path).await.unwrap();
        assert_eq!(reply.endpoint().ordinal(), Some(Ordinal::new(ordinal)), "{path}");
        reply.bytes().await.unwrap();
    }
}
