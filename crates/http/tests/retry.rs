//! What is sent again, what is not, and what the error says.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use common::{Web, get};
use futures_util::stream;
use headless::Ordinal;
use headless::policy::RoundRobin;
use headless_http::{Client, Error, Idempotent, NoRetryReason, Protocol, RequestBody, RetryBudget};
use headless_testkit::{App, Failure, Pod, RawConnection};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use tower::ServiceExt;

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

async fn round_robin(web: &Web, protocol: Protocol) -> Client {
    let builder = web.builder().await.protocol(protocol);
    builder.policy(RoundRobin::default()).build().unwrap()
}

/// Makes a body that is not in memory.
fn streamed(frames: Vec<Result<&'static str, std::io::Error>>) -> RequestBody {
    let frames = frames.into_iter();
    let frames = frames.map(|frame| frame.map(|text| Frame::data(Bytes::from_static(text.as_bytes()))));
    RequestBody::new(StreamBody::new(stream::iter(frames)))
}

#[tokio::test]
async fn reads_survive_the_death_of_a_pod_with_idle_connections() {
    for protocol in PROTOCOLS {
        let web = Web::start(3).await;
        let client = round_robin(&web, protocol).await;
        for _ in 0..6 {
            get(&client).await.unwrap();
        }
        // DNS goes on listing it.
        web.set.kill("web-1").await.unwrap();
        for _ in 0..30 {
            assert_ne!(get(&client).await.unwrap(), "web-1");
        }
    }
}

#[tokio::test]
async fn a_read_that_may_have_been_processed_goes_to_another_pod() {
    for protocol in PROTOCOLS {
        let web = Web::start(3).await;
        let client = round_robin(&web, protocol).await;
        let web_1 = web.set.pod("web-1").unwrap();
        web_1.fail(Failure::CloseConnection);
        for _ in 0..6 {
            assert_ne!(get(&client).await.unwrap(), "web-1");
        }
        assert!(web_1.requests() > 0);
    }
}

#[tokio::test]
async fn a_read_of_the_only_pod_gets_a_new_connection() {
    for protocol in PROTOCOLS {
        let web = Web::start(1).await;
        let client = round_robin(&web, protocol).await;
        get(&client).await.unwrap();
        let pod = web.set.pod("web-0").unwrap();
        pod.fail_next(1, Failure::CloseConnection);
        get(&client).await.unwrap();
        assert_eq!(pod.requests(), 3);
    }
}

#[tokio::test]
async fn a_write_that_may_have_been_processed_is_not_repeated() {
    for protocol in PROTOCOLS {
        let web = Web::start(2).await;
        let client = round_robin(&web, protocol).await;
        for pod in web.set.pods() {
            pod.fail(Failure::CloseConnection);
        }
        let error = client.post("/", "order").await.unwrap_err();
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
        assert!(error.to_string().contains("may have been processed"), "{error}");
        assert!(error.endpoint().is_some());
        assert_eq!(web.requests().values().sum::<u64>(), 1);
    }
}

#[tokio::test]
async fn a_write_that_is_marked_is_sent_again() {
    for protocol in PROTOCOLS {
        let web = Web::start(2).await;
        let client = round_robin(&web, protocol).await;
        web.set.pod("web-1").unwrap().fail(Failure::CloseConnection);
        let put = |body| Request::put("/").extension(Idempotent).body(body).unwrap();
        for _ in 0..4 {
            let reply = client.request(put(RequestBody::from("order"))).await.unwrap();
            assert_eq!(reply.endpoint().ordinal(), Some(Ordinal::new(0)));
            // The mark goes through a tower stack.
            let reply = (&client).oneshot(put("order".into())).await.unwrap();
            assert_eq!(reply.body().endpoint().unwrap().ordinal(), Some(Ordinal::new(0)));
        }
        assert!(web.set.pod("web-1").unwrap().requests() > 0);
    }
}

#[tokio::test]
async fn retries_have_a_limit() {
    let web = Web::start(5).await;
    for pod in web.set.pods() {
        pod.fail(Failure::CloseConnection);
    }
    // Without a limit that is reached: each pod once, and one of them a last time.
    for (max_retries, attempts_made, at_most_each) in [(Some(0), 1, 1), (Some(3), 4, 1), (None, 3, 1), (Some(9), 6, 2)]
    {
        let before = web.requests();
        let builder = web.builder().await;
        let client = match max_retries {
            Some(limit) => builder.max_retries(limit).build().unwrap(),
            None => builder.build().unwrap(),
        };
        let error = client.get("/").await.unwrap_err();
        assert!(
            matches!(error, Error::Send { attempts, no_retry_reason: NoRetryReason::AttemptsExhausted, .. } if attempts == attempts_made),
            "{error:?}"
        );
        let requests: Vec<_> = web.requests().iter().map(|(pod, count)| count - before[pod]).collect();
        assert_eq!(requests.iter().sum::<u64>(), attempts_made as u64);
        assert!(requests.iter().all(|&count| count <= at_most_each), "{requests:?}");
    }
}

#[tokio::test]
async fn a_request_that_kills_pods_reaches_three_of_them() {
    for protocol in PROTOCOLS {
        for has_answered in [false, true] {
            let web = Web::start(20).await;
            let client = round_robin(&web, protocol).await;
            for _ in 0..20 * u32::from(has_answered) {
                get(&client).await.unwrap();
            }
            for pod in web.set.pods() {
                pod.fail(Failure::CloseConnection);
            }
            let before = web.requests();
            client.get("/").await.unwrap_err();
            let reached = web
                .requests()
                .iter()
                .filter(|(pod, count)| **count > before[*pod])
                .count();
            assert_eq!(reached, 3, "{protocol:?}");
            assert_eq!(web.requests().values().sum::<u64>() - before.values().sum::<u64>(), 3);
        }
    }
}

#[tokio::test]
async fn the_budget_bounds_all_requests_together() {
    let web = Web::start(1).await;
    web.set.pod("web-0").unwrap().fail(Failure::CloseConnection);
    for (budget, retries) in [
        (RetryBudget::new(0, 0), 0..=0),
        // Fewer only if seconds pass meanwhile.
        (RetryBudget::new(50, 0), 1..=10),
        (RetryBudget::unlimited(), 20..=20),
    ] {
        let text = format!("{budget:?}");
        let client = web.builder().await.retry_budget(budget).build().unwrap();
        let before = web.requests()["web-0"];
        let mut refused = 0;
        for _ in 0..20 {
            match client.get("/").await.unwrap_err() {
                error @ Error::Send {
                    no_retry_reason: NoRetryReason::BudgetExhausted,
                    ..
                } => {
                    refused += 1;
                    assert!(error.to_string().contains("retry budget is used up"), "{error}");
                }
                Error::Send {
                    no_retry_reason: NoRetryReason::AttemptsExhausted,
                    ..
                } => {}
                other => panic!("{other:?}"),
            }
        }
        let repeated = web.requests()["web-0"] - before - 20;
        assert!(retries.contains(&repeated), "{text}: {repeated}");
        assert_eq!(refused + repeated, 20);
    }
}

#[tokio::test]
async fn a_budget_that_limits_nothing_is_refused_by_name() {
    let web = Web::start(1).await;
    let builder = web.builder().await.retry_budget(RetryBudget::new(2000, 10));
    let error = builder.build().unwrap_err();
    assert!(
        error.to_string().contains("`percent` of the retry budget is 2000"),
        "{error}"
    );
}

#[tokio::test]
async fn a_stream_of_which_too_little_was_kept_is_not_sent_twice() {
    let web = Web::start(2).await;
    let builder = web.builder().await.policy(RoundRobin::default());
    let client = builder.replay_buffer_bytes(1).build().unwrap();
    let request = |body| Request::options("/echo").body(body).unwrap();
    let reply = client
        .request(request(streamed(vec![Ok("12"), Ok("345")])))
        .await
        .unwrap();
    assert!(reply.text().await.unwrap().contains("body: 5\n"));
    for pod in web.set.pods() {
        pod.fail(Failure::CloseConnection);
    }
    let error = client.request(request(streamed(vec![Ok("12")]))).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Send {
                attempts: 1,
                no_retry_reason: NoRetryReason::BodyConsumed,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_body_that_fails_is_not_the_pods_fault() {
    for protocol in PROTOCOLS {
        let web = Web::start(1).await;
        let client = round_robin(&web, protocol).await;
        let body = streamed(vec![Ok("12"), Err(std::io::Error::other("disk"))]);
        let error = client
            .request(Request::post("/").body(body).unwrap())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::RequestBody { source, .. } if source.to_string() == "disk"),
            "{error:?}"
        );
        assert!(!error.is_not_sent());
        get(&client).await.unwrap();
    }
}

/// Starts a pod that answers after the head of a request, and leaves the rest unread.
async fn hasty() -> Web {
    let serve = |pod: Pod, socket| async move {
        let mut connection = RawConnection::new(socket);
        if connection.head().await.is_some() {
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            pod.draining().await;
        }
    };
    Web::start_with(1, App::custom(serve)).await
}

#[tokio::test]
async fn a_write_that_never_left_goes_elsewhere() {
    for body in [RequestBody::from("order"), streamed(vec![Ok("or"), Ok("der")])] {
        let web = hasty().await;
        let client = web.client().await;
        let endless = RequestBody::new(StreamBody::new(
            stream::pending::<Result<Frame<Bytes>, std::io::Error>>(),
        ));
        let first = client.request(Request::post("/").body(endless).unwrap()).await.unwrap();
        assert!(first.bytes().await.unwrap().is_empty());
        assert_eq!(
            client.balancer().stats().endpoints[0].pool.idle,
            1,
            "still busy with the upload, which the next request finds out"
        );
        let second = client.request(Request::post("/").body(body).unwrap()).await.unwrap();
        assert_eq!(second.status(), 200);
        assert_eq!(web.accepted(), 2);
    }
}

/// Starts HTTP/2 pods of which `web-0` resets each stream.
async fn resetting(reason: h2::Reason) -> Web {
    let serve = move |pod: Pod, socket| async move {
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            match pod.name() {
                "web-0" => respond.send_reset(reason),
                _ => drop(respond.send_response(http::Response::new(()), true).unwrap()),
            }
        }
    };
    Web::start_with(2, App::custom(serve)).await
}

#[tokio::test]
async fn a_refused_stream_goes_elsewhere_whatever_the_method() {
    let web = resetting(h2::Reason::REFUSED_STREAM).await;
    let client = round_robin(&web, Protocol::Http2).await;
    for _ in 0..6 {
        let reply = client.post("/", "order").await.unwrap();
        assert_eq!(reply.endpoint().ordinal(), Some(Ordinal::new(1)));
    }
    assert_eq!(web.accepted(), 2, "no connection broke");
}

#[tokio::test]
async fn a_stream_that_every_pod_refuses_is_sent_to_each() {
    let asked = Arc::<Mutex<BTreeMap<String, usize>>>::default();
    let seen = Arc::clone(&asked);
    let serve = move |pod: Pod, socket| {
        let seen = Arc::clone(&seen);
        async move {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                if request.uri().path() == "/refused" {
                    *seen.lock().unwrap().entry(pod.name().to_owned()).or_default() += 1;
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                } else {
                    drop(respond.send_response(http::Response::new(()), true).unwrap());
                }
            }
        }
    };
    let web = Web::start_with(5, App::custom(serve)).await;
    for max_retries in [None, Some(1)] {
        let mut builder = web.builder().await.protocol(Protocol::Http2);
        if let Some(limit) = max_retries {
            builder = builder.max_retries(limit);
        }
        let client = builder.policy(RoundRobin::default()).build().unwrap();
        for _ in 0..5 {
            client.get("/").await.unwrap().bytes().await.unwrap();
        }
        asked.lock().unwrap().clear();
        let error = client.post("/refused", "order").await.unwrap_err();
        assert!(error.is_not_sent(), "{error:?}");
        let asked = asked.lock().unwrap();
        let expected = match max_retries {
            None => (5, 6),
            Some(_) => (2, 2),
        };
        assert_eq!((asked.len(), asked.values().sum()), expected, "{max_retries:?}");
    }
}

#[tokio::test]
async fn a_refused_stream_with_a_consumed_body_is_left_to_the_caller() {
    let web = resetting(h2::Reason::REFUSED_STREAM).await;
    let builder = web
        .builder()
        .await
        .protocol(Protocol::Http2)
        .policy(RoundRobin::default());
    let client = builder.replay_buffer_bytes(4).build().unwrap();
    let mut refused = 0;
    for _ in 0..4 {
        let request = Request::post("/").body(streamed(vec![Ok("order")])).unwrap();
        match client.request(request).await {
            Ok(reply) => assert_eq!(reply.endpoint().ordinal(), Some(Ordinal::new(1))),
            Err(error) => {
                refused += 1;
                assert!(error.is_not_sent(), "{error}");
                assert!(
                    matches!(
                        error,
                        Error::Send {
                            no_retry_reason: NoRetryReason::BodyConsumed,
                            ..
                        }
                    ),
                    "{error:?}"
                );
            }
        }
    }
    assert_eq!(refused, 2);
}

#[tokio::test]
async fn a_reset_stream_may_have_been_processed() {
    let web = resetting(h2::Reason::INTERNAL_ERROR).await;
    let client = round_robin(&web, Protocol::Http2).await;
    let mut failed = 0;
    for _ in 0..6 {
        match client.post("/", "order").await {
            Ok(reply) => assert_eq!(reply.endpoint().ordinal(), Some(Ordinal::new(1))),
            Err(error) => {
                failed += 1;
                assert!(!error.is_not_sent());
            }
        }
        let reply = client.get("/").await.unwrap();
        assert_eq!(reply.endpoint().ordinal(), Some(Ordinal::new(1)));
    }
    assert!(failed > 0);
    assert_eq!(web.accepted(), 2, "no connection broke");
}

#[tokio::test]
async fn the_request_timeout_says_which_pod_had_the_request() {
    let web = Web::start(1).await;
    let limit = Duration::from_millis(50);
    let client = web
        .builder()
        .await
        .request_timeout(limit)
        .max_connections_per_endpoint(1)
        .build()
        .unwrap();
    let pod = web.set.pod("web-0").unwrap();
    pod.hold();
    let error = client.get("/").await.unwrap_err();
    assert!(matches!(error, Error::Timeout { endpoint: Some(_), .. }), "{error:?}");
    assert!(!error.is_not_sent());
    // The only connection is taken: the next request is not sent.
    let waiting = web
        .builder()
        .await
        .max_connections_per_endpoint(1)
        .request_timeout(limit)
        .build()
        .unwrap();
    pod.release();
    let held = waiting.get("/stream?step").await.unwrap();
    let error = waiting.get("/").await.unwrap_err();
    assert!(matches!(error, Error::Timeout { endpoint: None, .. }), "{error:?}");
    assert!(error.is_not_sent());
    drop(held);
}
