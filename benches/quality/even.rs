//! Equal pods: how evenly requests are spread, for one client, for many independent clients, and
//! for a single caller, whose requests never overlap.

use std::time::Duration;

use headless_benches::harness::{Bound, Report};
use headless_benches::sim::{Demand, Measured, Pod, Scenario, Work};

use crate::implementation::{Implementation, add, run};

const SERVICE: Duration = Duration::from_millis(10);
const LOAD: f64 = 0.7;
const TIME: &str = "mean time";
const MOST: &str = "largest share";
const LEAST: &str = "smallest share";
const CLIENTS: usize = 100;

pub fn one_client(report: &mut Report, quick: bool) {
    for pods in [1, 2, 3, 10, 100] {
        // The fewer pods, the longer, for the same number of requests.
        let services = (if quick { 100_000 } else { 1_000_000 }) / pods as u32;
        queues(report, &case(pods), pods, 1, services);
    }
    let off = |ratio: Option<f64>| ratio.map(|ratio| (ratio - 1.0).abs() * 100.0);
    let ours = Implementation::IN_FLIGHT.name;
    let mean = report.value(ours, &case(1), TIME);
    let name = format!("{}: {ours}: mean time off 1/(1 - load), in %", case(1));
    report.target(&name, off(mean.map(|mean| mean * (1.0 - LOAD))), Bound::AtMost(2.0));
    // Two draws of two pods are all pods.
    let all = Implementation::LEAST_LOADED.name;
    let name = format!("{}: {ours}: mean time off {all}'s, in %", case(2));
    report.target(&name, off(report.ratio(ours, all, &case(2), TIME)), Bound::AtMost(2.0));
}

fn case(pods: usize) -> String {
    format!("equal pods: {pods}, {:.0} % load", LOAD * 100.0)
}

pub fn many_clients(report: &mut Report, quick: bool) {
    let case = format!("{}, {CLIENTS} clients", case(10));
    queues(report, &case, 10, CLIENTS, if quick { 10_000 } else { 100_000 });
}

fn queues(report: &mut Report, case: &str, pods: usize, clients: usize, services: u32) {
    let scenario = Scenario {
        pods: vec![Pod::new(SERVICE, Work::Exponential); pods],
        demand: Demand::Open(LOAD * pods as f64 / SERVICE.as_secs_f64()),
        warm_up: Duration::from_secs(30),
        time: SERVICE * services,
        keeps_latencies: true,
    };
    let measured = run(&Implementation::ALL, clients, &scenario);
    for (it, mut runs) in Implementation::ALL.into_iter().zip(measured) {
        add(
            report,
            it,
            case,
            "longest/mean queue",
            "",
            runs.iter().map(Measured::imbalance),
        );
        add(report, it, case, MOST, "of even", runs.iter().map(|run| run.shares().1));
        let services = |seconds: f64| seconds / SERVICE.as_secs_f64();
        add(
            report,
            it,
            case,
            TIME,
            "services",
            runs.iter().map(|run| services(run.mean_seconds())),
        );
        let p99 = runs
            .iter_mut()
            .map(|run| services(run.latencies.percentile(99.0).as_secs_f64()));
        add(report, it, case, "p99", "services", p99);
    }
}

/// Requests that never overlap: nothing is in flight at a pick, so only remembered latencies make a
/// difference. Measured for 10 s, as long as they are remembered.
pub fn one_caller(report: &mut Report) {
    let (latency, tower) = (Implementation::LATENCY.name, Implementation::TOWER_EWMA.name);
    for (title, service, work) in [
        ("exponential work", SERVICE, Work::Exponential),
        ("short work, with pauses", SERVICE / 100, Work::Pauses(1000, 20.0)),
    ] {
        let case = format!("1 caller, 10 equal pods, {title}");
        shares(report, &case, vec![Pod::new(service, work); 10]);
        let ratio = report.ratio(latency, tower, &case, LEAST);
        report.target(
            &format!("{case}: {latency}: smallest share, of {tower}'s"),
            ratio,
            Bound::AtLeast(1.0),
        );
    }

    let apart = (0..10).map(|i| Pod::new(SERVICE + SERVICE / 100 * i, Work::Within(0.005)));
    let case = "1 caller, 10 pods 1 % apart, constant work";
    shares(report, case, apart.collect());
    // An even share except for chance: of 950 draws some pod gets fewer in one run of ten, so not
    // in the median.
    let least = report.value(latency, case, LEAST);
    report.target(
        &format!("{case}: {latency}: smallest share"),
        least,
        Bound::AtLeast(0.75),
    );
}

fn shares(report: &mut Report, case: &str, pods: Vec<Pod>) {
    let scenario = Scenario {
        pods,
        demand: Demand::Closed(1),
        warm_up: Duration::from_secs(30),
        time: Duration::from_secs(10),
        keeps_latencies: false,
    };
    let measured = run(&Implementation::ALL, 1, &scenario);
    for (it, runs) in Implementation::ALL.into_iter().zip(measured) {
        add(
            report,
            it,
            case,
            LEAST,
            "of even",
            runs.iter().map(|run| run.shares().0),
        );
        add(report, it, case, MOST, "of even", runs.iter().map(|run| run.shares().1));
    }
}
