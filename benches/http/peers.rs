//! The peers: two clients with the servers round robin, tower's balancer behind its buffer, and
//! tonic's channel. All defaults are kept.

use std::task::{Context, Poll};

use bytes::Bytes;
use headless_benches::hand_written::RoundRobin;
use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use http_body_util::Empty;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, ResponseFuture};
use hyper_util::rt::TokioExecutor;
use tonic::transport::{Channel, Endpoint};
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::{Service, ServiceExt};

use crate::hand_written::check;
use crate::implementation::{ClonedClient, PATH, Setup};
use crate::servers::{ANSWER, Pods, Protocol};

/// The peers of the targets.
pub const SLOWER: [&str; 3] = [HyperUtil::NAME, Tower::NAME, Reqwest::NAME];

type Http = legacy::Client<HttpConnector, Empty<Bytes>>;

fn http_client(protocol: Protocol) -> Http {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.http2_only(protocol == Protocol::Http2).build(connector)
}

fn authorities(pods: &Pods) -> impl Iterator<Item = Authority> {
    pods.0.iter().map(|pod| pod.to_string().parse().unwrap())
}

fn get(authority: Authority) -> Request<Empty<Bytes>> {
    let uri = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(PATH);
    Request::get(uri.build().unwrap()).body(Empty::new()).unwrap()
}

/// hyper-util's client, with the servers round robin.
#[derive(Clone)]
pub struct HyperUtil {
    client: Http,
    pods: RoundRobin<Authority>,
}

impl ClonedClient for HyperUtil {
    const NAME: &'static str = "hyper-util, round robin";

    async fn open(setup: &Setup) -> Self {
        Self {
            client: http_client(setup.case.protocol),
            pods: RoundRobin::over(authorities(&setup.pods)),
        }
    }

    async fn get(&mut self) {
        let request = get(self.pods.next().clone());
        check(self.client.request(request).await.unwrap()).await;
    }
}

/// reqwest's client, with the servers round robin.
#[derive(Clone)]
pub struct Reqwest {
    client: reqwest::Client,
    pods: RoundRobin<Authority>,
}

impl ClonedClient for Reqwest {
    const NAME: &'static str = "reqwest, round robin";

    async fn open(setup: &Setup) -> Self {
        // Without a proxy, even if the environment names one.
        let builder = reqwest::Client::builder().no_proxy();
        let builder = match setup.case.protocol {
            Protocol::Http1 | Protocol::Http1Close => builder,
            Protocol::Http2 => builder.http2_prior_knowledge(),
        };
        Self {
            client: builder.build().unwrap(),
            pods: RoundRobin::over(authorities(&setup.pods)),
        }
    }

    async fn get(&mut self) {
        let url = format!("http://{}{PATH}", self.pods.next());
        let answer = self.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.bytes().await.unwrap(), ANSWER);
    }
}

type List = ServiceList<Vec<PendingRequests<Pod>>>;
type Get = Request<Empty<Bytes>>;

/// tower: `Buffer<Balance<PendingRequests<...>>>`, power of two choices over a hyper-util client
/// per server.
#[derive(Clone)]
pub struct Tower(Buffer<Get, <Balance<List, Get> as Service<Get>>::Future>);

impl ClonedClient for Tower {
    const NAME: &'static str = "tower Buffer<Balance>";

    async fn open(setup: &Setup) -> Self {
        let pods = authorities(&setup.pods).map(|authority| {
            let client = http_client(setup.case.protocol);
            PendingRequests::new(Pod { client, authority }, CompleteOnResponse::default())
        });
        let pods: List = ServiceList::new::<Get>(pods.collect());
        let balance = Balance::<List, Get>::new(pods);
        Self(Buffer::new(balance, BUFFER))
    }

    async fn get(&mut self) {
        let request = Request::get(PATH).body(Empty::new()).unwrap();
        check(self.0.ready().await.unwrap().call(request).await.unwrap()).await;
    }
}

/// One server for tower. It completes the path to a URI, as hyper-util's client requires.
struct Pod {
    client: Http,
    authority: Authority,
}

impl Service<Get> for Pod {
    type Response = <Http as Service<Get>>::Response;
    type Error = legacy::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), legacy::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Get) -> ResponseFuture {
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        (uri.scheme, uri.authority) = (Some(Scheme::HTTP), Some(self.authority.clone()));
        *request.uri_mut() = Uri::from_parts(uri).unwrap();
        self.client.request(request)
    }
}

/// tonic's balanced channel, without the codec of gRPC above it.
#[derive(Clone)]
pub struct Tonic(Channel);

impl ClonedClient for Tonic {
    const NAME: &'static str = "tonic balance_list";

    async fn open(setup: &Setup) -> Self {
        let endpoints = setup
            .pods
            .0
            .iter()
            .map(|pod| Endpoint::from_shared(format!("http://{pod}")).unwrap());
        Self(Channel::balance_list(endpoints.collect::<Vec<_>>().into_iter()))
    }

    async fn get(&mut self) {
        let request = Request::get(PATH).body(tonic::body::Body::empty()).unwrap();
        check(self.0.ready().await.unwrap().call(request).await.unwrap()).await;
    }
}

/// Room for every caller, so that none waits for the buffer.
const BUFFER: usize = 1024;
