//! The peers: pools for one server, made into a balancer: one pool per pod, round robin over a list
//! that may change. Sizes and checks on checkout are the defaults; a check costs nothing here.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use deadpool::managed;
use headless_benches::harness::micro::Micro;
use headless_benches::pods::Nothing;

pub const DEADPOOL: &str = "deadpool per pod, round robin";
pub const BB8: &str = "bb8 per pod, round robin";

pub fn implementations(n: usize) -> [Micro; 2] {
    [
        Micro::shared(DEADPOOL, move |runtime| {
            let pools = RoundRobin::over((0..n).map(|_| managed::Pool::builder(Nothing).build().unwrap()));
            let runtime = Arc::clone(runtime);
            move |operations| {
                runtime.block_on(async {
                    for _ in 0..operations {
                        let pool: managed::Pool<Nothing> = pools.next();
                        black_box(*pool.get().await.unwrap());
                    }
                });
            }
        }),
        Micro::shared(BB8, move |runtime| {
            let pools = (0..n).map(|_| runtime.block_on(bb8::Pool::builder().build(Nothing)).unwrap());
            let pools = RoundRobin::over(pools);
            let runtime = Arc::clone(runtime);
            move |operations| {
                runtime.block_on(async {
                    for _ in 0..operations {
                        let pool: bb8::Pool<Nothing> = pools.next();
                        black_box(*pool.get().await.unwrap());
                    }
                });
            }
        }),
    ]
}

/// A pool per pod, used round robin.
struct RoundRobin<P>(Arc<(ArcSwap<Vec<P>>, AtomicUsize)>);

impl<P: Clone> RoundRobin<P> {
    fn over(pools: impl Iterator<Item = P>) -> Self {
        let pools = ArcSwap::from_pointee(pools.collect());
        Self(Arc::new((pools, AtomicUsize::new(0))))
    }

    /// Returns a clone, because no await may hold the list.
    fn next(&self) -> P {
        let (pools, cursor) = &*self.0;
        let pools = pools.load();
        // Relaxed: each number goes to one caller, in any order.
        pools[cursor.fetch_add(1, Relaxed) % pools.len()].clone()
    }
}

impl<P> Clone for RoundRobin<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
