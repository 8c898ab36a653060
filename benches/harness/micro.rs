//! Operations of nanoseconds: what one costs on one thread and on two; in time, instructions,
//! atomic operations and allocations.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::alloc::so_far;
use super::args::{Args, Operations};
use super::callgrind::{Callgrind, INSTRUCTIONS};
use super::report::Report;
use super::rounds::{Spread, interleaved, ns_per_operation};

/// A metric: nanoseconds per operation, on one thread.
pub const TIME: &str = "time";
/// A metric: nanoseconds per operation, on each of two threads that share the implementation.
pub const TIME_THREADS: &str = "time, 2 threads";
/// A metric: see [`Counts`](super::Counts).
pub const ATOMICS: &str = "atomic operations";
/// A metric: allocations per operation, of the thread that runs it.
pub const ALLOCATIONS: &str = "allocations";

/// Implementations of one operation, in one setting.
pub struct Case {
    name: String,
    implementations: Vec<Micro>,
}

impl Case {
    /// Creates a case. Its rows have this name.
    pub fn new(name: impl Into<String>, implementations: Vec<Micro>) -> Self {
        let name = name.into();
        Self { name, implementations }
    }
}

/// One implementation of the operation. It is built when it is needed: a run under callgrind needs
/// one only.
pub struct Micro {
    name: &'static str,
    build: Build,
}

/// Does as many operations as it is called with.
pub type Run = Box<dyn FnMut(usize) + Send>;
type Build = Box<dyn Fn(&Arc<Runtime>) -> Built>;

struct Built {
    run: Run,
    /// The same for one more thread; `None` if it cannot be shared.
    another: Option<Box<dyn Fn() -> Run>>,
}

impl Micro {
    /// Describes an operation on shared state. `build` returns a function that does as many
    /// operations as it is called with; each thread calls a clone of it. For one thread the runtime
    /// is that thread's, for two it has two workers.
    pub fn shared<F>(name: &'static str, build: impl Fn(&Arc<Runtime>) -> F + 'static) -> Self
    where
        F: FnMut(usize) + Clone + Send + 'static,
    {
        let build: Build = Box::new(move |runtime| {
            let run = build(runtime);
            Built {
                run: Box::new(run.clone()),
                another: Some(Box::new(move || Box::new(run.clone()))),
            }
        });
        Self { name, build }
    }

    /// Describes an operation on the state of one thread.
    pub fn exclusive<F>(name: &'static str, build: impl Fn(&Arc<Runtime>) -> F + 'static) -> Self
    where
        F: FnMut(usize) + Send + 'static,
    {
        let build: Build = Box::new(move |runtime| Built {
            run: Box::new(build(runtime)),
            another: None,
        });
        Self { name, build }
    }
}

/// Repeats the operation as often as it is called with; its result is not optimised away.
pub fn repeated<T>(mut operation: impl FnMut() -> T + Clone + Send) -> impl FnMut(usize) + Clone + Send {
    move |operations| {
        for _ in 0..operations {
            black_box(operation());
        }
    }
}

/// Runs a program of such operations: runs the operations that [`Callgrind`] asks for, or measures
/// every case and adds the `targets`.
///
/// # Panics
///
/// If [`Callgrind`] asks for an implementation that no case has.
pub fn run(
    bench: &'static str,
    baseline: &'static str,
    args: &Args,
    cases: &[Case],
    targets: impl FnOnce(&mut Report),
) {
    if let Some(asked) = &args.operations {
        return operate(asked, cases);
    }
    let mut report = Report::new(bench, baseline);
    measure(&mut report, args, cases);
    targets(&mut report);
    report.finish(args);
}

fn operate(asked: &Operations, cases: &[Case]) {
    let case = cases.iter().find(|case| case.name == asked.case).expect("a case");
    let implementation = case.implementations.iter().find(|it| it.name == asked.implementation);
    let mut built = (implementation.expect("an implementation").build)(&one_thread());
    (built.run)(asked.count);
}

fn measure(report: &mut Report, args: &Args, cases: &[Case]) {
    let effort = if args.quick { &QUICK } else { &FULL };
    let callgrind = Callgrind::find();
    for case in cases {
        alone(report, effort, case);
        on_threads(report, effort, case);
        for Micro { name, .. } in &case.implementations {
            match callgrind.map(|it| it.counts(name, &case.name, effort.counted)) {
                Some(Ok(counts)) => {
                    report.add(name, &case.name, INSTRUCTIONS, counts.instructions, "");
                    report.add(name, &case.name, ATOMICS, counts.atomics, "");
                }
                Some(Err(error)) => println!("no instructions of {name}: {error}"),
                None => {}
            }
        }
    }
}

fn alone(report: &mut Report, effort: &Effort, case: &Case) {
    let runtime = one_thread();
    let mut built: Vec<_> = case.implementations.iter().map(|it| (it.build)(&runtime).run).collect();
    let n = effort.operations;
    let times = interleaved(effort.rounds, &mut built, |run| ns_per_operation(n, || run(n)));
    for ((Micro { name, .. }, run), times) in case.implementations.iter().zip(&mut built).zip(times) {
        report.add_spread(name, &case.name, TIME, Spread::of(times), "ns");
        let before = so_far();
        run(n);
        report.add(name, &case.name, ALLOCATIONS, (so_far() - before) as f64 / n as f64, "");
    }
}

fn on_threads(report: &mut Report, effort: &Effort, case: &Case) {
    let runtime = two_workers();
    let built = case.implementations.iter();
    let built = built.filter_map(|it| Some((it.name, (it.build)(&runtime).another?)));
    let mut built: Vec<_> = built.collect();
    let times = interleaved(effort.rounds, &mut built, |(_, another)| {
        competing(effort.threads, vec![another(), another()])
    });
    for ((name, _), times) in built.iter().zip(times) {
        report.add_spread(name, &case.name, TIME_THREADS, Spread::of(times), "ns");
    }
}

/// Runs each as fast as it can for a time, and returns nanoseconds per operation on each thread.
///
/// WHY a time and not a number of operations: the fastest would end on one thread before the other
/// has begun.
///
/// # Panics
///
/// If an operation panics.
pub fn competing(time: Duration, runs: Vec<Run>) -> f64 {
    let stop = &AtomicBool::new(false);
    let n = runs.len();
    let (elapsed, operations) = thread::scope(|scope| {
        let start = Instant::now();
        let run = |mut run: Run| {
            scope.spawn(move || {
                let mut operations = 0;
                // Relaxed: a flag that guards nothing.
                while !stop.load(Relaxed) {
                    run(BATCH);
                    operations += BATCH;
                }
                operations
            })
        };
        let threads: Vec<_> = runs.into_iter().map(run).collect();
        thread::sleep(time);
        stop.store(true, Relaxed);
        let operations: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        (start.elapsed(), operations)
    });
    elapsed.as_secs_f64() * 1e9 * n as f64 / operations as f64
}

fn one_thread() -> Arc<Runtime> {
    Arc::new(Builder::new_current_thread().enable_time().build().unwrap())
}

fn two_workers() -> Arc<Runtime> {
    let mut builder = Builder::new_multi_thread();
    Arc::new(builder.worker_threads(2).enable_time().build().unwrap())
}

/// Operations between two checks of the flag that ends a run. Many, because the beginning may cost
/// something: an entry into the runtime, a task.
const BATCH: usize = 1024;

/// The amount of work.
struct Effort {
    rounds: usize,
    operations: usize,
    threads: Duration,
    counted: usize,
}

const FULL: Effort = Effort {
    rounds: 15,
    operations: 50_000,
    threads: Duration::from_millis(30),
    counted: 20_000,
};

const QUICK: Effort = Effort {
    rounds: 5,
    operations: 10_000,
    threads: Duration::from_millis(10),
    counted: 4_000,
};
