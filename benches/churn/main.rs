//! Pods that come and go: 8 pods, 64 callers, and every 100 ms one pod leaves and another comes.
//! Measures the cost of it, and lost requests.
//!
//! All implementations run in this process, one after the other, against the same pods in another
//! process (`server`), and follow the same list (`case`). Each run is a new client over new pods:
//! warm-up, a steady time, the churn, another steady time. The throughput under churn is compared
//! with that of the same client just before and after. Callers call in a closed loop, and at a
//! fixed rate (`load`). Client and pods have one thread and one CPU each.
//!
//! `cargo xtask bench churn`; without the feature `peers`, `headless` only.

mod case;
mod figures;
#[cfg(feature = "peers")]
mod haproxy;
mod implementation;
mod load;
mod ours;
#[cfg(feature = "peers")]
mod peers;
mod server;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::process::Command;

use headless_benches::harness::{Args, Bound, Own, Report, cpu, one_thread};

use crate::case::Case;
use crate::figures::{FAILURES, Figures, OF_STEADY};
use crate::implementation::Implementation;
use crate::load::{Loop, Recording};
use crate::ours::Headless;
use crate::server::Servers;

const ROUNDS: usize = 5;
/// A rate that all implementations reach while pods come and go; the closed loop shows the most.
const RATE: u32 = 10_000;
const CASE: Own = Own {
    name: "--case",
    value: Some("NAME"),
    help: "this case only: clean, drained, died, crash, rolling restart",
};
const IMPLEMENTATION: Own = Own {
    name: "--implementation",
    value: Some("NAME"),
    help: "this implementation only",
};

type Runner = for<'a> fn(Case, Loop, &'a mut Servers) -> Pin<Box<dyn Future<Output = Recording> + 'a>>;

fn implementation<C: Implementation>() -> (&'static str, Runner) {
    (C::NAME, |case, load, servers| {
        Box::pin(load::run::<C>(case, load, servers))
    })
}

fn implementations(args: &Args) -> Vec<(&'static str, Runner)> {
    let mut implementations = vec![
        implementation::<Headless>(),
        #[cfg(feature = "peers")]
        implementation::<peers::Tower>(),
        #[cfg(feature = "peers")]
        implementation::<peers::HyperUtil>(),
        #[cfg(feature = "peers")]
        implementation::<peers::Reqwest>(),
    ];
    #[cfg(feature = "peers")]
    if headless_benches::harness::Program::HaProxy.is_installed() {
        implementations.push(implementation::<haproxy::HaProxy>());
    }
    implementations.retain(|(name, _)| args.value_of(IMPLEMENTATION.name).is_none_or(|only| only == *name));
    implementations
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some(server::ARGUMENT) {
        return server::serve();
    }
    let args = Args::from_env(&[CASE, IMPLEMENTATION]);
    let pinned = pin();
    println!(
        "{} pods, {} callers, one pod replaced every {:?}; client and pods {}",
        case::PODS,
        load::CALLERS,
        case::STEP,
        if pinned {
            "on a CPU each"
        } else {
            "not pinned: no `taskset`, or one CPU"
        },
    );
    println!(
        "headless: default settings, except that it resolves whenever the list has changed (`min_reresolve_interval` 0)"
    );
    println!(
        "HAProxy: one thread on the client's CPU, `balance random(2)`, `retry-on all-retryable-errors`, 3 retries"
    );
    println!("the others: default settings; peers need `--features peers`, and HAProxy a `haproxy` on the PATH");
    println!();
    one_thread().block_on(measure(&args, pinned));
}

/// Pins this process to one CPU, if there is another one for the pods.
fn pin() -> bool {
    cpu::succeeds(Command::new("taskset").args(["--cpu-list", PODS_CPU, "true"])) && cpu::pin(CLIENT_CPU)
}

const CLIENT_CPU: &str = "0";
const PODS_CPU: &str = "1";

fn start_servers(pinned: bool) -> Servers {
    let program = std::env::current_exe().unwrap();
    let mut command = if pinned {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", PODS_CPU]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.arg(server::ARGUMENT);
    Servers::start(command)
}

/// Returns what is measured, in order.
fn plan(args: &Args) -> Vec<(Case, Loop)> {
    let closed = Case::ALL.map(|case| (case, Loop::Closed));
    let open = [Case::Clean, Case::Drained, Case::Died].map(|case| (case, Loop::Open(RATE)));
    let plan = closed.into_iter().chain(open);
    let plan = plan.filter(|(case, _)| args.value_of(CASE.name).is_none_or(|name| name == case.name()));
    // The worst case is enough for a quick run.
    let plan = plan.filter(|(case, load)| !args.quick || *load == Loop::Closed || *case == Case::Died);
    plan.collect()
}

fn title(case: Case, load: Loop) -> String {
    match load {
        Loop::Closed => format!("{}, closed loop", case.name()),
        Loop::Open(rate) => format!("{}, {rate}/s", case.name()),
    }
}

async fn measure(args: &Args, pinned: bool) {
    let mut servers = start_servers(pinned);
    let (plan, implementations) = (plan(args), implementations(args));
    if plan.is_empty() || implementations.is_empty() {
        eprintln!("error: there is no such case, or no such implementation");
        std::process::exit(2);
    }
    let mut figures: BTreeMap<(usize, usize), Vec<Figures>> = BTreeMap::new();
    let mut examples = BTreeMap::new();
    for round in 0..if args.quick { 1 } else { ROUNDS } {
        for (p, (case, load)) in plan.iter().enumerate() {
            // Each round begins with another implementation.
            for c in (0..implementations.len()).map(|c| (c + round) % implementations.len()) {
                let (name, run) = implementations[c];
                let recording = run(*case, *load, &mut servers).await;
                figures.entry((p, c)).or_default().push(Figures::of(*case, &recording));
                for (kind, example) in recording.examples {
                    examples.entry((name, kind)).or_insert((title(*case, *load), example));
                }
            }
        }
    }

    let mut report = Report::new("churn", Headless::NAME);
    for ((p, c), rounds) in &figures {
        let (case, load) = plan[*p];
        figures::report(&mut report, implementations[*c].0, &title(case, load), rounds);
    }
    for ((name, kind), (case, example)) in &examples {
        println!("{name}, {case}: for example, {}: {example}", kind.name());
    }
    println!(
        "\nratios are to {}; of steady: relative to the same client without churn, just before and after; CPU: per answer, of client and pods\n",
        Headless::NAME
    );
    for (case, load) in plan {
        targets(&mut report, case, &title(case, load), load);
    }
    report.finish(args);
}

fn targets(report: &mut Report, case: Case, title: &str, load: Loop) {
    let value = |metric| report.value(Headless::NAME, title, metric);
    let (of_steady, failures) = (value(OF_STEADY), value(FAILURES));
    if load == Loop::Closed && matches!(case, Case::Clean | Case::Drained | Case::Died) {
        let name = format!("{title}: throughput, of that without churn");
        report.target(&name, of_steady, Bound::AtLeast(0.95));
    }
    report.target(&format!("{title}: failures"), failures, Bound::AtMost(0.0));
}
