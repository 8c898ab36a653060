//! Opening connections: one dial as a task that outlives its caller, and the probes of a pod that refused.
//!
//! A failed dial does three things at once: it tells the waiters that have nothing else to hope for, it marks the pod as
//! unhealthy, and it asks the discovery for an early look. From then on one probe at a time, with back-off, finds out when the
//! pod is back; callers only go there when nothing better is left.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use headless_core::{Connect, Endpoint, PeerMismatch, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{Instrument, debug, info};

use super::Refusal;
use super::slots::Effects;
use crate::backend::Backend;
use crate::entropy::entropy;

/// A connection could not be opened: to which pod, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectError {
    /// The pod.
    pub endpoint: Arc<Endpoint>,
    /// What happened.
    pub fault: ConnectFault,
}

/// What happened to a dial.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectFault {
    /// The connector's error.
    Failed(Arc<dyn Error + Send + Sync>),
    /// It took longer than [`connect_timeout`](crate::PoolConfig::connect_timeout).
    TimedOut(Duration),
    /// Somebody else is at the address ([`identify`](crate::BalancerBuilder::identify)).
    PeerMismatch(PeerMismatch),
    /// The connection had ended before anybody used it: something accepts connections and closes them.
    Dead,
    /// The pod left the set meanwhile.
    Removed,
    /// The connector panicked, or the runtime shut down.
    Abandoned,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: ", self.endpoint)?;
        match &self.fault {
            ConnectFault::Failed(error) => error.fmt(f),
            ConnectFault::TimedOut(after) => write!(f, "no connection within {after:?}"),
            ConnectFault::PeerMismatch(impostor) => impostor.fmt(f),
            ConnectFault::Dead => f.write_str("the connection was closed as soon as it was open"),
            ConnectFault::Removed => f.write_str("the pod left the set"),
            ConnectFault::Abandoned => {
                f.write_str("the dial was abandoned (the connector panicked or the runtime shut down)")
            }
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.fault {
            // Its own text is part of ours already; its cause is not.
            ConnectFault::Failed(error) => error.source(),
            ConnectFault::TimedOut(_)
            | ConnectFault::PeerMismatch(_)
            | ConnectFault::Dead
            | ConnectFault::Removed
            | ConnectFault::Abandoned => None,
        }
    }
}

impl<C: Connect> Backend<C> {
    /// Starts a dial that is already counted. The task's result says whether it succeeded.
    pub(super) fn spawn_dial(self: &Arc<Self>) -> JoinHandle<bool> {
        let mut dial = Dial {
            backend: Arc::clone(self),
            pending: true,
        };
        let span = tracing::debug_span!("dial", endpoint = %self.endpoint);
        let task = async move {
            let start = dial.backend.env().clock.now();
            let result = dial.backend.connect().await;
            dial.backend.dialled.record(dial.backend.env().clock.now().since(start));
            dial.pending = false;
            match result {
                Ok(conn) => dial.backend.dial_succeeded(conn),
                Err(fault) => dial.backend.dial_failed(fault),
            }
        };
        self.env().runtime.spawn(task.instrument(span))
    }

    async fn connect(&self) -> Result<C::Conn, ConnectFault> {
        let limit = self.env().pool.connect_timeout;
        match self.unless_removed(timeout(limit, self.open())).await {
            None => Err(ConnectFault::Removed),
            Some(connected) => connected.unwrap_or(Err(ConnectFault::TimedOut(limit))),
        }
    }

    /// One connection, to a pod that is who it should be.
    async fn open(&self) -> Result<C::Conn, ConnectFault> {
        let env = self.env();
        let conn = env
            .connector
            .connect(&self.endpoint)
            .await
            .map_err(|error| ConnectFault::Failed(Arc::new(error)))?;
        if let Some(check) = &env.identify {
            // After connecting: whoever holds the address now is who will answer.
            check
                .verify_peer(&self.endpoint)
                .await
                .map_err(ConnectFault::PeerMismatch)?;
        }
        match env.connector.is_reusable(&conn) {
            true => Ok(conn),
            false => Err(ConnectFault::Dead),
        }
    }

    fn dial_succeeded(self: &Arc<Self>, conn: C::Conn) -> bool {
        let env = self.env();
        if let Some(handle) = env.connector.abort_handle(&conn) {
            self.opened(handle);
        }
        let now = env.clock.now();
        let retire_at = match env.pool.max_lifetime {
            Some(lifetime) => now + lifetime.mul_f64(own_share(entropy())),
            None => Timestamp::from_nanos(u64::MAX),
        };
        let mut out = Effects::default();
        let placed = self.slots().dialled(conn, retire_at, now, &mut out);
        self.settle(placed, now, out);
        self.serve_waiters();
        env.evidence.connected(self.endpoint.key());
        self.became_reachable();
        true
    }

    /// A connection was opened, or nothing is known against the pod: it takes requests like the others.
    pub(super) fn became_reachable(&self) {
        self.set_last_failure(None);
        let warm = self.warming.swap(false, Relaxed);
        if self.load.set_unhealthy(false) {
            let (service, endpoint) = (&self.env().service, &self.endpoint);
            match warm {
                true => debug!(%service, %endpoint, "new pod connected: takes requests"),
                false => info!(%service, %endpoint, "pod reachable again"),
            }
            self.env().changed.notify_waiters();
        }
    }

    fn dial_failed(self: &Arc<Self>, fault: ConnectFault) -> bool {
        let removed = matches!(fault, ConnectFault::Removed);
        let error = ConnectError {
            endpoint: Arc::clone(&self.endpoint),
            fault,
        };
        let (told, closed) = {
            let mut slots = self.slots();
            (slots.dial_failed(), slots.is_closed())
        };
        if !removed && !closed {
            debug!(service = %self.env().service, endpoint = %self.endpoint, error = %error, "dial failed");
            self.env().evidence.request_reresolution();
            self.set_last_failure(Some(error.clone()));
            // Marked before the waiters are told: their next pick must know.
            let newly = self.load.set_unhealthy(true);
            if newly || self.warming.swap(false, Relaxed) {
                info!(service = %self.env().service, endpoint = %self.endpoint, error = %error, "pod unhealthy: unreachable");
                self.env().runtime.spawn(Arc::clone(self).probe());
            }
        }
        for waiter in told {
            let _left_already = waiter.send(Err(Refusal::Dial(error.clone())));
        }
        // A permit is free; another pod may want it.
        self.carry_out(Effects::default());
        false
    }

    /// Dials, one probe at a time, until the pod answers or is removed.
    async fn probe(self: Arc<Self>) {
        for attempt in 0.. {
            if !self.load.is_unhealthy() {
                return;
            }
            let waited = self.unless_removed(sleep(probe_wait(attempt, entropy()))).await;
            if waited.is_none() || !self.load.is_unhealthy() {
                return;
            }
            if let Some(cap) = &self.env().cap {
                // Nobody waits for this pod while it is unhealthy: without a place of its own it would never be found again.
                cap.make_room(&self);
            }
            // At the pod's own limit there are connections in use; one of them will show whether it lives.
            let may_dial = self.slots().start_dial(&mut Effects::default());
            if may_dial {
                // A panic in the connector ends that task, not this one.
                let _connected = self.spawn_dial().await;
            }
        }
    }
}

/// A dial under way; if it is dropped unfinished (a panic, a runtime that stops), its slot is given back.
struct Dial<C: Connect> {
    backend: Arc<Backend<C>>,
    pending: bool,
}

impl<C: Connect> Drop for Dial<C> {
    fn drop(&mut self) {
        if self.pending {
            self.backend.dial_failed(ConnectFault::Abandoned);
        }
    }
}

/// The part of the lifetime that one connection gets: 80 to 100 %.
fn own_share(entropy: u64) -> f64 {
    0.8 + 0.2 * (f64::from((entropy >> 32) as u32) / f64::from(u32::MAX))
}

/// 200 ms, growing by 1.6 up to 5 s, ±20 % (gRPC's connection back-off, with a cap that fits a poll interval).
fn probe_wait(attempt: u32, entropy: u64) -> Duration {
    let grown = 0.2 * 1.6_f64.powi(attempt.min(20).cast_signed());
    let jitter = 0.8 + 0.4 * (f64::from((entropy >> 32) as u32) / f64::from(u32::MAX));
    Duration::from_secs_f64(grown.min(5.0) * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_back_off_to_five_seconds_with_jitter() {
        assert_eq!(probe_wait(0, 0), Duration::from_millis(160));
        assert_eq!(probe_wait(0, u64::MAX), Duration::from_millis(240));
        assert_eq!(probe_wait(1, 0), Duration::from_millis(256));
        assert_eq!(probe_wait(1000, 0), Duration::from_secs(4));
        assert_eq!(probe_wait(1000, u64::MAX), Duration::from_secs(6));
    }
}
