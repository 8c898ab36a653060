//! The callers, each in a closed loop, and what they saw. How a contender selects is its own business.

use std::time::{Duration, Instant};

use headless_benches::harness::{Callgrind, Latencies, Operations, Report, Spread, cpu};
use tokio::task::JoinSet;

use crate::contender::{Caller, Contender, Runner, Setup, in_this_process};
use crate::one_thread;
use crate::servers::{Pods, ROWS, TEXT};

pub const THROUGHPUT: &str = "throughput";
pub const CPU: &str = "CPU";
pub const CPU_PROBES_OFF: &str = "CPU, probes off";

/// How a statement is sent.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    Text,
    Prepared,
}

impl Protocol {
    pub const ALL: [Self; 2] = [Self::Text, Self::Prepared];

    /// In the report.
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

/// What was seen in one round.
#[derive(Debug)]
pub struct Run {
    /// Answers per second.
    throughput: f64,
    /// Per answer, of this thread and the contender's process.
    cpu: Option<Duration>,
    latencies: Latencies,
}

/// A fresh client and a warm-up, which opens its connections; then what is measured: as text, and prepared.
pub async fn round<C: Contender>(setup: Setup, time: Duration) -> [Run; 2] {
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

/// One caller, so many times.
pub async fn select<C: Contender>(setup: Setup, protocol: Protocol, times: usize) {
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

async fn phase<C: Contender>(
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

/// What the contender has used so far. Sleeps first, so that the scheduler has counted all of it.
async fn cpu_time(client: &impl Contender) -> Option<Duration> {
    tokio::time::sleep(Duration::from_millis(2)).await;
    let other = match client.process() {
        Some(process) => cpu::of_process(process)?,
        None => Duration::ZERO,
    };
    Some(cpu::of_this_thread()? + other)
}

/// The rows of all rounds of one contender, whose probes take so much CPU time in a second, if it has any.
pub fn report(report: &mut Report, contender: &str, callers: usize, rounds: Vec<[Run; 2]>, probes: Option<Duration>) {
    let mut by_protocol = [Vec::new(), Vec::new()];
    for round in rounds {
        for (runs, run) in by_protocol.iter_mut().zip(round) {
            runs.push(run);
        }
    }
    for (protocol, mut runs) in Protocol::ALL.into_iter().zip(by_protocol) {
        let case = protocol.case(callers);
        let throughput = Spread::of(runs.iter().map(|run| run.throughput));
        report.add_spread(contender, &case, THROUGHPUT, throughput, "1/s");
        let used = |run: &Run| run.cpu.map(microseconds);
        let without = |run: &Run| Some(used(run)? - microseconds(probes?) / run.throughput);
        for (metric, of) in [(CPU, &used as &dyn Fn(&Run) -> Option<f64>), (CPU_PROBES_OFF, &without)] {
            let figures: Option<Vec<f64>> = runs.iter().map(of).collect();
            if let Some(figures) = figures {
                report.add_spread(contender, &case, metric, Spread::of(figures), "µs");
            }
        }
        for (metric, percent) in [("p50", 50.0), ("p99", 99.0)] {
            let of = runs
                .iter_mut()
                .map(|run| microseconds(run.latencies.percentile(percent)));
            let spread = Spread::of(of);
            report.add_spread(contender, &case, metric, spread, "µs");
        }
    }
}

/// Instructions of this process, kernel and proxies not counted, with one caller.
pub fn count(report: &mut Report, callgrind: Callgrind, runner: Runner, pods: Pods, times: usize) {
    for protocol in Protocol::ALL {
        let case = protocol.case(1);
        match callgrind.per_operation(runner.name, &format!("{case} {pods}"), times) {
            Ok(count) => report.add(runner.name, &case, "instructions", count, ""),
            Err(error) => println!("no instructions of {}: {error}", runner.name),
        }
    }
}

/// Under callgrind, on the pods that the case names. `false`: this is not one of ours.
pub fn run(operations: &Operations) -> bool {
    let asked = Protocol::ALL.into_iter().find_map(|protocol| {
        let pods = operations.case.strip_prefix(&protocol.case(1))?;
        Some((protocol, pods.trim().parse().ok()?))
    });
    let runner = in_this_process().into_iter().find(|it| it.name == operations.contender);
    let Some(((protocol, pods), runner)) = asked.zip(runner) else {
        return false;
    };
    let setup = Setup::of(pods).counted();
    one_thread().block_on((runner.select)(setup, protocol, operations.count));
    true
}

/// The row after this one.
const fn next(id: u32) -> u32 {
    (id + STRIDE) % ROWS + 1
}

pub fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// With the one that [`next`] adds it is coprime to the number of rows, so that all of them come.
const STRIDE: u32 = 7918;
/// Queries before those that are counted: connections are opened, statements prepared.
const WARM_UP: usize = 50;
/// Queries of one caller in a round, at most.
const ROOM: usize = 16_384;
