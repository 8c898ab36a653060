//! Exclusive connections, one test for each rule: which caller gets which, which waits, what is
//! dialled, and what is not kept.

use super::*;

#[test]
fn the_newest_idle_connection_is_checked_out_first() {
    let mut pool = Pool::with(LIMITS, 3);
    assert_eq!(pool.take_conn(), Some(3));
    let second = pool.take().unwrap();
    assert_eq!(second.0, 2);
    assert!(is_kept(&pool.return_conn(second)));
    assert_eq!(pool.take_conn(), Some(2), "what came back last goes out first");
    assert_eq!(pool.take_conn(), Some(1));
    assert_eq!(pool.take_conn(), None);
}

#[test]
fn the_short_way_checks_out_and_returns_as_the_long_one_does() {
    let mut pool = Pool::with(LIMITS, 3);
    let (conn, slot) = pool.slots.take_idle(|| pool.now, &pool.peers).unwrap();
    assert_eq!((conn, pool.shape()), (3, (2, 1, 0)));
    assert!(pool.slots.keeps(slot, pool.now));
    pool.slots.return_idle(conn, slot, pool.now);
    pool.audit();
    assert_eq!((pool.take_conn(), pool.shape()), (Some(3), (2, 1, 0)));
}

#[test]
fn the_short_way_changes_nothing_where_it_does_not_lead() {
    let mut pool = Pool::with(
        Limits {
            validate_after_idle: Some(std::time::Duration::from_nanos(5)),
            ..LIMITS
        },
        2,
    );
    pool.now = at(7);
    assert!(
        pool.slots.take_idle(|| pool.now, &pool.peers).is_none(),
        "2 must be validated"
    );
    pool.now = at(6);
    pool.peers.dead.insert(2);
    assert!(pool.slots.take_idle(|| pool.now, &pool.peers).is_none(), "2 has ended");
    assert_eq!(pool.shape(), (2, 0, 0));

    let mut pool = Pool::with(LIMITS, 1);
    let (conn, slot) = pool.take().unwrap();
    pool.wait('a');
    assert!(!pool.slots.keeps(slot, pool.now), "{conn} is waited for");
    pool.invalidate_idle();
    pool.slots.leave(Ticket(0));
    assert!(!pool.slots.keeps(slot, pool.now), "invalidated");

    let mut pool = Pool::with(
        Limits {
            multiplexed: true,
            streams: 2,
            ..LIMITS
        },
        1,
    );
    assert!(pool.slots.take_idle(|| pool.now, &pool.peers).is_none(), "multiplexed");
    let (_, slot) = pool.take().unwrap();
    assert!(!pool.slots.keeps(slot, pool.now), "multiplexed");
}

#[test]
fn an_idle_connection_that_has_ended_is_skipped_and_given_out_to_be_dropped() {
    let mut pool = Pool::with(LIMITS, 3);
    pool.peers.dead.extend([3, 2]);
    assert_eq!(pool.take_conn(), Some(1));
    assert_eq!(pool.dead(), [3, 2]);
    assert_eq!((pool.closed().ended, pool.closed().total()), (2, 2));
}

#[test]
fn nothing_idle_is_a_miss() {
    assert!(matches!(Pool::new(LIMITS).checkout(true), Checkout::Miss));
}

#[test]
fn waiters_are_served_first_come_and_never_overtaken() {
    let mut pool = Pool::with(
        Limits {
            connections: 1,
            ..LIMITS
        },
        1,
    );
    let held = pool.take().unwrap();
    pool.wait_all("abc");
    assert_eq!(pool.dials(), 0, "the limit is reached");
    let mut served = String::new();
    let mut placed = pool.return_conn(held);
    while let Placed::Hand(waiter, conn, slot) = placed {
        served.push(waiter);
        if pool.counts().waiting > 0 {
            assert!(matches!(pool.checkout(true), Checkout::Miss), "others were here first");
        }
        placed = pool.return_conn((conn, slot));
    }
    assert_eq!(served, "abc");
    assert!(is_kept(&placed));
}

#[test]
fn a_connection_handed_over_is_held_and_comes_back_as_any_other() {
    let mut pool = Pool::with(
        Limits {
            connections: 1,
            ..LIMITS
        },
        1,
    );
    let held = pool.take().unwrap();
    pool.wait('a');
    let (_, conn, slot) = handed(pool.return_conn(held));
    assert_eq!(pool.shape(), (0, 1, 0));
    assert!(is_kept(&pool.return_conn((conn, slot))));
    assert_eq!(pool.shape(), (1, 0, 0));
}

#[test]
fn whatever_comes_first_serves_the_first_waiter() {
    let mut pool = Pool::with(LIMITS, 1);
    let held = pool.take().unwrap();
    pool.wait_all("ab");
    assert_eq!(pool.dials(), 2);
    assert_eq!(handed(pool.dialled(2)).0, 'a');
    assert_eq!(handed(pool.return_conn(held)).0, 'b');
    assert!(is_kept(&pool.dialled(3)), "no caller waits for it any more");
    assert_eq!(pool.take_conn(), Some(3), "it is there for the next");
}

#[test]
fn a_dial_is_started_only_for_a_waiter_that_none_under_way_will_serve() {
    let mut pool = Pool::new(LIMITS);
    let first = pool.wait('a');
    assert_eq!(pool.dials(), 1);
    pool.slots.leave(first);
    pool.wait('b');
    assert_eq!(pool.dials(), 0, "the dial that a started will serve b");
    pool.wait('c');
    assert_eq!(pool.dials(), 1);
}

#[test]
fn no_more_connections_than_the_limit_are_idle_held_or_dialled() {
    let mut pool = Pool::with(
        Limits {
            connections: 3,
            ..LIMITS
        },
        2,
    );
    pool.take().unwrap();
    pool.take().unwrap();
    pool.wait_all("abc");
    assert_eq!(pool.dials(), 1);
    assert!(!pool.slots.start_dial(&mut pool.out));
    assert_eq!(pool.shape(), (0, 2, 1));
    assert!(!pool.needs_permit(), "its own limit, not that of all");
}

#[test]
fn no_more_dials_than_the_limit_run_and_the_next_starts_when_one_ends() {
    let mut pool = Pool::new(Limits {
        connections: 64,
        dials: 8,
        waiters: 64,
        ..LIMITS
    });
    pool.wait_all("abcdefghijklmnopqrst");
    assert_eq!(pool.dials(), 8);
    for conn in 1..=12 {
        handed(pool.dialled(conn));
        assert_eq!((pool.dials(), pool.counts().connecting), (1, 8), "after {conn}");
    }
    handed(pool.dialled(13));
    assert_eq!(pool.dials(), 0, "those under way will serve the seven that are left");
}

#[test]
fn waiters_beyond_the_limit_are_refused() {
    let mut pool = Pool::new(Limits { waiters: 2, ..LIMITS });
    pool.wait('a');
    let second = pool.wait('b');
    assert_eq!(pool.slots.wait('c', &mut pool.out), Wait::Refused);
    assert_eq!(
        (pool.dials(), pool.counts().waiting),
        (2, 2),
        "a refused caller starts no dial"
    );
    pool.slots.leave(second);
    pool.wait('d');
}

#[test]
fn a_waiter_that_leaves_is_passed_over() {
    let mut pool = Pool::with(
        Limits {
            connections: 1,
            ..LIMITS
        },
        1,
    );
    let held = pool.take().unwrap();
    pool.wait('a');
    let second = pool.wait('b');
    pool.wait('c');
    pool.slots.leave(second);
    let (waiter, conn, slot) = handed(pool.return_conn(held));
    assert_eq!(waiter, 'a');
    assert_eq!(handed(pool.return_conn((conn, slot))).0, 'c');
    pool.slots.leave(second);
    assert_eq!(
        pool.counts().waiting,
        0,
        "leaving twice, or after being served, changes nothing"
    );
}

/// Searching the queue for each of them would take a trillion steps.
#[test]
fn a_million_waiters_may_leave_in_any_order() {
    const WAITERS: usize = 1_000_000;
    let mut pool = Pool::new(Limits {
        waiters: WAITERS,
        connections: 1,
        ..LIMITS
    });
    let tickets: Vec<Ticket> = (0..WAITERS).map(|_| pool.wait('a')).collect();
    // Each of them once, far apart: 7 does not divide a million.
    for number in 0..WAITERS {
        pool.slots.leave(tickets[number * 7 % WAITERS]);
    }
    assert_eq!(pool.counts().waiting, 0);
}

#[test]
fn a_failed_dial_tells_only_the_waiters_that_nothing_can_serve() {
    let mut pool = Pool::with(
        Limits {
            connections: 3,
            ..LIMITS
        },
        1,
    );
    let held = pool.take().unwrap();
    pool.wait_all("abc");
    assert_eq!(pool.counts().connecting, 2);
    assert_eq!(
        pool.dial_failed(),
        ['c'],
        "one dial and one held connection can still serve two"
    );
    assert_eq!(pool.dial_failed(), ['b']);
    assert_eq!(handed(pool.return_conn(held)).0, 'a');
}

#[test]
fn when_all_dials_have_failed_all_waiters_are_told_in_order() {
    let mut pool = Pool::new(Limits { dials: 1, ..LIMITS });
    pool.wait_all("abc");
    assert_eq!(pool.dial_failed(), ['a', 'b', 'c']);
    assert_eq!((pool.shape(), pool.counts().waiting), ((0, 0, 0), 0));
    assert_eq!(
        (pool.counts().opened, pool.closed().total()),
        (0, 0),
        "a failed dial opened nothing"
    );
}

#[test]
fn a_connection_that_broke_is_replaced_only_for_a_waiter() {
    for (waiters, dials) in [("", 0), ("a", 1)] {
        let mut pool = Pool::with(
            Limits {
                connections: 1,
                ..LIMITS
            },
            1,
        );
        let held = pool.take().unwrap();
        pool.wait_all(waiters);
        assert!(is_closed(&pool.end(held, End::Close(CloseReason::Broken))));
        assert_eq!(pool.dials(), dials);
    }
}

#[test]
fn each_reason_for_closing_is_counted_once_under_its_own_name() {
    type Counted = fn(&ClosedBy) -> u64;
    let reasons: [(CloseReason, Counted); 8] = [
        (CloseReason::Idle, |closed| closed.idle),
        (CloseReason::Lifetime, |closed| closed.lifetime),
        (CloseReason::Ended, |closed| closed.ended),
        (CloseReason::Broken, |closed| closed.broken),
        (CloseReason::Cancelled, |closed| closed.cancelled),
        (CloseReason::Invalidated, |closed| closed.invalidated),
        (CloseReason::Evicted, |closed| closed.evicted),
        (CloseReason::Removed, |closed| closed.removed),
    ];
    let mut pool = Pool::with(LIMITS, 8);
    for (reason, counted) in reasons {
        let held = pool.take().unwrap();
        assert!(is_closed(&pool.end(held, End::Close(reason))));
        assert_eq!(counted(&pool.closed()), 1, "{reason:?}");
    }
    let closed = pool.closed();
    assert_eq!(closed.total(), 8);
    let mut twice = closed;
    twice.add(&closed);
    assert_eq!(twice.total(), 16);
    assert!(reasons.iter().all(|(_, counted)| counted(&twice) == 2));
}

#[test]
fn an_invalidation_spares_neither_idle_nor_held_connections() {
    let mut pool = Pool::with(LIMITS, 3);
    let held = pool.take().unwrap();
    pool.invalidate_idle();
    assert_eq!(pool.dead(), [1, 2]);
    assert!(is_closed(&pool.return_conn(held)), "held before, it dies on return");
    assert_eq!((pool.closed().invalidated, pool.closed().total()), (3, 3));
    assert_eq!(pool.dials(), 0, "no caller needs another");
}

#[test]
fn what_is_dialled_or_held_after_an_invalidation_is_kept() {
    let mut pool = Pool::with(LIMITS, 1);
    pool.wait('a');
    pool.invalidate_idle();
    let (_, conn, slot) = handed(pool.dialled(2));
    assert!(is_kept(&pool.return_conn((conn, slot))));
    let held = pool.take().unwrap();
    assert!(is_kept(&pool.return_conn(held)));
}

#[test]
fn an_invalidated_connection_is_replaced_for_a_waiter() {
    let mut pool = Pool::with(
        Limits {
            connections: 1,
            ..LIMITS
        },
        1,
    );
    let held = pool.take().unwrap();
    pool.wait('a');
    pool.invalidate_idle();
    assert!(is_closed(&pool.return_conn(held)));
    assert_eq!(pool.dials(), 1);
    assert_eq!(handed(pool.dialled(2)).0, 'a');
}

#[test]
fn a_pool_that_closes_tells_its_waiters_and_keeps_nothing() {
    let mut pool = Pool::with(LIMITS, 2);
    let held = pool.take().unwrap();
    let broken = pool.take().unwrap();
    pool.open(3, NEVER);
    pool.take().unwrap();
    pool.open(4, NEVER);
    pool.take().unwrap();
    pool.wait_all("ab");
    assert_eq!(pool.dials(), 2);
    assert_eq!(pool.close(), ['a', 'b'], "all waiters are told");
    assert!(pool.slots.is_closed());
    assert!(matches!(pool.checkout(true), Checkout::Closed));
    assert!(is_closed(&pool.return_conn(held)));
    assert!(is_closed(&pool.end(broken, End::Close(CloseReason::Broken))));
    assert!(is_closed(&pool.dialled(9)), "a dial that ends later is dropped");
    assert!(pool.dial_failed().is_empty());
    assert_eq!(pool.shape(), (0, 2, 0), "two are still held");
    assert_eq!((pool.closed().removed, pool.closed().broken), (2, 1));
}

#[test]
fn a_closed_pool_dials_no_more() {
    let mut pool = Pool::with(Limits { min_idle: 3, ..LIMITS }, 3);
    pool.close();
    assert_eq!(pool.dead(), [1, 2, 3], "idle ones go at once");
    pool.maintain(0);
    pool.slots.refill(&mut pool.out);
    assert!(!pool.slots.start_dial(&mut pool.out));
    assert_eq!((pool.dials(), pool.shape()), (0, (0, 0, 0)));
    assert!(pool.close().is_empty(), "closing again changes nothing");
    assert_eq!(pool.closed().removed, 3);
}

#[test]
fn in_use_counts_what_is_held() {
    let mut pool = Pool::with(LIMITS, 2);
    let held = pool.take().unwrap();
    assert_eq!(pool.slots.in_use(), 1);
    pool.return_conn(held);
    assert_eq!(pool.slots.in_use(), 0);
}
