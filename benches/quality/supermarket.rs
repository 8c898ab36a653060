//! The supermarket: many pods, Poisson arrivals, exponential work, one client that draws d pods. The mean time is known, so this tests
//! the simulator by the draws by hand, and the policies by both.
//!
//! Source: M. Mitzenmacher, "The power of two choices in randomized load balancing", IEEE TPDS 12(10), 2001, for infinitely many pods.

use std::time::Duration;

use headless_benches::harness::{Bound, Plot, Report};
use headless_benches::sim::{Demand, Draws, Pod, Scenario, Work};

use crate::contender::{Contender, LIMIT, SEEDS, run};

const FORMULA: &str = "formula";
const SERVICE: Duration = Duration::from_millis(10);

/// How many draws, by hand and by which policy.
struct Draw {
    d: i32,
    by_hand: Contender,
    ours: Option<Contender>,
    /// As many as it takes to be near infinity: with one draw each pod is on its own.
    pods: usize,
    /// Load, and service times of each run: of warm-up, until the queues have forgotten that they were empty, and measured.
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
        by_hand: Contender::new(LIMIT, |n, seed| Box::new(Draws::new(1, n, seed))),
        ours: Some(Contender::RANDOM),
        pods: 100,
        // Not 0.99: its queues take 40 000 service times to settle and 1000 times as long to average out.
        loads: &[
            (0.5, 100, 5_000),
            (0.7, 300, 15_000),
            (0.9, 2_000, 50_000),
            (0.95, 6_000, 150_000),
        ],
    },
    Draw {
        d: 2,
        by_hand: Contender::new(LIMIT, |n, seed| Box::new(Draws::new(2, n, seed))),
        ours: Some(Contender::IN_FLIGHT),
        pods: 2000,
        loads: SEVERAL,
    },
    Draw {
        d: 3,
        by_hand: Contender::new(LIMIT, |n, seed| Box::new(Draws::new(3, n, seed))),
        ours: None,
        pods: 2000,
        loads: SEVERAL,
    },
];

/// The mean time in the system for infinitely many pods, in service times.
fn formula(d: i32, load: f64) -> f64 {
    let exponent = |i: i32| {
        if d == 1 {
            f64::from(i - 1)
        } else {
            f64::from(d.pow(i as u32) - d) / f64::from(d - 1)
        }
    };
    // Beyond, the terms are too small to count: the powers end where `i32` does.
    let terms = if d == 1 { 5000 } else { 18 };
    (1..=terms).map(|i| load.powf(exponent(i))).sum()
}

pub fn measure(report: &mut Report, quick: bool) {
    let mut plot = Plot::new(
        "supermarket: mean time in the system",
        "load",
        "mean time [service times]",
    );
    for draw in &DRAWS {
        let case = format!("supermarket, d = {}: mean time", draw.d);
        let interval = format!("{case}, half of the 95 % interval");
        let contenders: Vec<_> = std::iter::once(draw.by_hand).chain(draw.ours).collect();
        let mut lines = vec![Vec::new(); contenders.len()];
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
            let measured = run(&contenders, 1, &scenario);
            for ((contender, runs), line) in contenders.iter().zip(&measured).zip(&mut lines) {
                let means = runs.iter().map(|run| run.mean_seconds() / SERVICE.as_secs_f64());
                let (mean, half) = interval_of(means.collect());
                report.add(contender.name, &case, &metric, mean, "services");
                report.add(contender.name, &interval, &metric, half / mean * 100.0, "%");
                line.push((load, mean));
            }
        }
        let exact = (50..=if draw.d == 1 { 95 } else { 99 }).map(|percent| f64::from(percent) / 100.0);
        plot = plot.line(
            &format!("formula, d = {}", draw.d),
            exact.map(|load| (load, formula(draw.d, load))),
        );
        if let (Some(ours), Some(line)) = (draw.ours, lines.pop()) {
            plot = plot.line(ours.name, line);
            targets(report, draw, ours, &case, &interval);
        }
    }
    println!("plot: {}", plot.write("quality-supermarket").unwrap().display());
}

/// Mean and half of its 95 % interval.
fn interval_of(values: Vec<f64>) -> (f64, f64) {
    /// Student's t for 95 %, with one degree of freedom less than there are seeds.
    const T: f64 = 2.365;
    const { assert!(SEEDS == 8) };
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, T * (variance / n).sqrt())
}

/// Only where the interval is narrow enough to tell 2 % from nothing.
fn targets(report: &mut Report, draw: &Draw, ours: Contender, case: &str, interval: &str) {
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
