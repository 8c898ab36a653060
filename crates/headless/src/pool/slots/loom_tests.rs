//! Loom models of the real [`Slots`] and [`Permits`]: the hand-off, the guard and the close, and
//! the permits that pods share.
//!
//! The glue around them (`pool.rs`, `pool/checkout.rs`, `pool/cap.rs`) runs on locks and channels
//! that loom cannot see. So its few steps are repeated here on loom's: lock, decide, unlock, and
//! then carry out. A waiter's channel is a [`Cell`].

use std::collections::VecDeque;

use headless_core::Timestamp;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::{Checkout, CloseReason, Effects, End, Inspect, Limits, Permits, Placed, Slot, Slots, Ticket, Wait};

const NOW: Timestamp = Timestamp::ZERO;
const NEVER: Timestamp = Timestamp::from_nanos(u64::MAX);

const ONE: Limits = Limits {
    connections: 1,
    multiplexed: false,
    streams: 1,
    waiters: 4,
    dials: 1,
    min_idle: 0,
    validate_after_idle: None,
};

type Held = (u32, Slot);

/// Connections that are well and share without limit.
struct Well;

impl Inspect<u32> for Well {
    fn is_reusable(&self, _: &u32) -> bool {
        true
    }

    fn share(&self, conn: &u32) -> Option<u32> {
        Some(*conn)
    }

    fn stream_limit(&self, _: &u32) -> usize {
        usize::MAX
    }
}

/// A channel for one connection; its receiver may leave.
#[derive(Clone)]
struct Cell(Arc<(Mutex<Sent>, Condvar)>);

enum Sent {
    Nothing,
    Held(Held),
    /// There is nothing to wait for.
    Told,
    Left,
}

impl Cell {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(Sent::Nothing), Condvar::new())))
    }

    fn send(&self, what: Sent) -> Result<(), Sent> {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        if let Sent::Left = *state {
            return Err(what);
        }
        *state = what;
        changed.notify_one();
        Ok(())
    }

    fn receive(&self) -> Option<Held> {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        loop {
            match *state {
                Sent::Nothing => state = changed.wait(state).unwrap(),
                Sent::Held(held) => return Some(held),
                Sent::Told | Sent::Left => return None,
            }
        }
    }

    /// What was sent too late comes back.
    fn leave(&self) -> Option<Held> {
        match std::mem::replace(&mut *self.0.0.lock().unwrap(), Sent::Left) {
            Sent::Held(held) => Some(held),
            Sent::Nothing | Sent::Told | Sent::Left => None,
        }
    }
}

/// Pods with one connection each at most, and what they share.
struct Pods {
    pods: Vec<Mutex<Slots<u32, Cell>>>,
    permits: std::sync::Arc<Permits>,
    awaiting: Mutex<VecDeque<usize>>,
}

impl Pods {
    fn new(pods: usize, permits: usize, limits: Limits) -> Self {
        let permits = std::sync::Arc::new(Permits::new(permits));
        let pod = |_| Mutex::new(Slots::new(limits, Some(std::sync::Arc::clone(&permits))));
        Self {
            pods: (0..pods).map(pod).collect(),
            awaiting: Mutex::new(VecDeque::new()),
            permits,
        }
    }

    /// Opens the connection of `pod` and checks it out.
    fn take(&self, pod: usize) -> Held {
        let mut slots = self.pods[pod].lock().unwrap();
        assert!(slots.start_dial(&mut Effects::default()));
        slots.dialled(7, NEVER, NOW, &mut Effects::default());
        match slots.checkout(NOW, true, &Well, &mut Effects::default()) {
            Checkout::Ready(conn, slot) => (conn, slot),
            other => panic!("it is there: {other:?}"),
        }
    }

    /// A connection, or a place in the queue.
    fn enter(&self, pod: usize) -> Result<Held, (Ticket, Cell)> {
        let mut out = Effects::default();
        let entered = {
            let mut slots = self.pods[pod].lock().unwrap();
            match slots.checkout(NOW, true, &Well, &mut out) {
                Checkout::Ready(conn, slot) => Ok((conn, slot)),
                Checkout::Validate(..) | Checkout::Closed => panic!("neither old nor closed"),
                Checkout::Miss => {
                    let cell = Cell::new();
                    match slots.wait(cell.clone(), &mut out) {
                        Wait::Queued(ticket) => Err((ticket, cell)),
                        Wait::Refused => panic!("there is room to wait"),
                    }
                }
            }
        };
        self.carry_out(pod, out);
        entered
    }

    fn leave(&self, pod: usize, (ticket, cell): (Ticket, Cell)) {
        if let Some(held) = cell.leave() {
            self.return_conn(pod, held, End::Keep);
        }
        self.pods[pod].lock().unwrap().leave(ticket);
    }

    fn return_conn(&self, pod: usize, (conn, slot): Held, end: End) {
        let mut slots = self.pods[pod].lock().unwrap();
        if end == End::Keep && slots.keeps(slot, NOW) {
            slots.return_idle(conn, slot, NOW);
            return;
        }
        drop(slots);
        let mut out = Effects::default();
        let placed = self.pods[pod]
            .lock()
            .unwrap()
            .return_conn(conn, slot, end, NOW, &Well, &mut out);
        self.settle(pod, placed, out);
    }

    fn settle(&self, pod: usize, mut placed: Placed<u32, Cell>, mut out: Effects<u32>) {
        while let Placed::Hand(waiter, conn, slot) = placed {
            if waiter.send(Sent::Held((conn, slot))).is_ok() {
                break;
            }
            placed = self.pods[pod]
                .lock()
                .unwrap()
                .return_conn(conn, slot, End::Keep, NOW, &Well, &mut out);
        }
        self.carry_out(pod, out);
    }

    /// Dials succeed at once.
    fn carry_out(&self, pod: usize, out: Effects<u32>) {
        for _ in 0..out.dials {
            let mut out = Effects::default();
            let placed = self.pods[pod].lock().unwrap().dialled(8, NEVER, NOW, &mut out);
            self.settle(pod, placed, out);
        }
        match out.needs_permit {
            true => self.wait_for_permit(pod),
            false => self.grant(),
        }
    }

    fn wait_for_permit(&self, pod: usize) {
        {
            let mut awaiting = self.awaiting.lock().unwrap();
            if !awaiting.contains(&pod) {
                awaiting.push_back(pod);
            }
            self.permits.set_awaited(awaiting.len());
        }
        if !self.permits.any_left() {
            let mut others = (0..self.pods.len()).filter(|other| *other != pod);
            others.any(|other| self.pods[other].lock().unwrap().evict_idle(&mut Effects::default()));
        }
        self.grant();
    }

    fn grant(&self) {
        while self.permits.is_awaited() && self.permits.any_left() {
            let pod = {
                let mut awaiting = self.awaiting.lock().unwrap();
                let pod = awaiting.pop_front();
                self.permits.set_awaited(awaiting.len());
                pod
            };
            if let Some(pod) = pod {
                let mut out = Effects::default();
                self.pods[pod].lock().unwrap().start_dials(&mut out);
                self.carry_out(pod, out);
            }
        }
    }

    /// Idle, held and waiting.
    fn counts(&self, pod: usize) -> (usize, usize, usize) {
        let counts = self.pods[pod].lock().unwrap().counts();
        assert_eq!(counts.connecting, 0);
        assert_eq!(
            counts.opened - counts.closed.total(),
            (counts.idle + counts.busy) as u64
        );
        (counts.idle, counts.busy, counts.waiting)
    }
}

/// Runs both at the same time, in every order.
fn both(one: impl FnOnce(&Pods) + 'static, other: impl FnOnce(&Pods) + 'static, pods: &Arc<Pods>) {
    let (first, second) = (Arc::clone(pods), Arc::clone(pods));
    let threads = [
        thread::spawn(move || one(&first)),
        thread::spawn(move || other(&second)),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A connection comes back while its waiter leaves: it is never lost, and the pool is as it was.
#[test]
fn a_connection_handed_to_a_waiter_that_leaves_comes_back() {
    loom::model(|| {
        let pods = Arc::new(Pods::new(1, 1, ONE));
        let held = pods.take(0);
        let place = pods.enter(0).expect_err("the only one is held");
        both(
            move |pods| pods.return_conn(0, held, End::Keep),
            move |pods| pods.leave(0, place),
            &pods,
        );
        assert_eq!(pods.counts(0), (1, 0, 0));
    });
}

/// The same with another waiter behind: the connection goes on to it, whenever the first leaves.
#[test]
fn a_connection_whose_first_waiter_leaves_goes_to_the_second() {
    loom::model(|| {
        let pods = Arc::new(Pods::new(1, 1, ONE));
        let held = pods.take(0);
        let first = pods.enter(0).expect_err("the only one is held");
        let (_, second) = pods.enter(0).expect_err("the only one is held");
        both(
            move |pods| pods.return_conn(0, held, End::Keep),
            move |pods| pods.leave(0, first),
            &pods,
        );
        assert_eq!(pods.counts(0), (0, 1, 0));
        assert_eq!(second.receive().map(|(conn, _)| conn), Some(7));
    });
}

/// A lease ends while the pool closes or is invalidated: the connection is never kept, and its
/// permit comes back once.
#[test]
fn a_lease_that_ends_during_a_close_or_an_invalidation_is_not_kept() {
    for streams in [1, 2] {
        for closes in [true, false] {
            loom::model(move || {
                let pods = Arc::new(Pods::new(1, 1, Limits { streams, ..ONE }));
                let held = pods.take(0);
                let end = move |pods: &Pods| {
                    let (mut slots, mut out) = (pods.pods[0].lock().unwrap(), Effects::default());
                    match closes {
                        true => assert!(slots.close(&mut out).is_empty()),
                        false => slots.invalidate_idle(&mut out),
                    }
                };
                both(move |pods| pods.return_conn(0, held, End::Keep), end, &pods);
                assert_eq!(pods.counts(0), (0, 0, 0));
                assert_eq!(pods.permits.used(), 0);
            });
        }
    }
}

/// A caller comes while the pool closes: it is served or told, and does not wait for ever.
#[test]
fn a_waiter_while_a_lease_ends_and_the_pool_closes_is_served_or_told() {
    loom::model(|| {
        let pods = Arc::new(Pods::new(1, 1, ONE));
        let held = pods.take(0);
        let (_, cell) = pods.enter(0).expect_err("the only one is held");
        let close = |pods: &Pods| {
            let told = pods.pods[0].lock().unwrap().close(&mut Effects::default());
            for waiter in told {
                assert!(waiter.send(Sent::Told).is_ok());
            }
        };
        both(move |pods| pods.return_conn(0, held, End::Keep), close, &pods);
        if let Some(held) = cell.receive() {
            pods.return_conn(0, held, End::Keep);
        }
        assert_eq!(pods.counts(0), (0, 0, 0));
        assert_eq!(pods.permits.used(), 0);
    });
}

/// Two callers and one connection: both use it, one after the other.
#[test]
fn two_callers_of_one_connection_are_both_served() {
    loom::model(|| {
        let pods = Arc::new(Pods::new(1, 1, ONE));
        let users = Arc::new(Mutex::new(()));
        let call = |users: Arc<Mutex<()>>| {
            move |pods: &Pods| {
                let held = pods.enter(0).unwrap_or_else(|(_, cell)| cell.receive().unwrap());
                let used = users.try_lock().expect("no other uses it");
                thread::yield_now();
                drop(used);
                pods.return_conn(0, held, End::Keep);
            }
        };
        both(call(Arc::clone(&users)), call(users), &pods);
        assert_eq!(pods.counts(0), (1, 0, 0));
    });
}

/// One permit for two pods: one pod's lease ends, however it does, while the other pod's caller
/// asks. It is always served.
#[test]
fn a_pod_that_waits_for_a_permit_while_another_gives_its_permit_back_is_served() {
    // Without a bound it takes more than a minute.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    for end in [End::Keep, End::Close(CloseReason::Broken)] {
        model.check(move || {
            let pods = Arc::new(Pods::new(2, 1, ONE));
            let held = pods.take(0);
            both(
                move |pods| pods.return_conn(0, held, end),
                |pods| {
                    let (_, cell) = pods.enter(1).expect_err("it has none yet");
                    assert!(cell.receive().is_some());
                },
                &pods,
            );
            assert_eq!((pods.counts(0), pods.counts(1)), ((0, 0, 0), (0, 1, 0)));
            assert_eq!(pods.permits.used(), 1);
        });
    }
}

/// The heart of the above, without the pools' locks, which would hide a weakness: of a pod that
/// waits and one that gives a permit back, at least one sees the other.
#[test]
fn a_permit_that_comes_back_and_a_pod_that_waits_do_not_miss_each_other() {
    loom::model(|| {
        let permits = Arc::new(Permits::new(1));
        assert!(permits.take());
        let other = Arc::clone(&permits);
        let giver = thread::spawn(move || {
            other.give(1);
            other.is_awaited()
        });
        permits.set_awaited(1);
        let seen = permits.any_left();
        assert!(giver.join().unwrap() || seen);
    });
}
