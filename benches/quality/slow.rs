//! One pod is ten times slower than the others, which could carry everything. Who notices, and what do callers see of it?

use std::time::Duration;

use headless_benches::harness::{Bound, Plot, Report};
use headless_benches::sim::{Demand, Measured, Pod, Scenario, Work};

use crate::contender::{Contender, add, run};

const SERVICE: Duration = Duration::from_millis(10);
const TIMES_SLOWER: u32 = 10;
const CALLERS: usize = 64;
/// Of what all pods together can do: the others alone would be busy for 58 % of the time at most.
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
            let mut measured = run(&Contender::ALL, 1, &scenario);
            for (who, runs) in Contender::ALL.into_iter().zip(&mut measured) {
                figures(report, who, case, &scenario, runs);
            }
            if pods == 8 {
                plot(case, &mut measured, if case == &open { "open" } else { "closed" });
            }
        }
        targets(report, pods, &open, &closed);
    }
}

fn figures(report: &mut Report, who: Contender, case: &str, scenario: &Scenario, runs: &mut [Measured]) {
    let seconds = scenario.time.as_secs_f64();
    let slow = scenario.pods[0].mean().as_secs_f64();
    // WHY: less than a thousandth of even is nothing, and ratios to nothing say nothing.
    let share = |run: &Measured| (run.share(0) * 1e3).round() / 1e3;
    let rate = |run: &Measured| run.count() as f64 / seconds;
    add(report, who, case, SHARE, "of even", runs.iter().map(share));
    let load = |run: &Measured| share(run) * rate(run) / run.requests.len() as f64 * slow;
    add(report, who, case, BUSY, "", runs.iter().map(load));
    if let Demand::Closed(_) = scenario.demand {
        add(report, who, case, "answers", "1/s", runs.iter().map(rate));
    }
    for (metric, percent) in [("p50", 50.0), (P99, 99.0), ("p99.9", 99.9)] {
        let values = runs
            .iter_mut()
            .map(|run| run.latencies.percentile(percent).as_secs_f64() * 1e3);
        add(report, who, case, metric, "ms", values);
    }
}

fn targets(report: &mut Report, pods: usize, open: &str, closed: &str) {
    let latency = Contender::LATENCY.name;
    let speed = 1.0 / f64::from(TIMES_SLOWER);
    // What it would get of requests in proportion to what each pod can do.
    let part = pods as f64 * speed / (pods as f64 - 1.0 + speed);
    let name = format!("{open}: {latency}: slow pod's share, of its part of the capacity");
    let share = report.value(latency, open, SHARE).map(|share| share / part);
    report.target(&name, share, Bound::AtMost(1.0));
    for ours in [Contender::IN_FLIGHT.name, latency] {
        for case in [open, closed] {
            let ratio = report.ratio(ours, Contender::ROUND_ROBIN.name, case, P99);
            report.target(
                &format!("{case}: {ours}: p99, of round robin's"),
                ratio,
                Bound::AtMost(0.5),
            );
        }
    }
}

/// Response times by the share of requests that took longer, each axis as powers of ten: the tail is what differs.
fn plot(case: &str, measured: &mut [Vec<Measured>], name: &str) {
    let mut plot = Plot::new(
        &format!("{case}: response times"),
        "how rare: 1 is one in ten, 2 one in a hundred, ...",
        "response time [powers of ten, 0 is 1 ms]",
    );
    // The model of tower's in-flight counts would cover ours.
    let lines = Contender::ALL
        .iter()
        .zip(measured)
        .filter(|(who, _)| who.name != Contender::TOWER_PENDING.name);
    for (who, runs) in lines {
        let mut all = std::mem::take(&mut runs[0].latencies);
        for run in &mut runs[1..] {
            all.extend(std::mem::take(&mut run.latencies));
        }
        let points = (0..=80).map(|step| {
            let rare = f64::from(step) / 20.0;
            let millis = all.percentile(100.0 * (1.0 - 10_f64.powf(-rare))).as_secs_f64() * 1e3;
            (rare, millis.max(1.0).log10())
        });
        plot = plot.line(who.name, points);
    }
    println!(
        "plot: {}",
        plot.write(&format!("quality-slow-{name}")).unwrap().display()
    );
}
