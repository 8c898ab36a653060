//! One pod is ten times slower than the others, which could take all requests: its share of the
//! requests, and the response times.

use std::time::Duration;

use headless_benches::harness::{Bound, Report};
use headless_benches::sim::{Demand, Measured, Pod, Scenario, Work};

use crate::implementation::{Implementation, add, run};

const SERVICE: Duration = Duration::from_millis(10);
const TIMES_SLOWER: u32 = 10;
const CALLERS: usize = 64;
/// Relative to the capacity of all pods: the others alone would be busy for at most 58 % of the
/// time.
const LOAD: f64 = 0.55;
const SHARE: &str = "slow pod's share";
const BUSY: &str = "slow pod's load";
const P99: &str = "p99";

pub fn measure(report: &mut Report, quick: bool) {
    for pods in [3, 8, 20] {
        let others = pods as f64 - 1.0;
        let capacity = (others + 1.0 / f64::from(TIMES_SLOWER)) / SERVICE.as_secs_f64();
        let rate = LOAD * capacity;
        let open = format!("1 slow of {pods}, {:.0} % load", LOAD * 100.0);
        let closed = format!("1 slow of {pods}, {CALLERS} callers");
        for (case, demand) in [(&open, Demand::Open(rate)), (&closed, Demand::Closed(CALLERS))] {
            let slow = Pod::new(SERVICE * TIMES_SLOWER, Work::Exponential);
            let scenario = Scenario {
                pods: [vec![slow], vec![Pod::new(SERVICE, Work::Exponential); pods - 1]].concat(),
                demand,
                // WHY: three windows of the policies that remember latencies.
                warm_up: Duration::from_secs(30),
                time: Duration::from_secs(if quick { 30 } else { 300 }),
                keeps_latencies: true,
            };
            let mut measured = run(&Implementation::ALL, 1, &scenario);
            for (it, runs) in Implementation::ALL.into_iter().zip(&mut measured) {
                figures(report, it, case, &scenario, runs);
            }
        }
        targets(report, pods, &open, &closed);
    }
}

fn figures(report: &mut Report, it: Implementation, case: &str, scenario: &Scenario, runs: &mut [Measured]) {
    let seconds = scenario.time.as_secs_f64();
    let slow = scenario.pods[0].mean().as_secs_f64();
    // WHY rounded: ratios to a share below a thousandth of even say nothing.
    let share = |run: &Measured| (run.share(0) * 1e3).round() / 1e3;
    let rate = |run: &Measured| run.count() as f64 / seconds;
    add(report, it, case, SHARE, "of even", runs.iter().map(share));
    let load = |run: &Measured| share(run) * rate(run) / run.requests.len() as f64 * slow;
    add(report, it, case, BUSY, "", runs.iter().map(load));
    if let Demand::Closed(_) = scenario.demand {
        add(report, it, case, "answers", "1/s", runs.iter().map(rate));
    }
    for (metric, percent) in [("p50", 50.0), (P99, 99.0), ("p99.9", 99.9)] {
        let values = runs
            .iter_mut()
            .map(|run| run.latencies.percentile(percent).as_secs_f64() * 1e3);
        add(report, it, case, metric, "ms", values);
    }
}

fn targets(report: &mut Report, pods: usize, open: &str, closed: &str) {
    let latency = Implementation::LATENCY.name;
    let speed = 1.0 / f64::from(TIMES_SLOWER);
    // Its share if requests were in proportion to the speed of the pods.
    let part = pods as f64 * speed / (pods as f64 - 1.0 + speed);
    let name = format!("{open}: {latency}: slow pod's share, of its part of the capacity");
    let share = report.value(latency, open, SHARE).map(|share| share / part);
    report.target(&name, share, Bound::AtMost(1.0));
    for ours in [Implementation::IN_FLIGHT.name, latency] {
        for case in [open, closed] {
            let ratio = report.ratio(ours, Implementation::ROUND_ROBIN.name, case, P99);
            report.target(
                &format!("{case}: {ours}: p99, of round robin's"),
                ratio,
                Bound::AtMost(0.5),
            );
        }
    }
}
