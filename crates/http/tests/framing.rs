//! Where a request ends and which of its fields are sent, seen by a server that keeps every byte.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use headless::{Discovery, Endpoint, PoolStats, StaticList};
use headless_http::{Client, ClientBuilder, Error, Protocol, RequestBody, ResponseBody};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, mpsc};
use tower::{ServiceBuilder, ServiceExt};

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// The idle connections beside the one that a test uses.
const NEIGHBOURS: usize = 4;

/// What a server received of one request.
#[derive(Debug)]
struct Received {
    /// The number of the connection, in the order in which they were accepted.
    connection: usize,
    /// HTTP/1: every byte of the head. HTTP/2: method, path and authority in a line, then a line
    /// for each field.
    head: String,
    /// HTTP/1: every byte that followed. HTTP/2: the data, and a line for each trailer.
    body: Vec<u8>,
    /// The request came to its end.
    is_complete: bool,
}

impl Received {
    /// Returns the values of a field.
    fn field(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value).collect()
    }

    fn is(&self, connection: usize, first_line: &str, body: &[u8]) -> bool {
        (self.connection, self.is_complete, &*self.body) == (connection, true, body)
            && self.head.starts_with(first_line)
    }
}

/// A server of one endpoint. It answers a request after its end with `ok`; `/wait` after as many
/// were asked for as there are [`NEIGHBOURS`]; and `/early` with the first two bytes of ten before
/// it reads the body.
struct Server {
    addr: SocketAddr,
    protocol: Protocol,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Server {
    async fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (report, received) = mpsc::unbounded_channel();
        let all = Arc::new(Barrier::new(NEIGHBOURS));
        tokio::spawn(async move {
            for connection in 0.. {
                let (socket, _) = listener.accept().await.unwrap();
                let (report, all) = (report.clone(), Arc::clone(&all));
                match protocol {
                    Protocol::Http2 => drop(tokio::spawn(serve_http2(socket, connection, report, all))),
                    _ => drop(tokio::spawn(serve_http1(socket, connection, report, all))),
                }
            }
        });
        Self {
            addr,
            protocol,
            received,
        }
    }

    async fn builder(&self) -> ClientBuilder {
        let list = StaticList::new("web.shop.svc", vec![Endpoint::new(self.addr)]);
        let discovery = Discovery::builder(list).start().await.unwrap();
        // One stream for each connection, so that both protocols have neighbours.
        let builder = Client::builder(discovery).protocol(self.protocol);
        builder.http2_max_concurrent_streams(1)
    }

    async fn client(&self) -> Client {
        self.builder().await.build().unwrap()
    }

    /// Makes a client with idle connections.
    async fn client_with_neighbours(&mut self) -> Client {
        let client = self.client().await;
        let replies = join_all((0..NEIGHBOURS).map(|_| client.get("/wait"))).await;
        for reply in replies {
            reply.unwrap().bytes().await.unwrap();
            self.next().await;
        }
        assert_eq!(pool(&client).idle, NEIGHBOURS);
        client
    }

    /// Waits for a request to end or to break off.
    async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(Duration::from_secs(5), self.received.recv());
        next.await.expect("no request").unwrap()
    }

    /// Asserts that nothing else came, and that the next request comes whole, on this connection.
    async fn assert_unharmed(&mut self, client: &Client, connection: usize) {
        let reply = client.post("/next", "user=2").await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "ok");
        let next = self.next().await;
        assert!(next.is(connection, "POST /next", b"user=2"), "{next:?}");
    }
}

async fn serve_http1(
    mut socket: TcpStream,
    connection: usize,
    report: mpsc::UnboundedSender<Received>,
    all: Arc<Barrier>,
) {
    let mut bytes = Vec::new();
    loop {
        let mut received = Received {
            connection,
            head: String::new(),
            body: Vec::new(),
            is_complete: false,
        };
        let head = until(&mut socket, &mut bytes, |bytes| end_of(bytes, b"\r\n\r\n")).await;
        let Some(head) = head else {
            if !bytes.is_empty() {
                received.head = String::from_utf8(bytes).unwrap();
                report.send(received).unwrap();
            }
            return;
        };
        received.head = String::from_utf8(head).unwrap();
        if received.head.starts_with("POST /early ") {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12";
            socket.write_all(answer).await.unwrap();
        }
        if !received.field("expect").is_empty() {
            socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        }
        let is_chunked = received.field("transfer-encoding") == ["chunked"];
        let length = received
            .field("content-length")
            .first()
            .map_or(0, |text| text.parse().unwrap());
        let end = |bytes: &[u8]| match is_chunked {
            true => end_of_chunks(bytes),
            false => (bytes.len() >= length).then_some(length),
        };
        let body = until(&mut socket, &mut bytes, end).await;
        received.is_complete = body.is_some();
        received.body = body.unwrap_or_else(|| std::mem::take(&mut bytes));
        let ends = !received.is_complete;
        if received.head.starts_with("GET /wait ") {
            all.wait().await;
        }
        let answer: &[u8] = match received.head.starts_with("HEAD ") {
            true => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
            false => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        };
        report.send(received).unwrap();
        if ends || socket.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// Reads until `end` finds one, and takes what is before it.
async fn until(socket: &mut TcpStream, bytes: &mut Vec<u8>, end: impl Fn(&[u8]) -> Option<usize>) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = end(bytes) {
            return Some(bytes.drain(..end).collect());
        }
        match socket.read_buf(bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

fn end_of(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    let start = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some(start + mark.len())
}

/// Finds the end of a body in chunks, which have no empty lines in these tests.
fn end_of_chunks(bytes: &[u8]) -> Option<usize> {
    let last = match bytes.starts_with(b"0\r\n") {
        true => 0,
        false => end_of(bytes, b"\r\n0\r\n")? - 3,
    };
    Some(last + end_of(&bytes[last..], b"\r\n\r\n")?)
}

async fn serve_http2(socket: TcpStream, connection: usize, report: mpsc::UnboundedSender<Received>, all: Arc<Barrier>) {
    let mut server = h2::server::handshake(socket).await.unwrap();
    while let Some(Ok((request, mut respond))) = server.accept().await {
        let (report, all) = (report.clone(), Arc::clone(&all));
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let path = head.uri.path();
            let fields = head.headers.iter();
            let fields = fields.map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
            let mut received = Received {
                connection,
                head: format!("{} {path} {}\r\n", head.method, head.uri.authority().unwrap())
                    + &fields.collect::<String>(),
                body: Vec::new(),
                is_complete: false,
            };
            let mut early = None;
            if path == "/early" {
                let mut answer = respond.send_response(Response::new(()), false).unwrap();
                answer.send_data(Bytes::from_static(b"12"), false).unwrap();
                early = Some(answer);
            }
            received.is_complete = loop {
                match body.data().await {
                    Some(Ok(data)) => {
                        body.flow_control().release_capacity(data.len()).unwrap();
                        received.body.extend_from_slice(&data);
                    }
                    Some(Err(_)) => break false,
                    None => break true,
                }
            };
            if let Ok(Some(trailers)) = body.trailers().await {
                let lines = trailers.iter();
                let lines = lines.map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
                received.body.extend(lines.collect::<String>().into_bytes());
            }
            if path == "/wait" {
                all.wait().await;
            }
            let answers = received.is_complete && early.is_none();
            report.send(received).unwrap();
            if answers {
                let mut answer = respond
                    .send_response(Response::new(()), head.method == Method::HEAD)
                    .unwrap();
                if head.method != Method::HEAD {
                    answer.send_data(Bytes::from_static(b"ok"), true).unwrap();
                }
            }
        });
    }
}

fn pool(client: &Client) -> PoolStats {
    client.balancer().stats().endpoints[0].pool.clone()
}

/// Makes a stream of unknown length.
fn streamed(frames: &'static [&'static str]) -> RequestBody {
    let frames = frames
        .iter()
        .map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from_static(text.as_bytes()))));
    RequestBody::new(StreamBody::new(stream::iter(frames)))
}

/// Makes a stream whose frames, and whose end, come after other tasks had their turns.
fn delayed(frames: &'static [&'static str]) -> RequestBody {
    let end = stream::once(pause()).filter_map(|()| std::future::ready(None));
    let frames = stream::iter(frames).then(|text| async move {
        pause().await;
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(text.as_bytes())))
    });
    RequestBody::new(StreamBody::new(Box::pin(frames.chain(end))))
}

async fn pause() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Makes a stream of what is sent to it.
fn channel() -> (mpsc::UnboundedSender<&'static str>, RequestBody) {
    let (sender, receiver) = mpsc::unbounded_channel::<&'static str>();
    let frames = stream::unfold(receiver, |mut receiver| async move {
        let text = receiver.recv().await?;
        let frame = Frame::data(Bytes::from_static(text.as_bytes()));
        Some((Ok::<_, Infallible>(frame), receiver))
    });
    (sender, RequestBody::new(StreamBody::new(Box::pin(frames))))
}

/// A stream that says of its size what is not so.
struct Claims(RequestBody, u64);

impl Body for Claims {
    type Data = Bytes;
    type Error = headless_http::BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.1)
    }
}

fn post(path: &str, fields: &[(&str, &str)], body: RequestBody) -> Request<RequestBody> {
    request(Method::POST, path, fields, body)
}

fn request(method: Method, path: &str, fields: &[(&str, &str)], body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    for (name, value) in fields {
        let name: http::HeaderName = name.parse().unwrap();
        request
            .headers_mut()
            .append(name, HeaderValue::from_str(value).unwrap());
    }
    request
}

/// Asserts that the request is refused, and that the error says why.
async fn assert_refused(client: &Client, request: Request<RequestBody>, says: &[&str]) {
    let text = format!("{request:?}");
    let error = client.request(request).await.expect_err(&text);
    assert!(matches!(error, Error::InvalidRequest { .. }), "{text}: {error:?}");
    assert!(error.is_not_sent());
    for says in says {
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_content_length_that_disagrees_with_the_body_is_refused_before_anything_is_sent() {
    for protocol in PROTOCOLS {
        let mut server = Server::start(protocol).await;
        let client = server.client().await;
        server.assert_unharmed(&client, 0).await;
        for length in ["0", "3", "4", "6", "10", "18446744073709551615"] {
            for body in ["hello".into(), RequestBody::new(Claims(streamed(&["hello"]), 5))] {
                let length_says = format!("`Content-Length: {length}` disagrees");
                let request = post("/", &[("content-length", length)], body);
                assert_refused(&client, request, &[&length_says, "has 5 bytes"]).await;
            }
        }
        for length in [
            "five",
            "-1",
            "+5",
            "5, 5",
            "5,5",
            "5;5",
            "",
            " 5",
            "5 ",
            "0x5",
            "5.0",
            "05",
            "1_0",
            "18446744073709551616",
        ] {
            for body in ["hello".into(), streamed(&["hello"])] {
                let length_says = format!("`Content-Length: {length}` is not one number");
                assert_refused(&client, post("/", &[("content-length", length)], body), &[&length_says]).await;
            }
        }
        for twice in [["5", "5"], ["5", "6"], ["6", "5"]] {
            for body in ["hello".into(), streamed(&["hello"])] {
                let fields = twice.map(|length| ("content-length", length));
                assert_refused(
                    &client,
                    post("/", &fields, body),
                    &["`content-length` is given 2 times"],
                )
                .await;
            }
        }
        server.assert_unharmed(&client, 0).await;
    }
}

#[tokio::test]
async fn an_empty_body_with_a_length_does_not_eat_the_next_request() {
    for protocol in PROTOCOLS {
        let mut server = Server::start(protocol).await;
        let client = server.client().await;
        server.assert_unharmed(&client, 0).await;
        for method in [
            Method::GET,
            Method::HEAD,
            Method::DELETE,
            Method::POST,
            Method::PUT,
            Method::OPTIONS,
        ] {
            for body in [
                RequestBody::from(()),
                "".into(),
                RequestBody::new(Full::new(Bytes::new())),
            ] {
                let request = request(method.clone(), "/", &[("content-length", "30")], body);
                assert_refused(&client, request, &["`Content-Length: 30` disagrees", "has 0 bytes"]).await;
            }
        }
        server.assert_unharmed(&client, 0).await;
    }
}

#[tokio::test]
async fn a_content_length_that_agrees_is_sent_as_it_is() {
    for protocol in PROTOCOLS {
        let mut server = Server::start(protocol).await;
        let client = server.client().await;
        for body in [
            "hello".into(),
            streamed(&["hello"]),
            streamed(&["he", "", "llo", ""]),
            delayed(&["he", "llo"]),
            RequestBody::new(Claims(streamed(&["hel", "lo"]), 5)),
        ] {
            let reply = client
                .request(post("/", &[("content-length", "5")], body))
                .await
                .unwrap();
            assert_eq!(reply.text().await.unwrap(), "ok");
            let received = server.next().await;
            assert!(received.is(0, "POST /", b"hello"), "{received:?}");
            assert_eq!(received.field("content-length"), ["5"]);
            assert!(received.field("transfer-encoding").is_empty());
        }
        for method in [Method::GET, Method::HEAD, Method::DELETE] {
            let request = request(method, "/", &[("content-length", "0")], ().into());
            client.request(request).await.unwrap().bytes().await.unwrap();
            let received = server.next().await;
            assert!(received.is_complete && received.body.is_empty(), "{received:?}");
            assert_eq!(received.field("content-length"), ["0"]);
        }
        server.assert_unharmed(&client, 0).await;
    }
}

/// Asserts that a stream of another length than declared is never received as complete, that the
/// error says so, and that nothing else suffers.
async fn assert_cut(protocol: Protocol, declared: Option<&str>, body: RequestBody, says: &str) {
    let mut server = Server::start(protocol).await;
    let client = server.client_with_neighbours().await;
    let fields: Vec<_> = declared.iter().map(|length| ("content-length", *length)).collect();
    let error = client.request(post("/", &fields, body)).await.unwrap_err();
    let Error::RequestBody { endpoint, source } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(endpoint.addr(), server.addr);
    assert!(source.to_string().contains(says), "{protocol:?}: {source}");
    assert!(!error.is_not_sent());
    let stats = pool(&client);
    assert_eq!((stats.closed.invalidated, stats.closed.broken), (0, 0), "{stats:?}");
    // Over HTTP/1 the connection is closed. Over HTTP/2 only the stream is reset.
    let kept = match protocol {
        Protocol::Http2 => NEIGHBOURS - 1..=NEIGHBOURS,
        _ => NEIGHBOURS - 1..=NEIGHBOURS - 1,
    };
    assert!(kept.contains(&(stats.idle + stats.busy)), "{stats:?}");
    assert!(!client.balancer().stats().endpoints[0].unhealthy);
    // The next request has a connection to itself.
    let reply = client.post("/next", "user=2").await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "ok");
    let mut next = server.next().await;
    let mut cut = 0;
    while !next.is_complete {
        cut += 1;
        assert!(next.body.len() < 10 && !next.body.ends_with(b"lo"), "{next:?}");
        next = server.next().await;
    }
    assert!(cut <= 1);
    assert!(
        next.head.starts_with("POST /next") && next.body == b"user=2",
        "{next:?}"
    );
    assert!(next.connection < NEIGHBOURS, "a neighbour takes it: {next:?}");
}

#[tokio::test]
async fn a_stream_longer_than_its_content_length_is_never_received_as_complete() {
    for protocol in PROTOCOLS {
        for (declared, body) in [
            ("3", streamed(&["hello"])),
            ("3", streamed(&["hel", "lo"])),
            ("3", streamed(&["h", "", "el", "", "lo"])),
            ("3", delayed(&["hel", "lo"])),
            ("3", delayed(&["he", "l", "lo"])),
            ("0", streamed(&["hello"])),
            ("0", delayed(&["hello"])),
            ("4", streamed(&["hel", "lo"])),
        ] {
            let says = format!("more than the {declared} bytes");
            assert_cut(protocol, Some(declared), body, &says).await;
        }
    }
}

#[tokio::test]
async fn a_stream_shorter_than_its_content_length_is_never_received_as_complete() {
    for protocol in PROTOCOLS {
        for (body, received) in [
            (streamed(&["hel"]), 3),
            (streamed(&["h", "el"]), 3),
            (streamed(&[""]), 0),
            (streamed(&[]), 0),
            (delayed(&["he", "l"]), 3),
        ] {
            let says = format!("ended after {received} of the 10 bytes");
            assert_cut(protocol, Some("10"), body, &says).await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_says_a_wrong_size_is_never_received_as_complete() {
    for protocol in PROTOCOLS {
        for declared in [None, Some("4")] {
            let body = RequestBody::new(Claims(streamed(&["hel", "lo"]), 4));
            assert_cut(protocol, declared, body, "more than the 4 bytes").await;
        }
        for declared in [None, Some("8")] {
            let body = RequestBody::new(Claims(streamed(&["hel", "l"]), 8));
            assert_cut(protocol, declared, body, "ended after 4 of the 8 bytes").await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_fails_after_the_answer_began_is_not_the_endpoints_fault() {
    for protocol in PROTOCOLS {
        let mut server = Server::start(protocol).await;
        let client = server.client_with_neighbours().await;
        let (upload, body) = channel();
        upload.send("hel").unwrap();
        let reply = client
            .request(post("/early", &[("content-length", "4")], body))
            .await
            .unwrap();
        upload.send("lo").unwrap();
        let error = reply.bytes().await.unwrap_err();
        assert!(
            matches!(&error, Error::RequestBody { source, .. } if source.to_string().contains("more than the 4 bytes")),
            "{protocol:?}: {error:?}"
        );
        assert!(!server.next().await.is_complete);
        let stats = pool(&client);
        assert_eq!((stats.closed.invalidated, stats.closed.broken), (0, 0), "{stats:?}");
        assert!(stats.idle >= NEIGHBOURS - 1, "{stats:?}");
    }
}

#[tokio::test]
async fn a_transfer_coding_of_the_caller_is_chunked_or_refused() {
    for protocol in PROTOCOLS {
        let mut server = Server::start(protocol).await;
        let client = server.client().await;
        for coding in [
            "gzip",
            "gzip, chunked",
            "chunked, gzip",
            "chunked, chunked",
            "identity",
            "",
            "xchunked",
        ] {
            for body in ["hello".into(), streamed(&["hello"])] {
                let says = format!("`Transfer-Encoding: {coding}` can be `chunked` only");
                assert_refused(&client, post("/", &[("transfer-encoding", coding)], body), &[&says]).await;
            }
        }
        for body in ["hello".into(), ().into()] {
            let request = post("/", &[("transfer-encoding", "chunked")], body);
            assert_refused(&client, request, &["is for a body that is a stream"]).await;
        }
        let both = [("transfer-encoding", "chunked"), ("content-length", "5")];
        for body in ["hello".into(), streamed(&["hello"])] {
            assert_refused(
                &client,
                post("/", &both, body),
                &["`Content-Length` exclude each other"],
            )
            .await;
        }
        let twice = [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        let request = post("/", &twice, streamed(&["hello"]));
        assert_refused(&client, request, &["`transfer-encoding` is given 2 times"]).await;
        for coding in ["chunked", "Chunked"] {
            let request = post("/", &[("transfer-encoding", coding)], streamed(&["hello"]));
            client.request(request).await.unwrap().bytes().await.unwrap();
            let received = server.next().await;
            let (body, codings): (&[u8], &[&str]) = match protocol {
                Protocol::Http2 => (b"hello", &[]),
                _ => (b"5\r\nhello\r\n0\r\n\r\n", &["chunked"]),
            };
            assert!(received.is(0, "POST /", body), "{received:?}");
            assert_eq!(received.field("transfer-encoding"), codings);
        }
        server.assert_unharmed(&client, 0).await;
    }
}

#[tokio::test]
async fn a_stream_of_unknown_length_is_sent_whatever_the_method() {
    for protocol in PROTOCOLS {
        let mut server = Server::start(protocol).await;
        let client = server.client().await;
        for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
            let request = request(method.clone(), "/", &[], streamed(&["hel", "lo"]));
            client.request(request).await.unwrap().bytes().await.unwrap();
            let received = server.next().await;
            let body: &[u8] = match protocol {
                Protocol::Http2 => b"hello",
                _ => b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            };
            assert!(received.is(0, method.as_str(), body), "{received:?}");
            assert!(received.field("content-length").is_empty());
        }
        server.assert_unharmed(&client, 0).await;
    }
}

#[tokio::test]
async fn a_stream_of_unknown_length_goes_to_an_http10_endpoint_on_a_new_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (report, mut received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for connection in 0.. {
            let (mut socket, _) = listener.accept().await.unwrap();
            let report = report.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                let end = |bytes: &[u8]| match bytes.starts_with(b"POST /stream ") {
                    true => end_of(bytes, b"\r\n0\r\n\r\n"),
                    false => end_of(bytes, b"\r\n\r\n"),
                };
                while let Some(request) = until(&mut socket, &mut bytes, end).await {
                    report.send((connection, String::from_utf8(request).unwrap())).unwrap();
                    let answer = b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok";
                    socket.write_all(answer).await.unwrap();
                }
            });
        }
    });
    let list = StaticList::new("web.shop.svc", vec![Endpoint::new(addr)]);
    let client = Client::builder(Discovery::builder(list).start().await.unwrap())
        .build()
        .unwrap();
    for (path, body, connection) in [
        ("/", ().into(), 0),
        ("/", ().into(), 0),
        ("/stream", streamed(&["hel", "lo"]), 1),
        ("/", ().into(), 1),
    ] {
        let reply = client.request(post(path, &[], body)).await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "ok");
        let (on, request) = received.recv().await.unwrap();
        assert_eq!(on, connection, "{request}");
        if path == "/stream" {
            assert!(request.starts_with("POST /stream HTTP/1.1\r\n"), "{request}");
            assert!(
                request.ends_with("\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
                "{request}"
            );
        }
    }
}

#[tokio::test]
async fn trailers_follow_a_stream_where_they_can() {
    for protocol in PROTOCOLS {
        let mut server = Server::start(protocol).await;
        let client = server.client().await;
        let with_trailers = || {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("1"));
            for name in [
                "content-length",
                "transfer-encoding",
                "host",
                "connection",
                "te",
                "upgrade",
            ] {
                trailers.insert(name, HeaderValue::from_static("9"));
            }
            let frames = [Frame::data(Bytes::from_static(b"hello")), Frame::trailers(trailers)];
            RequestBody::new(StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>))))
        };
        client
            .request(post("/", &[("trailer", "x-sum")], with_trailers()))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        let received = server.next().await;
        let body: &[u8] = match protocol {
            Protocol::Http2 => b"hellox-sum: 1\r\n",
            _ => b"5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
        };
        assert!(received.is(0, "POST /", body), "{received:?}");
        assert_eq!(received.field("trailer"), ["x-sum"]);
        let fields = [("trailer", "x-sum"), ("content-length", "5")];
        client
            .request(post("/", &fields, with_trailers()))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        let received = server.next().await;
        let body: &[u8] = match protocol {
            Protocol::Http2 => b"hellox-sum: 1\r\n",
            _ => b"hello",
        };
        assert!(received.is(0, "POST /", body), "{received:?}");
        assert_eq!(received.field("trailer").is_empty(), protocol == Protocol::Http1);
        server.assert_unharmed(&client, 0).await;
    }
}

#[tokio::test]
async fn fields_for_one_connection_are_removed() {
    for protocol in PROTOCOLS {
        let mut server = Server::start(protocol).await;
        let client = server.client().await;
        let fields = [
            ("connection", "keep-alive, X-Hop ,, upgrade"),
            ("connection", "x-other, http2-settings"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("x-other", "2"),
            ("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic dTpw"),
            ("proxy-authenticate", "Basic"),
            ("upgrade", "h2c"),
            ("te", "deflate"),
            ("x-end", "1"),
            ("authorization", "Basic dTpw"),
        ];
        client
            .request(post("/", &fields, "hello".into()))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        let received = server.next().await;
        assert!(received.is(0, "POST /", b"hello"), "{received:?}");
        for removed in fields
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| !["x-end", "authorization"].contains(name))
        {
            assert!(received.field(removed).is_empty(), "{removed}: {received:?}");
        }
        assert_eq!(received.field("x-end"), ["1"]);
        assert_eq!(received.field("authorization"), ["Basic dTpw"]);
        // What frames the request is right, whatever `Connection` names.
        let named = [
            ("connection", "content-length, host"),
            ("content-length", "5"),
            ("host", "evil.example"),
        ];
        for body in ["hello".into(), streamed(&["hello"])] {
            client
                .request(post("/", &named, body))
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap();
            let received = server.next().await;
            assert!(received.is(0, "POST /", b"hello"), "{received:?}");
            assert_eq!(received.field("content-length"), ["5"]);
            assert!(received.head.contains("web.shop.svc\r\n"), "{received:?}");
        }
        server.assert_unharmed(&client, 0).await;
    }
}

#[tokio::test]
async fn of_te_and_connection_remains_what_this_connection_obeys() {
    for (fields, te, connection) in [
        (&[("te", "trailers")][..], &["trailers"][..], &["te"][..]),
        (
            &[("te", "Trailers, deflate;q=0.5"), ("connection", "te")],
            &["trailers"],
            &["te"],
        ),
        (
            &[("te", "gzip"), ("te", "trailers"), ("connection", "Close, TE")],
            &["trailers"],
            &["close, te"],
        ),
        (
            &[
                ("te", "gzip"),
                ("connection", "te, keep-alive"),
                ("connection", "CLOSE"),
            ],
            &[],
            &["close"],
        ),
        (&[("connection", "keep-alive")], &[], &[]),
        (&[("connection", "")], &[], &[]),
    ] {
        for protocol in PROTOCOLS {
            let mut server = Server::start(protocol).await;
            let client = server.client().await;
            client
                .request(post("/", fields, "hello".into()))
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap();
            let received = server.next().await;
            assert!(received.is(0, "POST /", b"hello"), "{received:?}");
            assert_eq!(received.field("te"), te, "{fields:?}");
            match protocol {
                Protocol::Http2 => assert!(received.field("connection").is_empty(), "{received:?}"),
                _ => assert_eq!(received.field("connection"), connection, "{fields:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_host_that_is_given_twice_or_is_no_name_is_refused() {
    for protocol in PROTOCOLS {
        let mut server = Server::start(protocol).await;
        let client = server.client().await;
        for twice in [["a.example", "b.example"], ["a.example", "a.example"]] {
            let request = post("/", &twice.map(|host| ("host", host)), "hello".into());
            assert_refused(&client, request, &["`host` is given 2 times"]).await;
        }
        for host in [
            "",
            "u@web",
            "u:p@web",
            "web:99999",
            "web:65536",
            "web:0",
            "web:",
            "web:abc",
            "web:+80",
            ":80",
            "a b",
        ] {
            let says = format!("`Host` header {host:?} is not HOST or HOST:PORT");
            assert_refused(&client, post("/", &[("host", host)], "hello".into()), &[&says]).await;
        }
        let request = post("/", &[("host", "shop.example:81")], "hello".into());
        client.request(request).await.unwrap().bytes().await.unwrap();
        let received = server.next().await;
        match protocol {
            Protocol::Http2 => assert!(received.head.starts_with("POST / shop.example:81\r\n"), "{received:?}"),
            _ => assert_eq!(received.field("host"), ["shop.example:81"]),
        }
        server.assert_unharmed(&client, 0).await;
    }
}

#[tokio::test]
async fn a_port_that_is_no_number_from_1_to_65535_is_refused() {
    for protocol in PROTOCOLS {
        let mut server = Server::start(protocol).await;
        let client = server.client().await;
        for port in ["99999", "65536", "0", "", "abc", "+80"] {
            let uri = format!("http://web.shop.svc:{port}/");
            let error = client.get(&uri).await.unwrap_err();
            assert!(matches!(error, Error::InvalidRequest { .. }), "{error:?}");
            assert!(error.is_not_sent());
            assert!(error.to_string().contains(&format!("web.shop.svc:{port}")), "{error}");
            let authority = format!("web:{port}");
            let error = server.builder().await.authority(&authority).build().unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains(&format!("`{authority}` is not an authority")),
                "{error}"
            );
        }
        server.assert_unharmed(&client, 0).await;
    }
}

#[tokio::test]
async fn a_request_that_expects_100_continue_is_sent_and_answered() {
    let mut server = Server::start(Protocol::Http1).await;
    let client = server.client().await;
    for body in ["hello".into(), streamed(&["hel", "lo"])] {
        let fields = [("expect", "100-continue"), ("content-length", "5")];
        let reply = client.request(post("/", &fields, body)).await.unwrap();
        assert_eq!((reply.status().as_u16(), &*reply.text().await.unwrap()), (200, "ok"));
        let received = server.next().await;
        assert!(received.is(0, "POST /", b"hello"), "{received:?}");
        assert_eq!(received.field("expect"), ["100-continue"]);
    }
    server.assert_unharmed(&client, 0).await;
}

#[tokio::test]
async fn a_plain_get_has_no_field_but_its_host() {
    let mut server = Server::start(Protocol::Http1).await;
    let client = server.client().await;
    client.get("/cart").await.unwrap().bytes().await.unwrap();
    assert_eq!(
        server.next().await.head,
        "GET /cart HTTP/1.1\r\nhost: web.shop.svc\r\n\r\n"
    );
}

#[tokio::test]
async fn every_answer_carries_its_endpoint_behind_layers_that_wrap_the_body() {
    for protocol in PROTOCOLS {
        let server = Server::start(protocol).await;
        let client = server.client().await;
        let endpoint = |answer: &http::Extensions| answer.get::<Arc<Endpoint>>().unwrap().addr();
        let wrapped = ServiceBuilder::new()
            .map_response(|answer: Response<ResponseBody>| answer.map(BodyExt::boxed))
            .service(client.clone());
        let get = || Request::new(Full::<Bytes>::default());
        let answer = wrapped.oneshot(get()).await.unwrap();
        assert_eq!(endpoint(answer.extensions()), server.addr);
        let answer = (&client).oneshot(get()).await.unwrap();
        assert_eq!(endpoint(answer.extensions()), server.addr);
        assert_eq!(answer.body().endpoint().map(Endpoint::addr), Some(server.addr));
        let reply = client.get("/").await.unwrap();
        assert_eq!(endpoint(reply.into_http().extensions()), server.addr);
        let answer: Response<ResponseBody> = client.get("/").await.unwrap().into();
        assert_eq!(endpoint(answer.extensions()), server.addr);
    }
}

/// Refuses every request in the service's place, with the bounds of an interceptor of tonic.
async fn intercepted<S, B>(service: S) -> Response<B>
where
    S: tower::Service<Request<RequestBody>, Response = Response<B>>,
    B: Body + Default,
{
    drop(service);
    Response::default()
}

#[tokio::test]
async fn the_body_of_an_interceptor_is_empty_and_of_no_endpoint() {
    let server = Server::start(Protocol::Http2).await;
    let client = server.client().await;
    let mut body = intercepted(client.clone()).await.into_body();
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert_eq!(body.endpoint(), None);
    assert!(format!("{body:?}").contains("endpoint: None"), "{body:?}");
    assert!(body.frame().await.is_none());
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
    assert_eq!(pool(&client).opened, 0);
}
