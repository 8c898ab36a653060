//! [`Pool`]: the connections to one endpoint. The asynchronous glue around [`Slots`]: it locks,
//! wakes waiters, and drops connections outside the lock.
//!
//! It knows an endpoint, a connector and a runtime, and nothing of the modules above: what happens
//! to its connections it tells a [`PoolObserver`]. `checkout.rs` is the way in and its queue,
//! `connect.rs` opens connections, `maintain.rs` looks after unused ones, `multiplexing.rs` after
//! shared ones, `slots.rs` decides.

mod cap;
mod checkout;
mod config;
mod connect;
mod maintain;
mod multiplexing;
mod refusal;
mod slots;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use headless_core::{AbortHandle, Connect, Endpoint, Multiplexing, Timestamp, VerifyPeer};
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

pub(crate) use self::cap::Cap;
use self::cap::CapMember;
pub(crate) use self::config::InvalidSetting;
pub use self::config::PoolConfig;
use self::connect::Unpolled;
pub(crate) use self::refusal::Refusal;
pub use self::refusal::{ConnectError, ConnectFault, Stage};
pub use self::slots::ClosedBy;
pub(crate) use self::slots::{CloseReason, Counts, End, Slot};
use self::slots::{Effects, Inspect, Limits, Placed, Slots};
use crate::clock::Clock;
use crate::histogram::Recorder;

/// What all pools of a balancer have in common.
pub(crate) struct PoolContext<C: Connect> {
    pub(crate) service: Arc<str>,
    pub(crate) connector: C,
    pub(crate) verify_peer: Option<Box<dyn VerifyPeer>>,
    pub(crate) config: PoolConfig,
    pub(crate) cap: Option<Cap>,
    pub(crate) clock: Arc<Clock>,
    /// Connections end in `Drop`, which may run outside a runtime, and may have to start a dial.
    pub(crate) runtime: Handle,
}

/// What a pool tells its owner.
pub(crate) trait PoolObserver: Send + Sync {
    /// A connection was opened.
    fn connected(&self);

    /// A connection could not be opened. The waiters are told after this returns.
    fn connect_failed(self: Arc<Self>, error: &ConnectError);

    /// A connection ended although it should not have.
    fn connection_lost(&self);

    /// A connection was returned to a pool that is closed.
    fn returned_after_close(&self);

    /// The endpoint may allow more streams than before.
    fn capacity_changed(&self);
}

/// The connections to one endpoint.
pub(crate) struct Pool<C: Connect> {
    endpoint: Arc<Endpoint>,
    /// Locked twice a request. WHY parking_lot: the cheapest mutex, with and without contention.
    slots: Mutex<PoolSlots<C>>,
    /// Aborts open connections at the drain deadline. Touched when one is opened, not by requests.
    aborts: Mutex<Vec<Box<dyn AbortHandle>>>,
    unpolled: Mutex<Unpolled>,
    /// Tells dials and probes that the pool is closed.
    closing: Notify,
    /// How long the callers waited that found no idle connection.
    wait_time: Recorder,
    connect_time: Recorder,
    context: Arc<PoolContext<C>>,
    observer: Weak<dyn PoolObserver>,
}

/// The state of one pool.
type PoolSlots<C> = Slots<<C as Connect>::Conn, Waiter<C>>;

/// Stands for a waiter: it gets a connection, or the reason why there is none.
type Waiter<C> = oneshot::Sender<Result<Handed<C>, Refusal>>;

impl<C: Connect> Pool<C> {
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        context: Arc<PoolContext<C>>,
        observer: Weak<dyn PoolObserver>,
    ) -> Arc<Self> {
        let config = &context.config;
        let limits = Limits {
            connections: config.max_connections_per_endpoint,
            multiplexed: context.connector.multiplexing() != Multiplexing::Exclusive,
            streams: match context.connector.multiplexing() {
                Multiplexing::Exclusive => 1,
                Multiplexing::Streams(streams) => streams.get(),
            },
            waiters: config.max_waiters_per_endpoint,
            dials: config.max_connecting_per_endpoint,
            min_idle: config.min_idle_per_endpoint,
            validate_after_idle: config.validate_after_idle,
        };
        let permits = context.cap.as_ref().map(|cap| Arc::clone(&cap.permits));
        let pool = Arc::new(Self {
            endpoint,
            slots: Mutex::new(Slots::new(limits, permits)),
            aborts: Mutex::default(),
            unpolled: Mutex::default(),
            closing: Notify::new(),
            wait_time: Recorder::default(),
            connect_time: Recorder::default(),
            context,
            observer,
        });
        if let Some(cap) = &pool.context.cap {
            cap.join(&pool.as_member());
        }
        pool
    }

    /// The newest idle connection, if it is exclusive, alive and fresh: the usual case as a whole,
    /// without a wait or an allocation.
    #[inline(always)]
    pub(crate) fn take_idle(&self) -> Option<(C::Conn, Slot)> {
        self.slots().take_idle(|| self.now(), &self.inspector())
    }

    /// Ends the use of a connection after a complete exchange.
    #[inline(always)]
    pub(crate) fn finish(self: &Arc<Self>, conn: C::Conn, slot: Slot) {
        let end = match is_reusable(&self.context.connector, &conn) {
            true => End::Keep,
            false => End::Close(CloseReason::Ended),
        };
        self.return_conn(conn, slot, end);
    }

    /// Ends the use of a connection.
    #[inline(always)]
    pub(crate) fn return_conn(self: &Arc<Self>, conn: C::Conn, slot: Slot, end: End) {
        let now = self.now();
        let mut slots = self.slots();
        if end == End::Keep && slots.keeps(slot, now) {
            slots.return_idle(conn, slot, now);
        } else {
            self.return_otherwise(slots, conn, slot, end, now);
        }
    }

    // Not cold: the usual way of multiplexed connections, and of exclusive ones with a waiter.
    #[inline(never)]
    fn return_otherwise(
        self: &Arc<Self>,
        mut slots: MutexGuard<'_, PoolSlots<C>>,
        conn: C::Conn,
        slot: Slot,
        end: End,
        now: Timestamp,
    ) {
        if end == End::Keep && slots.ends_stream(slot, now, &self.inspector()) {
            // The handle is dropped outside the lock.
            drop(slots);
            return;
        }
        let multiplexed = matches!(slot, Slot::Stream { .. });
        let ended = multiplexed && !is_reusable(&self.context.connector, &conn);
        let mut out = Effects::default();
        let placed = slots.return_conn(conn, slot, end, now, &self.inspector(), &mut out);
        let closed = slots.is_closed();
        drop(slots);
        if ended {
            // A multiplexed connection that ends in use (GOAWAY, a reset) often means that its
            // endpoint is leaving.
            self.notify(|observer| observer.connection_lost());
        }
        self.settle(placed, now, out);
        if multiplexed {
            // The peer may allow more streams than when the others began to wait.
            self.serve_waiters();
        }
        if closed {
            self.notify(|observer| observer.returned_after_close());
        }
    }

    /// The endpoint has left: see [`Slots::close`]. Waiters go to other endpoints.
    pub(crate) fn close(self: &Arc<Self>) {
        let mut out = Effects::default();
        let waiters = self.slots().close(&mut out);
        for waiter in waiters {
            let _left_already = waiter.send(Err(Refusal::Removed));
        }
        self.closing.notify_waiters();
        self.carry_out(out);
    }

    /// Aborts every connection, also those in use.
    pub(crate) fn abort(&self) {
        for handle in self.aborts.lock().drain(..) {
            handle.abort();
        }
    }

    /// Does `work`, unless the pool is closed or closes meanwhile: then `None`.
    pub(crate) async fn unless_closed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        // Made before the question, so that a close in between is not missed.
        let closing = self.closing.notified();
        if self.is_closed() {
            return None;
        }
        tokio::select! {
            // The close first: no caller gets a connection to an endpoint that has left.
            biased;
            () = closing => None,
            done = work => Some(done),
        }
    }

    /// Whether one connection serves several requests at a time.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.context.connector.multiplexing() != Multiplexing::Exclusive
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.slots().is_closed()
    }

    /// Whether a connection is open that takes a request.
    pub(crate) fn has_open(&self) -> bool {
        self.slots().has_open(&self.inspector())
    }

    /// Sends the waiters to other endpoints: this one cannot be connected to after all.
    pub(crate) fn turn_away(&self, error: &ConnectError) {
        let waiters = self.slots().turn_away();
        for waiter in waiters {
            let _left_already = waiter.send(Err(Refusal::Connect(error.clone())));
        }
    }

    pub(crate) fn in_use(&self) -> usize {
        self.slots().in_use()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.slots().counts()
    }

    pub(crate) fn wait_time(&self) -> &Recorder {
        &self.wait_time
    }

    pub(crate) fn connect_time(&self) -> &Recorder {
        &self.connect_time
    }

    /// Hands over or drops a returned connection, outside the lock.
    fn settle(self: &Arc<Self>, mut placed: Placed<C::Conn, Waiter<C>>, now: Timestamp, mut out: Effects<C::Conn>) {
        loop {
            match placed {
                Placed::Kept => break,
                Placed::Close(conn) => {
                    out.dead.push(conn);
                    break;
                }
                Placed::Hand(waiter, conn, slot) => match waiter.send(Ok(Handed::new(self, conn, slot))) {
                    Ok(()) => break,
                    // The waiter left after it was chosen: the next one, then.
                    Err(Ok(handed)) => {
                        let (conn, slot) = handed.into_parts();
                        placed = self
                            .slots()
                            .return_conn(conn, slot, End::Keep, now, &self.inspector(), &mut out);
                    }
                    Err(Err(_refusal)) => break,
                },
            }
        }
        self.carry_out(out);
    }

    /// Carries out what the state machine decided, outside its lock.
    fn carry_out(self: &Arc<Self>, out: Effects<C::Conn>) {
        drop(out.dead);
        for _ in 0..out.dials {
            self.spawn_dial();
        }
        if let Some(cap) = &self.context.cap {
            match out.needs_permit {
                true => cap.wait_for_permit(&self.as_member()),
                false => cap.grant(),
            }
        }
    }

    fn notify(&self, event: impl FnOnce(Arc<dyn PoolObserver>)) {
        if let Some(observer) = self.observer.upgrade() {
            event(observer);
        }
    }

    fn as_member(self: &Arc<Self>) -> Arc<dyn CapMember> {
        Arc::clone(self) as Arc<dyn CapMember>
    }

    /// The time by which connections age. Seconds old and free, unless idle connections have to be
    /// validated.
    #[inline]
    fn now(&self) -> Timestamp {
        match self.context.config.validate_after_idle {
            None => self.context.clock.coarse(),
            Some(_) => self.context.clock.now(),
        }
    }

    #[inline]
    fn slots(&self) -> MutexGuard<'_, PoolSlots<C>> {
        self.slots.lock()
    }

    #[inline]
    fn inspector(&self) -> Inspector<'_, C> {
        Inspector(&self.context.connector)
    }
}

impl<C: Connect> CapMember for Pool<C> {
    fn evict_idle(&self) -> bool {
        let mut out = Effects::default();
        self.slots().evict_idle(&mut out)
    }

    fn dial_for_waiters(self: Arc<Self>) {
        let mut out = Effects::default();
        self.slots().start_dials(&mut out);
        self.carry_out(out);
    }
}

/// A connection on its way to a waiter. If the waiter never takes it, its drop returns it: nothing
/// is lost in a channel.
struct Handed<C: Connect> {
    pool: Arc<Pool<C>>,
    conn: Option<C::Conn>,
    slot: Slot,
    end: End,
}

impl<C: Connect> Handed<C> {
    fn new(pool: &Arc<Pool<C>>, conn: C::Conn, slot: Slot) -> Self {
        Self {
            pool: Arc::clone(pool),
            conn: Some(conn),
            slot,
            end: End::Keep,
        }
    }

    /// For a connection in the middle of an exchange, which no other request can use.
    fn close_unless_taken(mut self) -> Self {
        self.end = End::Close(CloseReason::Cancelled);
        self
    }

    #[expect(
        clippy::expect_used,
        reason = "taken by `into_parts` and Drop only, and each consumes self"
    )]
    fn conn(&mut self) -> &mut C::Conn {
        self.conn
            .as_mut()
            .expect("a handed connection is there until it is taken")
    }

    #[expect(clippy::expect_used, reason = "taken here and in Drop only, and each consumes self")]
    fn into_parts(mut self) -> (C::Conn, Slot) {
        let conn = self.conn.take();
        (conn.expect("a handed connection is there until it is taken"), self.slot)
    }
}

impl<C: Connect> Drop for Handed<C> {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.pool.return_conn(conn, self.slot, self.end);
        }
    }
}

/// [`Connect::is_reusable`], and no if it panics. WHY: a panic would leave a return half done, and
/// each later caller would meet it again. Costs nothing where the connector cannot panic.
#[inline]
fn is_reusable<C: Connect>(connector: &C, conn: &C::Conn) -> bool {
    catch_unwind(AssertUnwindSafe(|| connector.is_reusable(conn))).unwrap_or(false)
}

struct Inspector<'a, C>(&'a C);

impl<C: Connect> Inspect<C::Conn> for Inspector<'_, C> {
    fn is_reusable(&self, conn: &C::Conn) -> bool {
        is_reusable(self.0, conn)
    }

    fn share(&self, conn: &C::Conn) -> Option<C::Conn> {
        self.0.share(conn)
    }

    fn stream_limit(&self, conn: &C::Conn) -> usize {
        self.0.stream_limit(conn)
    }
}
