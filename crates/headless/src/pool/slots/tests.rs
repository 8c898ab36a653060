//! The rules of [`Slots`], one test each, and a random walk against a model that knows only the rules.

use std::cell::RefCell;
use std::collections::BTreeSet;

use headless_core::Timestamp;
use proptest::prelude::*;

use super::{Checkout, Inspect, Placed, Slot, Slots, Ticket, Wait};

/// Connections are numbers, waiters are letters; dead connections are those named here.
#[derive(Default)]
struct Dead(RefCell<BTreeSet<u32>>);

impl Inspect<u32> for Dead {
    fn is_reusable(&self, conn: &u32) -> bool {
        !self.0.borrow().contains(conn)
    }

    fn share(&self, conn: &u32) -> Option<u32> {
        Some(*conn)
    }
}

const NOW: Timestamp = Timestamp::ZERO;

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn lend(slots: &mut Slots<u32, char>, dead: &Dead) -> Option<(u32, Slot)> {
    match slots.checkout(dead, &mut Vec::new()) {
        Checkout::Lend(conn, slot) => Some((conn, slot)),
        Checkout::Miss | Checkout::Closed => None,
    }
}

fn queue(slots: &mut Slots<u32, char>, waiter: char) -> (Ticket, bool) {
    match slots.wait(waiter) {
        Wait::Queued { ticket, dial } => (ticket, dial),
        Wait::Refused => panic!("refused {waiter}"),
    }
}

/// A pool whose connections 1, 2, … are idle, the last one newest.
fn with_idle(limit: usize, idle: u32) -> Slots<u32, char> {
    let mut slots = Slots::new(limit, 1, 10);
    for conn in 1..=idle {
        let (ticket, dial) = queue(&mut slots, 'x');
        assert!(dial);
        slots.leave(ticket);
        assert!(matches!(slots.dialled(conn, at(conn.into())), Placed::Kept));
    }
    slots
}

#[test]
fn the_newest_idle_connection_is_lent_first() {
    let (mut slots, dead) = (with_idle(5, 3), Dead::default());
    assert_eq!(lend(&mut slots, &dead).map(|(conn, _)| conn), Some(3));
    let (conn, slot) = lend(&mut slots, &dead).unwrap();
    assert_eq!(conn, 2);
    slots.put_back(conn, slot, true, NOW, &dead);
    assert_eq!(
        lend(&mut slots, &dead).map(|(conn, _)| conn),
        Some(2),
        "what came back last goes out first"
    );
}

#[test]
fn a_dead_idle_connection_is_skipped_and_handed_out_to_be_dropped() {
    let (mut slots, dead) = (with_idle(5, 3), Dead::default());
    dead.0.borrow_mut().extend([3, 2]);
    let mut buried = Vec::new();
    let Checkout::Lend(conn, _) = slots.checkout(&dead, &mut buried) else {
        panic!("1 is alive")
    };
    assert_eq!((conn, buried), (1, vec![3, 2]));
}

#[test]
fn waiters_are_served_first_come_and_never_overtaken() {
    let (mut slots, dead) = (with_idle(1, 1), Dead::default());
    let (conn, slot) = lend(&mut slots, &dead).unwrap();
    for waiter in ['a', 'b', 'c'] {
        assert!(lend(&mut slots, &dead).is_none());
        assert!(!queue(&mut slots, waiter).1, "the limit is reached: no dial");
    }
    let mut served = String::new();
    let mut placed = slots.put_back(conn, slot, true, NOW, &dead);
    while let Placed::Hand(waiter, conn, slot) = placed {
        assert!(
            lend(&mut slots, &dead).is_none(),
            "a newcomer does not get what others wait for"
        );
        served.push(waiter);
        placed = slots.put_back(conn, slot, true, NOW, &dead);
    }
    assert_eq!(served, "abc");
    assert!(matches!(placed, Placed::Kept));
}

#[test]
fn one_dial_is_started_for_each_waiter_within_the_limit() {
    let mut slots: Slots<u32, char> = Slots::new(2, 1, 10);
    assert!(queue(&mut slots, 'a').1);
    assert!(queue(&mut slots, 'b').1);
    assert!(!queue(&mut slots, 'c').1);
    assert_eq!(slots.counts().dialling, 2);
}

#[test]
fn a_returned_connection_serves_a_waiter_whose_dial_goes_on() {
    let (mut slots, dead) = (with_idle(2, 1), Dead::default());
    let (conn, slot) = lend(&mut slots, &dead).unwrap();
    assert!(queue(&mut slots, 'a').1);
    assert!(matches!(
        slots.put_back(conn, slot, true, NOW, &dead),
        Placed::Hand('a', 1, _)
    ));
    assert!(
        matches!(slots.dialled(2, NOW), Placed::Kept),
        "the dial's connection waits for the next caller"
    );
    assert_eq!(lend(&mut slots, &dead).map(|(conn, _)| conn), Some(2));
}

#[test]
fn a_failed_dial_tells_only_those_for_whom_nothing_can_come() {
    let (mut slots, dead) = (with_idle(3, 1), Dead::default());
    let _lent = lend(&mut slots, &dead).unwrap();
    for waiter in ['a', 'b', 'c'] {
        queue(&mut slots, waiter);
    }
    assert_eq!(slots.counts().dialling, 2);
    assert_eq!(
        slots.dial_failed(),
        ['c'],
        "one dial and one lent connection can still serve two"
    );
    assert_eq!(slots.dial_failed(), ['b']);
    assert_eq!(slots.counts().waiting, 1, "the lent connection may come back");
}

#[test]
fn a_broken_connection_is_replaced_for_whoever_waits() {
    let (mut slots, dead) = (with_idle(1, 1), Dead::default());
    let (conn, slot) = lend(&mut slots, &dead).unwrap();
    queue(&mut slots, 'a');
    assert!(matches!(
        slots.put_back(conn, slot, false, NOW, &dead),
        Placed::Close { conn: 1, dial: true }
    ));
    assert!(matches!(slots.dialled(2, NOW), Placed::Hand('a', 2, _)));
}

#[test]
fn the_queue_is_bounded() {
    let mut slots: Slots<u32, char> = Slots::new(1, 1, 2);
    queue(&mut slots, 'a');
    let (second, _) = queue(&mut slots, 'b');
    assert_eq!(slots.wait('c'), Wait::Refused);
    slots.leave(second);
    queue(&mut slots, 'd');
}

#[test]
fn idle_connections_expire_oldest_first() {
    let (mut slots, mut expired) = (with_idle(5, 4), Vec::new());
    slots.expire(at(3), &mut expired);
    assert_eq!(expired, [1, 2]);
    assert_eq!(slots.counts().idle, 2);
}

#[test]
fn a_sweep_spares_neither_idle_nor_lent_connections() {
    let (mut slots, dead, mut swept) = (with_idle(5, 3), Dead::default(), Vec::new());
    let (conn, slot) = lend(&mut slots, &dead).unwrap();
    slots.sweep(&mut swept);
    assert_eq!(swept, [1, 2]);
    assert!(matches!(
        slots.put_back(conn, slot, true, NOW, &dead),
        Placed::Close { conn: 3, dial: false }
    ));
}

#[test]
fn a_closed_pool_tells_its_waiters_and_keeps_nothing() {
    let (mut slots, dead, mut dropped) = (with_idle(2, 2), Dead::default(), Vec::new());
    let (conn, slot) = lend(&mut slots, &dead).unwrap();
    let other = lend(&mut slots, &dead).unwrap();
    queue(&mut slots, 'a');
    assert_eq!(slots.close(&mut dropped), ['a']);
    assert!(matches!(
        slots.put_back(conn, slot, true, NOW, &dead),
        Placed::Close { .. }
    ));
    assert!(matches!(
        slots.put_back(other.0, other.1, true, NOW, &dead),
        Placed::Close { .. }
    ));
    assert!(matches!(slots.checkout(&dead, &mut dropped), Checkout::Closed));
    assert!(!slots.start_probe());
    assert_eq!(slots.in_use(), 0);
}

/// A pool of shared connections with `streams` each.
fn shared(limit: usize, streams: usize) -> Slots<u32, char> {
    Slots::new(limit, streams, 100)
}

fn serve_all(slots: &mut Slots<u32, char>, dead: &Dead) -> Vec<(char, u32, Slot)> {
    std::iter::from_fn(|| slots.serve(dead, &mut Vec::new())).collect()
}

#[test]
fn one_shared_connection_serves_as_many_as_it_has_streams() {
    let (mut slots, dead) = (shared(3, 2), Dead::default());
    let dials: Vec<bool> = "abcd".chars().map(|waiter| queue(&mut slots, waiter).1).collect();
    assert_eq!(dials, [true, false, true, false], "one dial per two waiters");
    assert!(matches!(slots.dialled(1, NOW), Placed::Kept));
    let served = serve_all(&mut slots, &dead);
    assert_eq!(
        served
            .iter()
            .map(|(waiter, conn, _)| (*waiter, *conn))
            .collect::<Vec<_>>(),
        [('a', 1), ('b', 1)]
    );
    assert_eq!(slots.in_use(), 2);
}

#[test]
fn streams_go_to_the_connection_with_the_fewest() {
    let (mut slots, dead) = (shared(2, 3), Dead::default());
    for waiter in "abcd".chars() {
        queue(&mut slots, waiter);
    }
    slots.dialled(1, NOW);
    slots.dialled(2, NOW);
    let conns: Vec<u32> = serve_all(&mut slots, &dead).iter().map(|(_, conn, _)| *conn).collect();
    assert_eq!(conns.iter().filter(|conn| **conn == 1).count(), 2, "{conns:?}");
}

#[test]
fn a_returned_stream_goes_to_the_first_waiter() {
    let (mut slots, dead) = (shared(1, 2), Dead::default());
    for waiter in "abc".chars() {
        queue(&mut slots, waiter);
    }
    slots.dialled(1, NOW);
    let (_, handle, slot) = serve_all(&mut slots, &dead)[0];
    assert!(matches!(
        slots.put_back(handle, slot, true, NOW, &dead),
        Placed::Hand('c', 1, _)
    ));
}

#[test]
fn a_dead_shared_connection_ends_with_its_last_stream() {
    let (mut slots, dead) = (shared(1, 2), Dead::default());
    for waiter in "ab".chars() {
        queue(&mut slots, waiter);
    }
    slots.dialled(1, NOW);
    let served = serve_all(&mut slots, &dead);
    dead.0.borrow_mut().insert(1);
    assert!(matches!(
        slots.put_back(served[0].1, served[0].2, true, NOW, &dead),
        Placed::Close { dial: false, .. }
    ));
    assert_eq!(slots.counts().busy, 1, "one stream still runs on it");
    assert!(lend(&mut slots, &dead).is_none(), "but it takes no new one");
    assert!(matches!(
        slots.put_back(served[1].1, served[1].2, true, NOW, &dead),
        Placed::Close { dial: false, .. }
    ));
    assert_eq!(slots.counts().busy, 0);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Call,
    Return(usize),
    Break(usize),
    Dialled,
    DialFailed,
    Leave(usize),
    Sweep,
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Call),
        4 => (0usize..64).prop_map(Step::Return),
        1 => (0usize..64).prop_map(Step::Break),
        4 => Just(Step::Dialled),
        2 => Just(Step::DialFailed),
        1 => (0usize..64).prop_map(Step::Leave),
        1 => Just(Step::Sweep),
        1 => Just(Step::Expire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever happens: the limit holds, every connection is in exactly one place, nobody is overtaken, and nobody waits for
    /// something that cannot come.
    #[test]
    fn a_random_walk(limit in 1usize..5, streams in prop_oneof![Just(1usize), 2usize..4], steps in proptest::collection::vec(step(), 1..120)) {
        let mut slots: Slots<u32, char> = Slots::new(limit, streams, 8);
        let dead = Dead::default();
        let (mut lent, mut queue, mut opened): (Vec<(u32, Slot)>, Vec<Ticket>, u32) = (vec![], vec![], 0);
        for (clock, step) in (1u64..).zip(steps) {
            let mut placed = None;
            match step {
                Step::Call => match slots.checkout(&dead, &mut Vec::new()) {
                    Checkout::Lend(conn, slot) => {
                        prop_assert!(queue.is_empty(), "a newcomer overtook a waiter");
                        lent.push((conn, slot));
                    }
                    Checkout::Miss => if let Wait::Queued { ticket, .. } = slots.wait('w') { queue.push(ticket) },
                    Checkout::Closed => prop_assert!(false, "never closed here"),
                },
                Step::Return(which) | Step::Break(which) if !lent.is_empty() => {
                    let (conn, slot) = lent.swap_remove(which % lent.len());
                    placed = Some(slots.put_back(conn, slot, matches!(step, Step::Return(_)), at(clock), &dead));
                }
                Step::Dialled if slots.counts().dialling > 0 => {
                    opened += 1;
                    placed = Some(slots.dialled(opened, at(clock)));
                }
                Step::DialFailed if slots.counts().dialling > 0 => {
                    let told = slots.dial_failed().len();
                    queue.truncate(queue.len() - told);
                }
                Step::Leave(which) if !queue.is_empty() => slots.leave(queue.remove(which % queue.len())),
                Step::Sweep => slots.sweep(&mut Vec::new()),
                Step::Expire => slots.expire(at(clock.saturating_sub(5)), &mut Vec::new()),
                _ => {}
            }
            if let Some(Placed::Hand(_, conn, slot)) = placed {
                queue.remove(0);
                lent.push((conn, slot));
            }
            while let Some((_, conn, slot)) = slots.serve(&dead, &mut Vec::new()) {
                queue.remove(0);
                lent.push((conn, slot));
            }
            let counts = slots.counts();
            prop_assert!(counts.idle + counts.busy + counts.dialling <= limit, "limit {limit}: {counts:?}");
            prop_assert_eq!(counts.waiting, queue.len());
            prop_assert_eq!(slots.in_use(), lent.len());
            if streams == 1 {
                let mut conns: Vec<u32> = lent.iter().map(|(conn, _)| *conn).collect();
                conns.sort_unstable();
                conns.dedup();
                prop_assert_eq!(conns.len(), lent.len(), "a connection was lent twice");
            }
            prop_assert!(queue.is_empty() || counts.dialling > 0 || !lent.is_empty(), "a waiter without hope");
            prop_assert!(queue.is_empty() || counts.idle == 0 || streams > 1, "a waiter beside an idle connection");
        }
    }
}
