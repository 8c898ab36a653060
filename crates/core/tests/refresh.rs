//! Tests of each row of the table in `src/refresh/mod.rs`, with time written down, and properties
//! that hold over all rows.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::sync::Arc;
use std::time::Duration;

use headless_core::{
    Answer, Diff, Endpoint, Event, Failure, FailureKind, FoundBy, Negative, NegativeKind, Refresh, RefreshConfig,
    Resolution, Snapshot, Step, Timestamp,
};
use proptest::prelude::*;

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_elapsed(Duration::from_secs_f64(seconds))
}

/// `web-<pod>` at `10.0.0.<ip>`; pod 255 stands for an address without a name.
fn endpoint((pod, ip): (u8, u8)) -> Endpoint {
    let endpoint = Endpoint::new(([10, 0, 0, ip], 80).into());
    if pod == 255 {
        endpoint
    } else {
        endpoint.with_pod(format!("web-{pod}").parse().unwrap())
    }
}

fn answer(pods: &[(u8, u8)]) -> Answer {
    Answer::new(
        pods.iter().copied().map(endpoint).collect(),
        Duration::from_secs(5),
        FoundBy::NamedPort,
    )
}

fn found(pods: &[(u8, u8)]) -> Resolution {
    Resolution::Found(answer(pods))
}

/// Returns `web-0`, with a TTL of `ttl` seconds.
fn with_ttl(ttl: f64) -> Resolution {
    let mut answer = answer(&[(0, 1)]);
    answer.ttl = Duration::from_secs_f64(ttl);
    Resolution::Found(answer)
}

fn nothing(kind: NegativeKind) -> Resolution {
    Resolution::NoEndpoints(Negative::new(
        kind,
        Some(Duration::from_secs(30)),
        "A web.shop.svc.cluster.local.",
    ))
}

fn failed(kind: FailureKind) -> Resolution {
    Resolution::Failed(Failure::new(kind, "injected"))
}

fn pods(snapshot: &Snapshot) -> Vec<String> {
    snapshot
        .iter()
        .map(|e| format!("{}@{}", e.pod().map_or("?", |p| p.as_str()), e.addr().ip()))
        .collect()
}

/// Returns a refresh that has found `pods` at second 0.
fn knowing(pods: &[(u8, u8)]) -> Refresh {
    let mut refresh = Refresh::new(RefreshConfig::default());
    let step = refresh.on(found(pods), at(0.0), 0);
    assert_eq!(step.event, Event::Found);
    refresh
}

fn is(step: &Step, event: Event, changed_to: Option<&[&str]>) {
    assert_eq!(step.event, event);
    assert_eq!(
        step.snapshot.as_deref().map(pods),
        changed_to.map(|p| p.iter().map(ToString::to_string).collect())
    );
}

#[test]
fn pods_found_few_or_none_missing() {
    let mut refresh = knowing(&[(0, 1), (1, 2), (2, 3)]);
    is(
        &refresh.on(found(&[(2, 3), (1, 2), (0, 1)]), at(5.0), 0),
        Event::Found,
        None,
    );
    is(
        &refresh.on(found(&[(0, 1), (1, 2), (3, 4)]), at(10.0), 0),
        Event::Found,
        Some(&["web-0@10.0.0.1", "web-1@10.0.0.2", "web-3@10.0.0.4"]),
    );
    assert_eq!(
        refresh.snapshot().generation().get(),
        2,
        "one generation per change, none for the repeat"
    );
}

#[test]
fn endpoints_that_stay_are_shared_between_snapshots() {
    let mut refresh = knowing(&[(0, 1), (1, 2)]);
    let before = Arc::clone(refresh.snapshot());
    refresh.on(found(&[(0, 1), (1, 2), (2, 3)]), at(5.0), 0);
    let key = endpoint((0, 1)).key().clone();
    assert!(Arc::ptr_eq(
        before.get(&key).unwrap(),
        refresh.snapshot().get(&key).unwrap()
    ));
}

#[test]
fn the_next_lookup_follows_the_ttl_within_its_bounds_and_jitters() {
    for (ttl, entropy, next) in [
        (0.0, 0, 1.0),
        (3.0, 0, 3.0),
        (30.0, 0, 5.0),
        (86_400.0, 0, 5.0),
        (1e15, 0, 5.0),
        (3.0, u64::MAX, 3.3),
    ] {
        let mut refresh = Refresh::new(RefreshConfig::default());
        refresh.on(with_ttl(ttl), at(0.0), 0);
        refresh.on(with_ttl(ttl), at(1e3), entropy);
        let wait = refresh.next_poll().since(at(1e3)).as_secs_f64();
        assert!((wait - next).abs() < 1e-6, "TTL {ttl}: {wait} != {next}");
    }
}

#[test]
fn the_same_ttl_each_time_is_no_cache_and_is_polled_often() {
    let mut refresh = Refresh::new(RefreshConfig::default());
    for lookup in 0..20 {
        let now = f64::from(lookup) * 5.0;
        refresh.on(with_ttl(30.0), at(now), 0);
        assert_eq!(refresh.next_poll(), at(now + 5.0));
        assert!(!refresh.state().cached);
    }
}

#[test]
fn an_aged_ttl_is_a_caches_and_is_waited_for() {
    let mut refresh = Refresh::new(RefreshConfig::default());
    let mut lookups = 0;
    let mut now = 0.0;
    while now < 300.0 {
        // A cache that is filled by this client's lookup, at multiples of 30 s or just after.
        refresh.on(with_ttl(30.0 - now % 30.0), at(now), 0);
        lookups += 1;
        now = refresh.next_poll().since(at(0.0)).as_secs_f64();
    }
    assert_eq!(
        lookups, 20,
        "two per TTL: one that fills the cache, one that shows that there is one"
    );

    refresh.on(with_ttl(30.0), at(300.0), 0);
    refresh.on(with_ttl(25.0), at(305.0), u64::MAX);
    assert!(refresh.state().cached);
    let wait = refresh.next_poll().since(at(305.0)).as_secs_f64();
    assert!((29.999..=30.0).contains(&wait), "25 s and up to 5 s of jitter: {wait}");
}

#[test]
fn a_cached_ttl_is_waited_for_no_longer_than_allowed() {
    let mut refresh = Refresh::new(RefreshConfig::default());
    refresh.on(with_ttl(86_400.0), at(0.0), 0);
    refresh.on(with_ttl(86_395.0), at(5.0), 0);
    assert_eq!(refresh.next_poll(), at(35.0), "max_cached_poll");

    let mut config = RefreshConfig::default();
    config.max_cached_poll = Duration::ZERO;
    let mut refresh = Refresh::new(config);
    refresh.on(with_ttl(30.0), at(0.0), 0);
    refresh.on(with_ttl(25.0), at(5.0), 0);
    assert_eq!(refresh.next_poll(), at(10.0), "the detection can be switched off");
}

#[test]
fn a_ttl_that_was_lowered_is_taken_for_a_cache_only_for_a_while() {
    let mut refresh = Refresh::new(RefreshConfig::default());
    refresh.on(with_ttl(60.0), at(0.0), 0);
    let cached = (1..=20).map(|lookup| {
        refresh.on(with_ttl(30.0), at(f64::from(lookup) * 100.0), 0);
        refresh.state().cached
    });
    assert_eq!(cached.collect::<Vec<_>>(), [vec![true; 8], vec![false; 12]].concat());
}

#[test]
fn behind_a_cache_requested_lookups_are_rarer() {
    let mut refresh = Refresh::new(RefreshConfig::default());
    refresh.on(with_ttl(30.0), at(0.0), 0);
    refresh.on(with_ttl(25.0), at(5.0), 0);
    refresh.request_reresolution(at(6.0));
    assert_eq!(
        refresh.next_poll(),
        at(10.0),
        "it may be one of several caches: 5 s after the last lookup"
    );
    refresh.on(failed(FailureKind::Timeout), at(10.0), 0);
    refresh.request_reresolution(at(10.1));
    assert_eq!(
        refresh.next_poll(),
        at(10.2),
        "a failure is no cache's answer: the back-off is sooner"
    );
    for _ in 0..8 {
        refresh.on(failed(FailureKind::Timeout), at(11.0), 0);
    }
    refresh.request_reresolution(at(11.1));
    assert_eq!(refresh.next_poll(), at(12.0));
}

#[test]
fn the_wait_after_the_start_is_drawn_from_its_whole_length() {
    for resolution in [found(&[(0, 1)]), nothing(NegativeKind::NoSuchName)] {
        let mut waits = (0..10u64).map(|tenth| {
            let mut refresh = Refresh::new(RefreshConfig::default());
            refresh.on(resolution.clone(), at(0.0), u64::MAX / 10 * tenth);
            refresh.next_poll().since(at(0.0)).as_secs_f64()
        });
        for (tenth, wait) in (0..10).zip(&mut waits) {
            let due = 0.01 + 4.99 * (1.0 - 0.1 * f64::from(tenth));
            assert!((wait - due).abs() < 1e-6, "{wait} != {due}");
        }
    }
    let mut refresh = Refresh::new(RefreshConfig::default());
    refresh.on(found(&[(0, 1)]), at(0.0), u64::MAX);
    assert_eq!(
        refresh.next_poll(),
        at(0.01),
        "however small the draw, the next lookup lies ahead"
    );
    refresh.on(found(&[(0, 1)]), at(0.01), u64::MAX);
    assert!(refresh.next_poll() > at(5.0), "once is enough");
}

#[test]
fn the_wait_after_a_requested_lookup_is_drawn_from_its_whole_length() {
    let mut refresh = knowing(&[(0, 1)]);
    refresh.request_reresolution(at(2.0));
    refresh.on(found(&[(0, 1)]), at(2.0), 1 << 63);
    assert_eq!(
        refresh.next_poll(),
        at(5.0),
        "from min_reresolve_interval to the whole wait"
    );
    refresh.on(found(&[(0, 1)]), at(5.0), 1 << 63);
    assert_eq!(refresh.next_poll(), at(10.25), "an ordinary wait again");
}

#[test]
fn an_answer_above_the_limit_is_refused_and_the_set_kept() {
    let mut config = RefreshConfig::default();
    config.max_endpoints = 2;
    let mut refresh = Refresh::new(config);
    refresh.on(found(&[(0, 1), (1, 2)]), at(0.0), 0);
    is(
        &refresh.on(found(&[(5, 5), (6, 6), (7, 7)]), at(5.0), 0),
        Event::TooMany,
        None,
    );
    assert_eq!(pods(refresh.snapshot()), ["web-0@10.0.0.1", "web-1@10.0.0.2"]);
    let state = refresh.state();
    assert_eq!((state.failures, state.last_good), (1, Some(at(0.0))));
    assert_eq!(
        state.last_failure.unwrap().failure.to_string(),
        "DNS answer too large: the answer has 3 endpoints, and `max_endpoints` allows 2"
    );
    is(&refresh.on(found(&[(0, 1), (1, 2)]), at(6.0), 0), Event::Found, None);
    assert_eq!(refresh.state().failures, 0);
}

#[test]
fn an_answer_above_the_limit_at_the_start_leaves_nothing_known() {
    let mut refresh = Refresh::new(RefreshConfig::default());
    let pods = (0..10_001).map(|i: u32| Endpoint::new((std::net::Ipv4Addr::from_bits(0x0a00_0000 + i), 80).into()));
    let answer = Answer::new(pods.collect(), Duration::from_secs(5), FoundBy::Addresses);
    is(&refresh.on(Resolution::Found(answer), at(0.0), 0), Event::TooMany, None);
    assert_eq!(refresh.snapshot().generation().get(), 0);
    assert!(refresh.next_poll() > at(0.0));
    let failure = refresh.state().last_failure.unwrap().failure;
    assert_eq!(failure.kind, FailureKind::TooLarge);
    assert!(
        failure.detail.contains("10001") && failure.detail.contains("`max_endpoints`"),
        "{failure}"
    );
}

#[test]
fn truncated_answers_do_not_add_up_beyond_the_limit() {
    let mut config = RefreshConfig::default();
    config.max_endpoints = 3;
    let mut refresh = Refresh::new(config);
    refresh.on(found(&[(0, 1), (1, 2)]), at(0.0), 0);
    let truncated = |pods: &[(u8, u8)]| Resolution::Found(answer(pods).truncated());
    assert_eq!(
        refresh.on(truncated(&[(2, 3), (1, 2)]), at(1.0), 0).event,
        Event::Truncated
    );
    assert_eq!(
        refresh.on(truncated(&[(0, 1), (1, 2)]), at(2.0), 0).event,
        Event::Truncated
    );
    is(&refresh.on(truncated(&[(3, 4)]), at(3.0), 0), Event::TooMany, None);
    assert_eq!(refresh.snapshot().len(), 3);
}

#[test]
fn a_gap_in_the_ordinals_renumbers_no_pod() {
    let ordinals = |refresh: &Refresh| -> Vec<_> {
        let numbers = refresh.snapshot().iter().map(|e| e.ordinal().unwrap().get());
        numbers.collect()
    };
    let mut refresh = knowing(&[(0, 1), (1, 2), (2, 3)]);
    refresh.on(found(&[(0, 1), (2, 3)]), at(5.0), 0);
    assert_eq!(ordinals(&refresh), [0, 2], "web-1 is not ready; web-2 is still web-2");
    refresh.on(found(&[(0, 1), (1, 9), (2, 3)]), at(10.0), 0);
    assert_eq!(ordinals(&refresh), [0, 1, 2]);
}

#[test]
fn two_sets_under_one_service_are_told_apart_by_name() {
    let both = |ips: [u8; 2]| {
        let pods = ["blue-0", "green-0"].into_iter().zip(ips);
        let pods = pods.map(|(pod, ip)| Endpoint::new(([10, 0, 0, ip], 80).into()).with_pod(pod.parse().unwrap()));
        Resolution::Found(Answer::new(pods.collect(), Duration::from_secs(5), FoundBy::NamedPort))
    };
    let mut refresh = Refresh::new(RefreshConfig::default());
    is(
        &refresh.on(both([1, 2]), at(0.0), 0),
        Event::Found,
        Some(&["blue-0@10.0.0.1", "green-0@10.0.0.2"]),
    );
    let step = refresh.on(both([2, 1]), at(5.0), 0);
    is(&step, Event::Found, Some(&["blue-0@10.0.0.2", "green-0@10.0.0.1"]));
}

#[test]
fn one_pod_with_several_addresses_is_several_endpoints() {
    let mut refresh = knowing(&[(0, 1), (0, 2), (1, 3)]);
    let step = refresh.on(found(&[(0, 2), (1, 3)]), at(5.0), 0);
    is(&step, Event::Found, Some(&["web-0@10.0.0.2", "web-1@10.0.0.3"]));
}

#[test]
fn an_answer_about_another_name_is_a_failure_that_keeps_the_set() {
    let mut refresh = knowing(&[(0, 1), (1, 2)]);
    is(
        &refresh.on(failed(FailureKind::Foreign), at(5.0), 0),
        Event::FailureKept,
        None,
    );
    let last = refresh.state().last_failure.unwrap();
    assert_eq!((last.at, last.failure.kind), (at(5.0), FailureKind::Foreign));
    assert_eq!(refresh.next_poll(), at(5.2));
}

#[test]
fn an_answer_without_endpoints_is_a_negative() {
    let mut refresh = knowing(&[(0, 1)]);
    is(&refresh.on(found(&[]), at(5.0), 0), Event::NegativeKept, None);
}

#[test]
fn a_truncated_answer_adds_and_never_removes() {
    let mut refresh = knowing(&[(0, 1), (1, 2), (2, 3)]);
    let step = refresh.on(Resolution::Found(answer(&[(3, 4)]).truncated()), at(5.0), 0);
    is(
        &step,
        Event::Truncated,
        Some(&["web-0@10.0.0.1", "web-1@10.0.0.2", "web-2@10.0.0.3", "web-3@10.0.0.4"]),
    );
}

#[test]
fn a_truncated_answer_still_shows_that_an_address_is_another_pods() {
    let mut refresh = knowing(&[(0, 1), (1, 2), (2, 3)]);
    let step = refresh.on(Resolution::Found(answer(&[(7, 1)]).truncated()), at(5.0), 0);
    is(
        &step,
        Event::Truncated,
        Some(&["web-1@10.0.0.2", "web-2@10.0.0.3", "web-7@10.0.0.1"]),
    );
}

#[test]
fn more_than_half_missing_waits_for_a_second_answer() {
    let mut refresh = knowing(&[(0, 1), (1, 2), (2, 3), (3, 4)]);
    is(
        &refresh.on(found(&[(0, 1), (9, 9)]), at(5.0), 0),
        Event::ShrinkHeld,
        Some(&[
            "web-0@10.0.0.1",
            "web-1@10.0.0.2",
            "web-2@10.0.0.3",
            "web-3@10.0.0.4",
            "web-9@10.0.0.9",
        ]),
    );
    assert_eq!(refresh.next_poll(), at(6.0), "the second answer is asked for soon");
    is(
        &refresh.on(found(&[(0, 1), (9, 9)]), at(6.0), 0),
        Event::Released,
        Some(&["web-0@10.0.0.1", "web-9@10.0.0.9"]),
    );
}

#[test]
fn a_drop_that_the_second_answer_takes_back_removes_nothing() {
    let all = [(0, 1), (1, 2), (2, 3), (3, 4)];
    let mut refresh = knowing(&all);
    is(&refresh.on(found(&[(0, 1)]), at(5.0), 0), Event::ShrinkHeld, None);
    is(&refresh.on(found(&all), at(6.0), 0), Event::Released, None);
    assert_eq!(refresh.state().held, 0);
}

#[test]
fn a_drop_to_half_or_from_two_is_applied_at_once() {
    let mut refresh = knowing(&[(0, 1), (1, 2), (2, 3), (3, 4)]);
    is(
        &refresh.on(found(&[(0, 1), (1, 2)]), at(5.0), 0),
        Event::Found,
        Some(&["web-0@10.0.0.1", "web-1@10.0.0.2"]),
    );
    is(
        &refresh.on(found(&[(0, 1)]), at(10.0), 0),
        Event::Found,
        Some(&["web-0@10.0.0.1"]),
    );
}

#[test]
fn every_pod_replaced_keeps_the_old_until_a_new_one_is_connected() {
    let mut refresh = knowing(&[(255, 1), (255, 2)]);
    let step = refresh.on(found(&[(255, 8), (255, 9)]), at(5.0), 0);
    is(
        &step,
        Event::ReplaceHeld,
        Some(&["?@10.0.0.1", "?@10.0.0.2", "?@10.0.0.8", "?@10.0.0.9"]),
    );
    is(
        &refresh.on(found(&[(255, 8), (255, 9)]), at(7.0), 0),
        Event::Found,
        None,
    );
    assert_eq!(
        refresh.on_connected(endpoint((255, 1)).key()),
        None,
        "an old pod proves nothing about the new"
    );
    let step = refresh.on_connected(endpoint((255, 8)).key()).unwrap();
    is(&step, Event::Released, Some(&["?@10.0.0.8", "?@10.0.0.9"]));
    assert_eq!(refresh.on_connected(endpoint((255, 9)).key()), None);
}

#[test]
fn every_pod_replaced_keeps_the_old_no_longer_than_replace_hold() {
    let mut refresh = knowing(&[(255, 1), (255, 2)]);
    refresh.on(found(&[(255, 8)]), at(5.0), 0);
    assert_eq!(refresh.next_tick(), Some(at(15.0)));
    assert_eq!(refresh.tick(at(14.9)), None);
    is(&refresh.tick(at(15.0)).unwrap(), Event::Released, Some(&["?@10.0.0.8"]));
    assert_eq!(refresh.next_tick(), None);
}

#[test]
fn the_same_pods_in_the_other_address_family_do_not_take_the_known_ones_away() {
    let mut refresh = knowing(&[(0, 1), (1, 2), (2, 3)]);
    let v6 = |k: u16| {
        let endpoint = Endpoint::new((std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, k), 80).into());
        endpoint.with_pod(format!("web-{k}").parse().unwrap())
    };
    let in_v6 = || {
        Resolution::Found(Answer::new(
            (0..3).map(v6).collect(),
            Duration::from_secs(5),
            FoundBy::PodNames,
        ))
    };
    let step = refresh.on(in_v6(), at(5.0), 0);
    assert_eq!(
        (step.event, refresh.snapshot().len()),
        (Event::ReplaceHeld, 6),
        "made before broken"
    );
    for second in 1..100 {
        refresh.on(in_v6(), at(5.0 + f64::from(second)), 0);
        assert_eq!(
            refresh.tick(at(5.0 + f64::from(second))),
            None,
            "no deadline: IPv6 may not be routed at all"
        );
    }
    // IPv4 is back: no endpoint was removed, and the IPv6 ones go when a second answer agrees.
    let v4 = [(0, 1), (1, 2), (2, 3)];
    is(&refresh.on(found(&v4), at(200.0), 0), Event::ShrinkHeld, None);
    let step = refresh.on(found(&v4), at(201.0), 0);
    is(
        &step,
        Event::Released,
        Some(&["web-0@10.0.0.1", "web-1@10.0.0.2", "web-2@10.0.0.3"]),
    );
}

#[test]
fn the_other_address_family_takes_over_once_it_has_been_connected_to() {
    let mut refresh = knowing(&[(0, 1)]);
    let v6 = Endpoint::new((std::net::Ipv6Addr::LOCALHOST, 80).into()).with_pod("web-0".parse().unwrap());
    let answer = Answer::new(vec![v6.clone()], Duration::from_secs(5), FoundBy::PodNames);
    assert_eq!(
        refresh.on(Resolution::Found(answer), at(5.0), 0).event,
        Event::ReplaceHeld
    );
    is(
        &refresh.on_connected(v6.key()).unwrap(),
        Event::Released,
        Some(&["web-0@::1"]),
    );
}

#[test]
fn a_pod_under_a_new_address_replaces_itself_at_once() {
    let mut refresh = knowing(&[(0, 1), (1, 2), (2, 3)]);
    let step = refresh.on(found(&[(0, 7), (1, 8), (2, 9)]), at(5.0), 0);
    is(
        &step,
        Event::Found,
        Some(&["web-0@10.0.0.7", "web-1@10.0.0.8", "web-2@10.0.0.9"]),
    );
}

#[test]
fn a_reused_address_closes_the_old_endpoint_at_once_even_while_it_is_held() {
    let mut refresh = knowing(&[(0, 1), (1, 2), (2, 3), (3, 4)]);
    refresh.on(found(&[(0, 1)]), at(5.0), 0);
    let step = refresh.on(Resolution::Found(answer(&[(9, 3)]).truncated()), at(5.5), 0);
    is(
        &step,
        Event::Truncated,
        Some(&["web-0@10.0.0.1", "web-1@10.0.0.2", "web-3@10.0.0.4", "web-9@10.0.0.3"]),
    );
}

#[test]
fn nothing_found_and_nothing_known_is_published_as_empty() {
    let mut refresh = Refresh::new(RefreshConfig::default());
    is(
        &refresh.on(nothing(NegativeKind::NoSuchName), at(0.0), 0),
        Event::Empty,
        Some(&[]),
    );
    assert_eq!(refresh.next_poll(), at(5.0), "the negative TTL of 30 s, clamped");
    is(
        &refresh.on(nothing(NegativeKind::NoSuchName), at(5.0), 0),
        Event::Empty,
        None,
    );
    is(
        &refresh.on(found(&[(0, 1)]), at(10.0), 0),
        Event::Found,
        Some(&["web-0@10.0.0.1"]),
    );
}

#[test]
fn no_such_name_empties_a_known_set_only_after_three_in_a_row_over_fifteen_seconds() {
    for kind in [NegativeKind::NoSuchName, NegativeKind::NoData] {
        let mut refresh = knowing(&[(0, 1)]);
        for second in 1..=15 {
            is(
                &refresh.on(nothing(kind), at(f64::from(second)), 0),
                Event::NegativeKept,
                None,
            );
            assert_eq!(
                refresh.next_poll(),
                at(f64::from(second) + 5.0),
                "a storm costs no more than calm"
            );
        }
        is(&refresh.on(nothing(kind), at(16.0), 0), Event::Emptied, Some(&[]));
    }
}

#[test]
fn long_enough_but_too_few_negatives_keep_the_set() {
    let mut refresh = knowing(&[(0, 1)]);
    is(
        &refresh.on(nothing(NegativeKind::NoSuchName), at(1.0), 0),
        Event::NegativeKept,
        None,
    );
    is(
        &refresh.on(nothing(NegativeKind::NoSuchName), at(60.0), 0),
        Event::NegativeKept,
        None,
    );
    is(
        &refresh.on(nothing(NegativeKind::NoSuchName), at(61.0), 0),
        Event::Emptied,
        Some(&[]),
    );
}

#[test]
fn one_positive_answer_ends_the_run_of_negatives() {
    let mut refresh = knowing(&[(0, 1)]);
    refresh.on(nothing(NegativeKind::NoSuchName), at(1.0), 0);
    refresh.on(nothing(NegativeKind::NoSuchName), at(20.0), 0);
    is(&refresh.on(found(&[(0, 1)]), at(21.0), 0), Event::Found, None);
    is(
        &refresh.on(nothing(NegativeKind::NoSuchName), at(22.0), 0),
        Event::NegativeKept,
        None,
    );
    is(
        &refresh.on(nothing(NegativeKind::NoSuchName), at(60.0), 0),
        Event::NegativeKept,
        None,
    );
}

#[test]
fn negatives_can_be_told_to_keep_for_ever() {
    let mut config = RefreshConfig::default();
    config.negatives = u32::MAX;
    let mut refresh = Refresh::new(config);
    refresh.on(found(&[(0, 1)]), at(0.0), 0);
    for hour in 1..50 {
        is(
            &refresh.on(nothing(NegativeKind::NoSuchName), at(3600.0 * f64::from(hour)), 0),
            Event::NegativeKept,
            None,
        );
    }
}

#[test]
fn no_failure_of_any_kind_shrinks_the_set() {
    let mut refresh = knowing(&[(0, 1), (1, 2)]);
    for (i, kind) in FailureKind::ALL.iter().copied().cycle().take(1000).enumerate() {
        is(&refresh.on(failed(kind), at(i as f64), 0), Event::FailureKept, None);
    }
    assert_eq!(refresh.snapshot().len(), 2);
}

#[test]
fn failures_are_retried_with_growing_jittered_waits() {
    let mut refresh = knowing(&[(0, 1)]);
    let mut now = 5.0;
    for wait in [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0] {
        for (entropy, factor) in [(0, 0.8), (u64::MAX, 1.2)] {
            let mut twin = knowing(&[(0, 1)]);
            for _ in 0..refresh.state().failures {
                twin.on(failed(FailureKind::Timeout), at(now), 0);
            }
            twin.on(failed(FailureKind::Timeout), at(now), entropy);
            let seen = twin.next_poll().since(at(now)).as_secs_f64();
            assert!((seen - wait * factor).abs() < 1e-6, "{seen} != {wait} × {factor}");
        }
        refresh.on(failed(FailureKind::Timeout), at(now), 0);
        now += 1.0;
    }
    refresh.on(found(&[(0, 1)]), at(now), 0);
    assert_eq!(refresh.state().failures, 0, "a success resets the back-off");
}

#[test]
fn a_set_may_be_told_to_go_stale() {
    let mut config = RefreshConfig::default();
    config.max_stale = Some(Duration::from_secs(60));
    let mut refresh = Refresh::new(config);
    refresh.on(found(&[(0, 1)]), at(0.0), 0);
    refresh.on(failed(FailureKind::Timeout), at(59.0), 0);
    assert_eq!(refresh.next_tick(), Some(at(60.0)));
    assert_eq!(refresh.tick(at(59.9)), None);
    is(&refresh.tick(at(60.0)).unwrap(), Event::Stale, Some(&[]));
    assert_eq!(refresh.next_tick(), None);
}

#[test]
fn a_failed_connection_brings_the_lookup_forward_but_at_most_once_a_second() {
    let mut refresh = knowing(&[(0, 1)]);
    refresh.request_reresolution(at(0.2));
    assert_eq!(refresh.next_poll(), at(1.0), "not within a second of the last lookup");
    refresh.on(found(&[(0, 1)]), at(1.0), 0);
    refresh.request_reresolution(at(3.0));
    assert_eq!(refresh.next_poll(), at(3.0), "long enough ago: at once");
    refresh.request_reresolution(at(3.5));
    assert_eq!(refresh.next_poll(), at(3.0), "never later than it was");
}

#[derive(Clone, Debug)]
enum Input {
    Found(Vec<(u8, u8)>, u64),
    Truncated(Vec<(u8, u8)>),
    Failed(usize),
    Negative,
    Connected(u8, u8),
    Reresolve,
    Tick,
}

fn input() -> impl Strategy<Value = Input> {
    let pods = || proptest::collection::vec((0u8..8, 0u8..6), 1..8);
    prop_oneof![
        4 => (pods(), prop_oneof![Just(5), Just(30), 0u64..60, any::<u64>()]).prop_map(|(pods, ttl)| Input::Found(pods, ttl)),
        2 => pods().prop_map(Input::Truncated),
        3 => (0..FailureKind::ALL.len()).prop_map(Input::Failed),
        3 => Just(Input::Negative),
        1 => (0u8..8, 0u8..6).prop_map(|(pod, ip)| Input::Connected(pod, ip)),
        1 => Just(Input::Reresolve),
        2 => Just(Input::Tick),
    ]
}

proptest! {
    #[test]
    fn whatever_happens(inputs in proptest::collection::vec((input(), 0.1f64..20.0), 1..60), entropy in any::<u64>()) {
        let mut refresh = Refresh::new(RefreshConfig::default());
        let mut now = 0.0;
        for (input, pause) in inputs {
            now += pause;
            let before = Arc::clone(refresh.snapshot());
            let is_lookup = !matches!(input, Input::Connected(..) | Input::Reresolve | Input::Tick);
            let is_failure = matches!(input, Input::Failed(_));
            let listed = match &input { Input::Found(pods, _) | Input::Truncated(pods) => pods.clone(), _ => vec![] };
            let planned = refresh.next_poll();
            let is_reresolve = matches!(input, Input::Reresolve);
            let step = match input {
                Input::Found(pods, ttl) => {
                    let mut answer = answer(&pods);
                    answer.ttl = Duration::from_secs(ttl);
                    Some(refresh.on(Resolution::Found(answer), at(now), entropy))
                }
                Input::Truncated(pods) => Some(refresh.on(Resolution::Found(answer(&pods).truncated()), at(now), entropy)),
                Input::Failed(kind) => Some(refresh.on(failed(FailureKind::ALL[kind]), at(now), entropy)),
                Input::Negative => Some(refresh.on(nothing(NegativeKind::NoSuchName), at(now), entropy)),
                Input::Connected(pod, ip) => refresh.on_connected(endpoint((pod, ip)).key()),
                Input::Reresolve => {
                    refresh.request_reresolution(at(now));
                    None
                }
                Input::Tick => refresh.tick(at(now)),
            };
            let after = refresh.snapshot();
            if is_failure {
                prop_assert!(Arc::ptr_eq(&before, after), "I5: a failure never changes the set");
            }
            for pod in listed {
                prop_assert!(after.get(endpoint(pod).key()).is_some(), "what DNS lists is in the set at once");
            }
            let diff = step.as_ref().map(|step| step.diff.clone()).unwrap_or_default();
            let published = step.and_then(|step| step.snapshot);
            let expected = Diff::between(&before, after);
            prop_assert_eq!(diff.hunks(), expected.hunks(), "the step has the difference");
            prop_assert_eq!(diff.added(), expected.added());
            prop_assert_eq!(published.is_some(), !Arc::ptr_eq(&before, after), "a change is published, nothing else is");
            if published.is_some() {
                prop_assert_eq!(after.generation(), before.generation().next(), "generations only grow, by one");
                let first = before.generation().get() == 0;
                prop_assert!(first || !after.same_endpoints(&before), "published only on change");
            }
            let keys: Vec<_> = after.iter().map(|e| e.key().clone()).collect();
            prop_assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "sorted, each once");
            if is_lookup {
                prop_assert!(refresh.next_poll() > at(now), "the next lookup lies ahead");
                let furthest = if refresh.state().cached { 35.0 } else { 6.0 };
                prop_assert!(refresh.next_poll() <= at(now + furthest), "and not far");
            }
            if is_reresolve {
                prop_assert!(refresh.next_poll() <= planned, "evidence never delays a lookup");
            }
        }
    }
}
