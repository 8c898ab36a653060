//! Pods that speak another version of HTTP than the client was told.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "common/raw.rs"]
mod raw;

use std::time::Duration;

use headless::AcquireError;
use headless_http::{Error, Protocol};
use headless_testkit::{RawConnection, RawPod};

/// The acquire timeout is out of reach: what comes, comes at once.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn http2_to_pods_that_speak_http1_says_so_at_once() {
    let answer = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let closes = || RawPod::answering(answer).unwrap();
    let stays_open = RawPod::start(move |mut connection: RawConnection| async move {
        connection.head().await;
        connection.write(answer).await;
        connection.stall().await;
    });
    let in_pieces = RawPod::start(move |mut connection: RawConnection| async move {
        connection.head().await;
        for byte in answer.bytes() {
            connection.write([byte]).await;
            tokio::task::yield_now().await;
        }
        connection.stall().await;
    });
    for pods in [vec![closes()], vec![stays_open.unwrap(), in_pieces.unwrap()]] {
        let addrs: Vec<_> = pods.iter().map(RawPod::addr).collect();
        let builder = raw::builder(&addrs).await.protocol(Protocol::Http2);
        let client = builder.acquire_timeout(LONG).request_timeout(None).build().unwrap();
        let error = client.post("/", "order").await.unwrap_err();
        assert!(error.is_not_sent(), "{error:?}");
        assert!(
            matches!(error, Error::Acquire(AcquireError::Unreachable { .. })),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains("the pod answered in HTTP/1.1: use `Protocol::Http1`"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn http1_to_a_pod_that_speaks_http2_says_so_at_once() {
    // Some begin with SETTINGS by themselves, and some when they were spoken to.
    for first in [true, false] {
        let pod = RawPod::start(move |mut connection: RawConnection| async move {
            if !first {
                connection.head().await;
            }
            connection.write([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100]).await;
            connection.head().await;
        })
        .unwrap();
        for _ in 0..20 {
            let builder = raw::builder(&[pod.addr()])
                .await
                .acquire_timeout(LONG)
                .request_timeout(None);
            let error = builder.build().unwrap().get("/").await.unwrap_err();
            let text = format!("{error}");
            assert!(
                text.contains("the pod answered in HTTP/2: use `Protocol::Http2`"),
                "{text}"
            );
        }
    }
}
