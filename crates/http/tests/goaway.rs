//! HTTP/2 connections that their pod ends: with GOAWAY, which says what was not processed, and
//! without.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use common::Web;
use common::frames::{ENHANCE_YOUR_CALM, NO_ERROR, Peer};
use futures_util::future::join_all;
use headless::Ordinal;
use headless::policy::RoundRobin;
use headless_http::{Client, Error, NoRetryReason, Protocol};
use headless_testkit::{App, Pod};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

/// What happens on the first connection to `web-0`. Every other connection answers at once.
#[derive(Default)]
struct Scene {
    begun: AtomicBool,
    answered: AtomicU64,
    answered_more: Notify,
    go_on: Notify,
}

impl Scene {
    fn is_first(&self, pod: &Pod) -> bool {
        pod.name() == "web-0" && !self.begun.swap(true, Relaxed)
    }

    async fn answer_all(&self, socket: TcpStream) {
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_response(http::Response::new(()), true).unwrap();
            self.answered.fetch_add(1, Relaxed);
            self.answered_more.notify_one();
        }
    }

    async fn until_answered(&self, count: u64) {
        while self.answered.load(Relaxed) < count {
            self.answered_more.notified().await;
        }
    }
}

async fn client(web: &Web) -> Client {
    let builder = web.builder().await.protocol(Protocol::Http2);
    builder.policy(RoundRobin::default()).build().unwrap()
}

/// Two requests are on one connection, and the GOAWAY covers the first of them.
#[tokio::test]
async fn what_a_goaway_leaves_out_goes_elsewhere_once() {
    for code in [NO_ERROR, ENHANCE_YOUR_CALM] {
        let scene = Arc::new(Scene::default());
        let (report, mut reports) = mpsc::unbounded_channel();
        let stage = Arc::clone(&scene);
        let serve = move |pod: Pod, socket| {
            let (scene, report) = (Arc::clone(&stage), report.clone());
            async move {
                if !scene.is_first(&pod) {
                    return scene.answer_all(socket).await;
                }
                let mut peer = Peer::begin(socket).await;
                let requests = peer.requests(2).await;
                peer.go_away(1, code).await;
                scene.go_on.notified().await;
                peer.answer(1).await;
                report.send((requests, peer.rest().await)).unwrap();
            }
        };
        let web = Web::start_with(2, App::custom(serve)).await;
        let client = client(&web).await;
        let requests = join_all((0..4).map(async |_| client.post("/", "order").await.unwrap()));
        let afterwards = async {
            // Two that went to `web-1`, and the one left out.
            scene.until_answered(3).await;
            for _ in 0..4 {
                drop(client.post("/", "order").await.unwrap());
            }
            scene.go_on.notify_one();
            reports.recv().await.unwrap()
        };
        let (replies, (requests, opened_later)) = tokio::join!(requests, afterwards);
        let by = replies.into_iter().map(|reply| reply.endpoint().ordinal());
        let by_web_0 = by.filter(|ordinal| *ordinal == Some(Ordinal::new(0))).count();
        assert_eq!(by_web_0, 1, "the first is answered on the old connection");
        assert_eq!(requests, [1, 3]);
        assert!(opened_later.is_empty(), "on a connection that drains: {opened_later:?}");
        assert_eq!(scene.answered.load(Relaxed), 3 + 4, "nothing twice");
        assert_eq!(web.set.pod("web-0").unwrap().stats().accepted, 2);
    }
}

#[tokio::test]
async fn what_a_goaway_covers_may_have_been_processed() {
    let scene = Arc::new(Scene::default());
    let stage = Arc::clone(&scene);
    let serve = move |pod: Pod, socket| {
        let scene = Arc::clone(&stage);
        async move {
            if !scene.is_first(&pod) {
                return scene.answer_all(socket).await;
            }
            let mut peer = Peer::begin(socket).await;
            peer.requests(2).await;
            peer.go_away(1, NO_ERROR).await;
            // Closed, with the first unanswered.
            scene.until_answered(3).await;
        }
    };
    let web = Web::start_with(2, App::custom(serve)).await;
    let client = client(&web).await;
    let replies = join_all((0..4).map(|_| client.post("/", "order"))).await;
    let errors: Vec<_> = replies.into_iter().filter_map(Result::err).collect();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert!(!error.is_not_sent(), "{error}");
    assert!(
        matches!(
            error,
            Error::Send {
                attempts: 1,
                no_retry_reason: NoRetryReason::NotIdempotent,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.endpoint().and_then(|pod| pod.ordinal()), Some(Ordinal::new(0)));
    assert_eq!(scene.answered.load(Relaxed), 3);
}

/// The only pod ends its first connection, and serves no other.
#[tokio::test]
async fn a_retry_does_not_outlive_the_request_timeout() {
    for left_out in [true, false] {
        let scene = Arc::new(Scene::default());
        let stage = Arc::clone(&scene);
        let serve = move |pod: Pod, socket| {
            let scene = Arc::clone(&stage);
            async move {
                if !scene.is_first(&pod) {
                    scene.answered_more.notify_one();
                    return pod.draining().await;
                }
                let mut peer = Peer::begin(socket).await;
                peer.requests(1).await;
                if left_out {
                    peer.go_away(0, NO_ERROR).await;
                    peer.rest().await;
                }
            }
        };
        let web = Web::start_with(1, App::custom(serve)).await;
        let limit = Duration::from_secs(1);
        let builder = web.builder().await.protocol(Protocol::Http2);
        let client = builder.request_timeout(limit).build().unwrap();
        let (reply, ()) = tokio::join!(client.get("/"), scene.answered_more.notified());
        let error = reply.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        assert_eq!(error.is_not_sent(), left_out, "{error}");
        assert_eq!(web.accepted(), 2);
    }
}
