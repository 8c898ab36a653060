//! Exclusive connections, one test for each rule: who gets which, who waits, what is dialled, and what is not kept.

use super::*;

#[test]
fn the_newest_idle_connection_is_lent_first() {
    let mut pool = Pool::with(LIMITS, 3);
    assert_eq!(pool.lend_conn(), Some(3));
    let second = pool.lend().unwrap();
    assert_eq!(second.0, 2);
    assert!(is_kept(&pool.put_back(second)));
    assert_eq!(pool.lend_conn(), Some(2), "what came back last goes out first");
    assert_eq!(pool.lend_conn(), Some(1));
    assert_eq!(pool.lend_conn(), None);
}

#[test]
fn the_short_way_lends_and_takes_back_as_the_long_one_does() {
    let mut pool = Pool::with(LIMITS, 3);
    let (conn, slot) = pool.slots.take_idle(|| pool.now, &pool.peers).unwrap();
    assert_eq!((conn, pool.shape()), (3, (2, 1, 0)));
    assert!(pool.slots.keeps(slot, pool.now));
    pool.slots.put_back_idle(conn, slot, pool.now);
    pool.audit();
    assert_eq!((pool.lend_conn(), pool.shape()), (Some(3), (2, 1, 0)));
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
        "2 must be checked"
    );
    pool.now = at(6);
    pool.peers.dead.insert(2);
    assert!(pool.slots.take_idle(|| pool.now, &pool.peers).is_none(), "2 has ended");
    assert_eq!(pool.shape(), (2, 0, 0));

    let mut pool = Pool::with(LIMITS, 1);
    let (conn, slot) = pool.lend().unwrap();
    pool.wait('a');
    assert!(!pool.slots.keeps(slot, pool.now), "{conn} is waited for");
    pool.sweep();
    pool.slots.leave(Ticket(0));
    assert!(!pool.slots.keeps(slot, pool.now), "invalidated");

    let mut pool = Pool::with(Limits { streams: 2, ..LIMITS }, 1);
    assert!(pool.slots.take_idle(|| pool.now, &pool.peers).is_none(), "shared");
    let (_, slot) = pool.lend().unwrap();
    assert!(!pool.slots.keeps(slot, pool.now), "shared");
}

#[test]
fn an_idle_connection_that_has_ended_is_skipped_and_given_out_to_be_dropped() {
    let mut pool = Pool::with(LIMITS, 3);
    pool.peers.dead.extend([3, 2]);
    assert_eq!(pool.lend_conn(), Some(1));
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
    let lent = pool.lend().unwrap();
    pool.wait_all("abc");
    assert_eq!(pool.dials(), 0, "the limit is reached");
    let mut served = String::new();
    let mut placed = pool.put_back(lent);
    while let Placed::Hand(waiter, conn, slot) = placed {
        served.push(waiter);
        if pool.counts().waiting > 0 {
            assert!(matches!(pool.checkout(true), Checkout::Miss), "others were here first");
        }
        placed = pool.put_back((conn, slot));
    }
    assert_eq!(served, "abc");
    assert!(is_kept(&placed));
}

#[test]
fn a_connection_handed_over_is_lent_and_comes_back_as_any_other() {
    let mut pool = Pool::with(
        Limits {
            connections: 1,
            ..LIMITS
        },
        1,
    );
    let lent = pool.lend().unwrap();
    pool.wait('a');
    let (_, conn, slot) = handed(pool.put_back(lent));
    assert_eq!(pool.shape(), (0, 1, 0));
    assert!(is_kept(&pool.put_back((conn, slot))));
    assert_eq!(pool.shape(), (1, 0, 0));
}

#[test]
fn whatever_comes_first_serves_the_first_waiter() {
    let mut pool = Pool::with(LIMITS, 1);
    let lent = pool.lend().unwrap();
    pool.wait_all("ab");
    assert_eq!(pool.dials(), 2);
    assert_eq!(handed(pool.dialled(2)).0, 'a');
    assert_eq!(handed(pool.put_back(lent)).0, 'b');
    assert!(is_kept(&pool.dialled(3)), "nobody waits for it any more");
    assert_eq!(pool.lend_conn(), Some(3), "it is there for the next");
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
fn no_more_connections_than_the_limit_are_idle_lent_or_dialled() {
    let mut pool = Pool::with(
        Limits {
            connections: 3,
            ..LIMITS
        },
        2,
    );
    pool.lend().unwrap();
    pool.lend().unwrap();
    pool.wait_all("abc");
    assert_eq!(pool.dials(), 1);
    assert!(!pool.slots.start_dial(&mut pool.out));
    assert_eq!(pool.shape(), (0, 2, 1));
    assert!(!pool.starved(), "its own limit, not that of all");
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
        "who is refused starts no dial"
    );
    pool.slots.leave(second);
    pool.wait('d');
}

#[test]
fn who_leaves_is_passed_over() {
    let mut pool = Pool::with(
        Limits {
            connections: 1,
            ..LIMITS
        },
        1,
    );
    let lent = pool.lend().unwrap();
    pool.wait('a');
    let second = pool.wait('b');
    pool.wait('c');
    pool.slots.leave(second);
    let (waiter, conn, slot) = handed(pool.put_back(lent));
    assert_eq!(waiter, 'a');
    assert_eq!(handed(pool.put_back((conn, slot))).0, 'c');
    pool.slots.leave(second);
    assert_eq!(
        pool.counts().waiting,
        0,
        "leaving twice, or after being served, changes nothing"
    );
}

#[test]
fn a_failed_dial_tells_only_those_for_whom_nothing_can_come() {
    let mut pool = Pool::with(
        Limits {
            connections: 3,
            ..LIMITS
        },
        1,
    );
    let lent = pool.lend().unwrap();
    pool.wait_all("abc");
    assert_eq!(pool.counts().connecting, 2);
    assert_eq!(
        pool.dial_failed(),
        ['c'],
        "one dial and one lent connection can still serve two"
    );
    assert_eq!(pool.dial_failed(), ['b']);
    assert_eq!(handed(pool.put_back(lent)).0, 'a');
}

#[test]
fn when_all_dials_have_failed_everybody_is_told_in_order() {
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
fn a_connection_that_broke_is_replaced_for_whoever_waits_and_for_nobody_else() {
    for (waiters, dials) in [("", 0), ("a", 1)] {
        let mut pool = Pool::with(
            Limits {
                connections: 1,
                ..LIMITS
            },
            1,
        );
        let lent = pool.lend().unwrap();
        pool.wait_all(waiters);
        assert!(is_closed(&pool.end(lent, End::Close(CloseReason::Broken))));
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
        let lent = pool.lend().unwrap();
        assert!(is_closed(&pool.end(lent, End::Close(reason))));
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
fn a_sweep_spares_neither_idle_nor_lent_connections() {
    let mut pool = Pool::with(LIMITS, 3);
    let lent = pool.lend().unwrap();
    pool.sweep();
    assert_eq!(pool.dead(), [1, 2]);
    assert!(is_closed(&pool.put_back(lent)), "lent before, it dies at check-in");
    assert_eq!((pool.closed().invalidated, pool.closed().total()), (3, 3));
    assert_eq!(pool.dials(), 0, "nobody needs another");
}

#[test]
fn what_is_dialled_or_lent_after_a_sweep_is_kept() {
    let mut pool = Pool::with(LIMITS, 1);
    pool.wait('a');
    pool.sweep();
    let (_, conn, slot) = handed(pool.dialled(2));
    assert!(is_kept(&pool.put_back((conn, slot))));
    let lent = pool.lend().unwrap();
    assert!(is_kept(&pool.put_back(lent)));
}

#[test]
fn a_swept_connection_is_replaced_for_whoever_waits() {
    let mut pool = Pool::with(
        Limits {
            connections: 1,
            ..LIMITS
        },
        1,
    );
    let lent = pool.lend().unwrap();
    pool.wait('a');
    pool.sweep();
    assert!(is_closed(&pool.put_back(lent)));
    assert_eq!(pool.dials(), 1);
    assert_eq!(handed(pool.dialled(2)).0, 'a');
}

#[test]
fn a_pool_that_closes_tells_its_waiters_and_keeps_nothing() {
    let mut pool = Pool::with(LIMITS, 2);
    let lent = pool.lend().unwrap();
    let broken = pool.lend().unwrap();
    pool.open(3, NEVER);
    pool.lend().unwrap();
    pool.open(4, NEVER);
    pool.lend().unwrap();
    pool.wait_all("ab");
    assert_eq!(pool.dials(), 2);
    assert_eq!(pool.close(), ['a', 'b'], "everybody is told");
    assert!(pool.slots.is_closed());
    assert!(matches!(pool.checkout(true), Checkout::Closed));
    assert!(is_closed(&pool.put_back(lent)));
    assert!(is_closed(&pool.end(broken, End::Close(CloseReason::Broken))));
    assert!(is_closed(&pool.dialled(9)), "a dial that ends later is dropped");
    assert!(pool.dial_failed().is_empty());
    assert_eq!(pool.shape(), (0, 2, 0), "two are still lent");
    assert_eq!((pool.closed().removed, pool.closed().broken), (2, 1));
}

#[test]
fn a_closed_pool_dials_no_more() {
    let mut pool = Pool::with(Limits { min_idle: 3, ..LIMITS }, 3);
    pool.close();
    assert_eq!(pool.dead(), [1, 2, 3], "idle ones go at once");
    pool.upkeep(0);
    pool.slots.refill(&mut pool.out);
    assert!(!pool.slots.start_dial(&mut pool.out));
    assert_eq!((pool.dials(), pool.shape()), (0, (0, 0, 0)));
    assert!(pool.close().is_empty(), "closing again changes nothing");
    assert_eq!(pool.closed().removed, 3);
}

#[test]
fn in_use_counts_what_is_lent() {
    let mut pool = Pool::with(LIMITS, 2);
    let lent = pool.lend().unwrap();
    assert_eq!(pool.slots.in_use(), 1);
    pool.put_back(lent);
    assert_eq!(pool.slots.in_use(), 0);
}
