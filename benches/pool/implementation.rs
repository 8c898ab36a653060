//! The operation of a pool, and how it is measured: alone, on threads, in a crowd. Nothing here
//! knows a particular pool.

use std::future::ready;
use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use headless_benches::harness::{Latencies, micro, so_far};
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, yield_now};

/// A pool of connections that cost nothing, so that only the pool is measured.
pub trait Pool: Clone + Send + 'static {
    /// Checks a connection out, works with it, and returns it.
    ///
    /// WHY not `get` and `put`: guards borrow from some pools, and generic code that spawns such
    /// guards does not compile.
    fn with<F: Future<Output = ()> + Send>(
        &mut self,
        work: impl FnOnce(u64) -> F + Send,
    ) -> impl Future<Output = ()> + Send;
}

/// A pool, and its measurements. Object safe, with one virtual call per round.
pub trait Implementation {
    fn name(&self) -> &'static str;
    /// Does these operations in one task, and returns their allocations.
    fn alone(&mut self, runtime: &Runtime, operations: usize) -> usize;
    /// Runs each of the threads as fast as it can, and returns nanoseconds per operation on each
    /// thread.
    fn on_threads(&mut self, runtime: &Runtime, threads: usize, time: Duration) -> f64;
    /// Lets each of the tasks check connections out, again and again.
    fn crowd(&mut self, runtime: &Runtime, tasks: usize, time: Duration) -> Crowd;
}

/// The measurements of a crowd.
#[derive(Debug)]
pub struct Crowd {
    /// Checkouts per second.
    pub throughput: f64,
    /// The waits for connections.
    pub waits: Latencies,
    /// The checkouts of all tasks during each wait, the task's own included: a wait without a
    /// clock, which a busy machine distorts less. One nanosecond stands for one checkout.
    pub turns: Latencies,
}

/// How long a task works with its connection: about the cost of a write to a socket and a read.
/// Then it yields once, as if it waited for the answer, so that all connections are checked out and
/// tasks queue for them.
const WORK: Duration = Duration::from_micros(5);

/// Names a pool, and opens all of its connections.
pub async fn implementation(name: &'static str, pool: impl Pool, connections: usize) -> Box<dyn Implementation> {
    let all_checked_out = Arc::new(tokio::sync::Barrier::new(connections));
    let mut holders = JoinSet::new();
    for _ in 0..connections {
        let (mut pool, all_checked_out) = (pool.clone(), Arc::clone(&all_checked_out));
        holders.spawn(async move {
            pool.with(async |_| {
                all_checked_out.wait().await;
            })
            .await;
        });
    }
    holders.join_all().await;
    Box::new(Named { name, pool })
}

struct Named<P> {
    name: &'static str,
    pool: P,
}

impl<P: Pool> Implementation for Named<P> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn alone(&mut self, runtime: &Runtime, operations: usize) -> usize {
        runtime.block_on(async {
            let before = so_far();
            repeat(&mut self.pool, operations).await;
            so_far() - before
        })
    }

    fn on_threads(&mut self, runtime: &Runtime, threads: usize, time: Duration) -> f64 {
        let run = |_| -> micro::Run {
            let (mut pool, runtime) = (self.pool.clone(), runtime.handle().clone());
            Box::new(move |operations| runtime.block_on(repeat(&mut pool, operations)))
        };
        micro::competing(time, (0..threads).map(run).collect())
    }

    fn crowd(&mut self, runtime: &Runtime, tasks: usize, time: Duration) -> Crowd {
        runtime.block_on(crowd(&self.pool, tasks, time))
    }
}

async fn repeat(pool: &mut impl Pool, operations: usize) {
    for _ in 0..operations {
        pool.with(|conn| {
            black_box(conn);
            ready(())
        })
        .await;
    }
}

async fn crowd(pool: &impl Pool, tasks: usize, time: Duration) -> Crowd {
    let stop = Arc::new(AtomicBool::new(false));
    let checkouts = Arc::new(AtomicU64::new(0));
    let mut crowd = JoinSet::new();
    let start = Instant::now();
    for _ in 0..tasks {
        let (mut pool, stop, checkouts) = (pool.clone(), Arc::clone(&stop), Arc::clone(&checkouts));
        crowd.spawn(async move {
            let (mut waits, mut turns) = (Vec::new(), Vec::new());
            // Relaxed, both: a flag and a count that guard nothing.
            while !stop.load(Relaxed) {
                let (asked, before) = (Instant::now(), checkouts.load(Relaxed));
                pool.with(|conn| {
                    waits.push(asked.elapsed());
                    turns.push(Duration::from_nanos(1 + checkouts.fetch_add(1, Relaxed) - before));
                    hold(conn)
                })
                .await;
            }
            (waits, turns)
        });
    }
    tokio::time::sleep(time).await;
    stop.store(true, Relaxed);
    let (mut waits, mut turns) = (Latencies::default(), Latencies::default());
    while let Some(done) = crowd.join_next().await {
        let (theirs, their_turns) = done.unwrap();
        waits.extend(theirs);
        turns.extend(their_turns);
    }
    let throughput = waits.len() as f64 / start.elapsed().as_secs_f64();
    Crowd {
        throughput,
        waits,
        turns,
    }
}

async fn hold(conn: u64) {
    let begin = Instant::now();
    while begin.elapsed() < WORK {
        spin_loop();
    }
    yield_now().await;
    black_box(conn);
}
