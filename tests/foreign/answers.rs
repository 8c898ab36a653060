//! One request of each kind, and what must hold for the next one on the same pods.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use headless_http::{Client, RequestBody, ResponseBody};
use headless_tests::support::load::error_chain;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::bed::{Bed, Settings, plain};
use crate::calls::{Calls, MayLose};
use crate::program::BIG;
use crate::servers::{Ability, Server};

pub async fn of_each_kind(server: &Server) {
    let Some(bed) = Bed::start(server, plain(2)).await else {
        return;
    };
    let asker = Asker {
        server,
        client: &bed.client,
    };
    is_implemented_as_said(asker).await;
    bodies_without_content(asker).await;
    large_answers(asker).await;
    uploads(asker).await;
    trailers(asker).await;
    special_fields(asker).await;
    slow_readers(asker).await;
    cancellation(asker).await;
}

/// The answer comes before the body was read, and must reach the caller all the same.
pub async fn early(server: &Server) {
    if !server.can(Ability::Early) {
        return;
    }
    let Some(bed) = Bed::start(server, plain(2)).await else {
        return;
    };
    early_answers(Asker {
        server,
        client: &bed.client,
    })
    .await;
}

pub async fn over_tls(server: &Server) {
    if !server.can(Ability::Tls) {
        return;
    }
    let settings = Settings {
        speaks_tls: true,
        ..plain(2)
    };
    let Some(bed) = Bed::start(server, settings).await else {
        return;
    };
    let asker = Asker {
        server,
        client: &bed.client,
    };
    large_answers(asker).await;
    uploads(asker).await;
    trailers(asker).await;
    cancellation(asker).await;
    let calls = Calls::start(&bed.client, "/id", Duration::ZERO);
    calls.reach(200).await;
    calls.check(&bed, MayLose::Nothing).await;
}

/// Sends requests with numbers, and insists on answers with the same ones.
#[derive(Clone, Copy)]
struct Asker<'a> {
    server: &'a Server,
    client: &'a Client,
}

impl Asker<'_> {
    fn request(method: Method, path: &str, body: impl Into<RequestBody>) -> Request<RequestBody> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut request = Request::new(body.into());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        // ORDERING: Relaxed: a counter and nothing else.
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        request.headers_mut().insert("x-id", id.into());
        request
    }

    async fn send(self, request: Request<RequestBody>) -> Response<ResponseBody> {
        let text = format!("{}: {} {}", self.server, request.method(), request.uri());
        let id = request.headers()["x-id"].clone();
        let reply = self.client.request(request).await;
        let reply = reply.unwrap_or_else(|error| panic!("{text}: {}: {error:?}", error_chain(&error)));
        assert_eq!(
            reply.headers().get("x-id"),
            Some(&id),
            "{text}: the answer of another request"
        );
        reply.into_http()
    }

    async fn get(self, path: &str) -> Response<ResponseBody> {
        self.send(Self::request(Method::GET, path, ())).await
    }

    /// The content, whose length is what the peer said, if it did.
    async fn read(self, answer: Response<ResponseBody>) -> (Bytes, Option<HeaderMap>) {
        let body = answer.into_body().collect().await;
        let body = body.unwrap_or_else(|error| panic!("{}: {}", self.server, error_chain(&error)));
        let trailers = body.trailers().cloned();
        (body.to_bytes(), trailers)
    }

    /// Sends this body to `/id`; returns how many bytes the server has counted.
    async fn upload(self, request: Request<RequestBody>) -> usize {
        let id = request.headers()["x-id"].to_str().unwrap().to_owned();
        let answer = self.send(request).await;
        assert_eq!(answer.status(), 200, "{}", self.server);
        let (text, _) = self.read(answer).await;
        let text = String::from_utf8(text.to_vec()).unwrap();
        let (echo, length) = text.trim_end().split_once(' ').unwrap();
        assert_eq!(echo, id, "{}: the answer of another request", self.server);
        length.parse().unwrap()
    }

    /// Both pods go on serving, on as many connections as there may be.
    async fn is_unharmed(self) {
        let posts = (0..8).map(|length| {
            let body = Bytes::from(vec![b'.'; length]);
            async move { assert_eq!(self.upload(Self::request(Method::POST, "/id", body)).await, length) }
        });
        join_all(posts).await;
    }
}

fn streamed(pieces: usize, size: usize) -> RequestBody {
    let pieces = (0..pieces).map(move |_| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'.'; size]))));
    RequestBody::new(StreamBody::new(stream::iter(pieces)))
}

/// The paths that a server says it has, and no others.
async fn is_implemented_as_said(asker: Asker<'_>) {
    let big = format!("/big?bytes={BIG}");
    let stream = format!("/stream?bytes={BIG}");
    for (ability, path, expected) in [
        (Ability::Big, &*big, StatusCode::OK),
        (Ability::Stream, &stream, StatusCode::OK),
        (Ability::Slow, "/slow?ms=1", StatusCode::OK),
        (Ability::Trailers, "/trailers", StatusCode::OK),
        (Ability::NoContent, "/none", StatusCode::NO_CONTENT),
        (Ability::NotModified, "/same", StatusCode::NOT_MODIFIED),
    ] {
        let expected = match asker.server.can(ability) {
            true => expected,
            false => StatusCode::NOT_FOUND,
        };
        let answer = asker.get(path).await;
        assert_eq!(answer.status(), expected, "{}: {path}", asker.server);
        asker.read(answer).await;
    }
}

async fn bodies_without_content(asker: Asker<'_>) {
    for (ability, method, path) in [
        (None, Method::HEAD, "/id"),
        (None, Method::HEAD, "/missing"),
        (Some(Ability::NoContent), Method::HEAD, "/none"),
        (Some(Ability::NoContent), Method::GET, "/none"),
        (Some(Ability::NotModified), Method::HEAD, "/same"),
        (Some(Ability::NotModified), Method::GET, "/same"),
    ] {
        if ability.is_some_and(|ability| !asker.server.can(ability)) {
            continue;
        }
        let answer = asker.send(Asker::request(method, path, ())).await;
        assert_eq!(asker.read(answer).await.0.len(), 0, "{}: {path}", asker.server);
        asker.is_unharmed().await;
    }
}

async fn large_answers(asker: Asker<'_>) {
    let server = asker.server;
    for (ability, path) in [(Ability::Big, "/big"), (Ability::Stream, "/stream")] {
        if !server.can(ability) {
            continue;
        }
        let answers = (0..4).map(|_| async {
            let answer = asker.get(&format!("{path}?bytes={BIG}")).await;
            let length = answer.headers().get("content-length").cloned();
            assert_eq!(length.is_some(), ability == Ability::Big, "{server}: {path}");
            let (body, _) = asker.read(answer).await;
            assert!(
                body.len() == BIG && body.iter().all(|byte| *byte == b'x'),
                "{server}: {}",
                body.len()
            );
        });
        join_all(answers).await;
        asker.is_unharmed().await;
    }
    if server.can(Ability::Big) {
        let mut request = Asker::request(Method::GET, &format!("/big?bytes={BIG}"), ());
        request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
        let answer = asker.send(request).await;
        let is_gzip = answer.headers().get("content-encoding").is_some_and(|it| it == "gzip");
        assert_eq!(is_gzip, server.can(Ability::Gzip), "{server}");
        let (body, _) = asker.read(answer).await;
        if is_gzip {
            // SPEC(RFC 1952 2.3.1): the last four bytes are the length of the content.
            assert_eq!(body[..2], [0x1f, 0x8b], "{server}");
            assert_eq!(body[body.len() - 4..], (BIG as u32).to_le_bytes(), "{server}");
        }
    }
}

async fn uploads(asker: Asker<'_>) {
    if !asker.server.can(Ability::Uploads) {
        return;
    }
    let large = || Asker::request(Method::POST, "/id", Bytes::from(vec![b'.'; BIG]));
    let lengths = join_all((0..4).map(|_| asker.upload(large()))).await;
    assert_eq!(lengths, [BIG; 4], "{}", asker.server);
    let uploads = [(0, 1), (1, 1), (64, 16384), (1000, 7)].map(|(pieces, size)| async move {
        let request = Asker::request(Method::POST, "/id", streamed(pieces, size));
        let length = asker.upload(request).await;
        if asker.server.can(Ability::CountsStreams) {
            assert_eq!(length, pieces * size, "{}", asker.server);
        }
    });
    join_all(uploads).await;
    asker.is_unharmed().await;
}

async fn early_answers(asker: Asker<'_>) {
    for _ in 0..4 {
        for body in [RequestBody::from(vec![b'.'; 8 * BIG]), streamed(512, 16384)] {
            let mut request = Asker::request(Method::POST, "/early", body);
            request.headers_mut().insert("content-length", (8 * BIG).into());
            let answer = asker.send(request).await;
            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{}", asker.server);
            asker.read(answer).await;
            asker.is_unharmed().await;
        }
    }
}

async fn trailers(asker: Asker<'_>) {
    if !asker.server.can(Ability::Trailers) {
        return;
    }
    for _ in 0..4 {
        let mut request = Asker::request(Method::GET, "/trailers", ());
        request.headers_mut().insert("te", "trailers".parse().unwrap());
        let id = request.headers()["x-id"].clone();
        let answer = asker.send(request).await;
        let (body, trailers) = asker.read(answer).await;
        assert_eq!(&*body, b"body", "{}", asker.server);
        let trailers = trailers.unwrap_or_default();
        assert_eq!(trailers.get("x-trailer"), Some(&id), "{}: {trailers:?}", asker.server);
    }
    asker.is_unharmed().await;
}

/// `Expect: 100-continue`, and an upgrade that the client does not ask for.
async fn special_fields(asker: Asker<'_>) {
    for (fields, length) in [
        (&[("expect", "100-continue")][..], 5),
        (&[("expect", "100-continue")], 10_000),
        (&[("connection", "upgrade"), ("upgrade", "websocket")], 0),
    ] {
        for _ in 0..4 {
            let mut request = Asker::request(Method::POST, "/id", Bytes::from(vec![b'.'; length]));
            for (name, value) in fields {
                request.headers_mut().insert(*name, value.parse().unwrap());
            }
            assert_eq!(asker.upload(request).await, length, "{}: {fields:?}", asker.server);
        }
    }
    asker.is_unharmed().await;
}

/// Other requests are answered while an answer is read slowly, and it is whole.
async fn slow_readers(asker: Asker<'_>) {
    if !asker.server.can(Ability::Big) {
        return;
    }
    let mut body = asker.get(&format!("/big?bytes={BIG}")).await.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.unwrap().data_ref().map_or(0, Bytes::len);
        asker.get("/id").await.into_body().collect().await.unwrap();
    }
    assert_eq!(length, BIG, "{}", asker.server);
}

/// Answers are dropped in the middle, and requests before their answer.
async fn cancellation(asker: Asker<'_>) {
    for _ in 0..8 {
        if asker.server.can(Ability::Big) {
            let mut body = asker.get(&format!("/big?bytes={BIG}")).await.into_body();
            body.frame().await.unwrap().unwrap();
        }
        if asker.server.can(Ability::Slow) {
            let request = Asker::request(Method::POST, "/slow?ms=100", "order");
            let cancelled = tokio::time::timeout(Duration::from_millis(5), asker.send(request)).await;
            assert!(cancelled.is_err(), "{}", asker.server);
        }
        if asker.server.can(Ability::Uploads) {
            let upload = Asker::request(Method::POST, "/id", streamed(2000, 16384));
            let _ = tokio::time::timeout(Duration::from_millis(5), asker.send(upload)).await;
        }
        asker.is_unharmed().await;
    }
}
