//! What the tests of [`Slots`] share: a pool of numbers as connections and letters as waiters. The
//! rules, one test each, are in `rules.rs`, `multiplexing.rs`, `maintain.rs`, `lifetime.rs` and
//! `permits.rs`; a million random operations against a model are in `model/`.

mod lifetime;
mod maintain;
mod model;
mod multiplexing;
mod permits;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headless_core::Timestamp;

use super::{
    Checkout, CloseReason, ClosedBy, Counts, Effects, End, Inspect, Limits, Permits, Placed, Slot, Slots, Ticket, Wait,
};

const LIMITS: Limits = Limits {
    connections: 10,
    multiplexed: false,
    streams: 1,
    waiters: 10,
    dials: 10,
    min_idle: 0,
    validate_after_idle: None,
};

const fn multiplexed(limits: Limits) -> Limits {
    Limits {
        multiplexed: true,
        streams: 2,
        ..limits
    }
}

const NEVER: Timestamp = Timestamp::from_nanos(u64::MAX);

type Held = (u32, Slot);

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

/// What the connections would say if they were asked.
#[derive(Default)]
struct Peers {
    dead: BTreeSet<u32>,
    /// Multiplexed connections that give no handle for the moment.
    mute: BTreeSet<u32>,
    /// How many streams a peer allows, if not any number.
    streams: BTreeMap<u32, usize>,
}

impl Inspect<u32> for Peers {
    fn is_reusable(&self, conn: &u32) -> bool {
        !self.dead.contains(conn)
    }

    fn share(&self, conn: &u32) -> Option<u32> {
        (!self.mute.contains(conn)).then_some(*conn)
    }

    fn stream_limit(&self, conn: &u32) -> usize {
        self.streams.get(conn).copied().unwrap_or(usize::MAX)
    }
}

/// One pod's pool, and the time.
struct Pool {
    slots: Slots<u32, char>,
    limits: Limits,
    permits: Option<Arc<Permits>>,
    peers: Peers,
    now: Timestamp,
    /// What was decided and not asked for yet.
    out: Effects<u32>,
}

impl Pool {
    fn new(limits: Limits) -> Self {
        Self::with_permits(limits, None)
    }

    fn with_permits(limits: Limits, permits: Option<&Arc<Permits>>) -> Self {
        Self {
            slots: Slots::new(limits, permits.cloned()),
            limits,
            permits: permits.cloned(),
            peers: Peers::default(),
            now: Timestamp::ZERO,
            out: Effects::default(),
        }
    }

    /// With the unused connections 1, 2, …, each opened at that time: the last one is the newest.
    fn with(limits: Limits, connections: u32) -> Self {
        let mut pool = Self::new(limits);
        for _ in 0..connections {
            assert!(pool.slots.start_dial(&mut pool.out));
        }
        pool.dials();
        for conn in 1..=connections {
            pool.now = at(conn.into());
            assert!(is_kept(&pool.dialled(conn)));
        }
        pool
    }

    /// Opens a connection without a waiter.
    fn open(&mut self, conn: u32, retire_at: Timestamp) {
        assert!(self.slots.start_dial(&mut self.out), "no room for {conn}");
        self.out.dials -= 1;
        assert!(matches!(self.dialled_until(conn, retire_at), Placed::Kept));
    }

    fn checkout(&mut self, may_validate: bool) -> Checkout<u32> {
        let checkout = self.slots.checkout(self.now, may_validate, &self.peers, &mut self.out);
        self.audit();
        checkout
    }

    /// What a caller gets without waiting or validating.
    fn take(&mut self) -> Option<Held> {
        match self.checkout(false) {
            Checkout::Ready(conn, slot) => Some((conn, slot)),
            Checkout::Validate(..) => panic!("to be validated, though the caller cannot"),
            Checkout::Miss | Checkout::Closed => None,
        }
    }

    /// The connection, for tests that do not return it.
    fn take_conn(&mut self) -> Option<u32> {
        self.take().map(|(conn, _)| conn)
    }

    fn wait(&mut self, waiter: char) -> Ticket {
        match self.slots.wait(waiter, &mut self.out) {
            Wait::Queued(ticket) => ticket,
            Wait::Refused => panic!("refused {waiter}"),
        }
    }

    fn wait_all(&mut self, waiters: &str) {
        for waiter in waiters.chars() {
            self.wait(waiter);
        }
    }

    fn return_conn(&mut self, (conn, slot): Held) -> Placed<u32, char> {
        self.end((conn, slot), End::Keep)
    }

    fn end(&mut self, (conn, slot): Held, end: End) -> Placed<u32, char> {
        let placed = self
            .slots
            .return_conn(conn, slot, end, self.now, &self.peers, &mut self.out);
        self.audit();
        placed
    }

    fn dialled(&mut self, conn: u32) -> Placed<u32, char> {
        self.dialled_until(conn, NEVER)
    }

    fn dialled_until(&mut self, conn: u32, retire_at: Timestamp) -> Placed<u32, char> {
        let placed = self.slots.dialled(conn, retire_at, self.now, &mut self.out);
        self.audit();
        placed
    }

    fn dial_failed(&mut self) -> Vec<char> {
        let told = self.slots.dial_failed();
        self.audit();
        told
    }

    /// Hands free streams to the waiters.
    fn serve(&mut self) -> Vec<(char, u32, Slot)> {
        let served = std::iter::from_fn(|| self.slots.serve(self.now, &self.peers, &mut self.out)).collect();
        self.audit();
        served
    }

    fn capacity_changed(&mut self) {
        self.slots.capacity_changed(&self.peers, &mut self.out);
        self.audit();
    }

    fn maintain(&mut self, idle_before: u64) {
        self.slots.maintain(self.now, at(idle_before), &mut self.out);
        self.audit();
    }

    fn invalidate_idle(&mut self) {
        self.slots.invalidate_idle(&mut self.out);
        self.audit();
    }

    fn invalidate_idle_before(&mut self, slot: Slot) {
        self.slots.invalidate_idle_before(slot, &mut self.out);
        self.audit();
    }

    fn close(&mut self) -> Vec<char> {
        let told = self.slots.close(&mut self.out);
        self.audit();
        told
    }

    fn counts(&self) -> Counts {
        self.slots.counts()
    }

    fn closed(&self) -> ClosedBy {
        self.counts().closed
    }

    /// Connections that exist, are held, and are being opened.
    fn shape(&self) -> (usize, usize, usize) {
        let Counts {
            idle, busy, connecting, ..
        } = self.counts();
        (idle, busy, connecting)
    }

    /// The dials started since it was last asked.
    fn dials(&mut self) -> usize {
        std::mem::take(&mut self.out.dials)
    }

    /// The connections given up since it was last asked.
    fn dead(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.out.dead)
    }

    /// Whether a dial was wanted that no permit was left for, since it was last asked.
    fn needs_permit(&mut self) -> bool {
        std::mem::take(&mut self.out.needs_permit)
    }

    /// What holds after every operation.
    fn audit(&self) {
        let counts = self.counts();
        let exist = counts.idle + counts.busy;
        assert!(exist + counts.connecting <= self.limits.connections, "{counts:?}");
        assert!(counts.connecting <= self.limits.dials, "{counts:?}");
        assert_eq!(counts.opened - counts.closed.total(), exist as u64, "{counts:?}");
        if let Some(permits) = &self.permits {
            assert!(permits.used() >= exist + counts.connecting, "{counts:?}");
        }
    }
}

fn handed(placed: Placed<u32, char>) -> (char, u32, Slot) {
    match placed {
        Placed::Hand(waiter, conn, slot) => (waiter, conn, slot),
        other => panic!("not handed over: {other:?}"),
    }
}

fn is_kept(placed: &Placed<u32, char>) -> bool {
    matches!(placed, Placed::Kept)
}

fn is_closed(placed: &Placed<u32, char>) -> bool {
    matches!(placed, Placed::Close(_))
}
