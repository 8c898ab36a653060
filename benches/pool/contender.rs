//! What a pool has to do here, and how each one is made to do it: alone, on threads, in a crowd. Nothing of any particular pool.

use std::future::ready;
use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use headless_benches::harness::{Latencies, so_far};
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, yield_now};

/// A pool of connections that cost nothing: what is measured is the pool.
pub trait Pool: Clone + Send + 'static {
    /// Checks a connection out, works with it, returns it.
    ///
    /// WHY: not `get` and `put`: guards borrow from some pools, and generic code that spawns such guards does not compile.
    fn with<F: Future<Output = ()> + Send>(
        &mut self,
        work: impl FnOnce(u64) -> F + Send,
    ) -> impl Future<Output = ()> + Send;
}

/// A pool, and what can be measured of it. Object safe, one virtual call per round.
pub trait Contender {
    fn name(&self) -> &'static str;
    /// So many operations in one task; how many allocations they made.
    fn alone(&mut self, runtime: &Runtime, operations: usize) -> usize;
    /// So many threads at once, each as fast as it can; nanoseconds per operation, on each thread.
    fn on_threads(&mut self, runtime: &Runtime, threads: usize, time: Duration) -> f64;
    /// So many tasks ask again and again.
    fn crowd(&mut self, runtime: &Runtime, tasks: usize, time: Duration) -> Crowd;
}

/// What a crowd saw.
#[derive(Debug)]
pub struct Crowd {
    /// Connections lent in a second.
    pub throughput: f64,
    /// How long each had to wait for its connection.
    pub waits: Latencies,
    /// How many connections were lent from asking on until one was ours, that one included: a wait without a clock, which a busy
    /// machine stretches less. As nanoseconds, one for each.
    pub turns: Latencies,
}

/// How long a holder computes, about as long as writing to a socket and reading from it costs. Then it yields once, as it would
/// wait for the answer: so all connections are out, and tasks queue for them. Long enough for a queue of milliseconds, which the
/// scheduler of a busy machine does not easily distort.
const WORK: Duration = Duration::from_micros(5);

/// Operations between two looks at the flag that ends a run.
const BATCH: usize = 64;

/// A pool with its name and all of its connections open.
pub async fn contender(name: &'static str, pool: impl Pool, connections: usize) -> Box<dyn Contender> {
    let all_are_out = Arc::new(tokio::sync::Barrier::new(connections));
    let mut holders = JoinSet::new();
    for _ in 0..connections {
        let (mut pool, all_are_out) = (pool.clone(), Arc::clone(&all_are_out));
        holders.spawn(async move {
            pool.with(async |_| {
                all_are_out.wait().await;
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

impl<P: Pool> Contender for Named<P> {
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
        // WHY: for a time, not so many operations: the fastest would be done on one thread before the other has begun.
        let stop = AtomicBool::new(false);
        let run = |mut pool: P| {
            let mut operations = 0;
            runtime.handle().block_on(async {
                while !stop.load(Relaxed) {
                    repeat(&mut pool, BATCH).await;
                    operations += BATCH;
                }
            });
            operations
        };
        let (elapsed, operations) = thread::scope(|scope| {
            let start = Instant::now();
            let threads = (0..threads).map(|_| {
                let pool = self.pool.clone();
                scope.spawn(|| run(pool))
            });
            let threads: Vec<_> = threads.collect();
            thread::sleep(time);
            stop.store(true, Relaxed);
            let operations = threads.into_iter().map(|thread| thread.join().unwrap());
            let operations: usize = operations.sum();
            (start.elapsed(), operations)
        });
        elapsed.as_secs_f64() * 1e9 * threads as f64 / operations as f64
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
    let lent = Arc::new(AtomicU64::new(0));
    let mut crowd = JoinSet::new();
    let start = Instant::now();
    for _ in 0..tasks {
        let (mut pool, stop, lent) = (pool.clone(), Arc::clone(&stop), Arc::clone(&lent));
        crowd.spawn(async move {
            let (mut waits, mut turns) = (Vec::new(), Vec::new());
            // Relaxed, both: a flag and a count that guard nothing.
            while !stop.load(Relaxed) {
                let (asked, before) = (Instant::now(), lent.load(Relaxed));
                pool.with(|conn| {
                    waits.push(asked.elapsed());
                    turns.push(Duration::from_nanos(1 + lent.fetch_add(1, Relaxed) - before));
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
