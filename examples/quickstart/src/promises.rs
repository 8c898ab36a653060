//! What the product promises, checked against what was measured.

use std::collections::BTreeSet;

use crate::chart::thousands;
use crate::embedded::SLOW_POD;
use crate::report::Report;
use crate::rollout::Change;

/// A promise and whether it was kept.
pub(crate) struct Promise {
    pub(crate) text: &'static str,
    pub(crate) kept: bool,
    pub(crate) measured: String,
}

/// All of them, in the order of the story.
pub(crate) fn check(report: &Report) -> Vec<Promise> {
    vec![
        ordinals(report),
        even_shares(report),
        slow_pod_spared(report),
        roles_obeyed(report),
        change_followed("scale-up: each new pod takes requests", &report.scale_up, (3, 0)),
        change_followed(
            "rolling restart: each new pod takes requests",
            &report.rolling_restart,
            (6, 6),
        ),
        none_strayed(report),
        none_failed(report),
    ]
}

fn ordinals(report: &Report) -> Promise {
    let pods = report.discovered.pods.iter();
    let found: Vec<_> = pods
        .filter_map(|pod| pod.ordinal())
        .map(|ordinal| ordinal.get())
        .collect();
    Promise {
        text: "discovery finds each pod and its ordinal",
        kept: found == [0, 1, 2],
        measured: format!("ordinals {found:?}"),
    }
}

/// Exact, although the pods are not equally fast: round robin counts requests, not time.
fn even_shares(report: &Report) -> Promise {
    let counts: Vec<u64> = report.round_robin.counts().into_iter().map(|row| row.1).collect();
    let (least, most) = (counts.iter().min().copied(), counts.iter().max().copied());
    let shown: Vec<_> = counts.iter().copied().map(thousands).collect();
    Promise {
        text: "round robin gives each pod the same count, ±1",
        kept: counts.len() == 3 && most.unwrap_or(0) - least.unwrap_or(0) <= 1,
        measured: shown.join(" / "),
    }
}

fn slow_pod_spared(report: &Report) -> Promise {
    let counts = report.power_of_two.counts();
    let slow: u64 = counts.iter().filter(|row| row.0 == SLOW_POD).map(|row| row.1).sum();
    let fast = counts
        .iter()
        .filter(|row| row.0 != SLOW_POD)
        .map(|row| row.1)
        .min()
        .unwrap_or(0);
    Promise {
        text: "the slow pod gets under half of a fast pod's share",
        kept: slow * 2 < fast,
        measured: format!("{} against {}", thousands(slow), thousands(fast)),
    }
}

fn roles_obeyed(report: &Report) -> Promise {
    let pods = &report.role_aware.pods;
    let is_primary = |pod: &headless::PodName| pod.ordinal().is_some_and(|ordinal| ordinal.get() == 0);
    let (mut reads, mut reads_astray, mut writes, mut writes_astray) = (0, 0, 0, 0);
    for (key, counted) in pods {
        match key.pod().is_some_and(is_primary) {
            true => (reads_astray, writes) = (reads_astray + counted.reads, writes + counted.writes),
            false => (reads, writes_astray) = (reads + counted.reads, writes_astray + counted.writes),
        }
    }
    Promise {
        text: "no read on ordinal 0, no write elsewhere",
        // Nothing sent would prove nothing.
        kept: reads_astray == 0 && writes_astray == 0 && reads > 0 && writes > 0,
        measured: format!("{reads_astray} reads, {writes_astray} writes"),
    }
}

/// So many pods came and so many left, and the callers noticed each that came.
fn change_followed(text: &'static str, change: &Change, (arrive, leave): (usize, usize)) -> Promise {
    let answered: BTreeSet<_> = change.first_answers.iter().map(|row| &row.0).collect();
    Promise {
        text,
        kept: change.arrived == arrive && change.left == leave && answered.len() == arrive,
        measured: format!("{} of {arrive}", answered.len()),
    }
}

/// By the pods' own word: each signs its answers.
fn none_strayed(report: &Report) -> Promise {
    let strayed: u64 = report.tallies().map(|tally| tally.strayed).sum();
    Promise {
        text: "each answer comes from the pod that was chosen",
        kept: strayed == 0,
        measured: format!("{strayed} from others"),
    }
}

fn none_failed(report: &Report) -> Promise {
    let answered: u64 = report.tallies().map(|tally| tally.requests).sum();
    let failed = report.failed();
    Promise {
        text: "no request fails",
        kept: failed == 0,
        measured: format!("{failed} of {}", thousands(answered)),
    }
}
