//! The HTTP application: says which pod answered, and does on request what tests of HTTP clients
//! need.
//!
//! Must not live here: accepting and counting connections (`listen`).

use std::{convert::Infallible, pin::Pin, sync::Arc, task};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{net::TcpStream, sync::Notify};

use crate::{
    fault::Failure,
    pod_core::{InFlight, PodCore, SocketStage},
};

type Answer = Response<Counted>;

/// One connection's signals from its requests to its driver.
#[derive(Debug, Default)]
struct Signals {
    first_request: Notify,
    close: Notify,
}

/// Serves one connection until the client or the pod ends it.
pub(crate) async fn serve(pod: Arc<PodCore>, stream: TcpStream) {
    let late = *pod.stage.borrow() != SocketStage::Serving;
    let signals = Arc::new(Signals::default());
    let service = service_fn(|request| {
        let (pod, signals) = (Arc::clone(&pod), Arc::clone(&signals));
        async move { Ok::<_, Infallible>(answer(pod, signals, request).await) }
    });
    let mut builder = auto::Builder::new(UntilClosed(Arc::clone(&pod)));
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    // A connection that comes while the pod already drains is good for one request.
    let end = async {
        match late {
            true => signals.first_request.notified().await,
            false => pod.reaches(SocketStage::Draining).await,
        }
    };
    tokio::select! {
        _ = connection.as_mut() => return,
        () = signals.close.notified() => return,
        () = end => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        () = signals.close.notified() => {}
    }
}

/// HTTP/2 runs each stream in a task of its own; none of them may outlive the pod.
#[derive(Clone)]
struct UntilClosed(Arc<PodCore>);

impl<F> Executor<F> for UntilClosed
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        let pod = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::select! {
                _ = future => {}
                () = pod.reaches(SocketStage::Closed) => {}
            }
        });
    }
}

async fn answer(pod: Arc<PodCore>, signals: Arc<Signals>, request: Request<Incoming>) -> Answer {
    let in_flight = InFlight::begin(&pod);
    signals.first_request.notify_one();
    let failure = pod.take_failure();
    match failure {
        Some(Failure::Blackhole) => return std::future::pending().await,
        Some(Failure::CloseConnection) => {
            signals.close.notify_one();
            return std::future::pending().await;
        }
        _ => {}
    }
    let (head, body) = request.into_parts();
    // Read to the end, so that an HTTP/1 connection can be used again.
    let received = match body.collect().await {
        Ok(body) => body.to_bytes().len(),
        Err(_) => 0,
    };
    pod.admit().await;
    let mut status = StatusCode::OK;
    let body = match (failure, head.uri.path()) {
        (Some(Failure::Status(code)), _) => {
            status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            plain(format!("{} fails as told\n", pod.name))
        }
        (_, "/echo") => plain(echo(&head, received)),
        (_, "/stream") => chunks(Arc::clone(&pod), head.uri.query().unwrap_or_default()),
        _ => plain(format!("{}\n", pod.name)),
    };
    // hyper leaves out the body that a HEAD must not have over HTTP/1 only (RFC 9110 9.3.2).
    let is_head = head.method == Method::HEAD && head.version == Version::HTTP_2;
    let length = body.size_hint().exact().filter(|_| is_head);
    let mut answer = Response::new(Counted {
        body: match is_head {
            true => BodyExt::boxed(Empty::new()),
            false => body,
        },
        _in_flight: in_flight,
    });
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if let Ok(name) = HeaderValue::from_str(&pod.name) {
        headers.insert("x-pod", name);
    }
    if let Some(ordinal) = pod.ordinal {
        headers.insert("x-ordinal", ordinal.into());
    }
    // hyper says so by itself only on connections that were idle or busy when the drain began.
    let draining = *pod.stage.borrow() != SocketStage::Serving;
    if draining && head.version <= Version::HTTP_11 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

fn echo(head: &http::request::Parts, received: usize) -> String {
    let host = head.headers.get(header::HOST).map(HeaderValue::as_bytes);
    let authority = head.uri.authority().map(|a| a.as_str().as_bytes());
    let host = String::from_utf8_lossy(host.or(authority).unwrap_or_default());
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    format!(
        "method: {}\nhost: {host}\npath: {path}\nversion: {:?}\nbody: {received}\n",
        head.method, head.version
    )
}

fn plain(text: String) -> BoxBody<Bytes, Infallible> {
    Full::new(Bytes::from(text)).boxed()
}

fn chunks(pod: Arc<PodCore>, query: &str) -> BoxBody<Bytes, Infallible> {
    let value = |key: &str| {
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|pair| pair.0 == key).map(|pair| pair.1)
    };
    let number = |key| value(key).and_then(|text| text.parse::<usize>().ok());
    let count = number("chunks").unwrap_or(1);
    let chunk = Bytes::from(vec![b'x'; number("bytes").unwrap_or(1)]);
    let step = value("step").is_some();
    let stream = stream::unfold((pod, count), move |(pod, left)| {
        let chunk = chunk.clone();
        async move {
            if left == 0 {
                return None;
            }
            if step && let Ok(permit) = pod.chunks.acquire().await {
                permit.forget();
            }
            Some((Ok(Frame::data(chunk)), (pod, left - 1)))
        }
    });
    BodyExt::boxed(StreamBody::new(stream))
}

/// A body that counts as in flight until it is dropped.
struct Counted {
    body: BoxBody<Bytes, Infallible>,
    _in_flight: InFlight,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
