//! The peers: tower's balancer behind its buffer, and two clients that use the list round robin.
//! All defaults are kept.

use std::convert::Infallible;
use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::TryFutureExt;
use futures_util::stream::{self, Stream};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::discover::Change;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::{BoxError, Service, ServiceExt};

use super::implementation::{Failure, Implementation, Kind, List};

/// hyper-util's client, for one pod or many.
pub type Http = legacy::Client<HttpConnector, Empty<Bytes>>;

/// Builds hyper-util's client with its defaults.
pub fn http_client() -> Http {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    legacy::Client::builder(TokioExecutor::new()).build(connector)
}

async fn get(client: Http, pod: SocketAddr) -> Result<SocketAddr, Failure> {
    let uri = format!("http://{pod}/").parse().map_err(failure)?;
    let answer = client.get(uri).await.map_err(failure)?;
    let status = answer.status();
    answer.into_body().collect().await.map_err(failure)?;
    if status == 200 {
        Ok(pod)
    } else {
        Err(Failure::status(status.as_u16()))
    }
}

/// Classifies an error by its innermost known cause; the errors around it only say where it
/// occurred.
pub fn failure(error: impl Error + Send + Sync + 'static) -> Failure {
    let outermost: &(dyn Error + 'static) = &error;
    let causes = std::iter::successors(Some(outermost), |error| (*error).source());
    let known = causes.filter_map(|cause| {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return match io.kind() {
                ErrorKind::ConnectionRefused => Some(Kind::Connect),
                ErrorKind::TimedOut => Some(Kind::Timeout),
                ErrorKind::Other => None,
                _ => Some(Kind::Closed),
            };
        }
        let hyper = cause.downcast_ref::<hyper::Error>()?;
        let closed = hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed();
        closed.then_some(Kind::Closed)
    });
    let kind = known.last().unwrap_or(Kind::Other);
    Failure::new(kind, error)
}

/// The pods of the list, round robin.
#[derive(Clone)]
struct RoundRobin {
    list: List,
    next: Arc<AtomicUsize>,
}

impl RoundRobin {
    fn over(list: List) -> Self {
        Self {
            list,
            next: Arc::default(),
        }
    }

    fn next(&self) -> SocketAddr {
        let pods = self.list.borrow();
        pods[self.next.fetch_add(1, Relaxed) % pods.len()]
    }
}

/// hyper-util's client, with the pods round robin.
#[derive(Clone)]
pub struct HyperUtil {
    client: Http,
    pods: RoundRobin,
}

impl Implementation for HyperUtil {
    const NAME: &'static str = "hyper-util, round robin";

    async fn over(list: List) -> Self {
        Self {
            client: http_client(),
            pods: RoundRobin::over(list),
        }
    }

    async fn get(&self) -> Result<SocketAddr, Failure> {
        get(self.client.clone(), self.pods.next()).await
    }
}

/// reqwest's client, with the pods round robin.
#[derive(Clone)]
pub struct Reqwest {
    client: reqwest::Client,
    pods: RoundRobin,
}

impl Implementation for Reqwest {
    const NAME: &'static str = "reqwest, round robin";

    async fn over(list: List) -> Self {
        Self {
            // Without a proxy, even if the environment names one.
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            pods: RoundRobin::over(list),
        }
    }

    async fn get(&self) -> Result<SocketAddr, Failure> {
        let pod = self.pods.next();
        let answer = self
            .client
            .get(format!("http://{pod}/"))
            .send()
            .await
            .map_err(failure)?;
        let status = answer.status();
        answer.bytes().await.map_err(failure)?;
        if status == 200 {
            Ok(pod)
        } else {
            Err(Failure::status(status.as_u16()))
        }
    }
}

/// tower: `Buffer<Balance<PendingRequests<...>>>`, power of two choices over a hyper-util client
/// per pod.
#[derive(Clone)]
pub struct Tower(Buffer<(), <Balanced as Service<()>>::Future>);

type Changes = Pin<Box<dyn Stream<Item = Result<Change<SocketAddr, PendingRequests<Pod>>, Infallible>> + Send>>;
type Balanced = Balance<Changes, ()>;

impl Implementation for Tower {
    const NAME: &'static str = "tower Buffer<Balance>";

    async fn over(list: List) -> Self {
        let balance = Balance::new(changes(list));
        Self(Buffer::new(balance, BUFFER))
    }

    // WHY not an `async fn`: the compiler cannot prove that its future is `Send`.
    fn get(&self) -> impl Future<Output = Result<SocketAddr, Failure>> + Send {
        self.0
            .clone()
            .oneshot(())
            .map_err(|error| match error.downcast::<Failure>() {
                Ok(failure) => *failure,
                Err(error) => Failure::new(Kind::Other, error),
            })
    }
}

/// Returns the list as tower requires it: as a stream of changes.
fn changes(mut list: List) -> Changes {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut known: Vec<SocketAddr> = Vec::new();
        loop {
            let now = list.borrow_and_update().to_vec();
            for pod in now.iter().filter(|pod| !known.contains(pod)) {
                let service = Pod {
                    client: http_client(),
                    pod: *pod,
                };
                let service = PendingRequests::new(service, CompleteOnResponse::default());
                let _balancer_is_gone = sender.send(Change::Insert(*pod, service));
            }
            for pod in known.iter().filter(|pod| !now.contains(pod)) {
                let _balancer_is_gone = sender.send(Change::Remove(*pod));
            }
            known = now;
            if list.changed().await.is_err() {
                return;
            }
        }
    });
    Box::pin(stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|change| change.map(Ok))
    }))
}

/// One pod for tower.
#[derive(Clone)]
struct Pod {
    client: Http,
    pod: SocketAddr,
}

impl Service<()> for Pod {
    type Response = SocketAddr;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<SocketAddr, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let (client, pod) = (self.client.clone(), self.pod);
        Box::pin(async move { get(client, pod).await.map_err(BoxError::from) })
    }
}

/// Room for every caller, so that none waits for the buffer.
const BUFFER: usize = 1024;
