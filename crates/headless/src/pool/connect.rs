//! Opening connections: one dial as a task that outlives its caller.

use std::sync::Arc;

use headless_core::{CapacityChanged, Connect, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{Instrument, Span, debug};

use super::slots::Effects;
use super::{ConnectError, ConnectFault, Pool, Refusal};
use crate::entropy::entropy;

impl<C: Connect> Pool<C> {
    /// Opens the first connections. With `at_least_one` also where no minimum is set. Returns
    /// whether any dial was started: there may be no permit.
    pub(crate) fn warm_up(self: &Arc<Self>, at_least_one: bool) -> bool {
        let mut out = Effects::default();
        {
            let mut slots = self.slots();
            slots.refill(&mut out);
            if out.dials == 0 && at_least_one {
                slots.start_dial(&mut out);
            }
        }
        let dials = out.dials > 0;
        self.carry_out(out);
        dials
    }

    /// Dials once, if the limits allow it, and waits for the end of that.
    pub(crate) async fn probe(self: &Arc<Self>) {
        if let Some(cap) = &self.context.cap {
            // No caller waits for an unhealthy endpoint: without a permit of its own it would never
            // be found again.
            cap.make_room(&self.as_member());
        }
        // At the endpoint's own limit there are connections in use; one of them will show whether
        // it lives.
        let may_dial = self.slots().start_dial(&mut Effects::default());
        if may_dial {
            // A panic in the connector ends that task, not this one.
            let _connected = self.spawn_dial().await;
        }
    }

    /// Starts a dial that is already counted.
    pub(super) fn spawn_dial(self: &Arc<Self>) -> JoinHandle<()> {
        let mut dial = Dial::new(self);
        // A root of its own: it may outlive the request, whose span would otherwise stay open.
        let span = tracing::debug_span!(parent: None, "connect", endpoint = %self.endpoint);
        span.follows_from(Span::current());
        let task = async move {
            dial.polled();
            let clock = &dial.pool.context.clock;
            let start = clock.now();
            let result = dial.pool.connect().await;
            dial.pool.connect_time.record(clock.now().since(start));
            dial.pending = false;
            match result {
                Ok(conn) => dial.pool.dial_succeeded(conn),
                Err(fault) => dial.pool.dial_failed(fault),
            }
        };
        self.context.runtime.spawn(task.instrument(span))
    }

    async fn connect(&self) -> Result<C::Conn, ConnectFault> {
        let limit = self.context.config.connect_timeout;
        match self.unless_closed(timeout(limit, self.open())).await {
            None => Err(ConnectFault::Removed),
            Some(connected) => connected.unwrap_or(Err(ConnectFault::TimedOut(limit))),
        }
    }

    /// One connection, whose peer is verified.
    async fn open(&self) -> Result<C::Conn, ConnectFault> {
        let context = &*self.context;
        let conn = context
            .connector
            .connect(&self.endpoint)
            .await
            .map_err(|error| ConnectFault::of(&context.connector, error))?;
        if let Some(check) = &context.verify_peer {
            // After connecting: the peer that has the address now is the one that will answer.
            check
                .verify_peer(&self.endpoint)
                .await
                .map_err(ConnectFault::PeerMismatch)?;
        }
        match context.connector.is_reusable(&conn) {
            true => Ok(conn),
            false => Err(ConnectFault::Dead),
        }
    }

    fn dial_succeeded(self: &Arc<Self>, conn: C::Conn) {
        let context = &*self.context;
        if let Some(handle) = context.connector.abort_handle(&conn) {
            let mut aborts = self.aborts.lock();
            aborts.retain(|handle| !handle.is_finished());
            aborts.push(handle);
        }
        if self.is_multiplexed() {
            // Before the connection is asked for the first time: no change is missed.
            let pool = Arc::downgrade(self);
            let changed = CapacityChanged::new(move || {
                if let Some(pool) = pool.upgrade() {
                    pool.capacity_changed();
                }
            });
            context.connector.watch_capacity(&conn, changed);
        }
        let now = context.clock.now();
        let retire_at = match context.config.max_lifetime {
            Some(lifetime) => now + lifetime.mul_f64(own_share(entropy())),
            None => Timestamp::from_nanos(u64::MAX),
        };
        let mut out = Effects::default();
        let placed = self.slots().dialled(conn, retire_at, now, &mut out);
        self.settle(placed, now, out);
        self.serve_waiters();
        self.notify(|observer| observer.connected());
    }

    pub(crate) fn connect_error(&self, fault: ConnectFault) -> ConnectError {
        ConnectError {
            endpoint: Arc::clone(&self.endpoint),
            fault,
        }
    }

    fn dial_failed(self: &Arc<Self>, fault: ConnectFault) {
        let removed = matches!(fault, ConnectFault::Removed);
        let error = self.connect_error(fault);
        let (told, closed) = {
            let mut slots = self.slots();
            (slots.dial_failed(), slots.is_closed())
        };
        if !removed && !closed {
            debug!(service = %self.context.service, endpoint = %self.endpoint, error = %error, "connect failed");
            // Before the waiters are told: their next pick must know that it failed.
            self.notify(|observer| observer.connect_failed(&error));
        }
        for waiter in told {
            let _left_already = waiter.send(Err(Refusal::Connect(error.clone())));
        }
        // A permit is free; another endpoint may wait for it.
        self.carry_out(Effects::default());
    }
}

/// The dials that the runtime has not polled yet.
#[derive(Debug, Default)]
pub(super) struct Unpolled {
    pub(super) dials: usize,
    /// When the first of them was started, after which there always was one.
    pub(super) since: Timestamp,
}

/// A dial under way. If it is dropped unfinished (a panic, a runtime that shuts down), it has
/// failed.
struct Dial<C: Connect> {
    pool: Arc<Pool<C>>,
    pending: bool,
    was_polled: bool,
}

impl<C: Connect> Dial<C> {
    fn new(pool: &Arc<Pool<C>>) -> Self {
        let mut unpolled = pool.unpolled.lock();
        if unpolled.dials == 0 {
            unpolled.since = pool.context.clock.now();
        }
        unpolled.dials += 1;
        drop(unpolled);
        Self {
            pool: Arc::clone(pool),
            pending: true,
            was_polled: false,
        }
    }

    fn polled(&mut self) {
        if !std::mem::replace(&mut self.was_polled, true) {
            self.pool.unpolled.lock().dials -= 1;
        }
    }
}

impl<C: Connect> Drop for Dial<C> {
    fn drop(&mut self) {
        self.polled();
        if self.pending {
            self.pool.dial_failed(match std::thread::panicking() {
                true => ConnectFault::Panicked,
                false => ConnectFault::RuntimeShutDown,
            });
        }
    }
}

/// The part of the lifetime that one connection gets: 80 to 100 %.
fn own_share(entropy: u64) -> f64 {
    0.8 + 0.2 * (f64::from((entropy >> 32) as u32) / f64::from(u32::MAX))
}
