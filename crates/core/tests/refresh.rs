//! One test per row of the table in `refresh.rs`, with time written down, and the properties that hold over all rows.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::sync::Arc;
use std::time::Duration;

use headless_core::{
    Answer, Endpoint, Event, Failure, FailureKind, FoundBy, Negative, NegativeKind, Refresh, RefreshConfig, Resolution,
    Snapshot, Step, Timestamp,
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

fn nothing(kind: NegativeKind) -> Resolution {
    Resolution::None(Negative::new(
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

/// A refresh that knows `pods` since second 0.
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
fn the_next_look_follows_the_ttl_within_its_bounds_and_jitters() {
    for (ttl, entropy, next) in [
        (0.0, 0, 1.0),
        (3.0, 0, 3.0),
        (30.0, 0, 5.0),
        (86_400.0, 0, 5.0),
        (3.0, u64::MAX, 3.3),
    ] {
        let mut refresh = Refresh::new(RefreshConfig::default());
        let mut answer = answer(&[(0, 1)]);
        answer.ttl = Duration::from_secs_f64(ttl);
        refresh.on(Resolution::Found(answer), at(0.0), entropy);
        let wait = refresh.next_poll().since(at(0.0)).as_secs_f64();
        assert!((wait - next).abs() < 1e-6, "TTL {ttl}: {wait} != {next}");
    }
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
fn a_drop_that_the_second_answer_takes_back_removed_nobody() {
    let all = [(0, 1), (1, 2), (2, 3), (3, 4)];
    let mut refresh = knowing(&all);
    is(&refresh.on(found(&[(0, 1)]), at(5.0), 0), Event::ShrinkHeld, None);
    is(&refresh.on(found(&all), at(6.0), 0), Event::Released, None);
    assert_eq!(refresh.belief().held, 0);
}

#[test]
fn a_drop_to_half_or_from_two_is_believed_at_once() {
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
            assert_eq!(refresh.next_poll(), at(f64::from(second) + 1.0));
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
            for _ in 0..refresh.belief().failures {
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
    assert_eq!(refresh.belief().failures, 0, "a success resets the back-off");
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
fn a_failed_connection_brings_the_look_forward_but_at_most_once_a_second() {
    let mut refresh = knowing(&[(0, 1)]);
    refresh.look_soon(at(0.2));
    assert_eq!(refresh.next_poll(), at(1.0), "not within a second of the last look");
    refresh.on(found(&[(0, 1)]), at(1.0), 0);
    refresh.look_soon(at(3.0));
    assert_eq!(refresh.next_poll(), at(3.0), "long enough ago: at once");
    refresh.look_soon(at(3.5));
    assert_eq!(refresh.next_poll(), at(3.0), "never later than it was");
}

#[derive(Clone, Debug)]
enum Input {
    Found(Vec<(u8, u8)>),
    Truncated(Vec<(u8, u8)>),
    Failed(usize),
    Negative,
    Connected(u8, u8),
    Tick,
}

fn input() -> impl Strategy<Value = Input> {
    let pods = || proptest::collection::vec((0u8..8, 0u8..6), 1..8);
    prop_oneof![
        4 => pods().prop_map(Input::Found),
        2 => pods().prop_map(Input::Truncated),
        3 => (0..FailureKind::ALL.len()).prop_map(Input::Failed),
        3 => Just(Input::Negative),
        1 => (0u8..8, 0u8..6).prop_map(|(pod, ip)| Input::Connected(pod, ip)),
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
            let is_lookup = !matches!(input, Input::Connected(..) | Input::Tick);
            let is_failure = matches!(input, Input::Failed(_));
            let listed = match &input { Input::Found(pods) | Input::Truncated(pods) => pods.clone(), _ => vec![] };
            let step = match input {
                Input::Found(pods) => Some(refresh.on(found(&pods), at(now), entropy)),
                Input::Truncated(pods) => Some(refresh.on(Resolution::Found(answer(&pods).truncated()), at(now), entropy)),
                Input::Failed(kind) => Some(refresh.on(failed(FailureKind::ALL[kind]), at(now), entropy)),
                Input::Negative => Some(refresh.on(nothing(NegativeKind::NoSuchName), at(now), entropy)),
                Input::Connected(pod, ip) => refresh.on_connected(endpoint((pod, ip)).key()),
                Input::Tick => refresh.tick(at(now)),
            };
            let after = refresh.snapshot();
            if is_failure {
                prop_assert!(Arc::ptr_eq(&before, after), "I5: a failure never changes the set");
            }
            for pod in listed {
                prop_assert!(after.get(endpoint(pod).key()).is_some(), "what DNS lists is in the set at once");
            }
            let published = step.and_then(|step| step.snapshot);
            prop_assert_eq!(published.is_some(), !Arc::ptr_eq(&before, after), "a change is published, nothing else is");
            if published.is_some() {
                prop_assert_eq!(after.generation(), before.generation().next(), "generations only grow, by one");
                let first = before.generation().get() == 0;
                prop_assert!(first || !after.same_endpoints(&before), "published only on change");
            }
            let keys: Vec<_> = after.iter().map(|e| e.key().clone()).collect();
            prop_assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "sorted, each once");
            if is_lookup {
                prop_assert!(refresh.next_poll() > at(now), "the next look lies ahead");
                prop_assert!(refresh.next_poll() <= at(now + 6.0), "and not far");
            }
        }
    }
}
