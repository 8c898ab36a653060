//! The peers: pools for one server, made into a balancer as one would: one per pod, in turn, over a list that may change. Sizes are left at
//! their defaults, and so are their checks on checkout, which cost nothing, as a connection here costs nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use deadpool::managed;
use headless_benches::harness::micro::Micro;
use headless_benches::pods::Nothing;

pub const DEADPOOL: &str = "deadpool per pod, in turn";
pub const BB8: &str = "bb8 per pod, in turn";

pub fn contenders(n: usize) -> [Micro; 2] {
    [
        Micro::shared(DEADPOOL, move |runtime| {
            let pools = InTurn::over((0..n).map(|_| managed::Pool::builder(Nothing).build().unwrap()));
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
            let pools = InTurn::over(pools);
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

/// A pool per pod, in turn.
struct InTurn<P>(Arc<(ArcSwap<Vec<P>>, AtomicUsize)>);

impl<P: Clone> InTurn<P> {
    fn over(pools: impl Iterator<Item = P>) -> Self {
        let pools = ArcSwap::from_pointee(pools.collect());
        Self(Arc::new((pools, AtomicUsize::new(0))))
    }

    /// A clone: what is awaited must not hold on to the list.
    fn next(&self) -> P {
        let (pools, cursor) = &*self.0;
        let pools = pools.load();
        // Relaxed: each number goes to one caller, in whichever order.
        pools[cursor.fetch_add(1, Relaxed) % pools.len()].clone()
    }
}

impl<P> Clone for InTurn<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
