//! The pods: a small shop that takes orders (POST) and shows items (GET), with one record for all
//! pods.
//!
//! Not the testkit's own HTTP application, which does not record its requests, and which closes
//! idle HTTP/1.1 connections at its termination. Must not live here: the life of the pods.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use headless_http::Protocol;
use headless_testkit::{App, Pod};
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// The record of all pods.
#[derive(Default)]
pub struct Shop {
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    connections: u64,
    /// Requests by the pod's uid.
    served: HashMap<u64, u64>,
    orders: HashSet<u64>,
    twice: Vec<u64>,
    /// The pod that leaves requests unanswered, by its uid.
    held: Option<u64>,
    stuck: Stuck,
}

/// Requests that the held pod has processed and not answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stuck {
    pub items: u64,
    pub orders: u64,
}

/// How a pod ends a connection that it closes.
#[derive(Clone, Copy)]
pub enum Close {
    /// As the connection's protocol has it.
    Gracefully,
    /// With RST: requests under way are lost.
    Abruptly,
}

/// The whole answer to a request: long enough that half of it would be noticed.
pub fn page(pod: &str, method: &Method, id: u64) -> String {
    format!("{pod} {method} {id:.<500}\n")
}

impl Shop {
    /// The program of the pods.
    pub fn app(self: &Arc<Self>, protocol: Protocol, close: Close) -> App {
        let shop = Arc::clone(self);
        App::custom(move |pod, stream| {
            let shop = Arc::clone(&shop);
            async move {
                if let Close::Abruptly = close {
                    stream.set_zero_linger().unwrap();
                }
                stream.set_nodelay(true).unwrap();
                shop.record.lock().unwrap().connections += 1;
                match protocol {
                    Protocol::Http2 => shop.serve_http2(pod, stream).await,
                    _ => shop.serve_http1(pod, stream).await,
                }
            }
        })
    }

    /// WHY not hyper's `graceful_shutdown`, which closes idle connections: a request may be on its
    /// way to one, and the client cannot know whether it was processed (RFC 9112 9.3.1). This pod
    /// says `connection: close` in its next answer, and waits until the client has closed the
    /// others.
    async fn serve_http1(self: Arc<Self>, pod: Pod, stream: TcpStream) {
        let leaving = AtomicBool::new(false);
        let service = service_fn(async |request| {
            let mut answer = self.answer(&pod, request).await?;
            if leaving.load(Relaxed) {
                answer
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, hyper::Error>(answer)
        });
        let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = pod.draining() => leaving.store(true, Relaxed),
        }
        let _ended_or_failed = connection.await;
    }

    async fn serve_http2(self: Arc<Self>, pod: Pod, stream: TcpStream) {
        let service = service_fn({
            let pod = pod.clone();
            move |request| {
                let (shop, pod) = (Arc::clone(&self), pod.clone());
                async move { shop.answer(&pod, request).await }
            }
        });
        let builder = http2::Builder::new(TokioExecutor::new());
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = pod.draining() => connection.as_mut().graceful_shutdown(),
        }
        let _ended_or_failed = connection.await;
    }

    async fn answer(&self, pod: &Pod, request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let is_order = head.method == Method::POST;
        let id = match is_order {
            true => std::str::from_utf8(&body).unwrap(),
            false => head.uri.path().trim_start_matches("/items/"),
        };
        let id = id.parse().unwrap();
        if self.enter(pod, id, is_order) {
            // Only the pod's death ends it.
            std::future::pending::<Infallible>().await;
        }
        Ok(Response::new(page(pod.name(), &head.method, id).into()))
    }

    /// Records a request. `true`: it shall stay unanswered.
    fn enter(&self, pod: &Pod, id: u64, is_order: bool) -> bool {
        let mut record = self.record.lock().unwrap();
        *record.served.entry(pod.uid()).or_default() += 1;
        if is_order && !record.orders.insert(id) {
            record.twice.push(id);
        }
        // Few items: a pod with many requests in flight would get no more, and never an order.
        let is_held = record.held == Some(pod.uid()) && (is_order || record.stuck.items < 2);
        match is_order {
            true => record.stuck.orders += u64::from(is_held),
            false => record.stuck.items += u64::from(is_held),
        }
        is_held
    }

    /// Makes this pod leave orders and some items unanswered from now on.
    pub fn hold(&self, pod: &Pod) {
        self.record.lock().unwrap().held = Some(pod.uid());
    }

    /// Returns what the held pod has left unanswered so far.
    pub fn stuck(&self) -> Stuck {
        self.record.lock().unwrap().stuck
    }

    /// The same, after the pod was killed; no pod is held any more.
    pub fn release(&self) -> Stuck {
        let mut record = self.record.lock().unwrap();
        record.held = None;
        std::mem::take(&mut record.stuck)
    }

    /// Returns the number of requests that this pod received.
    pub fn served(&self, pod: &Pod) -> u64 {
        self.record.lock().unwrap().served.get(&pod.uid()).copied().unwrap_or(0)
    }

    /// Returns the number of requests that all pods received, dead ones included.
    pub fn total_served(&self) -> u64 {
        self.record.lock().unwrap().served.values().sum()
    }

    /// Returns the number of connections that the pods accepted.
    pub fn connections(&self) -> u64 {
        self.record.lock().unwrap().connections
    }

    /// Returns the orders that were processed twice.
    pub fn twice(&self) -> Vec<u64> {
        self.record.lock().unwrap().twice.clone()
    }
}

/// The addresses of pods.
pub fn addrs(pods: &[Pod]) -> Vec<SocketAddr> {
    pods.iter().map(Pod::addr).collect()
}
