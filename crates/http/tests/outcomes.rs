//! What an answer says about its pod, seen by a policy that goes by latency: only a success gives
//! a pod its first figure.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "common/raw.rs"]
mod raw;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use headless::policy::PowerOfTwo;
use headless_http::{Client, ClientBuilder, Outcome, Protocol};
use headless_testkit::{RawConnection, RawPod};
use http::{HeaderMap, Response};

/// Starts a pod that answers `/503` with that status.
fn by_status() -> RawPod {
    RawPod::start(|mut connection: RawConnection| async move {
        while let Some(request) = connection.request().await {
            let answer = format!(
                "HTTP/1.1 {} Status\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\nok",
                &request.path()[1..]
            );
            connection.write(answer).await;
        }
    })
    .unwrap()
}

/// Starts a pod of gRPC. It answers `/trailers/14` with a message and that code after it,
/// `/head/14` with the code alone, and `/none/0` with a message alone.
fn by_code() -> RawPod {
    RawPod::start(|connection: RawConnection| async move {
        let Ok(mut streams) = h2::server::handshake(connection.into_stream()).await else {
            return;
        };
        while let Some(Ok((request, mut respond))) = streams.accept().await {
            let path = request.uri().path().to_owned();
            let (place, code) = path[1..].split_once('/').unwrap();
            let mut head = Response::builder().header("content-type", "application/grpc");
            if place == "head" {
                head = head.header("grpc-status", code);
                drop(respond.send_response(head.body(()).unwrap(), true));
                continue;
            }
            let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
            let _ = body.send_data(Bytes::from_static(b"message"), place == "none");
            if place == "trailers" {
                let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())]);
                let _ = body.send_trailers(trailers);
            }
        }
    })
    .unwrap()
}

async fn client(pod: &RawPod, set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    let builder = raw::builder(&[pod.addr()]).await.policy(PowerOfTwo::latency());
    set(builder).build().unwrap()
}

/// Whether the answer to `path` makes the pod look as fast as it was.
async fn is_success(client: &Client, path: &str) -> bool {
    client.get(path).await.unwrap().bytes().await.unwrap();
    client.balancer().stats().endpoints[0].latency.is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_refuses_or_fails_fast_is_not_taken_for_a_fast_one() {
    let pod = by_status();
    for (status, expected) in [
        (200, true),
        (404, true),
        (429, false),
        (500, false),
        (502, false),
        (503, false),
        (504, false),
    ] {
        let client = client(&pod, |builder| builder).await;
        assert_eq!(is_success(&client, &format!("/{status}")).await, expected, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_grpc_counts_wherever_it_stands() {
    let pod = by_code();
    let successes = [0, 3, 5, 6, 7, 9, 10, 11, 12, 16];
    for code in 0..=17 {
        for place in ["head", "trailers"] {
            let client = client(&pod, |builder| builder.protocol(Protocol::Http2)).await;
            let found = is_success(&client, &format!("/{place}/{code}")).await;
            assert_eq!(found, successes.contains(&code), "{code} in the {place}");
        }
    }
    let client = client(&pod, |builder| builder.protocol(Protocol::Http2)).await;
    assert!(!is_success(&client, "/none/0").await, "gRPC takes it for UNKNOWN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_can_classify_answers_itself() {
    let (http, grpc) = (by_status(), by_code());
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let classifying = |builder: ClientBuilder| {
        let seen = Arc::clone(&seen);
        builder.classify(move |head| {
            let code = head.headers().get("grpc-status").cloned();
            seen.lock()
                .unwrap()
                .push((head.status().as_u16(), head.is_trailers(), code));
            match head.status().as_u16() {
                404 => Outcome::Failure,
                503 => Outcome::Success,
                _ => head.default_outcome(),
            }
        })
    };
    for (status, expected) in [(404, false), (503, true), (200, true), (500, false)] {
        let client = client(&http, classifying).await;
        assert_eq!(is_success(&client, &format!("/{status}")).await, expected, "{status}");
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [(status, false, None)]);
    }
    let over_http2 = |builder| classifying(builder).protocol(Protocol::Http2);
    for (path, calls, expected) in [
        ("/trailers/14", vec![(false, None), (true, Some("14"))], false),
        ("/head/14", vec![(false, Some("14"))], false),
        ("/none/0", vec![(false, None), (true, None)], false),
        ("/trailers/5", vec![(false, None), (true, Some("5"))], true),
    ] {
        let client = client(&grpc, over_http2).await;
        assert_eq!(is_success(&client, path).await, expected, "{path}");
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        let expected = calls.into_iter();
        let expected: Vec<_> = expected
            .map(|(trailers, code)| (200, trailers, code.map(|code| code.parse().unwrap())))
            .collect();
        assert_eq!(seen, expected, "{path}");
    }
}
