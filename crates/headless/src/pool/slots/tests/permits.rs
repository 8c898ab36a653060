//! One limit over several pods: every connection and every dial holds one permit, and gives it back
//! once, however it ends.

use super::*;

/// As many pods as there are limits, sharing so many permits.
fn pods(permits: usize, limits: &[Limits]) -> (Arc<Permits>, Vec<Pool>) {
    let permits = Arc::new(Permits::new(permits));
    let pods = limits
        .iter()
        .map(|limits| Pool::with_permits(*limits, Some(&permits)))
        .collect();
    (permits, pods)
}

fn sum(pods: &[Pool]) -> usize {
    pods.iter()
        .map(|pod| {
            let (idle, busy, connecting) = pod.shape();
            idle + busy + connecting
        })
        .sum()
}

#[test]
fn permits_are_taken_up_to_the_limit() {
    let permits = Permits::new(2);
    assert!(permits.take() && permits.take());
    assert!(!permits.take() && !permits.any_left());
    permits.set_awaited(3);
    assert!(permits.is_awaited() && !permits.take());
    assert_eq!(permits.used(), 2, "a waiter holds none");
    permits.give(1);
    assert!(permits.any_left() && permits.take());
    permits.give(2);
    permits.set_awaited(0);
    assert!(permits.any_left() && !permits.is_awaited());
    assert_eq!(permits.used(), 0);
}

#[test]
fn a_dial_that_finds_no_permit_says_so() {
    let (permits, mut pods) = pods(1, &[LIMITS, LIMITS]);
    pods[0].wait('a');
    assert_eq!((pods[0].dials(), pods[0].needs_permit()), (1, false));
    pods[1].wait('b');
    assert_eq!((pods[1].dials(), pods[1].needs_permit()), (0, true));
    assert_eq!(permits.used(), 1);
}

#[test]
fn at_its_own_limit_an_endpoint_does_not_ask_for_a_permit() {
    let (_, mut pods) = pods(
        1,
        &[Limits {
            connections: 1,
            ..LIMITS
        }],
    );
    pods[0].wait_all("ab");
    assert!(!pods[0].needs_permit(), "a permit would not help b");
}

#[test]
fn the_permits_used_are_the_sum_of_all_connections_and_dials() {
    let (permits, mut pods) = pods(
        4,
        &[
            LIMITS,
            Limits {
                multiplexed: true,
                streams: 2,
                ..LIMITS
            },
        ],
    );
    pods[0].open(1, NEVER);
    pods[0].open(2, NEVER);
    pods[1].wait_all("abc");
    assert_eq!((permits.used(), sum(&pods)), (4, 4));
    pods[1].dialled(3);
    pods[1].serve();
    pods[0].take().unwrap();
    assert_eq!(
        (permits.used(), sum(&pods)),
        (4, 4),
        "neither a dial's end nor a loan changes that"
    );
    assert!(!pods[0].slots.start_dial(&mut Effects::default()));
}

#[test]
fn however_a_connection_ends_its_permit_comes_back_once() {
    type Ending = fn(&mut Pool);
    let endings: [(&str, Limits, Ending); 14] = [
        ("closed on return", LIMITS, |pod| {
            let held = pod.take().unwrap();
            pod.end(held, End::Close(CloseReason::Cancelled));
        }),
        ("found ended by a caller", LIMITS, |pod| {
            pod.peers.dead.insert(1);
            assert!(pod.take().is_none());
        }),
        ("invalidated idle", LIMITS, Pool::invalidate_idle),
        ("invalidated while held", LIMITS, |pod| {
            let held = pod.take().unwrap();
            pod.invalidate_idle();
            pod.return_conn(held);
        }),
        ("closed idle", LIMITS, |pod| {
            pod.close();
        }),
        ("closed while held", LIMITS, |pod| {
            let held = pod.take().unwrap();
            pod.close();
            pod.return_conn(held);
        }),
        ("expired", LIMITS, |pod| pod.maintain(9)),
        ("evicted", LIMITS, |pod| assert!(pod.slots.evict_idle(&mut pod.out))),
        (
            "too old, and no room",
            Limits {
                connections: 1,
                ..LIMITS
            },
            |pod| {
                pod.now = at(100);
                pod.maintain(0);
                pod.dial_failed();
            },
        ),
        ("multiplexed: ended in use", multiplexed(LIMITS), |pod| {
            let held = pod.take().unwrap();
            pod.peers.dead.insert(1);
            pod.return_conn(held);
        }),
        ("multiplexed: invalidated", multiplexed(LIMITS), Pool::invalidate_idle),
        ("multiplexed: expired", multiplexed(LIMITS), |pod| pod.maintain(9)),
        ("multiplexed: evicted", multiplexed(LIMITS), |pod| {
            assert!(pod.slots.evict_idle(&mut pod.out))
        }),
        ("multiplexed: closed", multiplexed(LIMITS), |pod| {
            pod.close();
        }),
    ];
    for (ending, limits, end) in endings {
        let (permits, mut pods) = pods(5, &[limits]);
        let pod = &mut pods[0];
        pod.now = at(1);
        pod.open(1, at(50));
        assert_eq!(permits.used(), 1);
        end(pod);
        assert_eq!((permits.used(), pod.shape()), (0, (0, 0, 0)), "{ending}");
        assert_eq!(pod.closed().total(), 1, "{ending}");
    }
}

#[test]
fn a_dial_that_fails_or_ends_after_the_close_gives_its_permit_back() {
    let (permits, mut pods) = pods(5, &[LIMITS]);
    pods[0].wait_all("abc");
    assert_eq!(permits.used(), 3);
    pods[0].dial_failed();
    assert_eq!(permits.used(), 2);
    pods[0].close();
    pods[0].dialled(1);
    pods[0].dial_failed();
    assert_eq!(permits.used(), 0);
}

#[test]
fn a_pod_gives_way_with_what_has_been_idle_longest() {
    for streams in [1, 2] {
        let mut pod = Pool::with(Limits { streams, ..LIMITS }, 2);
        let held = pod.take().unwrap();
        pod.now = at(9);
        pod.return_conn(held);
        let idle_longest = 3 - held.0;
        assert!(pod.slots.evict_idle(&mut pod.out));
        assert_eq!(pod.dead(), [idle_longest]);
        pod.take().unwrap();
        assert!(!pod.slots.evict_idle(&mut pod.out), "what is used stays");
        assert_eq!((pod.closed().evicted, pod.closed().total()), (1, 1));
    }
}

#[test]
fn a_pod_whose_own_callers_wait_does_not_give_way() {
    let mut pod = Pool::with(
        Limits {
            connections: 1,
            multiplexed: true,
            streams: 2,
            ..LIMITS
        },
        1,
    );
    pod.peers.streams.insert(1, 0);
    pod.wait('a');
    assert!(!pod.slots.evict_idle(&mut pod.out));
}

#[test]
fn while_another_pod_waits_for_a_permit_what_comes_back_is_given_up() {
    for streams in [1, 2] {
        let (permits, mut pods) = pods(2, &[Limits { streams, ..LIMITS }]);
        let pod = &mut pods[0];
        pod.open(1, NEVER);
        let held = pod.take().unwrap();
        permits.set_awaited(1);
        assert!(!pod.slots.keeps(held.1, pod.now));
        assert!(is_closed(&pod.return_conn(held)));
        assert_eq!((permits.used(), pod.closed().evicted, pod.dials()), (0, 1, 0));
    }
}

#[test]
fn its_own_waiters_come_before_another_pod_that_waits() {
    let (permits, mut pods) = pods(1, &[LIMITS]);
    pods[0].open(1, NEVER);
    let held = pods[0].take().unwrap();
    pods[0].wait('a');
    permits.set_awaited(1);
    assert_eq!(handed(pods[0].return_conn(held)).0, 'a');
}

#[test]
fn a_stream_that_ends_beside_others_yields_nothing() {
    let (permits, mut pods) = pods(
        1,
        &[Limits {
            multiplexed: true,
            streams: 2,
            ..LIMITS
        }],
    );
    pods[0].open(1, NEVER);
    let held: Vec<Held> = std::iter::from_fn(|| pods[0].take()).collect();
    permits.set_awaited(1);
    pods[0].return_conn(held[0]);
    assert_eq!((permits.used(), pods[0].shape()), (1, (0, 1, 0)));
    let again = pods[0].take().expect("nothing is gained by sparing it");
    pods[0].return_conn(again);
    pods[0].return_conn(held[1]);
    assert_eq!((permits.used(), pods[0].shape()), (0, (0, 0, 0)));
}

#[test]
fn a_permit_that_comes_back_lets_the_waiting_pod_dial() {
    let (permits, mut pods) = pods(1, &[LIMITS, LIMITS]);
    pods[0].open(1, NEVER);
    pods[1].wait('a');
    assert!(pods[1].needs_permit());
    let pod = &mut pods[0];
    assert!(pod.slots.evict_idle(&mut pod.out));
    let pod = &mut pods[1];
    pod.slots.start_dials(&mut pod.out);
    assert_eq!((pod.dials(), pod.needs_permit()), (1, false));
    assert_eq!(handed(pod.dialled(2)).0, 'a');
    assert_eq!(permits.used(), 1);
}

#[test]
fn the_minimum_is_not_worth_a_permit_that_is_not_there() {
    let (permits, mut pods) = pods(2, &[Limits { min_idle: 3, ..LIMITS }]);
    pods[0].maintain(0);
    assert_eq!((pods[0].dials(), permits.used()), (2, 2));
    assert!(!pods[0].needs_permit(), "no other pod is asked to give way for it");
}

#[test]
fn a_connection_that_is_too_old_makes_room_for_its_replacement_where_no_permit_is_left() {
    let (permits, mut pods) = pods(1, &[LIMITS]);
    pods[0].open(1, at(5));
    pods[0].now = at(5);
    pods[0].maintain(0);
    assert_eq!((pods[0].dead(), pods[0].dials(), permits.used()), (vec![1], 1, 1));
}
