//! The cost of a new list of pods: 1 % and all of 100, 1000 and 10,000 pods are replaced, while
//! another thread picks.
//!
//! The baseline is a merge of two sorted lists that keeps a counter per pod. `headless` does more:
//! it decides on the membership, has a pool per pod, opens the first connection to a new pod, and
//! drains pods that left.
//!
//! `cargo xtask bench reconcile`; without the feature `peers`, against hand-written code only.

mod hand_written;
mod implementation;
mod ours;
#[cfg(feature = "peers")]
mod peers;
mod pickers;

use std::thread;
use std::time::Instant;

use headless_benches::harness::{Args, Bound, Callgrind, Report, Spread, interleaved};

use hand_written::{ByHash, Merge};
use implementation::{Cost, Implementation, Pods};
use ours::{Headless, Part};

const BASELINE: &str = "sorted merge (baseline)";
const HEADLESS: &str = "headless";
const MEMBERSHIP: &str = "  of it, the membership";
const BALANCER: &str = "  of it, the balancer";

const ROUND_ROBIN: &str = "pingora round robin";

const SIZES: [u32; 3] = [100, 1000, 10_000];
/// The case of the targets.
const MANY: Pods = Pods {
    size: 10_000,
    replaced: 100,
};

/// The amount of work.
struct Effort {
    rounds: usize,
    /// In each round.
    replacements: usize,
    watched_rounds: usize,
    watched: usize,
    counted: usize,
    /// The number of implementations whose instructions are counted, the baseline first.
    callgrind: usize,
}

const FULL: Effort = Effort {
    rounds: 15,
    replacements: 10,
    watched_rounds: 9,
    watched: 100,
    counted: 10,
    callgrind: usize::MAX,
};
const QUICK: Effort = Effort {
    rounds: 3,
    replacements: 3,
    watched_rounds: 3,
    watched: 10,
    counted: 3,
    callgrind: 2,
};

fn main() {
    let args = Args::from_env(&[]);
    if let Some(operations) = &args.operations {
        let (case, lists_only) = match operations.case.strip_suffix(LISTS_ONLY) {
            Some(case) => (case, true),
            None => (operations.case.as_str(), false),
        };
        let pods = cases()
            .find(|pods| self::case(*pods) == case)
            .expect("a case of this benchmark");
        let mut asked = implementations(pods, |name| name == operations.implementation);
        let asked = asked.first_mut().expect("an implementation of this benchmark");
        (0..operations.count).for_each(|_| asked.prepare());
        if !lists_only {
            (0..operations.count).for_each(|_| _ = asked.replace());
        }
        // The remaining lists must not be counted as freed.
        std::process::exit(0);
    }
    let effort = if args.quick { QUICK } else { FULL };
    let callgrind = Callgrind::find();
    let mut report = Report::new("reconcile", BASELINE);
    for pods in cases() {
        replace(&mut report, &effort, pods);
        // The other cases would show nothing new.
        if let Some(callgrind) = callgrind.filter(|_| pods == MANY) {
            instructions(&mut report, &effort, callgrind, pods);
        }
    }
    for pods in cases().filter(|pods| pods.size == MANY.size) {
        watch(&mut report, &effort, pods);
    }
    targets(&mut report);
    report.finish(&args);
}

fn cases() -> impl Iterator<Item = Pods> {
    SIZES
        .into_iter()
        .flat_map(|size| [size / 100, size].map(|replaced| Pods { size, replaced }))
}

fn case(Pods { size, replaced }: Pods) -> String {
    format!("{replaced} of {size}")
}

type New = fn(&'static str, Pods) -> Box<dyn Implementation>;

/// All of them, the baseline first.
const IMPLEMENTATIONS: &[(&str, New)] = &[
    (BASELINE, |name, pods| Box::new(Merge::new(name, pods))),
    (HEADLESS, |name, pods| Box::new(Headless::new(name, pods, Part::Whole))),
    (MEMBERSHIP, |name, pods| {
        Box::new(Headless::new(name, pods, Part::Membership))
    }),
    (BALANCER, |name, pods| {
        Box::new(Headless::new(name, pods, Part::Balancer))
    }),
    ("merge by hash", |name, pods| Box::new(ByHash::new(name, pods))),
    #[cfg(feature = "peers")]
    ("tower, given the difference", |name, pods| {
        Box::new(peers::Tower::new(name, pods))
    }),
    #[cfg(feature = "peers")]
    (ROUND_ROBIN, |name, pods| {
        Box::new(peers::Pingora::<peers::RoundRobin>::new(name, pods))
    }),
    #[cfg(feature = "peers")]
    ("pingora ketama", |name, pods| {
        Box::new(peers::Pingora::<peers::KetamaHashing>::new(name, pods))
    }),
];

fn implementations(pods: Pods, which: impl Fn(&str) -> bool) -> Vec<Box<dyn Implementation>> {
    let asked = IMPLEMENTATIONS.iter().filter(|(name, _)| which(name));
    asked.map(|(name, new)| new(name, pods)).collect()
}

fn replace(report: &mut Report, effort: &Effort, pods: Pods) {
    let case = case(pods);
    let mut implementations = implementations(pods, |_| true);
    let rounds = interleaved(effort.rounds, &mut implementations, |it| {
        let costs: Vec<Cost> = (0..effort.replacements)
            .map(|_| {
                it.prepare();
                it.replace()
            })
            .collect();
        let nanos = Spread::of(costs.iter().map(|cost| cost.nanos)).median;
        let allocations = Spread::of(costs.iter().map(|cost| cost.allocations as f64)).median;
        (nanos / 1000.0, allocations)
    });
    for (implementation, rounds) in implementations.iter().zip(rounds) {
        let (times, allocations): (Vec<_>, Vec<_>) = rounds.into_iter().unzip();
        let name = implementation.name();
        report.add_spread(name, &case, "time", Spread::of(times), "µs");
        report.add(name, &case, "allocations", Spread::of(allocations).median, "");
    }
}

/// Only prepares the lists.
const LISTS_ONLY: &str = ", lists only";

fn instructions(report: &mut Report, effort: &Effort, callgrind: Callgrind, pods: Pods) {
    let case = case(pods);
    let count = |name: &str| -> Result<f64, String> {
        let all = callgrind.per_operation(name, &case, effort.counted)?;
        let lists = callgrind.per_operation(name, &format!("{case}{LISTS_ONLY}"), effort.counted)?;
        Ok(all - lists)
    };
    // From outside, the parts of one run cannot be told apart.
    let whole = IMPLEMENTATIONS
        .iter()
        .filter(|(name, _)| ![MEMBERSHIP, BALANCER].contains(name));
    for (name, _) in whole.take(effort.callgrind) {
        match count(name) {
            Ok(instructions) => report.add(name, &case, "instructions", instructions, ""),
            Err(error) => println!("no instructions of {name}: {error}"),
        }
    }
}

const LONGEST: &str = "longest";

fn quiet(pods: Pods) -> String {
    format!("the same while nothing changes ({})", case(pods))
}

fn watched(pods: Pods) -> String {
    format!("a pick while {} are replaced", case(pods))
}

/// Measures picks of one thread: while pods are replaced as fast as possible, and while nothing
/// changes.
fn watch(report: &mut Report, effort: &Effort, pods: Pods) {
    let mut implementations = implementations(pods, |name| [BASELINE, HEADLESS, ROUND_ROBIN].contains(&name));
    let rounds = interleaved(effort.watched_rounds, &mut implementations, |it| {
        (0..effort.watched).for_each(|_| it.prepare());
        let start = Instant::now();
        let replaced = pickers::during(it.picker().unwrap(), || {
            (0..effort.watched).for_each(|_| _ = it.replace())
        });
        let took = start.elapsed();
        let calm = pickers::during(it.picker().unwrap(), || thread::sleep(took));
        (calm, replaced)
    });
    for (implementation, rounds) in implementations.iter().zip(rounds) {
        let (calm, replaced): (Vec<_>, Vec<_>) = rounds.into_iter().unzip();
        let mut add = |case: &str, seen: &[pickers::Picks]| {
            let name = implementation.name();
            let sum = |of: fn(&pickers::Picks) -> usize| seen.iter().map(of).sum::<usize>() as f64;
            let per_pick = |of| sum(of) * 1e6 / sum(|it| it.picks);
            report.add(name, case, "allocations per million", per_pick(|it| it.allocations), "");
            report.add(name, case, "frees per million", per_pick(|it| it.frees), "");
            let longest = Spread::of(seen.iter().map(|it| it.longest.as_secs_f64() * 1e6));
            report.add_spread(name, case, LONGEST, longest, "µs");
        };
        add(&watched(pods), &replaced);
        add(&quiet(pods), &calm);
    }
}

fn targets(report: &mut Report) {
    let case = case(MANY);
    for (name, row) in [
        ("a snapshot reaches the balancer", BALANCER),
        ("an answer reaches the balancer", HEADLESS),
    ] {
        let ratio = report.ratio(row, BASELINE, &case, "time");
        report.target(
            &format!("{case} replaced: {name}, time of the baseline's"),
            ratio,
            Bound::AtMost(3.0),
        );
    }
    let watched = watched(MANY);
    for metric in ["allocations per million", "frees per million"] {
        let value = report.value(HEADLESS, &watched, metric);
        report.target(&format!("{watched}: {metric}"), value, Bound::AtMost(0.0));
    }
    let longest = |case: &str| report.value(HEADLESS, case, LONGEST);
    let noise = longest(&watched)
        .zip(longest(&quiet(MANY)))
        .map(|(watched, quiet)| watched / quiet);
    report.target(
        &format!("{watched}: longest, of that while nothing changes"),
        noise,
        Bound::AtMost(2.0),
    );
}
