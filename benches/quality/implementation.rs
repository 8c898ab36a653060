//! What is compared: our policies, models of others, and the baseline. All run with the same seeds,
//! on all CPUs.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use headless::policy::{LeastLoaded, PowerOfTwo, Random, RoundRobin};
use headless_benches::harness::{Report, Spread};
use headless_benches::sim::{Client, Draws, Headless, Measured, Oracle, PeakEwma, Scenario};

/// The baseline of a case: the oracle, and in the supermarket hand-written draws.
pub const BASELINE: &str = "baseline";

/// A client by name.
#[derive(Clone, Copy)]
pub struct Implementation {
    pub name: &'static str,
    /// Creates a client for a number of pods, from a seed.
    make: fn(usize, u64) -> Box<dyn Client>,
}

impl Implementation {
    pub const ORACLE: Self = Self::new(BASELINE, |_, seed| Box::new(Oracle::new(seed)));
    pub const ROUND_ROBIN: Self = Self::new("headless RoundRobin", |n, seed| {
        Box::new(Headless::new(RoundRobin::default(), n, seed))
    });
    pub const RANDOM: Self = Self::new("headless Random", |n, seed| Box::new(Headless::new(Random, n, seed)));
    pub const IN_FLIGHT: Self = Self::new("headless PowerOfTwo", |n, seed| {
        Box::new(Headless::new(PowerOfTwo::default(), n, seed))
    });
    pub const LATENCY: Self = Self::new("headless PowerOfTwo::latency", |n, seed| {
        Box::new(Headless::new(PowerOfTwo::latency(), n, seed))
    });
    pub const LEAST_LOADED: Self = Self::new("headless LeastLoaded", |n, seed| {
        Box::new(Headless::new(LeastLoaded, n, seed))
    });
    pub const TOWER_PENDING: Self = Self::new("tower PendingRequests (model)", |n, seed| {
        Box::new(Draws::new(2, n, seed))
    });
    /// With the times of our policy and of linkerd: 10 s, and 30 ms at first.
    pub const TOWER_EWMA: Self = Self::new("tower PeakEwma (model)", |n, seed| {
        Box::new(PeakEwma::new(
            Duration::from_millis(30),
            Duration::from_secs(10),
            n,
            seed,
        ))
    });

    /// All of them, the baseline first.
    pub const ALL: [Self; 8] = [
        Self::ORACLE,
        Self::ROUND_ROBIN,
        Self::RANDOM,
        Self::LEAST_LOADED,
        Self::IN_FLIGHT,
        Self::LATENCY,
        Self::TOWER_PENDING,
        Self::TOWER_EWMA,
    ];

    pub const fn new(name: &'static str, make: fn(usize, u64) -> Box<dyn Client>) -> Self {
        Self { name, make }
    }
}

/// The runs of each implementation, with seeds from 0 on.
pub const SEEDS: u64 = 8;

/// Runs the scenario with independent clients of each implementation. Returns the results by
/// implementation, then by seed.
pub fn run(implementations: &[Implementation], clients: usize, scenario: &Scenario) -> Vec<Vec<Measured>> {
    let runs = implementations
        .iter()
        .flat_map(|implementation| (0..SEEDS).map(move |seed| (implementation, seed)));
    let measured = on_all_cpus(runs.collect(), |(implementation, seed)| {
        // WHY: clients draw from other seeds than the world, or their choices would depend on the
        // future.
        let seeds = (0..clients as u64).map(|client| (seed + 1) << 32 | client);
        let mut clients: Vec<_> = seeds
            .map(|seed| (implementation.make)(scenario.pods.len(), seed))
            .collect();
        scenario.run(&mut clients, seed)
    });
    let mut measured = measured.into_iter();
    implementations
        .iter()
        .map(|_| measured.by_ref().take(SEEDS as usize).collect())
        .collect()
}

/// Returns the results in the order of the jobs, whichever thread did them.
fn on_all_cpus<J: Send, T: Send>(jobs: Vec<J>, work: impl Fn(J) -> T + Sync) -> Vec<T> {
    let mut results: Vec<Option<T>> = jobs.iter().map(|_| None).collect();
    let queue = Mutex::new(jobs.into_iter().zip(&mut results));
    let next = || queue.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((job, result)) = next() {
                    *result = Some(work(job));
                }
            });
        }
    });
    results
        .into_iter()
        .map(|result| result.expect("all jobs are done"))
        .collect()
}

/// Reports one figure of all runs of an implementation.
pub fn add(
    report: &mut Report,
    implementation: Implementation,
    case: &str,
    metric: &str,
    unit: &str,
    values: impl Iterator<Item = f64>,
) {
    report.add_spread(implementation.name, case, metric, Spread::of(values), unit);
}
