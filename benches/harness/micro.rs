//! Operations of nanoseconds: what one costs alone and with a rival thread; in time, instructions, atomic operations and allocations.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::{Args, Callgrind, Operations, Report, Spread, interleaved, ns_per_operation, so_far};

/// A metric: nanoseconds per operation, nobody else there.
pub const TIME: &str = "time";
/// A metric: the same on each of two threads that operate on the same thing.
pub const TIME_THREADS: &str = "time, 2 threads";
/// A metric, as the next: [`Counts`](super::Counts).
pub const INSTRUCTIONS: &str = "instructions";
/// A metric.
pub const ATOMICS: &str = "atomic operations";
/// A metric: of the thread that operates.
pub const ALLOCATIONS: &str = "allocations";

/// Contenders for one operation, in one setting.
pub struct Case {
    name: String,
    contenders: Vec<Micro>,
}

impl Case {
    /// Of this name, which its rows have.
    pub fn new(name: impl Into<String>, contenders: Vec<Micro>) -> Self {
        let name = name.into();
        Self { name, contenders }
    }
}

/// One way to do the operation. Nothing is built before it is its turn: a run under callgrind needs one contender only.
pub struct Micro {
    name: &'static str,
    build: Build,
}

/// Called with a number, it does so many operations.
type Run = Box<dyn FnMut(usize) + Send>;
type Build = Box<dyn Fn(&Arc<Runtime>) -> Built>;

struct Built {
    run: Run,
    /// The same for one more thread; `None`: it cannot be shared.
    another: Option<Box<dyn Fn() -> Run>>,
}

impl Micro {
    /// An operation on something shared. `build` gives a function that does as many operations as it is told; each thread calls a clone
    /// of it. On one thread the runtime is that thread's, on two it has two workers.
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

    /// An operation on something that belongs to one thread.
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

/// The operation as often as told; what it returns is not optimised away.
pub fn repeated<T>(mut operation: impl FnMut() -> T + Clone + Send) -> impl FnMut(usize) + Clone + Send {
    move |operations| {
        for _ in 0..operations {
            black_box(operation());
        }
    }
}

/// A whole program of such operations: does what [`Callgrind`] called it for, or measures every case and judges by `targets`.
///
/// # Panics
///
/// [`Callgrind`] asked for a contender that no case has.
pub fn run(bench: &'static str, limit: &'static str, args: &Args, cases: &[Case], targets: impl FnOnce(&mut Report)) {
    if let Some(asked) = &args.operations {
        return operate(asked, cases);
    }
    let mut report = Report::new(bench, limit);
    measure(&mut report, args, cases);
    targets(&mut report);
    report.finish(args);
}

fn operate(asked: &Operations, cases: &[Case]) {
    let case = cases.iter().find(|case| case.name == asked.case).expect("a case");
    let contender = case.contenders.iter().find(|it| it.name == asked.contender);
    let mut built = (contender.expect("a contender").build)(&one_thread());
    (built.run)(asked.count);
}

fn measure(report: &mut Report, args: &Args, cases: &[Case]) {
    let effort = if args.quick { &QUICK } else { &FULL };
    let callgrind = Callgrind::find();
    for case in cases {
        alone(report, effort, case);
        on_threads(report, effort, case);
        for Micro { name, .. } in &case.contenders {
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
    let mut built: Vec<_> = case.contenders.iter().map(|it| (it.build)(&runtime).run).collect();
    let n = effort.operations;
    let times = interleaved(effort.rounds, &mut built, |run| ns_per_operation(n, || run(n)));
    for ((Micro { name, .. }, run), times) in case.contenders.iter().zip(&mut built).zip(times) {
        report.add_spread(name, &case.name, TIME, Spread::of(times), "ns");
        let before = so_far();
        run(n);
        report.add(name, &case.name, ALLOCATIONS, (so_far() - before) as f64 / n as f64, "");
    }
}

fn on_threads(report: &mut Report, effort: &Effort, case: &Case) {
    let runtime = two_workers();
    let built = case.contenders.iter();
    let built = built.filter_map(|it| Some((it.name, (it.build)(&runtime).another?)));
    let mut built: Vec<_> = built.collect();
    let times = interleaved(effort.rounds, &mut built, |(_, another)| {
        rivals(effort.threads, [another(), another()])
    });
    for ((name, _), times) in built.iter().zip(times) {
        report.add_spread(name, &case.name, TIME_THREADS, Spread::of(times), "ns");
    }
}

/// Each as fast as it can, for a time; nanoseconds per operation, on each thread.
///
/// WHY: for a time, not so many operations: the fastest would be done on one thread before the other has begun.
fn rivals<const THREADS: usize>(time: Duration, runs: [Run; THREADS]) -> f64 {
    let stop = &AtomicBool::new(false);
    let (elapsed, operations) = thread::scope(|scope| {
        let start = Instant::now();
        let threads = runs.map(|mut run| {
            scope.spawn(move || {
                let mut operations = 0;
                // Relaxed: a flag that guards nothing.
                while !stop.load(Relaxed) {
                    run(BATCH);
                    operations += BATCH;
                }
                operations
            })
        });
        thread::sleep(time);
        stop.store(true, Relaxed);
        let operations: usize = threads.map(|thread| thread.join().unwrap()).iter().sum();
        (start.elapsed(), operations)
    });
    elapsed.as_secs_f64() * 1e9 * THREADS as f64 / operations as f64
}

fn one_thread() -> Arc<Runtime> {
    Arc::new(Builder::new_current_thread().enable_time().build().unwrap())
}

fn two_workers() -> Arc<Runtime> {
    let mut builder = Builder::new_multi_thread();
    Arc::new(builder.worker_threads(2).enable_time().build().unwrap())
}

/// Operations between two looks at the flag that ends a run. Many, because to begin may cost something: an entry into the runtime, a task.
const BATCH: usize = 1024;

/// How much is done.
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
