//! The supermarket model: many pods, Poisson arrivals, exponential work, one client that draws d
//! pods. The mean time is known, so hand-written draws test the simulator, and both test the
//! policies.
//!
//! Source: M. Mitzenmacher, "The power of two choices in randomized load balancing", IEEE TPDS
//! 12(10), 2001, for infinitely many pods.

use std::time::Duration;

use headless_benches::harness::{Bound, Report};
use headless_benches::sim::{Demand, Draws, Pod, Scenario, Work};

use crate::implementation::{BASELINE, Implementation, SEEDS, run};

const FORMULA: &str = "formula";
const SERVICE: Duration = Duration::from_millis(10);

/// A number of draws, hand-written and by a policy.
struct Draw {
    d: i32,
    hand_written: Implementation,
    ours: Option<Implementation>,
    /// Enough pods to be near the formula; with one draw each pod is independent.
    pods: usize,
    /// The load, and the service times of each run: the warm-up, until the queues do not depend on
    /// their beginning, and the measurement.
    loads: &'static [(f64, u32, u32)],
}

/// With a choice, queues are shorter and settle sooner.
const SEVERAL: &[(f64, u32, u32)] = &[
    (0.5, 20, 200),
    (0.7, 50, 400),
    (0.9, 100, 1000),
    (0.95, 200, 1500),
    (0.99, 800, 6000),
];

const DRAWS: [Draw; 3] = [
    Draw {
        d: 1,
        hand_written: Implementation::new(BASELINE, |n, seed| Box::new(Draws::new(1, n, seed))),
        ours: Some(Implementation::RANDOM),
        pods: 100,
        // Not 0.99: its queues take 40 000 service times to settle, and 1000 times as long for a
        // mean.
        loads: &[
            (0.5, 100, 5_000),
            (0.7, 300, 15_000),
            (0.9, 2_000, 50_000),
            (0.95, 6_000, 150_000),
        ],
    },
    Draw {
        d: 2,
        hand_written: Implementation::new(BASELINE, |n, seed| Box::new(Draws::new(2, n, seed))),
        ours: Some(Implementation::IN_FLIGHT),
        pods: 2000,
        loads: SEVERAL,
    },
    Draw {
        d: 3,
        hand_written: Implementation::new(BASELINE, |n, seed| Box::new(Draws::new(3, n, seed))),
        ours: None,
        pods: 2000,
        loads: SEVERAL,
    },
];

/// Returns the mean time in the system for infinitely many pods, in service times.
fn formula(d: i32, load: f64) -> f64 {
    let exponent = |i: i32| {
        if d == 1 {
            f64::from(i - 1)
        } else {
            f64::from(d.pow(i as u32) - d) / f64::from(d - 1)
        }
    };
    // Further terms are too small to matter, and their exponents exceed `i32`.
    let terms = if d == 1 { 5000 } else { 18 };
    (1..=terms).map(|i| load.powf(exponent(i))).sum()
}

pub fn measure(report: &mut Report, quick: bool) {
    for draw in &DRAWS {
        let case = format!("supermarket, d = {}: mean time", draw.d);
        let interval = format!("{case}, half of the 95 % interval");
        let implementations: Vec<_> = std::iter::once(draw.hand_written).chain(draw.ours).collect();
        for &(load, warm_up, time) in draw.loads {
            let metric = format!("load {load}");
            report.add(FORMULA, &case, &metric, formula(draw.d, load), "services");
            let scenario = Scenario {
                pods: vec![Pod::new(SERVICE, Work::Exponential); draw.pods],
                demand: Demand::Open(load * draw.pods as f64 / SERVICE.as_secs_f64()),
                warm_up: SERVICE * warm_up,
                time: SERVICE * if quick { time / 10 } else { time },
                keeps_latencies: false,
            };
            let measured = run(&implementations, 1, &scenario);
            for (implementation, runs) in implementations.iter().zip(&measured) {
                let means = runs.iter().map(|run| run.mean_seconds() / SERVICE.as_secs_f64());
                let (mean, half) = interval_of(means.collect());
                report.add(implementation.name, &case, &metric, mean, "services");
                report.add(implementation.name, &interval, &metric, half / mean * 100.0, "%");
            }
        }
        if let Some(ours) = draw.ours {
            targets(report, draw, ours, &case, &interval);
        }
    }
}

/// Returns the mean and half of its 95 % interval.
fn interval_of(values: Vec<f64>) -> (f64, f64) {
    /// Student's t for 95 %, with one degree of freedom less than there are seeds.
    const T: f64 = 2.365;
    const { assert!(SEEDS == 8) };
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, T * (variance / n).sqrt())
}

/// Adds targets, measured only where the interval is narrow enough to show 2 %.
fn targets(report: &mut Report, draw: &Draw, ours: Implementation, case: &str, interval: &str) {
    for (load, ..) in draw.loads {
        let metric = format!("load {load}");
        let half = report.value(ours.name, interval, &metric);
        let ratio = report.ratio(ours.name, FORMULA, case, &metric);
        let error = ratio
            .filter(|_| half <= Some(1.0))
            .map(|ratio| (ratio - 1.0).abs() * 100.0);
        let name = format!(
            "supermarket, d = {}, load {load}: {} off the formula, in %",
            draw.d, ours.name
        );
        report.target(&name, error, Bound::AtMost(2.0));
    }
}
