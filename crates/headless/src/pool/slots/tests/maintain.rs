//! Unused connections, one test for each rule: the minimum, expiry, and checks. Their lifetime is
//! in `lifetime.rs`.

use std::time::Duration;

use super::*;

/// A validation is due after ten.
const VALIDATED: Limits = Limits {
    validate_after_idle: Some(Duration::from_nanos(10)),
    ..LIMITS
};

fn rest(pool: &mut Pool, before: u64) -> Option<(u32, Slot, Timestamp)> {
    pool.slots.longest_idle(at(before), &pool.peers)
}

fn restore(pool: &mut Pool, (conn, slot, since): (u32, Slot, Timestamp)) -> Placed<u32, char> {
    let placed = pool
        .slots
        .restore(conn, slot, since, pool.now, &pool.peers, &mut pool.out);
    pool.audit();
    placed
}

/// The idle connections, the newest first. Empties the pool.
fn stack(pool: &mut Pool) -> Vec<u32> {
    std::iter::from_fn(|| pool.take_conn()).collect()
}

#[test]
fn the_minimum_is_opened_and_not_more() {
    for limits in [LIMITS, multiplexed(LIMITS)] {
        let mut pool = Pool::new(Limits { min_idle: 3, ..limits });
        pool.slots.refill(&mut pool.out);
        assert_eq!(pool.dials(), 3);
        pool.maintain(0);
        assert_eq!(pool.dials(), 0, "they are on their way");
        for conn in 1..=3 {
            assert!(is_kept(&pool.dialled(conn)));
        }
        pool.maintain(0);
        assert_eq!((pool.dials(), pool.shape()), (0, (3, 0, 0)));
    }
}

#[test]
fn the_minimum_stays_within_the_limits() {
    let mut pool = Pool::new(Limits {
        min_idle: 5,
        dials: 2,
        connections: 3,
        ..LIMITS
    });
    pool.maintain(0);
    assert_eq!(pool.dials(), 2, "so many at a time");
    pool.dialled(1);
    assert_eq!(pool.dials(), 1, "the next when one has ended");
    pool.dialled(2);
    pool.dialled(3);
    pool.maintain(0);
    assert_eq!(pool.dials(), 0, "so many in all");
}

#[test]
fn the_minimum_of_exclusive_connections_is_idle_beside_those_held() {
    let mut pool = Pool::with(Limits { min_idle: 2, ..LIMITS }, 2);
    pool.take().unwrap();
    pool.maintain(0);
    assert_eq!(pool.dials(), 1);
}

#[test]
fn a_multiplexed_connection_in_use_is_part_of_the_minimum_unless_it_is_about_to_go() {
    let mut pool = Pool::with(multiplexed(Limits { min_idle: 2, ..LIMITS }), 2);
    let held = pool.take().unwrap();
    pool.maintain(9);
    assert_eq!((pool.dials(), pool.dead()), (0, vec![]), "two are open");
    pool.peers.dead.insert(1);
    assert_eq!(pool.take_conn(), Some(2));
    pool.maintain(9);
    assert_eq!(pool.dials(), 1, "one is left that can serve the next");
    pool.return_conn(held);
    assert_eq!(pool.dials(), 0);
}

#[test]
fn the_minimum_does_not_expire() {
    for limits in [LIMITS, multiplexed(LIMITS)] {
        let mut pool = Pool::with(Limits { min_idle: 2, ..limits }, 4);
        pool.maintain(100);
        assert_eq!(pool.dead(), [1, 2], "the oldest go");
        pool.maintain(100);
        assert_eq!((pool.dead(), pool.shape(), pool.dials()), (vec![], (2, 0, 0), 0));
    }
}

#[test]
fn a_closing_multiplexed_connection_is_not_counted_towards_what_must_not_expire() {
    let mut pool = Pool::with(multiplexed(Limits { min_idle: 1, ..LIMITS }), 2);
    let held = pool.take().unwrap();
    assert_eq!(held.0, 1);
    pool.peers.dead.insert(1);
    assert_eq!(
        pool.take()
            .map(|held| pool.return_conn(held))
            .map(|placed| is_closed(&placed)),
        Some(true)
    );
    pool.maintain(100);
    assert_eq!((pool.dead(), pool.shape()), (vec![], (1, 1, 0)), "2 is the minimum");
}

#[test]
fn the_minimum_is_refilled_when_a_connection_is_closed_and_the_pod_is_well() {
    let refilled = [
        (CloseReason::Cancelled, 1),
        (CloseReason::Ended, 1),
        (CloseReason::Idle, 1),
        (CloseReason::Lifetime, 1),
        (CloseReason::Broken, 0),
        (CloseReason::Invalidated, 0),
        (CloseReason::Evicted, 0),
    ];
    for (reason, dials) in refilled {
        let mut pool = Pool::with(Limits { min_idle: 1, ..LIMITS }, 1);
        let held = pool.take().unwrap();
        pool.end(held, End::Close(reason));
        assert_eq!(pool.dials(), dials, "{reason:?}");
        pool.maintain(0);
        assert_eq!(pool.dials(), 1 - dials, "{reason:?}: maintain does what was left");
    }
}

#[test]
fn what_was_last_used_before_the_limit_expires_and_what_was_used_at_it_stays() {
    for limits in [LIMITS, multiplexed(LIMITS)] {
        let mut pool = Pool::with(limits, 4);
        pool.maintain(3);
        assert_eq!(pool.dead(), [1, 2], "used at 1 and 2");
        assert_eq!((pool.closed().idle, pool.shape()), (2, (2, 0, 0)));
    }
}

#[test]
fn use_keeps_a_connection_from_expiring() {
    for limits in [LIMITS, multiplexed(LIMITS)] {
        let mut pool = Pool::with(limits, 1);
        let held = pool.take().unwrap();
        pool.maintain(100);
        assert_eq!(pool.dead(), [], "it is in use");
        pool.now = at(50);
        pool.return_conn(held);
        pool.maintain(50);
        assert_eq!(pool.dead(), []);
        pool.maintain(51);
        assert_eq!(pool.dead(), [1]);
    }
}

#[test]
fn a_stale_connection_is_checked_out_only_to_be_validated_and_keeps_its_place_until_then() {
    for limits in [VALIDATED, multiplexed(VALIDATED)] {
        let mut pool = Pool::with(limits, 1);
        pool.now = at(10);
        let fresh = pool.take().expect("nine are not ten");
        pool.return_conn(fresh);
        pool.now = at(20);
        assert!(matches!(pool.checkout(false), Checkout::Miss));
        assert_eq!(pool.shape(), (1, 0, 0), "it stays");
        let Checkout::Validate(1, slot) = pool.checkout(true) else {
            panic!("it is checked out to be validated")
        };
        assert_eq!(pool.shape(), (0, 1, 0));
        pool.return_conn((1, slot));
        assert_eq!(pool.take_conn(), Some(1), "and is fresh then");
    }
}

#[test]
fn a_stale_connection_hides_no_fresher_one_and_keeps_its_place_below() {
    let mut pool = Pool::with(VALIDATED, 2);
    pool.now = at(12);
    assert!(pool.take().is_none());
    pool.now = at(11);
    assert_eq!(pool.take_conn(), Some(2));
    assert!(pool.take().is_none(), "1 is stale");
    assert!(matches!(pool.checkout(true), Checkout::Validate(1, _)));
}

#[test]
fn a_multiplexed_connection_in_use_needs_no_validation() {
    let mut pool = Pool::with(multiplexed(VALIDATED), 1);
    let held = pool.take().unwrap();
    pool.now = at(100);
    assert_eq!(pool.take_conn(), Some(1));
    pool.return_conn(held);
}

#[test]
fn a_cancelled_validation_of_a_multiplexed_connection_proves_nothing() {
    let mut pool = Pool::with(multiplexed(VALIDATED), 1);
    pool.now = at(100);
    let Checkout::Validate(1, slot) = pool.checkout(true) else {
        panic!("it is stale")
    };
    pool.end((1, slot), End::Close(CloseReason::Cancelled));
    assert!(
        matches!(pool.checkout(true), Checkout::Validate(1, _)),
        "the next caller checks again"
    );
}

#[test]
fn the_one_proven_longest_ago_is_taken_for_a_check_and_comes_back_to_its_place() {
    let mut pool = Pool::with(LIMITS, 3);
    assert!(rest(&mut pool, 1).is_none(), "1 was proven at 1, which is not before");
    pool.now = at(20);
    let first = rest(&mut pool, 2).unwrap();
    assert_eq!((first.0, pool.shape()), (1, (2, 1, 0)));
    assert!(is_kept(&restore(&mut pool, first)));
    let second = rest(&mut pool, 10).unwrap();
    assert_eq!(second.0, 2, "each in its turn");
    let third = rest(&mut pool, 10).unwrap();
    assert!(rest(&mut pool, 10).is_none(), "1 has been checked");
    assert!(is_kept(&restore(&mut pool, third)));
    assert!(is_kept(&restore(&mut pool, second)));
    pool.maintain(3);
    assert_eq!(pool.dead(), [1, 2], "a validation is no use: they expire at their age");
}

#[test]
fn restored_connections_stand_in_the_order_of_their_age() {
    let mut pool = Pool::with(LIMITS, 4);
    pool.now = at(20);
    let resting: Vec<_> = std::iter::from_fn(|| rest(&mut pool, 10)).collect();
    for index in [2, 0, 3, 1] {
        restore(&mut pool, resting[index]);
    }
    assert_eq!(stack(&mut pool), [4, 3, 2, 1]);
}

#[test]
fn a_validated_connection_is_fresh() {
    for limits in [VALIDATED, multiplexed(VALIDATED)] {
        let mut pool = Pool::with(limits, 1);
        pool.now = at(50);
        let resting = rest(&mut pool, 50).unwrap();
        restore(&mut pool, resting);
        assert_eq!(pool.take_conn(), Some(1));
    }
}

#[test]
fn a_multiplexed_connection_is_as_long_unused_after_a_validation_as_before() {
    let mut pool = Pool::with(multiplexed(LIMITS), 2);
    pool.now = at(20);
    let resting = rest(&mut pool, 10).unwrap();
    assert_eq!(resting.0, 1);
    assert!(is_closed(&restore(&mut pool, resting)), "the handle goes");
    assert_eq!(rest(&mut pool, 10).map(|resting| resting.0), Some(2));
    pool.maintain(2);
    assert_eq!(pool.dead(), [1]);
}

#[test]
fn a_multiplexed_connection_used_during_its_validation_counts_as_used_then() {
    let mut pool = Pool::with(multiplexed(LIMITS), 1);
    let resting = rest(&mut pool, 10).unwrap();
    let held = pool.take().unwrap();
    pool.now = at(20);
    pool.return_conn(held);
    restore(&mut pool, resting);
    pool.maintain(20);
    assert_eq!(pool.dead(), []);
    pool.maintain(21);
    assert_eq!(pool.dead(), [1]);
}

#[test]
fn what_is_in_use_or_closing_is_not_taken_for_a_validation() {
    let mut pool = Pool::with(multiplexed(LIMITS), 1);
    let held = pool.take().unwrap();
    assert!(rest(&mut pool, 10).is_none());
    pool.invalidate_idle();
    assert!(rest(&mut pool, 10).is_none());
    pool.return_conn(held);

    let mut pool = Pool::with(LIMITS, 1);
    pool.take().unwrap();
    assert!(rest(&mut pool, 10).is_none());
}

#[test]
fn a_connection_that_comes_back_from_its_validation_goes_to_the_first_waiter() {
    let mut pool = Pool::with(
        Limits {
            connections: 1,
            ..LIMITS
        },
        1,
    );
    let resting = rest(&mut pool, 10).unwrap();
    pool.wait('a');
    let (waiter, conn, slot) = handed(restore(&mut pool, resting));
    assert_eq!((waiter, conn), ('a', 1));
    assert!(is_kept(&pool.return_conn((conn, slot))));

    let mut pool = Pool::with(
        Limits {
            connections: 1,
            multiplexed: true,
            streams: 2,
            ..LIMITS
        },
        1,
    );
    let resting = rest(&mut pool, 10).unwrap();
    let other = pool.take().unwrap();
    pool.wait('a');
    assert_eq!(handed(restore(&mut pool, resting)).0, 'a');
    pool.return_conn(other);
}

#[test]
fn a_pool_invalidated_or_closed_during_a_validation_does_not_take_the_connection_back() {
    for end in [Pool::invalidate_idle as fn(&mut Pool), |pool| drop(pool.close())] {
        let mut pool = Pool::with(LIMITS, 2);
        let resting = rest(&mut pool, 10).unwrap();
        end(&mut pool);
        assert!(is_closed(&restore(&mut pool, resting)));
        assert_eq!(pool.shape(), (0, 0, 0));
    }
}

#[test]
fn a_validated_connection_that_is_too_old_is_replaced_as_any_other() {
    let mut pool = Pool::new(LIMITS);
    pool.open(1, at(5));
    let resting = rest(&mut pool, 4).unwrap();
    pool.now = at(5);
    assert!(is_kept(&restore(&mut pool, resting)));
    assert_eq!(pool.dials(), 1);
    pool.dialled(2);
    assert_eq!(pool.dead(), [1]);
}

#[test]
fn a_silent_connection_takes_along_what_was_last_used_before_it_and_nothing_newer() {
    let mut pool = Pool::with(LIMITS, 5);
    let (silent, slot) = pool.take().unwrap();
    let neighbour = pool.take().unwrap();
    assert_eq!((silent, neighbour.0), (5, 4));
    let in_use = pool.take().unwrap();
    assert!(is_kept(&pool.return_conn(neighbour)), "4 has answered since");
    pool.open(6, NEVER);
    pool.invalidate_idle_before(slot);
    assert_eq!(pool.dead(), [1, 2]);
    assert_eq!((pool.closed().invalidated, pool.closed().total()), (2, 2));
    assert!(is_kept(&pool.return_conn(in_use)), "its own caller sees to it");
    assert!(is_closed(&pool.end((silent, slot), End::Close(CloseReason::Cancelled))));
    assert_eq!(stack(&mut pool), [3, 6, 4]);
}

#[test]
fn the_time_of_a_silent_connection_is_that_of_its_last_check_out() {
    let mut pool = Pool::with(LIMITS, 2);
    let first = pool.take().unwrap();
    assert!(is_kept(&pool.return_conn(first)));
    let (conn, slot) = pool.take().unwrap();
    pool.invalidate_idle_before(slot);
    assert_eq!((conn, pool.dead()), (2, vec![1]));
    pool.invalidate_idle_before(slot);
    assert_eq!(pool.closed().total(), 1, "there is nothing older");
}

#[test]
fn a_validated_connection_has_answered_however_long_it_was_unused() {
    let mut pool = Pool::with(VALIDATED, 3);
    let (_, slot) = pool.take().unwrap();
    pool.now = at(20);
    let longest = rest(&mut pool, 2).unwrap();
    assert!(is_kept(&restore(&mut pool, longest)));
    pool.invalidate_idle_before(slot);
    assert_eq!(pool.dead(), [2]);
}

#[test]
fn a_silent_stream_says_nothing_about_other_connections() {
    let mut pool = Pool::with(multiplexed(LIMITS), 2);
    let (_, slot) = pool.take().unwrap();
    pool.invalidate_idle_before(slot);
    assert_eq!(pool.closed().total(), 0);
}
