//! Connections that are too old, one test for each rule: replaced first and closed then, one at a
//! time; at the limit the other way round.

use super::*;

/// Two may be open at a time.
const TWO: Limits = Limits {
    connections: 2,
    ..LIMITS
};

#[test]
fn an_idle_connection_that_is_too_old_stays_until_its_replacement_is_there_and_then_one_goes() {
    for limits in [LIMITS, multiplexed(LIMITS)] {
        let mut pool = Pool::new(limits);
        pool.open(1, at(5));
        pool.open(2, NEVER);
        pool.now = at(4);
        pool.maintain(0);
        assert_eq!(pool.dials(), 0, "not yet");
        pool.now = at(5);
        pool.maintain(0);
        assert_eq!((pool.dials(), pool.dead()), (1, vec![]));
        assert!(is_kept(&pool.dialled(3)));
        assert_eq!((pool.dead(), pool.shape(), pool.dials()), (vec![1], (2, 0, 0), 0));
        pool.maintain(0);
        assert_eq!((pool.dials(), pool.closed().lifetime, pool.closed().total()), (0, 1, 1));
    }
}

#[test]
fn connections_that_are_too_old_are_replaced_one_at_a_time() {
    for limits in [LIMITS, multiplexed(LIMITS)] {
        let mut pool = Pool::new(limits);
        for conn in 1..=3 {
            pool.open(conn, at(5));
        }
        pool.now = at(5);
        pool.maintain(0);
        for old in 1..=3 {
            assert_eq!((pool.dials(), pool.dead()), (1, vec![]), "before {old}");
            pool.maintain(0);
            assert_eq!(pool.dials(), 0, "one is under way");
            pool.dialled(10 + old);
            assert_eq!(pool.dead(), [old]);
        }
        assert_eq!((pool.dials(), pool.shape()), (0, (3, 0, 0)));
    }
}

#[test]
fn a_held_connection_that_is_too_old_stays_on_return_and_starts_its_replacement() {
    let mut pool = Pool::new(LIMITS);
    pool.open(1, at(5));
    let held = pool.take().unwrap();
    pool.now = at(5);
    assert!(!pool.slots.keeps(held.1, pool.now), "not the short way");
    assert!(is_kept(&pool.return_conn(held)));
    assert_eq!((pool.dials(), pool.shape()), (1, (1, 0, 1)));
    pool.dialled(2);
    assert_eq!((pool.dead(), pool.dials(), pool.shape()), (vec![1], 0, (1, 0, 0)));
}

#[test]
fn one_that_is_held_when_its_replacement_arrives_goes_on_return_without_another_dial() {
    for limits in [LIMITS, multiplexed(LIMITS)] {
        let mut pool = Pool::new(limits);
        pool.open(1, at(5));
        let held = pool.take().unwrap();
        pool.now = at(5);
        pool.return_conn(held);
        assert_eq!(pool.dials(), 1);
        let held = pool.take().unwrap();
        pool.dialled(2);
        assert!(is_closed(&pool.return_conn(held)));
        assert_eq!((pool.dead().len(), pool.closed().lifetime), (limits.streams - 1, 1));
        assert_eq!(
            (pool.dials(), pool.shape()),
            (0, (1, 0, 0)),
            "its replacement is there already"
        );
    }
}

#[test]
fn a_replacement_stands_for_one_connection_only() {
    let mut pool = Pool::new(LIMITS);
    pool.open(1, at(5));
    pool.open(2, at(5));
    let held = [pool.take().unwrap(), pool.take().unwrap()];
    pool.now = at(5);
    pool.return_conn(held[0]);
    let again = pool.take().unwrap();
    pool.dialled(3);
    assert_eq!(pool.dials(), 1);
    assert!(is_closed(&pool.return_conn(again)));
    assert!(is_kept(&pool.return_conn(held[1])), "it stays until its own is there");
    assert_eq!(pool.dials(), 1);
}

#[test]
fn one_that_is_too_old_serves_a_waiter_while_its_replacement_is_dialled() {
    let mut pool = Pool::new(TWO);
    pool.open(1, at(5));
    let held = pool.take().unwrap();
    pool.now = at(5);
    pool.wait('a');
    assert_eq!(pool.dials(), 1);
    assert!(
        is_closed(&pool.return_conn(held)),
        "no room for a third: the dial under way serves a"
    );
    assert_eq!(pool.dials(), 0);
    assert_eq!(handed(pool.dialled(2)).0, 'a');

    let mut pool = Pool::new(LIMITS);
    pool.open(1, at(5));
    let held = pool.take().unwrap();
    pool.now = at(5);
    pool.wait('a');
    assert_eq!(handed(pool.return_conn(held)).0, 'a');
    assert_eq!(
        pool.dials(),
        2,
        "for a, which does not need it now, and the replacement"
    );
}

#[test]
fn at_the_limit_the_old_one_goes_first() {
    let mut pool = Pool::new(TWO);
    pool.open(1, at(5));
    pool.open(2, at(5));
    pool.now = at(5);
    pool.maintain(0);
    assert_eq!((pool.dead(), pool.dials(), pool.shape()), (vec![1], 1, (1, 0, 1)));
    pool.maintain(0);
    assert_eq!(
        (pool.dead(), pool.dials()),
        (vec![], 0),
        "the next when the first is replaced"
    );
    let second = pool.take().unwrap();
    assert!(is_kept(&pool.return_conn(second)), "on return, too");
    pool.dialled(3);
    assert_eq!((pool.dead(), pool.dials(), pool.shape()), (vec![2], 1, (1, 0, 1)));
    pool.dialled(4);
    assert_eq!((pool.dials(), pool.shape(), pool.closed().lifetime), (0, (2, 0, 0), 2));
}

#[test]
fn at_the_limit_a_held_one_goes_on_return_and_its_replacement_is_dialled_then() {
    let mut pool = Pool::new(Limits {
        connections: 1,
        ..LIMITS
    });
    pool.open(1, at(5));
    let held = pool.take().unwrap();
    pool.now = at(5);
    assert!(is_closed(&pool.return_conn(held)));
    assert_eq!((pool.dials(), pool.shape(), pool.closed().lifetime), (1, (0, 0, 1), 1));
}

#[test]
fn at_the_limit_a_multiplexed_one_is_replaced_once_when_its_last_stream_has_ended() {
    let mut pool = Pool::new(Limits {
        multiplexed: true,
        streams: 3,
        ..TWO
    });
    pool.open(1, at(5));
    pool.open(2, at(5));
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    pool.now = at(5);
    pool.maintain(0);
    pool.maintain(0);
    assert_eq!((pool.dials(), pool.dead()), (0, vec![]));
    let (first, second): (Vec<Held>, Vec<Held>) = held.iter().partition(|(conn, _)| *conn == 1);
    assert!(is_closed(&pool.return_conn(first[0])));
    assert!(is_closed(&pool.return_conn(second[0])));
    assert_eq!(pool.take_conn(), Some(2), "2 serves on, as one is replaced at a time");
    pool.return_conn(first[1]);
    assert_eq!(pool.dials(), 0);
    pool.return_conn(first[2]);
    assert_eq!((pool.dials(), pool.dead()), (1, vec![1]));
}

#[test]
fn a_multiplexed_one_that_is_too_old_goes_with_its_last_stream() {
    let mut pool = Pool::new(Limits {
        multiplexed: true,
        streams: 3,
        ..LIMITS
    });
    pool.open(1, at(5));
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    pool.now = at(5);
    pool.maintain(0);
    pool.dialled(2);
    assert_eq!((pool.dials(), pool.dead(), pool.shape()), (1, vec![], (1, 1, 0)));
    assert_eq!(pool.take_conn(), Some(2), "it takes no more streams");
    for (returned, stream) in (1..).zip(held) {
        assert!(is_closed(&pool.return_conn(stream)));
        assert_eq!(pool.dead().len(), returned / 3);
    }
    assert_eq!((pool.dials(), pool.closed().lifetime), (0, 1), "it has been replaced");
}

#[test]
fn where_the_replacement_cannot_be_dialled_the_old_one_stays_and_the_next_maintenance_tries_again() {
    for limits in [LIMITS, multiplexed(LIMITS)] {
        let mut pool = Pool::new(limits);
        pool.open(1, at(5));
        pool.now = at(5);
        pool.maintain(0);
        assert_eq!(pool.dials(), 1);
        pool.dial_failed();
        assert_eq!((pool.dead(), pool.shape()), (vec![], (1, 0, 0)), "still in service");
        pool.maintain(0);
        assert_eq!(pool.dials(), 1);
        pool.dialled(2);
        assert_eq!(pool.dead(), [1]);
    }
}

#[test]
fn after_an_invalidation_nothing_is_owed_a_replacement() {
    let mut pool = Pool::new(LIMITS);
    pool.open(1, at(5));
    pool.now = at(5);
    pool.maintain(0);
    pool.invalidate_idle();
    pool.dialled(2);
    pool.open(3, at(9));
    pool.now = at(9);
    pool.dials();
    pool.dead();
    pool.maintain(0);
    assert_eq!(
        (pool.dials(), pool.dead()),
        (1, vec![]),
        "3 stays until its own replacement is there"
    );
}
