//! [`Retired`]: what was replaced, until no reader has it any more.

use std::sync::Arc;

use headless_core::Connect;

use crate::backend::Backend;
use crate::view::View;

/// Views that were replaced and backends that left.
///
/// WHY: the last owner of a view frees it, and counts down twice for each endpoint. That could be a
/// pick that was under way when the view was replaced. Kept here, the last owner is always the
/// writer. The same holds for a backend that has left, whose last request ends later.
///
/// After a swap no reader can find the old view, and each reader that still has it is in its count
/// (arc-swap turns the readers' debts into counts). So a count of one is the writer's own, and
/// stays one.
#[derive(Debug)]
pub(super) struct Retired<C: Connect> {
    views: Vec<Arc<View<C>>>,
    backends: Vec<Arc<Backend<C>>>,
}

impl<C: Connect> Retired<C> {
    pub(super) fn keep_view(&mut self, view: Arc<View<C>>) {
        self.views.push(view);
    }

    pub(super) fn keep_backends(&mut self, backends: impl IntoIterator<Item = Arc<Backend<C>>>) {
        self.backends.extend(backends);
    }

    /// Frees what only the writer has. The views first, as they contain the backends that left.
    pub(super) fn free(&mut self) {
        self.views.retain(|view| Arc::strong_count(view) > 1);
        self.backends.retain(|backend| Arc::strong_count(backend) > 1);
    }
}

impl<C: Connect> Default for Retired<C> {
    fn default() -> Self {
        Self {
            views: Vec::new(),
            backends: Vec::new(),
        }
    }
}
