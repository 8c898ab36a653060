//! What happens to connections that nobody uses, in time: the glue around `slots/upkeep.rs`. Driven by the discovery's task.

use std::sync::Arc;

use headless_core::{Connect, Timestamp};
use tokio::time::timeout;
use tracing::debug;

use super::slots::Effects;
use super::waiter::Handed;
use super::{CloseReason, End, Slot};
use crate::backend::Backend;

impl<C: Connect> Backend<C> {
    /// Expires, replaces, refills, and checks the connection that has been idle longest.
    pub(crate) fn upkeep(self: &Arc<Self>, now: Timestamp) {
        let config = &self.env().pool;
        let mut out = Effects::default();
        let resting = {
            let mut slots = self.slots();
            slots.upkeep(now, before(now, config.idle_timeout), &mut out);
            config
                .keep_alive
                .and_then(|every| slots.longest_idle(before(now, every), &self.inspector()))
        };
        self.carry_out(out);
        if let Some((conn, slot, since)) = resting {
            let handed = Handed::new(self, conn, slot).close_unless_taken();
            self.env().runtime.spawn(Arc::clone(self).keep_alive(handed, since));
        }
    }

    async fn keep_alive(self: Arc<Self>, handed: Handed<C>, since: Timestamp) {
        let Some((conn, slot)) = self.validate(handed).await else {
            return;
        };
        let now = self.env().clock.now();
        let mut out = Effects::default();
        let placed = self
            .slots()
            .restore(conn, slot, since, now, &self.inspector(), &mut out);
        self.settle(placed, now, out);
    }

    /// Checks a connection that has been idle for long. If it is dead, so are those that were idle beside it. A pod that leaves
    /// meanwhile is not waited for: who asked goes elsewhere.
    pub(super) async fn validate(self: &Arc<Self>, mut handed: Handed<C>) -> Option<(C::Conn, Slot)> {
        let (limit, check) = (
            self.env().pool.connect_timeout,
            self.env().connector.validate(handed.conn()),
        );
        let checked = self.unless_removed(timeout(limit, check)).await?;
        let (conn, slot) = handed.into_parts();
        if matches!(checked, Ok(Ok(()))) {
            return Some((conn, slot));
        }
        debug!(service = %self.env().service, endpoint = %self.endpoint, "idle connection is dead: closing all idle ones");
        self.sweep();
        self.put_back(conn, slot, End::Close(CloseReason::Broken));
        self.env().evidence.request_reresolution();
        None
    }

    /// Opens the first connections of a new pod. Until one of them is there, the pod is unhealthy while others will do.
    pub(crate) fn warm_up(self: &Arc<Self>) {
        let mut out = Effects::default();
        {
            let mut slots = self.slots();
            slots.refill(&mut out);
            if out.dials == 0 && self.load.is_unhealthy() {
                slots.start_dial(&mut out);
            }
        }
        if out.dials == 0 {
            // No permit is left: the pod takes requests as it is, and its first caller waits for one.
            self.became_reachable();
        }
        self.carry_out(out);
    }

    /// Gives up an idle connection for the sake of another pod.
    pub(super) fn yield_idle(self: &Arc<Self>) -> bool {
        let mut out = Effects::default();
        self.slots().yield_idle(&mut out)
    }
}

fn before(now: Timestamp, time: std::time::Duration) -> Timestamp {
    Timestamp::ZERO + now.since(Timestamp::ZERO).saturating_sub(time)
}
