//! Hand-written on hyper: the baseline, a connection that a caller keeps to one server; and power
//! of two choices, without the other features of a client.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::HeaderValue;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Body;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::implementation::{Caller, ClonedClient, HOST, Implementation, PATH, Setup};
use crate::servers::{ANSWER, Pods, Protocol};

/// A connection, or with HTTP/2 a handle to one.
pub enum Link {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Link {
    pub async fn open(protocol: Protocol, pod: SocketAddr) -> Self {
        let stream = TcpStream::connect(pod).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = TokioIo::new(stream);
        match protocol {
            Protocol::Http1 | Protocol::Http1Close => {
                let (sender, driver) = http1::handshake(stream).await.unwrap();
                tokio::spawn(driver);
                Self::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, driver) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
                tokio::spawn(driver);
                Self::Http2(sender)
            }
        }
    }

    /// Returns another handle to the same connection; `None` with HTTP/1.
    fn another(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }
}

impl Link {
    /// Sends a GET, and returns whether the connection takes another one.
    pub async fn get(&mut self) -> bool {
        let answer = match self {
            Self::Http1(sender) => {
                let request = Request::get(PATH).header(header::HOST, HeaderValue::from_static(HOST));
                sender.ready().await.unwrap();
                sender.send_request(request.body(Empty::new()).unwrap()).await
            }
            Self::Http2(sender) => {
                let uri = Uri::builder().scheme("http").authority(HOST).path_and_query(PATH);
                let request = Request::get(uri.build().unwrap());
                sender.ready().await.unwrap();
                sender.send_request(request.body(Empty::new()).unwrap()).await
            }
        };
        let answer = answer.unwrap();
        let stays = !answer.headers().contains_key(header::CONNECTION);
        check(answer).await;
        stays
    }
}

/// Reads an answer to its end.
pub async fn check<B: Body<Error: std::fmt::Debug>>(answer: Response<B>) {
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), ANSWER);
}

/// The baseline. HTTP/1.1: each caller has a connection, and makes a new one where it must. HTTP/2:
/// there is one connection to each server, and each caller keeps to one of them.
pub struct Pinned {
    setup: Setup,
    /// A connection to each server, with HTTP/2.
    links: Vec<Link>,
}

impl Implementation for Pinned {
    const NAME: &'static str = "hyper, pinned (baseline)";
    type Caller = PinnedCaller;

    async fn open(setup: &Setup) -> Self {
        let mut links = Vec::new();
        if setup.case.protocol == Protocol::Http2 {
            for pod in &setup.pods.0 {
                links.push(Link::open(Protocol::Http2, *pod).await);
            }
        }
        let setup = setup.clone();
        Self { setup, links }
    }

    async fn caller(&self, number: usize) -> PinnedCaller {
        let Setup { case, pods: Pods(pods) } = &self.setup;
        let number = number % pods.len();
        let (protocol, pod) = (case.protocol, pods[number]);
        match self.links.get(number).and_then(Link::another) {
            Some(link) => PinnedCaller { link, protocol, pod },
            None => PinnedCaller::open(protocol, pod).await,
        }
    }
}

/// A caller with its connection.
pub struct PinnedCaller {
    link: Link,
    protocol: Protocol,
    pod: SocketAddr,
}

impl PinnedCaller {
    pub async fn open(protocol: Protocol, pod: SocketAddr) -> Self {
        let link = Link::open(protocol, pod).await;
        Self { link, protocol, pod }
    }
}

impl Caller for PinnedCaller {
    async fn get(&mut self) {
        if !self.link.get().await {
            self.link = Link::open(self.protocol, self.pod).await;
        }
    }
}

/// Power of two choices: a snapshot of the servers, a counter and a stack of connections for each.
#[derive(Clone)]
pub struct PowerOfTwo {
    protocol: Protocol,
    pods: Arc<ArcSwap<Vec<Arc<Pod>>>>,
}

struct Pod {
    address: SocketAddr,
    in_flight: AtomicUsize,
    idle: Mutex<Vec<Link>>,
}

impl Pod {
    /// Takes a connection. With HTTP/2 it stays and is used by several callers at once.
    fn take(&self) -> Option<Link> {
        let mut idle = self.idle.lock().unwrap();
        idle.last()?.another().or_else(|| idle.pop())
    }

    fn put_back(&self, link: Link) {
        if let Link::Http1(_) = link {
            self.idle.lock().unwrap().push(link);
        }
    }
}

impl ClonedClient for PowerOfTwo {
    const NAME: &'static str = "hyper, hand-written power of two";

    async fn open(setup: &Setup) -> Self {
        let protocol = setup.case.protocol;
        let mut pods = Vec::new();
        for address in &setup.pods.0 {
            let link = Link::open(protocol, *address).await;
            pods.push(Arc::new(Pod {
                address: *address,
                in_flight: AtomicUsize::new(0),
                idle: Mutex::new(vec![link]),
            }));
        }
        Self {
            protocol,
            pods: Arc::new(ArcSwap::from_pointee(pods)),
        }
    }

    async fn get(&mut self) {
        let pod = {
            let pods = self.pods.load();
            let n = pods.len();
            let k = rand::random_range(..n);
            let (one, other) = (&pods[k], &pods[(k + rand::random_range(1..n)) % n]);
            let load = |pod: &Pod| pod.in_flight.load(Relaxed);
            Arc::clone(if load(one) <= load(other) { one } else { other })
        };
        pod.in_flight.fetch_add(1, Relaxed);
        let mut link = match pod.take() {
            Some(link) => link,
            None => Link::open(self.protocol, pod.address).await,
        };
        if link.get().await {
            pod.put_back(link);
        }
        pod.in_flight.fetch_sub(1, Relaxed);
    }
}
