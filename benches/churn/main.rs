//! Pods that come and go: 8 pods, 64 callers, and every 100 ms one pod leaves and another comes. What does that cost, and what is lost?
//!
//! All contenders run in this process, in turn, against the same pods in another process (`server`), and are told by the same list
//! (`case`). Each run is a fresh client over fresh pods: warm-up, a steady time, the churn, another steady time; so the throughput
//! under churn is compared to that of the same client a moment before and after. Callers call in a closed loop, and at a fixed rate
//! (`load`). Client and pods have one thread and one CPU each.
//!
//! `cargo bench --manifest-path benches/Cargo.toml --features peers --bench churn`

mod case;
mod contender;
mod figures;
#[cfg(feature = "peers")]
mod haproxy;
mod load;
#[cfg(feature = "peers")]
mod peers;
mod server;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::process::Command;

use headless_benches::harness::{Args, Bound, Own, Plot, Report, cpu};

use crate::case::Case;
use crate::contender::{Contender, Headless};
use crate::figures::{FAILURES, Figures, OF_STEADY, SLICE};
use crate::load::{Loop, Recording};
use crate::server::Servers;

const ROUNDS: usize = 5;
/// What everybody can do while pods come and go; the closed loop shows what they can do at most.
const RATE: u32 = 10_000;
const CASE: Own = Own {
    name: "--case",
    value: Some("NAME"),
    help: "this case only: clean, drained, died, crash, rolling restart",
};
const CONTENDER: Own = Own {
    name: "--contender",
    value: Some("NAME"),
    help: "this contender only",
};

type Runner = for<'a> fn(Case, Loop, &'a mut Servers) -> Pin<Box<dyn Future<Output = Recording> + 'a>>;

fn contender<C: Contender>() -> (&'static str, Runner) {
    (C::NAME, |case, load, servers| {
        Box::pin(load::run::<C>(case, load, servers))
    })
}

fn contenders(args: &Args) -> Vec<(&'static str, Runner)> {
    let mut contenders = vec![
        contender::<Headless>(),
        #[cfg(feature = "peers")]
        contender::<peers::Tower>(),
        #[cfg(feature = "peers")]
        contender::<peers::HyperUtil>(),
        #[cfg(feature = "peers")]
        contender::<peers::Reqwest>(),
    ];
    #[cfg(feature = "peers")]
    if headless_benches::harness::HaProxy::is_installed() {
        contenders.push(contender::<haproxy::HaProxy>());
    }
    contenders.retain(|(name, _)| args.value_of(CONTENDER.name).is_none_or(|only| only == *name));
    contenders
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some(server::ARGUMENT) {
        return server::serve();
    }
    let args = Args::from_env(&[CASE, CONTENDER]);
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
        "headless: default settings, but it looks at the list whenever the list has changed (`min_reresolve_interval` 0)"
    );
    println!(
        "HAProxy: one thread on the client's CPU, `balance random(2)`, `retry-on all-retryable-errors`, 3 retries"
    );
    println!("the others: default settings; peers need `--features peers`, and HAProxy a `haproxy` on the PATH");
    println!();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(&args, pinned));
}

/// Keeps this process on one CPU, if there is another one for the pods.
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

/// What is measured, in this order.
fn plan(args: &Args) -> Vec<(Case, Loop)> {
    let closed = Case::ALL.map(|case| (case, Loop::Closed));
    let open = [Case::Clean, Case::Drained, Case::Died].map(|case| (case, Loop::Open(RATE)));
    let plan = closed.into_iter().chain(open);
    let plan = plan.filter(|(case, _)| args.value_of(CASE.name).is_none_or(|name| name == case.name()));
    // A look at the worst case will do.
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
    let (plan, contenders) = (plan(args), contenders(args));
    if plan.is_empty() || contenders.is_empty() {
        eprintln!("error: there is no such case, or no such contender");
        std::process::exit(2);
    }
    let mut figures: BTreeMap<(usize, usize), Vec<Figures>> = BTreeMap::new();
    let mut examples = BTreeMap::new();
    for round in 0..if args.quick { 1 } else { ROUNDS } {
        for (p, (case, load)) in plan.iter().enumerate() {
            // Each round begins with another one.
            for c in (0..contenders.len()).map(|c| (c + round) % contenders.len()) {
                let (name, run) = contenders[c];
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
        figures::report(&mut report, contenders[*c].0, &title(case, load), rounds);
    }
    for (p, (case, load)) in plan.iter().enumerate().filter(|(_, (_, load))| *load == Loop::Closed) {
        let lines = contenders
            .iter()
            .enumerate()
            .map(|(c, (name, _))| (*name, &figures[&(p, c)][..]));
        plot(&title(*case, *load), case.name(), lines.collect());
    }
    for ((name, kind), (case, example)) in &examples {
        println!("{name}, {case}: for example, {}: {example}", kind.name());
    }
    println!(
        "\neach ratio is to {}; of steady: relative to the same client without churn, just before and after; CPU: per answer, of client and pods\n",
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

/// Answers and failures over time, the mean of all rounds.
fn plot(title: &str, name: &str, lines: Vec<(&str, &[Figures])>) {
    for (what, pick) in [
        ("answers", (|slice| slice.0) as fn((usize, usize)) -> usize),
        ("failures", |slice| slice.1),
    ] {
        let mut plot = Plot::new(&format!("{what}: {title}"), "time [s]", &format!("{what} [1/s]"));
        for (contender, rounds) in &lines {
            let seconds = SLICE.as_secs_f64() * rounds.len() as f64;
            let points = (0..rounds[0].slices.len()).map(|k| {
                let count: usize = rounds.iter().map(|run| pick(run.slices[k])).sum();
                (k as f64 * SLICE.as_secs_f64(), count as f64 / seconds)
            });
            plot = plot.line(contender, points);
        }
        let [begin, end] = load::CHURN_AFTER;
        plot = plot
            .mark(begin.as_secs_f64(), "churn")
            .mark(end.as_secs_f64(), "steady");
        let file = plot.write(&format!("churn-{}-{what}", name.replace(' ', "-"))).unwrap();
        println!("plot: {}", file.display());
    }
}
