//! What happens to unused connections: in time, which the discovery's task drives, and when one in
//! use shows that they cannot be trusted. The glue around `slots/maintain.rs`.

use std::sync::Arc;
use std::time::Duration;

use headless_core::{Connect, Timestamp};
use tokio::time::timeout;
use tracing::debug;

use super::slots::Effects;
use super::{CloseReason, End, Handed, Pool, Slot};

impl<C: Connect> Pool<C> {
    /// Closes idle connections now and those checked out on return.
    pub(crate) fn invalidate_idle(self: &Arc<Self>) {
        let mut out = Effects::default();
        self.slots().invalidate_idle(&mut out);
        self.carry_out(out);
    }

    /// Closes the idle connections that were last used before that of `slot` was checked out.
    pub(crate) fn invalidate_idle_before(self: &Arc<Self>, slot: Slot) {
        let mut out = Effects::default();
        self.slots().invalidate_idle_before(slot, &mut out);
        self.carry_out(out);
    }

    /// Expires, replaces and refills connections, and validates the one idle longest.
    pub(crate) fn maintain(self: &Arc<Self>, now: Timestamp) {
        let config = &self.context.config;
        let mut out = Effects::default();
        let resting = {
            let mut slots = self.slots();
            slots.maintain(now, before(now, config.idle_timeout), &mut out);
            config
                .keep_alive
                .and_then(|every| slots.longest_idle(before(now, every), &self.inspector()))
        };
        self.carry_out(out);
        if let Some((conn, slot, since)) = resting {
            let handed = Handed::new(self, conn, slot).close_unless_taken();
            self.context.runtime.spawn(Arc::clone(self).keep_alive(handed, since));
        }
    }

    async fn keep_alive(self: Arc<Self>, handed: Handed<C>, since: Timestamp) {
        let Some((conn, slot)) = self.validate(handed).await else {
            return;
        };
        let now = self.context.clock.now();
        let mut out = Effects::default();
        let placed = self
            .slots()
            .restore(conn, slot, since, now, &self.inspector(), &mut out);
        self.settle(placed, now, out);
    }

    /// Validates a connection that has been idle for long. If it is dead, all idle ones beside it
    /// are closed. Ends at once when the pool closes: its caller goes to another endpoint.
    pub(super) async fn validate(self: &Arc<Self>, mut handed: Handed<C>) -> Option<(C::Conn, Slot)> {
        let validation = self.context.connector.validate(handed.conn());
        let limited = timeout(self.context.config.connect_timeout, validation);
        let validated = self.unless_closed(limited).await?;
        let (conn, slot) = handed.into_parts();
        if matches!(validated, Ok(Ok(()))) {
            return Some((conn, slot));
        }
        debug!(
            service = %self.context.service, endpoint = %self.endpoint,
            "idle connection is dead: closing all idle ones",
        );
        self.invalidate_idle();
        self.return_conn(conn, slot, End::Close(CloseReason::Broken));
        self.notify(|observer| observer.connection_lost());
        None
    }
}

fn before(now: Timestamp, time: Duration) -> Timestamp {
    Timestamp::ZERO + now.since(Timestamp::ZERO).saturating_sub(time)
}
