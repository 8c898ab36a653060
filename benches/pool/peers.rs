//! The peers, as in their documentation: the number of connections is set, and all else is the
//! default. Their checks on checkout stay on; a check costs nothing here.

use std::convert::Infallible;
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use deadpool::{managed, unmanaged};
use headless_benches::pods::Nothing;
use hyper_util::client::pool::cache;
use tower_service::Service;

use crate::implementation::Pool;

#[derive(Clone)]
pub struct Bb8(bb8::Pool<Nothing>);

impl Bb8 {
    pub async fn new(connections: usize) -> Self {
        let builder = bb8::Pool::builder().max_size(connections.try_into().unwrap());
        Self(builder.build(Nothing).await.unwrap())
    }
}

impl Pool for Bb8 {
    async fn with<F: Future<Output = ()> + Send>(&mut self, work: impl FnOnce(u64) -> F + Send) {
        let conn = self.0.get().await.unwrap();
        work(*conn).await;
    }
}

#[derive(Clone)]
pub struct Deadpool(managed::Pool<Nothing>);

impl Deadpool {
    pub fn new(connections: usize) -> Self {
        Self(managed::Pool::builder(Nothing).max_size(connections).build().unwrap())
    }
}

impl Pool for Deadpool {
    async fn with<F: Future<Output = ()> + Send>(&mut self, work: impl FnOnce(u64) -> F + Send) {
        let conn = self.0.get().await.unwrap();
        work(*conn).await;
    }
}

/// Opens and checks nothing: its user adds the connections.
#[derive(Clone)]
pub struct DeadpoolUnmanaged(unmanaged::Pool<u64>);

impl DeadpoolUnmanaged {
    pub fn new(connections: usize) -> Self {
        Self(unmanaged::Pool::from(vec![80; connections]))
    }
}

impl Pool for DeadpoolUnmanaged {
    async fn with<F: Future<Output = ()> + Send>(&mut self, work: impl FnOnce(u64) -> F + Send) {
        let conn = self.0.get().await.unwrap();
        work(*conn).await;
    }
}

#[derive(Clone)]
pub struct Mobc(mobc::Pool<Nothing>);

impl Mobc {
    /// Keeps all of them idle: its default is 2, and it would open connections all the time.
    pub fn new(connections: usize) -> Self {
        let connections = connections.try_into().unwrap();
        Self(
            mobc::Pool::builder()
                .max_open(connections)
                .max_idle(connections)
                .build(Nothing),
        )
    }
}

impl Pool for Mobc {
    async fn with<F: Future<Output = ()> + Send>(&mut self, work: impl FnOnce(u64) -> F + Send) {
        let conn = self.0.get().await.unwrap();
        work(*conn).await;
    }
}

/// hyper-util's cache of services. Its types cannot be named.
#[derive(Clone)]
pub struct HyperUtil<C>(C);

/// The cache has no limit of its own and connects when all connections are checked out. Here that
/// attempt never ends, so that the cache waits like the others.
pub fn hyper_util(
    connections: usize,
) -> HyperUtil<impl Service<(), Error = Infallible, Future: Send, Response: Send> + Clone + Send> {
    let opened = Arc::default();
    HyperUtil(cache::builder().build(Connector {
        opened,
        limit: connections,
    }))
}

impl<C> Pool for HyperUtil<C>
where
    C: Service<(), Error = Infallible, Future: Send, Response: Send> + Clone + Send + 'static,
{
    async fn with<F: Future<Output = ()> + Send>(&mut self, work: impl FnOnce(u64) -> F + Send) {
        let Ok(()) = poll_fn(|context| self.0.poll_ready(context)).await;
        let Ok(conn) = self.0.call(()).await;
        // The type of the connection cannot be named, so it cannot be read.
        black_box(&conn);
        work(80).await;
    }
}

#[derive(Clone)]
struct Connector {
    opened: Arc<AtomicUsize>,
    limit: usize,
}

struct Connecting(Poll<u64>);

impl Service<()> for Connector {
    type Response = u64;
    type Error = Infallible;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Connecting {
        // Relaxed: only counts.
        let may = self.opened.fetch_add(1, Relaxed) < self.limit;
        Connecting(if may { Poll::Ready(80) } else { Poll::Pending })
    }
}

impl Future for Connecting {
    type Output = Result<u64, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.map(Ok)
    }
}
