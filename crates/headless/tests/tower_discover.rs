//! A watch as a stream of changes, by itself and under tower's own balancer, in paused time.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod support;

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Waker};

use self::support::{FakeDns, found, pod};
use headless::tower::{Change, Changes, Discover};
use headless::{Discovery, Endpoint, StaticList};
use tower::balance::p2c::Balance;
use tower::load::{CompleteOnResponse, Constant, PendingRequestsDiscover};
use tower::{Service, ServiceExt, service_fn};

/// `+web-0 10.0.0.1:80`, `-web-0 10.0.0.1:80`.
async fn next(changes: &mut Changes) -> String {
    let (sign, key) = match changes.next().await.unwrap() {
        Change::Insert(key, pod) => {
            assert_eq!(key, *pod.key());
            ('+', key)
        }
        Change::Remove(key) => ('-', key),
    };
    format!("{sign}{key}")
}

fn is_quiet(changes: &mut Changes) -> bool {
    let mut next = pin!(changes.next());
    next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test(start_paused = true)]
async fn first_comes_everyone_then_inserts_before_removes_and_nothing_twice() {
    let dns = FakeDns::new(found([pod(0, 1), pod(1, 2), pod(2, 3)]));
    let mut changes = Changes::new(dns.watch().await);
    for pod in ["+web-0 (10.0.0.1:80)", "+web-1 (10.0.0.2:80)", "+web-2 (10.0.0.3:80)"] {
        assert_eq!(next(&mut changes).await, pod);
    }
    assert!(is_quiet(&mut changes), "the same snapshot again is no change");

    // web-2 moves, web-3 comes.
    dns.says(found([pod(0, 1), pod(1, 2), pod(2, 9), pod(3, 4)]));
    for change in ["+web-2 (10.0.0.9:80)", "+web-3 (10.0.0.4:80)", "-web-2 (10.0.0.3:80)"] {
        assert_eq!(next(&mut changes).await, change);
    }
    assert!(is_quiet(&mut changes));
}

#[tokio::test(start_paused = true)]
async fn unread_changes_are_merged() {
    let dns = FakeDns::new(found([pod(0, 1), pod(1, 2)]));
    let mut discovery = dns.watch().await;
    let mut changes = Changes::new(discovery.clone());
    assert_eq!(next(&mut changes).await, "+web-0 (10.0.0.1:80)");
    dns.says(found([pod(0, 1), pod(1, 2), pod(2, 3)]));
    discovery.wait_for(|pods| pods.len() == 3).await.unwrap();
    dns.says(found([pod(0, 1), pod(2, 3)]));
    discovery.wait_for(|pods| pods.len() == 2).await.unwrap();
    for change in ["+web-1 (10.0.0.2:80)", "+web-2 (10.0.0.3:80)", "-web-1 (10.0.0.2:80)"] {
        assert_eq!(next(&mut changes).await, change);
    }
}

#[test]
fn the_stream_ends_with_the_watch_and_stays_ended() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    let first = runtime();
    let watch = Discovery::builder(StaticList::new("web", vec![pod(0, 1)])).start();
    let mut changes = Changes::new(first.block_on(watch).unwrap());
    drop(first);
    runtime().block_on(async {
        assert_eq!(next(&mut changes).await, "+web-0 (10.0.0.1:80)");
        assert!(changes.next().await.is_none());
        assert!(changes.next().await.is_none());
    });
}

/// A service that answers with its pod's name.
fn named(pod: &Endpoint) -> impl Service<(), Response = String, Error = Infallible> + use<> {
    let name = pod.pod().unwrap().to_string();
    service_fn(move |()| ready(Ok(name.clone())))
}

#[tokio::test(start_paused = true)]
async fn towers_balancer_follows_the_set() {
    let dns = FakeDns::new(found([pod(0, 1)]));
    let mut discovery = dns.watch().await;
    let discover = Discover::new(discovery.clone(), |pod| named(pod));
    let mut balance = Balance::new(PendingRequestsDiscover::new(discover, CompleteOnResponse::default()));
    assert_eq!(balance.ready().await.unwrap().call(()).await.unwrap(), "web-0");

    dns.says(found([pod(1, 2)]));
    discovery
        .wait_for(|pods| pods.iter().all(|pod| pod.addr() == ([10, 0, 0, 2], 80).into()))
        .await
        .unwrap();
    assert_eq!(balance.ready().await.unwrap().call(()).await.unwrap(), "web-1");
    assert_eq!(balance.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn towers_balancer_uses_all_pods() {
    let pods = (0..4).map(|k| pod(k, k + 1)).collect();
    let discovery = Discovery::builder(StaticList::new("web", pods)).start().await.unwrap();
    let mut balance = Balance::new(Discover::new(discovery, |pod| Constant::new(named(pod), 1)));
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 4 {
        seen.insert(balance.ready().await.unwrap().call(()).await.unwrap());
    }
    assert_eq!(balance.len(), 4);
}
