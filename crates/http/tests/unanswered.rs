//! Pods that accept connections and end them before an answer: they count as unreachable, however
//! the connections end.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::convert::Infallible;
use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use common::Web;
use headless_http::{Client, Error, Protocol};
use headless_testkit::{App, Pod, RawConnection};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;

/// SETTINGS without a setting.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// NO_ERROR; no stream was processed.
const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// How a pod ends each connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    AtOnce,
    Reset,
    /// It crashes over the request.
    AfterRequest,
    ResetAfterRequest,
    /// In the middle of the head.
    InAnswer,
    AfterSettings,
    Goaway,
    /// It says GOAWAY when the request is there.
    GoawayAfterRequest,
}

const HTTP1: [End; 5] = [
    End::AtOnce,
    End::Reset,
    End::AfterRequest,
    End::ResetAfterRequest,
    End::InAnswer,
];

const HTTP2: [End; 5] = [
    End::AtOnce,
    End::Reset,
    End::AfterSettings,
    End::Goaway,
    End::GoawayAfterRequest,
];

async fn end(how: End, stream: TcpStream) {
    let mut connection = RawConnection::new(stream);
    match how {
        End::AtOnce => {}
        End::Reset => connection.reset(),
        End::AfterRequest => drop(connection.request().await),
        End::ResetAfterRequest => {
            connection.request().await;
            connection.reset();
        }
        End::InAnswer => {
            connection.request().await;
            connection.write("HTTP/1.1 200 O").await;
        }
        End::AfterSettings => {
            connection.write(SETTINGS).await;
        }
        End::Goaway => {
            connection.write([SETTINGS, GOAWAY].concat()).await;
            connection.rest().await;
        }
        End::GoawayAfterRequest => {
            connection.write(SETTINGS).await;
            if headers(&mut connection).await.is_some() {
                connection.write(GOAWAY).await;
            }
            connection.rest().await;
        }
    }
}

/// Reads HTTP/2 up to the head of a request.
async fn headers(connection: &mut RawConnection) -> Option<()> {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    connection.read(PREFACE).await?;
    loop {
        let header = connection.read(9).await?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        connection.read(length as usize).await?;
        if header[3] == HEADERS {
            return Some(());
        }
    }
}

/// The pods up to `web-<ending - 1>` end their connections so; the others answer.
fn app(ending: usize, how: End) -> App {
    App::custom(move |pod: Pod, stream| async move {
        let ordinal: usize = pod.name().trim_start_matches("web-").parse().unwrap();
        if ordinal < ending {
            return end(how, stream).await;
        }
        let service = service_fn(|_: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
        });
        let server = auto::Builder::new(TokioExecutor::new());
        // The client's side asserts how it ends.
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
    })
}

async fn client(web: &Web, protocol: Protocol) -> Client {
    let builder = web.builder().await.protocol(protocol);
    builder.request_timeout(Duration::from_secs(10)).build().unwrap()
}

fn cases() -> impl Iterator<Item = (Protocol, End)> {
    let http1 = HTTP1.map(|how| (Protocol::Http1, how));
    http1.into_iter().chain(HTTP2.map(|how| (Protocol::Http2, how)))
}

/// Sends GETs, or POSTs, one after the other, and returns the errors.
async fn send(client: &Client, requests: usize, is_read: bool) -> Vec<Error> {
    let mut errors = Vec::new();
    for _ in 0..requests {
        let sent = match is_read {
            true => client.get("/").await,
            false => client.post("/", "order").await,
        };
        match sent {
            Ok(reply) => assert_eq!(reply.text().await.unwrap(), "ok"),
            Err(error) => errors.push(error),
        }
    }
    errors
}

fn accepted_by_first(web: &Web) -> u64 {
    web.set.pod("web-0").unwrap().stats().accepted
}

#[tokio::test]
async fn reads_lose_nothing_and_soon_stay_away() {
    for (protocol, how) in cases() {
        let web = Web::start_with(3, app(1, how)).await;
        let client = client(&web, protocol).await;
        let errors = send(&client, 500, true).await;
        assert!(
            errors.is_empty(),
            "{protocol:?} {how:?}: {} lost, {}",
            errors.len(),
            errors[0]
        );
        // Three in a row, then at most ten a minute.
        let accepted = accepted_by_first(&web);
        assert!(accepted <= 20, "{protocol:?} {how:?}: {accepted}");
        let stats = client.balancer().stats();
        let first = stats.endpoints.iter().find(|pod| pod.last_failure.is_some()).unwrap();
        assert!(first.endpoint.pod().unwrap().as_str() == "web-0");
    }
}

#[tokio::test]
async fn writes_lose_a_handful_and_none_that_was_not_processed() {
    for (protocol, how) in cases() {
        let web = Web::start_with(3, app(1, how)).await;
        let client = client(&web, protocol).await;
        let errors = send(&client, 500, false).await;
        assert!(errors.len() <= 6, "{protocol:?} {how:?}: {}", errors.len());
        for error in errors {
            assert!(matches!(error, Error::Send { .. }), "{error}");
            assert!(!error.is_not_sent(), "{protocol:?} {how:?}: {error}");
        }
    }
}

#[tokio::test]
async fn where_all_pods_do_so_they_are_all_tried_and_the_error_says_so() {
    for (protocol, how) in cases() {
        let web = Web::start_with(3, app(3, how)).await;
        let builder = web.builder().await.protocol(protocol);
        let client = builder.acquire_timeout(Duration::from_millis(300)).build().unwrap();
        for _ in 0..4 {
            let error = client.get("/").await.unwrap_err();
            let mut text = error.to_string();
            if let Some(source) = error.source() {
                text = format!("{text}: {source}");
            }
            assert!(
                [
                    "HTTP cannot begin",
                    "closes them before",
                    "closed it before",
                    "closed as soon as",
                    "closed the connection",
                    "reset"
                ]
                .iter()
                .any(|says| text.contains(says)),
                "{protocol:?} {how:?}: {text}"
            );
        }
        for pod in web.set.pods() {
            assert!(pod.stats().accepted >= 1, "{protocol:?} {how:?}");
        }
    }
}
