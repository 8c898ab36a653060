//! A pod of the foreign servers, in Rust: `foreign_rust hyper|axum IP PORT LOG`. On SIGTERM it
//! finishes what it has.
#![allow(clippy::unwrap_used, reason = "a panic is how it says that it cannot serve")]

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [library, ip, port, log] = &args[..] else {
        panic!("usage: foreign_rust hyper|axum IP PORT LOG")
    };
    let log = Arc::new(File::options().append(true).create(true).open(log).unwrap());
    let mut terminated = signal(SignalKind::terminate()).unwrap();
    let terminated = async move { _ = terminated.recv().await };
    let listener = TcpListener::bind(format!("{ip}:{port}")).await.unwrap();
    match library.as_str() {
        "axum" => {
            let router = Router::new().fallback(move |request| answer(request, Arc::clone(&log)));
            axum::serve(listener, router)
                .with_graceful_shutdown(terminated)
                .await
                .unwrap();
        }
        _ => with_hyper(listener, log, terminated).await,
    }
}

async fn with_hyper(listener: TcpListener, log: Arc<File>, terminated: impl Future<Output = ()>) {
    let (server, connections) = (auto::Builder::new(TokioExecutor::new()), GracefulShutdown::new());
    let mut terminated = std::pin::pin!(terminated);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            () = &mut terminated => break,
        };
        let log = Arc::clone(&log);
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let log = Arc::clone(&log);
            async move { Ok::<_, Infallible>(answer(request.map(Body::new), log).await) }
        });
        let connection = server.serve_connection(TokioIo::new(stream), service).into_owned();
        // A client may end its connection in any way.
        tokio::spawn(connections.watch(connection));
    }
    drop(listener);
    connections.shutdown().await;
}

async fn answer(request: Request, log: Arc<File>) -> Response {
    let (head, mut body) = request.into_parts();
    let id = head.headers.get("x-id").cloned();
    let id = id.unwrap_or(HeaderValue::from_static(""));
    writeln!(&*log, "{} {}", head.method, id.to_str().unwrap()).unwrap();
    let mut response = Response::default();
    response.headers_mut().insert("x-id", id.clone());
    if head.uri.path() == "/early" {
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return response;
    }
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, |data| data.len());
    }
    let query = head.uri.query().unwrap_or_default();
    let number = query.split_once('=').map_or(0, |(_, value)| value.parse().unwrap());
    let text = Body::from(format!("{} {length}\n", id.to_str().unwrap()));
    match head.uri.path() {
        "/id" => *response.body_mut() = text,
        "/slow" => {
            let mut timer = tokio::time::interval(Duration::from_millis(number as u64));
            timer.tick().await;
            timer.tick().await;
            *response.body_mut() = text;
        }
        "/big" => *response.body_mut() = Body::from(vec![b'x'; number]),
        "/stream" => {
            let pieces = futures_util::stream::unfold(number, |left| async move {
                let size = left.min(16384);
                (size > 0).then(|| (Ok::<_, Infallible>(vec![b'x'; size]), left - size))
            });
            *response.body_mut() = Body::from_stream(pieces);
        }
        "/trailers" => {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-trailer", id);
            let frames = [Frame::data("body".into()), Frame::trailers(trailers)];
            let frames = frames.map(Ok::<_, Infallible>);
            response
                .headers_mut()
                .insert("trailer", HeaderValue::from_static("x-trailer"));
            *response.body_mut() = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        }
        "/none" => *response.status_mut() = StatusCode::NO_CONTENT,
        "/same" => *response.status_mut() = StatusCode::NOT_MODIFIED,
        _ => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    // hyper leaves out the body over HTTP/1 only.
    if head.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}
