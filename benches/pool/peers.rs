//! The peers, each as its documentation has it: the number of connections is set, all else left at its default. Their checks on
//! checkout stay on and cost nothing, as a connection here costs nothing.

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

use crate::contender::Pool;

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

/// Opens and checks nothing: whoever uses it brings the connections.
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

/// hyper-util's cache of services. Its types have no names.
#[derive(Clone)]
pub struct HyperUtil<C>(C);

/// The cache itself has no limit: when all are lent, it dials. Here the dial then never ends, so that it waits as the others do.
pub fn hyper_util(
    connections: usize,
) -> HyperUtil<impl Service<(), Error = Infallible, Future: Send, Response: Send> + Clone + Send> {
    let opened = Arc::default();
    HyperUtil(cache::builder().build(Dialler {
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
        // A type without a name cannot be looked into.
        black_box(&conn);
        work(80).await;
    }
}

#[derive(Clone)]
struct Dialler {
    opened: Arc<AtomicUsize>,
    limit: usize,
}

struct Dial(Poll<u64>);

impl Service<()> for Dialler {
    type Response = u64;
    type Error = Infallible;
    type Future = Dial;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Dial {
        // Relaxed: only counts.
        let may = self.opened.fetch_add(1, Relaxed) < self.limit;
        Dial(if may { Poll::Ready(80) } else { Poll::Pending })
    }
}

impl Future for Dial {
    type Output = Result<u64, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.map(Ok)
    }
}
