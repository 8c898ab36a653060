//! From recordings to figures of one run, and to rows of all rounds. Pure: no clock, no sockets.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use headless_benches::harness::{Latencies, Report, Spread};

use super::case::{Case, Change};
use super::implementation::Kind;
use super::load::Recording;

/// The figures of one run.
#[derive(Debug)]
pub struct Figures {
    /// Requests that began during the churn.
    requests: usize,
    /// Answers per second during the churn.
    throughput: f64,
    /// Answers per second without churn, just before and just after.
    steady: f64,
    /// CPU time per answer during the churn, relative to that without churn.
    cpu_of_steady: Option<f64>,
    /// Failures during the churn, and just before and after.
    failures: BTreeMap<Kind, usize>,
    p99: Duration,
    p999: Duration,
    /// Connections opened during the churn.
    opened: u64,
    /// Milliseconds from the moment a pod left the list until its last answer, pod by pod.
    leave_to_last: Vec<f64>,
    /// Milliseconds from the arrival of a pod until its first answer, pod by pod.
    arrival_to_first: Vec<f64>,
}

impl Figures {
    /// Computes the figures of a run.
    pub fn of(case: Case, run: &Recording) -> Self {
        let answers = || run.samples.iter().filter(|sample| sample.outcome.is_ok());
        let answers_in = |time: &Range<Instant>| answers().filter(|sample| time.contains(&sample.end)).count() as f64;
        let length = |time: &Range<Instant>| (time.end - time.start).as_secs_f64();
        let [before, after] = &run.steady;

        let mut latencies = Latencies::default();
        latencies.extend(
            answers()
                .filter(|sample| run.churn.contains(&sample.begin))
                .map(|sample| sample.end - sample.begin),
        );
        let mut failures = BTreeMap::new();
        for kind in run.samples.iter().filter_map(|sample| sample.outcome.err()) {
            *failures.entry(kind).or_default() += 1;
        }
        let uses = |pod| {
            answers()
                .filter(move |sample| sample.outcome == Ok(pod))
                .map(|sample| sample.end)
        };
        let (came, left): (Vec<&Change>, Vec<&Change>) = run.changes.iter().partition(|change| change.came);
        let left = left.iter().filter(|_| case.outlives_its_name());
        let cpu_of_steady = run.cpu.map(|[begin, churn, steady, end]| {
            let churned = (steady - churn).as_secs_f64() / answers_in(&run.churn);
            let rested = (churn - begin + end - steady).as_secs_f64() / (answers_in(before) + answers_in(after));
            churned / rested
        });
        Self {
            requests: run
                .samples
                .iter()
                .filter(|sample| run.churn.contains(&sample.begin))
                .count(),
            throughput: answers_in(&run.churn) / length(&run.churn),
            steady: (answers_in(before) + answers_in(after)) / (length(before) + length(after)),
            cpu_of_steady,
            failures,
            p99: latencies.percentile(99.0),
            p999: latencies.percentile(99.9),
            opened: run.opened,
            leave_to_last: left
                .filter_map(|change| Some(milliseconds(change.at, uses(change.pod).max()?)))
                .collect(),
            arrival_to_first: came
                .iter()
                .filter_map(|change| Some(milliseconds(change.at, uses(change.pod).min()?)))
                .collect(),
        }
    }
}

fn milliseconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e3
}

/// A metric: the throughput, relative to that of the same client without churn.
pub const OF_STEADY: &str = "of steady";
/// A metric: failures of all kinds.
pub const FAILURES: &str = "failures";

/// Adds the rows of all rounds of one implementation in one case. Counts are sums; all else are
/// medians.
pub fn report(report: &mut Report, implementation: &str, case: &str, rounds: &[Figures]) {
    let spread = |of: fn(&Figures) -> f64| Spread::of(rounds.iter().map(of));
    let requests: usize = rounds.iter().map(|run| run.requests).sum();
    let mut kinds = BTreeMap::new();
    for (kind, count) in rounds.iter().flat_map(|run| &run.failures) {
        *kinds.entry(*kind).or_insert(0) += count;
    }
    let failures: usize = kinds.values().sum();
    let opened: u64 = rounds.iter().map(|run| run.opened).sum();

    report.add_spread(implementation, case, "throughput", spread(|run| run.throughput), "1/s");
    report.add_spread(
        implementation,
        case,
        OF_STEADY,
        spread(|run| run.throughput / run.steady),
        "",
    );
    let cpu: Option<Vec<_>> = rounds.iter().map(|run| run.cpu_of_steady).collect();
    if let Some(cpu) = cpu {
        report.add_spread(implementation, case, "CPU of steady", Spread::of(cpu), "");
    }
    report.add_spread(implementation, case, "p99", spread(|run| micros(run.p99)), "us");
    report.add_spread(implementation, case, "p99.9", spread(|run| micros(run.p999)), "us");
    report.add(
        implementation,
        case,
        "opened/1000",
        opened as f64 / requests as f64 * 1e3,
        "",
    );
    for (metric, of) in [
        (
            "leave to last use",
            (|run| &run.leave_to_last) as fn(&Figures) -> &Vec<f64>,
        ),
        ("first use after arrival", |run| &run.arrival_to_first),
    ] {
        let times: Vec<f64> = rounds.iter().flat_map(of).copied().collect();
        if !times.is_empty() {
            report.add_spread(implementation, case, metric, Spread::of(times), "ms");
        }
    }
    report.add(implementation, case, "requests", requests as f64, "");
    report.add(implementation, case, FAILURES, failures as f64, "");
    report.add(
        implementation,
        case,
        "lost per million",
        failures as f64 / requests as f64 * 1e6,
        "",
    );
    for (kind, count) in kinds {
        report.add(implementation, case, kind.name(), count as f64, "");
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
