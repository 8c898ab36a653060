//! What several programs put into the peers: connections that cost nothing, for pools with a
//! manager, and a service that is ready at once, for tower. What is measured of a peer is in its
//! program.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use deadpool::managed;
use tower_service::Service;

use crate::pods::Nothing;

impl bb8::ManageConnection for Nothing {
    type Connection = u64;
    type Error = Infallible;

    async fn connect(&self) -> Result<u64, Infallible> {
        Ok(80)
    }

    async fn is_valid(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}

impl managed::Manager for Nothing {
    type Type = u64;
    type Error = Infallible;

    async fn create(&self) -> Result<u64, Infallible> {
        Ok(80)
    }

    async fn recycle(&self, _: &mut u64, _: &managed::Metrics) -> managed::RecycleResult<Infallible> {
        Ok(())
    }
}

#[mobc::async_trait]
impl mobc::Manager for Nothing {
    type Connection = u64;
    type Error = Infallible;

    async fn connect(&self) -> Result<u64, Infallible> {
        Ok(80)
    }

    async fn check(&self, conn: u64) -> Result<u64, Infallible> {
        Ok(conn)
    }
}

/// A pod for tower: ready at once, it answers with what it holds.
pub struct Pod<T>(pub T);

impl<T: Copy> Service<()> for Pod<T> {
    type Response = T;
    type Error = Infallible;
    type Future = Ready<Result<T, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(self.0))
    }
}
