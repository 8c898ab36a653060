//! The callers, each in a closed loop, and their measurements.

use std::time::{Duration, Instant};

use headless_benches::harness::{Callgrind, Latencies, Report, Spread, cpu};
use tokio::task::JoinSet;

use crate::implementation::{Caller, Implementation, Setup};
use crate::servers::{Pods, ROWS, TEXT};

pub const THROUGHPUT: &str = "throughput";
pub const CPU: &str = "CPU";
pub const CPU_PROBES_OFF: &str = "CPU, probes off";

/// The way to send a statement.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    Text,
    Prepared,
}

impl Protocol {
    pub const ALL: [Self; 2] = [Self::Text, Self::Prepared];

    /// Returns its case in the report.
    pub fn case(self, callers: usize) -> String {
        let name = match self {
            Self::Text => "text",
            Self::Prepared => "prepared",
        };
        let s = if callers == 1 { "" } else { "s" };
        format!("point select, {name}, {callers} caller{s}")
    }

    async fn select(self, caller: &mut impl Caller, id: u32) {
        let row = match self {
            Self::Text => caller.text(id).await,
            Self::Prepared => caller.prepared(id).await,
        };
        assert_eq!(row.len(), TEXT);
    }
}

/// The measurements of one round.
#[derive(Debug)]
pub struct Run {
    /// Answers per second.
    throughput: f64,
    /// Per answer, of this thread and the implementation's process.
    cpu: Option<Duration>,
    latencies: Latencies,
}

/// Measures a new client after a warm-up, which opens its connections: with text, and prepared.
pub async fn round<C: Implementation>(setup: Setup, time: Duration) -> [Run; 2] {
    let client = C::open(setup).await;
    let mut callers = Vec::with_capacity(setup.callers);
    for number in 0..setup.callers {
        callers.push(client.caller(number).await);
    }
    let mut runs = Vec::new();
    for protocol in Protocol::ALL {
        (_, callers) = phase(&client, callers, protocol, time / 4).await;
        let (run, rested) = phase(&client, callers, protocol, time).await;
        callers = rested;
        runs.push(run);
    }
    drop(callers);
    client.close().await;
    runs.try_into().expect("one for each protocol")
}

/// Selects with one caller, this number of times.
pub async fn select<C: Implementation>(setup: Setup, protocol: Protocol, times: usize) {
    let client = C::open(setup).await;
    let mut caller = client.caller(0).await;
    let mut id = 0;
    for _ in 0..WARM_UP + times {
        id = next(id);
        protocol.select(&mut caller, id).await;
    }
    drop(caller);
    client.close().await;
}

async fn phase<C: Implementation>(
    client: &C,
    callers: Vec<C::Caller>,
    protocol: Protocol,
    time: Duration,
) -> (Run, Vec<C::Caller>) {
    let before = cpu_time(client).await;
    let begin = Instant::now();
    let mut tasks: JoinSet<_> = callers
        .into_iter()
        .enumerate()
        .map(|(number, caller)| call(caller, number, protocol, begin + time))
        .collect();
    let mut callers = Vec::new();
    let mut latencies = Latencies::default();
    while let Some(ended) = tasks.join_next().await {
        let (caller, seen) = ended.unwrap();
        callers.push(caller);
        latencies.extend(seen);
    }
    let elapsed = begin.elapsed();
    let used = cpu_time(client).await.zip(before).map(|(now, before)| now - before);
    let run = Run {
        throughput: latencies.len() as f64 / elapsed.as_secs_f64(),
        cpu: used.map(|used| used.div_f64(latencies.len() as f64)),
        latencies,
    };
    (run, callers)
}

async fn call<C: Caller>(mut caller: C, number: usize, protocol: Protocol, end: Instant) -> (C, Latencies) {
    let mut latencies = Latencies::with_capacity(ROOM);
    let mut id = number as u32;
    let mut begin = Instant::now();
    while begin < end {
        id = next(id);
        protocol.select(&mut caller, id).await;
        let answered = Instant::now();
        latencies.record(answered - begin);
        begin = answered;
    }
    (caller, latencies)
}

/// Returns the CPU time of the implementation. Sleeps first, so that the scheduler has counted all
/// of it.
async fn cpu_time(client: &impl Implementation) -> Option<Duration> {
    tokio::time::sleep(Duration::from_millis(2)).await;
    let other = match client.process() {
        Some(process) => cpu::of_process(process)?,
        None => Duration::ZERO,
    };
    Some(cpu::of_this_thread()? + other)
}

/// Adds the rows of all rounds of one implementation. `probes` is the CPU time of its probes per
/// second, if it has any.
pub fn report(
    report: &mut Report,
    implementation: &str,
    callers: usize,
    rounds: Vec<[Run; 2]>,
    probes: Option<Duration>,
) {
    let mut by_protocol = [Vec::new(), Vec::new()];
    for round in rounds {
        for (runs, run) in by_protocol.iter_mut().zip(round) {
            runs.push(run);
        }
    }
    for (protocol, mut runs) in Protocol::ALL.into_iter().zip(by_protocol) {
        let case = protocol.case(callers);
        let throughput = Spread::of(runs.iter().map(|run| run.throughput));
        report.add_spread(implementation, &case, THROUGHPUT, throughput, "1/s");
        let used = |run: &Run| run.cpu.map(microseconds);
        let without = |run: &Run| Some(used(run)? - microseconds(probes?) / run.throughput);
        for (metric, of) in [(CPU, &used as &dyn Fn(&Run) -> Option<f64>), (CPU_PROBES_OFF, &without)] {
            let figures: Option<Vec<f64>> = runs.iter().map(of).collect();
            if let Some(figures) = figures {
                report.add_spread(implementation, &case, metric, Spread::of(figures), "µs");
            }
        }
        for (metric, percent) in [("p50", 50.0), ("p99", 99.0)] {
            let of = runs
                .iter_mut()
                .map(|run| microseconds(run.latencies.percentile(percent)));
            let spread = Spread::of(of);
            report.add_spread(implementation, &case, metric, spread, "µs");
        }
    }
}

/// Counts the instructions of this process with one caller, without the kernel and proxies.
pub fn count(report: &mut Report, callgrind: Callgrind, name: &str, pods: Pods, times: usize) {
    for protocol in Protocol::ALL {
        let case = protocol.case(1);
        callgrind.report(report, name, &case, &format!("{case} {pods}"), times);
    }
}

/// Returns the row after this one.
const fn next(id: u32) -> u32 {
    (id + STRIDE) % ROWS + 1
}

pub fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The step of [`next`], which adds 1, is coprime to the number of rows: all rows are selected.
const STRIDE: u32 = 7918;
/// Queries before the counted ones: connections are opened, and statements prepared.
const WARM_UP: usize = 50;
/// The most queries of one caller in a round.
const ROOM: usize = 16_384;
