//! A pod that fails at once, and so always looks idle: its share of the requests.

use std::time::Duration;

use headless::Timestamp;
use headless::policy::{LeastLoaded, PowerOfTwo, RoundRobin};
use headless_benches::harness::{Bound, Report};
use headless_benches::sim::{Demand, Headless, Pod, Scenario, Work};

use crate::implementation::{Implementation, add, run};

const SERVICE: Duration = Duration::from_millis(10);
const LOAD: f64 = 0.5;
const PODS: usize = 10;
const SHARE: &str = "failing pod's share";

/// The same policies, where the pool cannot connect and marks the pod as unhealthy.
const UNHEALTHY: [Implementation; 4] = [
    Implementation::new("headless RoundRobin, unhealthy", |n, seed| {
        Box::new(Headless::new(RoundRobin::default(), n, seed).marking_unhealthy())
    }),
    Implementation::new("headless LeastLoaded, unhealthy", |n, seed| {
        Box::new(Headless::new(LeastLoaded, n, seed).marking_unhealthy())
    }),
    Implementation::new("headless PowerOfTwo, unhealthy", |n, seed| {
        Box::new(Headless::new(PowerOfTwo::default(), n, seed).marking_unhealthy())
    }),
    Implementation::new("headless PowerOfTwo::latency, unhealthy", |n, seed| {
        Box::new(Headless::new(PowerOfTwo::latency(), n, seed).marking_unhealthy())
    }),
];

pub fn measure(report: &mut Report, quick: bool) {
    let implementations: Vec<_> = Implementation::ALL.into_iter().chain(UNHEALTHY).collect();
    let warm_up = Duration::from_secs(60);
    let healthy = Pod::new(SERVICE, Work::Exponential);
    for (case, from) in [("from the start", Duration::ZERO), ("after a healthy minute", warm_up)] {
        let case = format!("1 of {PODS} fails at once, {case}");
        let failing = healthy.clone().failing_from(Timestamp::ZERO + from);
        let scenario = Scenario {
            pods: [vec![failing], vec![healthy.clone(); PODS - 1]].concat(),
            demand: Demand::Open(LOAD * (PODS as f64 - 1.0) / SERVICE.as_secs_f64()),
            warm_up,
            time: Duration::from_secs(if quick { 20 } else { 60 }),
            keeps_latencies: true,
        };
        let measured = run(&implementations, 1, &scenario);
        for (&it, mut runs) in implementations.iter().zip(measured) {
            add(report, it, &case, SHARE, "of even", runs.iter().map(|run| run.share(0)));
            add(
                report,
                it,
                &case,
                "failed requests",
                "%",
                runs.iter().map(|run| run.failures as f64 / run.count() as f64 * 100.0),
            );
            add(
                report,
                it,
                &case,
                "p99 of the others",
                "ms",
                runs.iter_mut()
                    .map(|run| run.latencies.percentile(99.0).as_secs_f64() * 1e3),
            );
        }
        for ours in [Implementation::IN_FLIGHT, Implementation::LATENCY] {
            let share = report.value(ours.name, &case, SHARE);
            report.target(&format!("{case}: {}: its share", ours.name), share, Bound::AtMost(1.0));
        }
        for ours in UNHEALTHY {
            let share = report.value(ours.name, &case, SHARE);
            report.target(&format!("{case}: {}: its share", ours.name), share, Bound::AtMost(0.01));
        }
    }
}
