//! A thousand clients and one DNS server, in simulated time: what happens to all clients at once
//! does not make them ask at once.
//!
//! Each client is a [`Refresh`] with random bits of its own, from a fixed seed. Queries are counted
//! per second, without the first query of each client, which the client cannot spread.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic, and the numbers are for the reader"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use fastrand::Rng;
use headless_core::{
    Answer, Endpoint, Failure, FailureKind, FoundBy, Negative, NegativeKind, Refresh, RefreshConfig, Resolution,
    Timestamp,
};

const CLIENTS: usize = 1000;
const SEED: u64 = 7;
/// The promise: the peak is at most this multiple of the mean.
const PROMISED: f64 = 1.5;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_elapsed(Duration::from_secs(seconds))
}

fn found(ttl: Duration) -> Resolution {
    Resolution::Found(Answer::new(
        vec![Endpoint::new(([10, 0, 0, 1], 80).into())],
        ttl,
        FoundBy::Addresses,
    ))
}

fn nxdomain() -> Resolution {
    let ttl = Some(Duration::from_secs(5));
    Resolution::NoEndpoints(Negative::new(
        NegativeKind::NoSuchName,
        ttl,
        "A web.shop.svc.cluster.local.",
    ))
}

fn failed(kind: FailureKind) -> Resolution {
    Resolution::Failed(Failure::new(kind, "injected"))
}

/// Simulates `until` seconds, in which all clients request a lookup at the seconds in `evidence`.
/// `dns` returns the answer and its latency. Returns the queries of each second, without the first
/// query of each client.
fn play(until: u64, evidence: &[u64], mut dns: impl FnMut(Timestamp) -> (Resolution, Duration)) -> Vec<u32> {
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            (
                Refresh::new(RefreshConfig::default()),
                Rng::with_seed(SEED ^ ((client as u64) << 32)),
            )
        })
        .collect();
    let mut queries = vec![0; usize::try_from(until).unwrap()];
    let mut first = true;
    // The next lookup of each client. A request brings it forward, so all entries are computed
    // again then.
    let mut due: BinaryHeap<_> = (0..CLIENTS).map(|client| Reverse((Timestamp::ZERO, client))).collect();
    let mut evidence = evidence.iter().map(|second| at(*second)).peekable();
    let mut lookups = 0;
    while let Some(Reverse((now, client))) = due.pop() {
        if let Some(seen) = evidence.next_if(|seen| *seen <= now) {
            due = (0..CLIENTS)
                .map(|client| {
                    clients[client].0.request_reresolution(seen);
                    Reverse((clients[client].0.next_poll(), client))
                })
                .collect();
            continue;
        }
        if now >= at(until) {
            break;
        }
        if !first {
            queries[usize::try_from(now.as_nanos() / 1_000_000_000).unwrap()] += 1;
        }
        lookups += 1;
        first = lookups < CLIENTS;
        let (resolution, takes) = dns(now);
        let (refresh, random) = &mut clients[client];
        refresh.on(resolution, now + takes, random.u64(..));
        due.push(Reverse((refresh.next_poll(), client)));
    }
    queries
}

fn mean(queries: &[u32]) -> f64 {
    f64::from(queries.iter().sum::<u32>()) / queries.len() as f64
}

/// Returns the peak of `queries` as a multiple of their mean.
fn peak(what: &str, queries: &[u32]) -> f64 {
    let highest = f64::from(*queries.iter().max().unwrap());
    let ratio = highest / mean(queries);
    println!(
        "{what}: mean {:.0}/s, peak {highest}/s, {ratio:.2} times (seed {SEED})",
        mean(queries)
    );
    ratio
}

const AT_ONCE: Duration = Duration::ZERO;

#[test]
fn a_common_start_is_spread_out() {
    for ttl in [5, 30] {
        let queries = play(60, &[], |_| (found(Duration::from_secs(ttl)), AT_ONCE));
        assert!(peak("start", &queries) <= PROMISED, "{queries:?}");
    }
}

#[test]
fn a_common_start_without_pods_is_spread_out() {
    let queries = play(60, &[], |_| (nxdomain(), AT_ONCE));
    assert!(peak("start without pods", &queries) <= PROMISED, "{queries:?}");
}

#[test]
fn the_end_of_an_outage_is_no_herd() {
    let outages = [
        ("SERVFAIL", FailureKind::ServFail, AT_ONCE),
        ("REFUSED", FailureKind::Refused, AT_ONCE),
        ("timeouts", FailureKind::Timeout, Duration::from_secs(5)),
    ];
    for (name, kind, takes) in outages {
        let queries = play(180, &[], |now| match now {
            now if now >= at(30) && now < at(90) => (failed(kind), takes),
            _ => (found(Duration::from_secs(30)), AT_ONCE),
        });
        let calm = mean(&queries[5..30]);
        let during = peak(&format!("during 60 s of {name}"), &queries[30..90]);
        assert!(
            peak(&format!("after 60 s of {name}"), &queries[90..]) <= PROMISED,
            "{queries:?}"
        );
        // A failure is asked again at 0.25 s, 0.75 s, 1.75 s and 3.75 s: five times the usual
        // queries for a few seconds.
        let begins = f64::from(*queries[30..90].iter().max().unwrap());
        assert!(
            begins <= 5.5 * calm,
            "the outage begins with {begins}/s, {during:.2} times its mean"
        );
        assert!(mean(&queries[40..90]) <= 1.1 * calm, "and goes on at the usual rate");
    }
}

#[test]
fn a_start_into_an_outage_is_spread_out_when_it_ends() {
    let queries = play(150, &[], |now| match now {
        now if now < at(60) => (failed(FailureKind::ServFail), AT_ONCE),
        _ => (found(Duration::from_secs(30)), AT_ONCE),
    });
    assert!(
        peak("after a start into an outage", &queries[60..]) <= PROMISED,
        "{queries:?}"
    );
}

#[test]
fn a_storm_of_nxdomain_costs_no_more_than_calm() {
    let queries = play(150, &[], |now| match now {
        now if now >= at(30) && now < at(90) => (nxdomain(), AT_ONCE),
        _ => (found(Duration::from_secs(30)), AT_ONCE),
    });
    let calm = mean(&queries[5..30]);
    assert!(peak("NXDOMAIN storm", &queries[30..90]) <= PROMISED, "{queries:?}");
    assert!(
        peak("NXDOMAIN storm, before and after", &queries) <= PROMISED,
        "{queries:?}"
    );
    assert!(
        mean(&queries[30..90]) <= 1.1 * calm,
        "the storm itself brings no more queries"
    );
}

#[test]
fn flapping_nxdomain_costs_no_more_than_calm() {
    let mut random = Rng::with_seed(SEED);
    let queries = play(120, &[], |_| match random.u8(0..2) {
        0 => (nxdomain(), AT_ONCE),
        _ => (found(Duration::from_secs(30)), AT_ONCE),
    });
    assert!(peak("flapping NXDOMAIN", &queries) <= PROMISED, "{queries:?}");
}

#[test]
fn after_a_common_failure_the_lookups_spread_again() {
    let queries = play(120, &[60], |_| (found(Duration::from_secs(30)), AT_ONCE));
    // The requested lookup itself is due to what happened to all clients at once; each client makes
    // one.
    assert!(queries[60] <= u32::try_from(CLIENTS + 300).unwrap());
    assert!(
        peak("after a common request", &queries[61..]) <= PROMISED,
        "{queries:?}"
    );
}

#[test]
fn through_one_cache_the_peak_is_no_higher_than_without() {
    let (cached, filled) = (Duration::from_secs(30), std::cell::Cell::new(None));
    let queries = play(300, &[], |now: Timestamp| {
        let since: Timestamp = filled
            .get()
            .filter(|at: &Timestamp| now.since(*at) < cached)
            .unwrap_or(now);
        filled.set(Some(since));
        // DNS counts whole seconds.
        let left = Duration::from_secs((cached - now.since(since)).as_secs());
        (found(left), AT_ONCE)
    });
    let without = play(300, &[], |_| (found(cached), AT_ONCE));
    let (most, most_without) = (queries.iter().max().unwrap(), without.iter().max().unwrap());
    println!(
        "one cache for all: mean {:.0}/s against {:.0}/s, peak {most}/s",
        mean(&queries),
        mean(&without)
    );
    assert!(f64::from(*most) <= f64::from(*most_without) * PROMISED, "{queries:?}");
    assert!(mean(&queries) * 3.0 < mean(&without), "and the mean is far below");
}
