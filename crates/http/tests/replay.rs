//! Streamed bodies that are sent again, because what was sent of them was kept.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::Web;
use futures_util::stream;
use headless::Ordinal;
use headless::policy::RoundRobin;
use headless_http::{Client, Error, Idempotent, Protocol, RequestBody};
use headless_testkit::{App, Failure, Pod};
use http::{HeaderMap, Method, Request, Uri};
use http_body::Frame;
use http_body_util::StreamBody;

/// Makes a body of frames, as gRPC does.
fn streamed(frames: &[&'static str], trailers: bool) -> RequestBody {
    let frames: Vec<_> = frames.iter().map(|text| Frame::data(Bytes::from(*text))).collect();
    let trailers =
        trailers.then(|| Frame::trailers(HeaderMap::from_iter([(http::header::ETAG, "7".parse().unwrap())])));
    let frames = frames.into_iter().chain(trailers).map(Ok::<_, Error>);
    RequestBody::new(StreamBody::new(stream::iter(frames)))
}

/// What `web-1` has received.
type Received = Arc<Mutex<Vec<(Vec<u8>, Option<HeaderMap>)>>>;

/// Starts HTTP/2 pods of which `web-0` ends each request in this way, after it has read `read`
/// bytes of its body.
async fn failing(end: fn(h2::server::SendResponse<Bytes>), read: usize) -> (Web, Received) {
    let received = Received::default();
    let record = Arc::clone(&received);
    let serve = move |pod: Pod, socket| {
        let record = Arc::clone(&record);
        async move {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let (is_failing, record) = (pod.name() == "web-0", Arc::clone(&record));
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    let mut bytes = Vec::new();
                    while !(is_failing && bytes.len() >= read)
                        && let Some(Ok(data)) = body.data().await
                    {
                        bytes.extend_from_slice(&data);
                    }
                    if is_failing {
                        return end(respond);
                    }
                    let trailers = body.trailers().await.unwrap();
                    record.lock().unwrap().push((bytes, trailers));
                    respond.send_response(http::Response::new(()), true).unwrap();
                });
            }
        }
    };
    (Web::start_with(2, App::custom(serve)).await, received)
}

async fn client(web: &Web, protocol: Protocol) -> Client {
    let builder = web.builder().await.protocol(protocol);
    builder.policy(RoundRobin::default()).build().unwrap()
}

#[tokio::test]
async fn a_short_stream_is_sent_again() {
    let refuse: fn(h2::server::SendResponse<Bytes>) = |mut respond| respond.send_reset(h2::Reason::REFUSED_STREAM);
    let fail: fn(h2::server::SendResponse<Bytes>) = |mut respond| respond.send_reset(h2::Reason::INTERNAL_ERROR);
    // What was refused needs no mark.
    for (end, is_marked) in [(refuse, false), (fail, true)] {
        for read in [0, 2, 5] {
            let (web, received) = failing(end, read).await;
            let client = client(&web, Protocol::Http2).await;
            for trailers in [true, false] {
                for _ in 0..4 {
                    let mut request = Request::post("/").body(streamed(&["or", "", "der"], trailers)).unwrap();
                    if is_marked {
                        request.extensions_mut().insert(Idempotent);
                    }
                    let reply = client.request(request).await.unwrap();
                    assert_eq!(reply.endpoint().ordinal(), Some(Ordinal::new(1)));
                    let (bytes, found) = received.lock().unwrap().pop().unwrap();
                    assert_eq!((&bytes[..], found.is_some()), (&b"order"[..], trailers));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_marked_stream_outlives_the_death_of_its_pod() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let web = Web::start(2).await;
        let client = client(&web, protocol).await;
        web.set.pod("web-0").unwrap().fail(Failure::CloseConnection);
        for _ in 0..6 {
            let body = streamed(&["or", "der"], protocol == Protocol::Http2);
            let request = Request::post("/echo").extension(Idempotent).body(body).unwrap();
            let reply = client.request(request).await.unwrap();
            assert_eq!(reply.endpoint().ordinal(), Some(Ordinal::new(1)));
            assert!(reply.text().await.unwrap().contains("body: 5\n"));
        }
    }
}

#[tokio::test]
async fn what_is_sent_again_over_http2_has_the_same_head() {
    type Received = Vec<(Method, Uri, HeaderMap, Vec<u8>)>;
    let received = Arc::<Mutex<Received>>::default();
    let record = Arc::clone(&received);
    let serve = move |_, socket| {
        let record = Arc::clone(&record);
        async move {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let record = Arc::clone(&record);
                tokio::spawn(async move {
                    let (head, mut body) = request.into_parts();
                    let mut bytes = Vec::new();
                    while let Some(Ok(data)) = body.data().await {
                        bytes.extend_from_slice(&data);
                    }
                    let mut received = record.lock().unwrap();
                    received.push((head.method, head.uri, head.headers, bytes));
                    match received.len() {
                        1 => respond.send_reset(h2::Reason::REFUSED_STREAM),
                        _ => drop(respond.send_response(http::Response::new(()), true).unwrap()),
                    }
                });
            }
        }
    };
    let web = Web::start_with(2, App::custom(serve)).await;
    let client = client(&web, Protocol::Http2).await;
    let memory: fn() -> RequestBody = || "order".into();
    let stream: fn() -> RequestBody = || streamed(&["or", "der"], false);
    for (body, declared) in [(memory, None), (memory, Some("5")), (stream, None), (stream, Some("5"))] {
        let mut request = Request::put("/cart?x=1")
            .header("host", "shop.example")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("x-order", "7");
        if let Some(length) = declared {
            request = request.header("content-length", length);
        }
        let reply = client.request(request.body(body()).unwrap()).await.unwrap();
        assert!(reply.bytes().await.unwrap().is_empty());
        let mut received = std::mem::take(&mut *received.lock().unwrap());
        for (_, _, headers, _) in &mut received {
            // The length of a stream may be known the second time.
            let length = headers.remove("content-length");
            assert!(declared.is_none() || length.is_some_and(|length| length == "5"));
        }
        let [first, second] = &received[..] else {
            panic!("sent {} times", received.len());
        };
        assert_eq!(first, second);
        let (_, uri, headers, bytes) = second;
        assert_eq!(
            (uri.to_string().as_str(), &bytes[..]),
            ("http://shop.example/cart?x=1", &b"order"[..])
        );
        assert!(headers.contains_key("x-order") && !headers.contains_key("x-hop"));
    }
}
