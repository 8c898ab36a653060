//! The callers, each in a closed loop, and their measurements.

use std::time::{Duration, Instant};

use headless_benches::harness::{Latencies, Report, Spread, cpu, one_thread, so_far};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::implementation::{Caller, Implementation, Setup};

pub const THROUGHPUT: &str = "throughput";
pub const CPU: &str = "CPU";
pub const CPU_OF_ALL: &str = "CPU of all";

/// The measurements of one round.
#[derive(Debug)]
pub struct Run {
    /// Answers per second.
    throughput: f64,
    /// Per answer: of the client's threads, and of all processes.
    cpu: Option<[Duration; 2]>,
    /// Per answer. They are counted per thread, so only if the client has one.
    allocations: Option<f64>,
    latencies: Latencies,
}

/// A client that is open, with its callers.
pub trait Measured {
    /// Measures for this time; `servers` is the process of the servers.
    fn round(&mut self, time: Duration, servers: u32) -> Run;

    /// Sends this number of requests, from all callers together, and measures nothing.
    fn repeat(&mut self, requests: usize);
}

/// An implementation that is open.
///
/// WHY a runtime of its own: its background work must not run in the rounds of the others.
pub struct Open<C: Implementation> {
    client: C,
    callers: Vec<C::Caller>,
    workers: usize,
    runtime: Runtime,
}

impl<C: Implementation> Open<C> {
    pub fn new(setup: &Setup) -> Self {
        let workers = setup.case.workers;
        let runtime = match workers {
            1 => one_thread(),
            _ => Builder::new_multi_thread()
                .worker_threads(workers)
                .enable_all()
                .build()
                .unwrap(),
        };
        let (client, callers) = runtime.block_on(async {
            let client = C::open(setup).await;
            let mut callers = Vec::with_capacity(setup.case.callers);
            for number in 0..setup.case.callers {
                callers.push(client.caller(number).await);
            }
            (client, callers)
        });
        Self {
            client,
            callers,
            workers,
            runtime,
        }
    }

    /// Returns the CPU time of the client's threads, and of all processes. Sleeps first, so that
    /// the scheduler has counted all of it.
    fn cpu_time(&self, servers: u32) -> Option<[Duration; 2]> {
        std::thread::sleep(Duration::from_millis(2));
        let others = [Some(servers), self.client.process()].into_iter().flatten();
        let others: Duration = others.map(cpu::of_process).sum::<Option<_>>()?;
        let ours = match self.workers {
            1 => cpu::of_this_thread()?,
            // The other implementations in this process are at rest.
            _ => cpu::of_process(std::process::id())?,
        };
        Some([ours, ours + others])
    }

    /// Runs `call` for all callers at once.
    fn call<F: Future<Output = (C::Caller, T)> + Send + 'static, T: Send + 'static>(
        &mut self,
        call: impl Fn(C::Caller) -> F,
    ) -> Vec<T> {
        let callers = std::mem::take(&mut self.callers);
        let results = self.runtime.block_on(async {
            let calls: JoinSet<_> = callers.into_iter().map(call).collect();
            calls.join_all().await
        });
        let (callers, results) = results.into_iter().unzip();
        self.callers = callers;
        results
    }
}

impl<C: Implementation> Measured for Open<C> {
    fn round(&mut self, time: Duration, servers: u32) -> Run {
        let (used, allocated) = (self.cpu_time(servers), so_far());
        let begin = Instant::now();
        let results = self.call(|caller| for_time(caller, begin + time));
        let elapsed = begin.elapsed();
        let allocated = so_far() - allocated;
        let used = self.cpu_time(servers).zip(used);
        let mut latencies = Latencies::default();
        results.into_iter().for_each(|samples| latencies.extend(samples));
        let answers = latencies.len() as f64;
        Run {
            throughput: answers / elapsed.as_secs_f64(),
            cpu: used.map(|(now, before)| [0, 1].map(|k| (now[k] - before[k]).div_f64(answers))),
            allocations: (self.workers == 1).then_some(allocated as f64 / answers),
            latencies,
        }
    }

    fn repeat(&mut self, requests: usize) {
        let each = requests / self.callers.len();
        self.call(|mut caller| async move {
            for _ in 0..each {
                caller.get().await;
            }
            (caller, ())
        });
    }
}

async fn for_time<C: Caller>(mut caller: C, end: Instant) -> (C, Latencies) {
    let mut latencies = Latencies::with_capacity(ROOM);
    let mut begin = Instant::now();
    while begin < end {
        caller.get().await;
        let answered = Instant::now();
        latencies.record(answered - begin);
        begin = answered;
    }
    (caller, latencies)
}

/// Adds the rows of all rounds of one implementation.
pub fn report(report: &mut Report, implementation: &str, case: &str, mut runs: Vec<Run>) {
    let throughput = Spread::of(runs.iter().map(|run| run.throughput));
    report.add_spread(implementation, case, THROUGHPUT, throughput, "1/s");
    for (metric, percent) in [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)] {
        let of = |run: &mut Run| microseconds(run.latencies.percentile(percent));
        let spread = Spread::of(runs.iter_mut().map(of));
        report.add_spread(implementation, case, metric, spread, "µs");
    }
    for (k, metric) in [CPU, CPU_OF_ALL].into_iter().enumerate() {
        let of = |run: &Run| Some(microseconds(run.cpu?[k]));
        if let Some(figures) = runs.iter().map(of).collect::<Option<Vec<_>>>() {
            report.add_spread(implementation, case, metric, Spread::of(figures), "µs");
        }
    }
    if let Some(allocations) = runs.iter().map(|run| run.allocations).collect::<Option<Vec<_>>>() {
        let allocations = Spread::of(allocations);
        report.add(implementation, case, "allocations", allocations.median, "");
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The most requests of one caller in a round.
const ROOM: usize = 32_768;
