//! What happens to multiplexed connections while they are open: the glue around
//! `slots/multiplexing.rs`.

use std::sync::Arc;

use headless_core::Connect;

use super::slots::Effects;
use super::{Handed, Pool, Refusal};

impl<C: Connect> Pool<C> {
    /// Hands the free streams of multiplexed connections to the waiters.
    pub(super) fn serve_waiters(self: &Arc<Self>) {
        let now = self.now();
        loop {
            let mut out = Effects::default();
            let served = self.slots().serve(now, &self.inspector(), &mut out);
            self.carry_out(out);
            let Some((waiter, conn, slot)) = served else { break };
            // A waiter that has left drops what it is sent, and the drop returns it.
            let _left_already = waiter.send(Ok(Handed::new(self, conn, slot)));
        }
        let turned_away = self.slots().turn_away_if_barred();
        for waiter in turned_away {
            let _left_already = waiter.send(Err(Refusal::NoStreams));
        }
    }

    /// A multiplexed connection may take another number of streams than before, or has ended.
    pub(super) fn capacity_changed(self: &Arc<Self>) {
        let mut out = Effects::default();
        self.slots().capacity_changed(&self.inspector(), &mut out);
        self.carry_out(out);
        self.serve_waiters();
        self.notify(|observer| observer.capacity_changed());
    }
}
