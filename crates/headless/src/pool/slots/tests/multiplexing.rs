//! Multiplexed connections, one test for each rule: which caller gets a stream of which, how many
//! there are, and when a connection goes.

use super::*;

/// At most two connections of two streams.
const TWO: Limits = Limits {
    connections: 2,
    multiplexed: true,
    streams: 2,
    ..LIMITS
};

fn served_by(served: &[(char, u32, Slot)]) -> Vec<(char, u32)> {
    served.iter().map(|(waiter, conn, _)| (*waiter, *conn)).collect()
}

#[test]
fn one_dial_is_started_for_as_many_waiters_as_a_connection_has_streams() {
    let mut pool = Pool::new(TWO);
    let mut dials = Vec::new();
    for waiter in "abcde".chars() {
        pool.wait(waiter);
        dials.push(pool.dials());
    }
    assert_eq!(dials, [1, 0, 1, 0, 0], "the fifth is over the limit");
    assert!(is_kept(&pool.dialled(1)));
    assert_eq!(served_by(&pool.serve()), [('a', 1), ('b', 1)]);
    assert!(is_kept(&pool.dialled(2)));
    assert_eq!(served_by(&pool.serve()), [('c', 2), ('d', 2)]);
    assert_eq!((pool.slots.in_use(), pool.shape()), (4, (0, 2, 0)));
}

#[test]
fn streams_are_balanced_over_the_connections() {
    let mut pool = Pool::with(Limits { streams: 3, ..TWO }, 2);
    let mut held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    let conns: Vec<u32> = held.iter().map(|(conn, _)| *conn).collect();
    assert_eq!(conns, [1, 2, 1, 2, 1, 2], "each time the one with the fewest");
    for index in [4, 2, 0] {
        pool.return_conn(held.remove(index));
    }
    assert_eq!(pool.take_conn(), Some(1), "which has none now");
}

#[test]
fn no_caller_overtakes_those_that_wait_for_a_stream() {
    let mut pool = Pool::with(TWO, 2);
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    pool.wait_all("ab");
    assert_eq!(handed(pool.return_conn(held[0])).0, 'a');
    assert!(matches!(pool.checkout(true), Checkout::Miss));
    assert_eq!(handed(pool.return_conn(held[1])).0, 'b');
    assert!(
        is_closed(&pool.return_conn(held[2])),
        "the handle goes, the connection stays"
    );
    assert_eq!((pool.dead(), pool.shape()), (vec![], (0, 2, 0)));
}

#[test]
fn a_stream_ends_in_the_usual_way_unless_a_caller_waits_or_its_connection_goes() {
    let mut pool = Pool::with(TWO, 1);
    let (_, slot) = pool.take().unwrap();
    assert!(pool.slots.ends_stream(slot, pool.now, &pool.peers));
    assert_eq!((pool.slots.in_use(), pool.shape()), (0, (1, 0, 0)));
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    pool.wait('a');
    assert!(
        !pool.slots.ends_stream(held[0].1, pool.now, &pool.peers),
        "a caller waits for it"
    );
    assert_eq!(handed(pool.return_conn(held[0])).0, 'a');
    pool.peers.dead.insert(1);
    assert!(
        !pool.slots.ends_stream(held[1].1, pool.now, &pool.peers),
        "its connection has ended"
    );
    assert_eq!(pool.slots.in_use(), 2, "what was refused has changed nothing");
}

#[test]
fn an_unused_multiplexed_connection_stays() {
    let mut pool = Pool::with(TWO, 1);
    let held = pool.take().unwrap();
    pool.return_conn(held);
    assert_eq!(pool.shape(), (1, 0, 0));
}

#[test]
fn a_connection_that_has_ended_ends_with_its_last_stream_and_others_serve() {
    let mut pool = Pool::with(TWO, 2);
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    assert_eq!(held[0].0, 1);
    pool.peers.dead.insert(1);
    pool.return_conn(held[1]);
    assert_eq!(pool.take_conn(), Some(2), "the other serves");
    assert!(is_closed(&pool.return_conn(held[0])));
    assert!(pool.take().is_none(), "1 takes no more streams, and 2 has no more");
    assert_eq!(
        (pool.dead(), pool.shape()),
        (vec![], (0, 2, 0)),
        "one stream still runs on 1"
    );
    assert!(is_closed(&pool.return_conn(held[2])));
    assert_eq!((pool.dead(), pool.shape()), (vec![1], (0, 1, 0)));
    assert_eq!((pool.closed().ended, pool.closed().total()), (1, 1));
}

#[test]
fn a_connection_that_has_ended_unused_is_found_by_the_next_caller() {
    let mut pool = Pool::with(TWO, 2);
    pool.peers.dead.insert(1);
    assert_eq!(pool.take_conn(), Some(2));
    assert_eq!((pool.dead(), pool.closed().ended), (vec![1], 1));
}

#[test]
fn the_place_of_an_ended_connection_goes_to_a_dial_when_its_last_stream_ends() {
    let mut pool = Pool::with(Limits { connections: 1, ..TWO }, 1);
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    pool.wait('a');
    pool.peers.dead.insert(1);
    pool.return_conn(held[0]);
    assert_eq!(pool.dials(), 0, "it still counts");
    pool.return_conn(held[1]);
    assert_eq!(pool.dials(), 1);
    pool.dialled(2);
    assert_eq!(served_by(&pool.serve()), [('a', 2)]);
}

#[test]
fn a_stream_that_was_cancelled_says_nothing_about_its_connection() {
    let mut pool = Pool::with(TWO, 1);
    let held = pool.take().unwrap();
    assert!(is_closed(&pool.end(held, End::Close(CloseReason::Cancelled))));
    assert_eq!((pool.shape(), pool.closed().total()), ((1, 0, 0), 0));
}

#[test]
fn a_stream_whose_user_says_that_it_broke_takes_its_connection_along() {
    let mut pool = Pool::with(TWO, 2);
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    assert_eq!([held[0].0, held[2].0], [1, 1]);
    pool.invalidate_idle();
    assert!(is_closed(&pool.end(held[0], End::Close(CloseReason::Broken))));
    assert!(is_closed(&pool.return_conn(held[2])));
    assert!(is_closed(&pool.return_conn(held[1])) && is_closed(&pool.return_conn(held[3])));
    assert_eq!(pool.dead(), [1, 2]);
    assert_eq!(
        (pool.closed().broken, pool.closed().invalidated),
        (1, 1),
        "and the other was invalidated"
    );
}

#[test]
fn a_peer_that_allows_fewer_streams_is_believed_and_one_that_allows_more_is_not_overrun() {
    let mut pool = Pool::with(TWO, 2);
    pool.peers.streams.extend([(1, 1), (2, 100)]);
    let conns: Vec<u32> = std::iter::from_fn(|| pool.take_conn()).collect();
    assert_eq!(conns, [1, 2, 2]);
}

#[test]
fn a_limit_lowered_in_use_is_kept_as_streams_end() {
    let mut pool = Pool::with(Limits { connections: 1, ..TWO }, 1);
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    pool.wait('a');
    pool.peers.streams.insert(1, 1);
    assert!(
        is_closed(&pool.return_conn(held[0])),
        "the one that is left is as many as allowed"
    );
    assert_eq!(pool.counts().waiting, 1);
    assert_eq!(handed(pool.return_conn(held[1])).0, 'a');
}

#[test]
fn a_limit_raised_in_use_serves_the_waiters() {
    let mut pool = Pool::with(
        Limits {
            connections: 1,
            multiplexed: true,
            streams: 3,
            ..TWO
        },
        1,
    );
    pool.peers.streams.insert(1, 1);
    let held = pool.take().unwrap();
    pool.wait_all("abc");
    pool.peers.streams.insert(1, 2);
    assert!(
        matches!(pool.checkout(true), Checkout::Miss),
        "the free stream is for a"
    );
    assert_eq!(handed(pool.return_conn(held)).0, 'a');
    assert_eq!(served_by(&pool.serve()), [('b', 1)]);
    assert_eq!(pool.counts().waiting, 1);
}

#[test]
fn a_peer_that_allows_no_streams_is_not_dialled_again_and_its_waiters_go_elsewhere() {
    let mut pool = Pool::new(TWO);
    pool.wait_all("ab");
    assert_eq!(pool.dials(), 1);
    pool.dialled(1);
    pool.peers.streams.insert(1, 0);
    assert!(!pool.slots.admits_none(), "it was not asked yet");
    assert!(pool.serve().is_empty());
    assert!(pool.slots.admits_none());
    assert_eq!((pool.slots.turn_away_if_barred(), pool.dials()), (vec!['a', 'b'], 0));
    assert!(matches!(pool.checkout(true), Checkout::Miss));
    pool.maintain(0);
    assert_eq!(pool.dials(), 0);
    pool.peers.streams.insert(1, 1);
    pool.capacity_changed();
    assert!(!pool.slots.admits_none());
    assert_eq!(pool.take_conn(), Some(1));
    pool.wait('c');
    assert_eq!(pool.dials(), 1, "it is full as any other");
}

#[test]
fn a_limit_lowered_to_none_in_use_turns_the_waiters_away_until_it_is_raised() {
    let mut pool = Pool::with(TWO, 1);
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    pool.peers.streams.insert(1, 0);
    pool.wait('a');
    assert_eq!(pool.dials(), 1, "it is not known yet");
    pool.capacity_changed();
    assert!(
        pool.slots.turn_away_if_barred().is_empty(),
        "the other connection may serve"
    );
    pool.dialled(2);
    pool.peers.streams.insert(2, 0);
    assert!(pool.serve().is_empty());
    assert_eq!(pool.slots.turn_away_if_barred(), ['a']);
    assert!(is_closed(&pool.return_conn(held[0])));
    pool.peers.streams.clear();
    pool.capacity_changed();
    assert_eq!(pool.take_conn(), Some(2));
    assert_eq!(pool.dials(), 0);
}

#[test]
fn a_peer_that_allows_no_streams_on_one_connection_serves_on_another() {
    let mut pool = Pool::with(TWO, 2);
    pool.peers.streams.insert(1, 0);
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    assert_eq!(held.iter().map(|(conn, _)| *conn).collect::<Vec<_>>(), [2, 2]);
    pool.wait('a');
    assert!(!pool.slots.admits_none());
    assert!(pool.slots.turn_away_if_barred().is_empty());
    assert_eq!(handed(pool.return_conn(held[0])).0, 'a');
}

#[test]
fn a_connection_that_ended_unused_makes_way_for_the_waiters_at_once() {
    let mut pool = Pool::with(Limits { connections: 1, ..TWO }, 1);
    pool.peers.mute.insert(1);
    let held = pool.take();
    assert!(held.is_none());
    pool.peers.mute.clear();
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    pool.wait('a');
    assert_eq!(
        (held.len(), pool.dials()),
        (0, 1),
        "the one in doubt has left its place"
    );

    let mut pool = Pool::with(Limits { connections: 1, ..TWO }, 1);
    pool.peers.streams.insert(1, 0);
    pool.capacity_changed();
    pool.wait('a');
    pool.peers.dead.insert(1);
    pool.capacity_changed();
    assert_eq!((pool.dead(), pool.dials(), pool.closed().ended), (vec![1], 1, 1));
}

#[test]
fn one_stream_of_a_shared_connection_is_still_a_stream() {
    let mut pool = Pool::with(Limits { streams: 1, ..TWO }, 1);
    pool.peers.streams.insert(1, 0);
    assert!(pool.take().is_none(), "the peer is asked");
    pool.wait('a');
    assert_eq!(pool.dials(), 0);
    pool.peers.streams.clear();
    pool.capacity_changed();
    assert_eq!(served_by(&pool.serve()), [('a', 1)]);
    assert!(pool.take().is_none());
}

#[test]
fn beside_a_connection_that_takes_no_stream_an_invalidation_makes_room_for_a_waiter() {
    let mut pool = Pool::with(Limits { connections: 1, ..TWO }, 1);
    pool.peers.streams.insert(1, 0);
    pool.wait('a');
    assert_eq!(pool.dials(), 0, "no room");
    pool.invalidate_idle();
    assert_eq!((pool.dead(), pool.dials()), (vec![1], 1));
}

#[test]
fn beside_a_connection_that_takes_no_stream_its_expiry_makes_room_for_a_waiter() {
    let mut pool = Pool::with(Limits { connections: 1, ..TWO }, 1);
    pool.peers.streams.insert(1, 0);
    pool.wait('a');
    pool.maintain(2);
    assert_eq!((pool.dead(), pool.dials()), (vec![1], 1));
}

#[test]
fn a_connection_in_doubt_is_replaced_and_serves_again_when_it_has_proved_itself() {
    let mut pool = Pool::with(TWO, 1);
    let held = pool.take().unwrap();
    pool.peers.mute.insert(1);
    assert!(matches!(pool.checkout(true), Checkout::Miss));
    pool.wait('a');
    assert_eq!(
        (pool.dials(), pool.shape()),
        (1, (0, 1, 1)),
        "another is dialled meanwhile"
    );
    assert!(is_closed(&pool.return_conn(held)), "it gives no stream to the waiter");
    pool.peers.mute.clear();
    pool.capacity_changed();
    assert_eq!(served_by(&pool.serve()), [('a', 1)]);
}

#[test]
fn beside_a_connection_in_doubt_another_serves() {
    let mut pool = Pool::with(TWO, 2);
    pool.peers.mute.insert(1);
    assert_eq!(pool.take_conn(), Some(2), "1 has fewer streams, or was there first");
    assert_eq!(pool.take_conn(), Some(2));
    assert_eq!(pool.take_conn(), None);
}

#[test]
fn at_the_limit_an_unused_connection_in_doubt_gives_its_place_away() {
    let mut pool = Pool::with(TWO, 2);
    let held = pool.take().unwrap();
    pool.peers.mute.extend([1, 2]);
    assert!(matches!(pool.checkout(true), Checkout::Miss));
    assert_eq!((pool.dead(), pool.closed().broken), (vec![2], 1), "1 is in use");
    pool.wait('a');
    assert_eq!(pool.dials(), 1);
    pool.dialled(3);
    assert_eq!(served_by(&pool.serve()), [('a', 3)]);
    assert!(is_closed(&pool.return_conn(held)));
    assert_eq!(pool.shape(), (1, 1, 0), "1 may still prove itself");
}

#[test]
fn a_failed_dial_takes_its_streams_from_those_that_came_last() {
    let mut pool = Pool::with(Limits { connections: 3, ..TWO }, 1);
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    pool.wait_all("abcdefg");
    assert_eq!(pool.dials(), 2);
    assert_eq!(
        pool.dial_failed(),
        ['e', 'f', 'g'],
        "one dial and two streams held can serve four"
    );
    assert_eq!(pool.dial_failed(), ['c', 'd']);
    assert_eq!(handed(pool.return_conn(held[0])).0, 'a');
}

#[test]
fn when_a_finished_dial_is_not_enough_the_next_is_started() {
    let mut pool = Pool::new(Limits {
        connections: 3,
        dials: 1,
        ..TWO
    });
    pool.wait_all("abc");
    assert_eq!(pool.dials(), 1);
    pool.dialled(1);
    assert_eq!(served_by(&pool.serve()), [('a', 1), ('b', 1)]);
    assert_eq!(pool.dials(), 1, "for c");
}

#[test]
fn an_invalidation_closes_what_is_in_use_and_closes_the_rest() {
    let mut pool = Pool::with(TWO, 2);
    let held = pool.take().unwrap();
    pool.invalidate_idle();
    assert_eq!(pool.dead(), [2]);
    assert!(pool.take().is_none());
    assert!(is_closed(&pool.return_conn(held)));
    assert_eq!((pool.dead(), pool.closed().invalidated), (vec![1], 2));
}

#[test]
fn a_closed_pool_lets_its_streams_finish() {
    let mut pool = Pool::with(Limits { connections: 1, ..TWO }, 1);
    let held: Vec<Held> = std::iter::from_fn(|| pool.take()).collect();
    pool.wait('a');
    assert_eq!(pool.close(), ['a']);
    assert!(matches!(pool.checkout(true), Checkout::Closed));
    pool.return_conn(held[0]);
    assert_eq!((pool.dead(), pool.slots.in_use()), (vec![], 1));
    pool.return_conn(held[1]);
    assert_eq!(
        (pool.dead(), pool.closed().removed, pool.closed().total()),
        (vec![1], 1, 1)
    );
}

#[test]
fn what_closes_a_connection_first_is_the_reason_that_counts() {
    let mut pool = Pool::with(Limits { connections: 1, ..TWO }, 1);
    let held = pool.take().unwrap();
    pool.invalidate_idle();
    pool.peers.dead.insert(1);
    pool.close();
    pool.return_conn(held);
    assert_eq!((pool.closed().invalidated, pool.closed().total()), (1, 1));
}
