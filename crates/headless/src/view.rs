//! [`View`]: all backends and the picker over them, published at once. [`ViewCell`]: the only place that knows how readers
//! see a new one.
//!
//! Invariant I2: a reader sees a whole view, or the whole one before. Backends and picker change together in one store, so an
//! index that the picker returns always points into the backends it was prepared with.
//!
//! The cell is an `ArcSwap`. Its default strategy reads without touching a shared cache line, and rests on an argument about
//! memory ordering that was wrong twice (1.9.0, 1.9.1 corrected it) and is doubted again for weakly ordered machines
//! (arc-swap#210, open). So: the default strategy on x86, where every locked instruction is a full barrier and the doubt does
//! not apply; the lock-based strategy elsewhere, until the doubt is settled.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwapAny, Guard};
use headless_core::policy::Picker;
use headless_core::{Connect, Generation, Role};

use crate::backend::Backend;

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
type Strategy = arc_swap::DefaultStrategy;
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
type Strategy = std::sync::RwLock<()>;

/// The backends of a view, in the order of the snapshot.
pub(crate) type Backends<C> = Box<[Arc<Backend<C>>]>;

/// All backends that may be picked, and what picks among them.
pub(crate) struct View<C: Connect> {
    pub(crate) generation: Generation,
    pub(crate) backends: Backends<C>,
    pub(crate) roles: Box<[Option<Role>]>,
    pub(crate) picker: Box<dyn Picker>,
    /// Whether the picker goes by latency, and so wants to know the time. Here, where each pick comes by.
    pub(crate) timed: bool,
}

impl<C: Connect> fmt::Debug for View<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("generation", &self.generation)
            .field("backends", &self.backends)
            .finish_non_exhaustive()
    }
}

/// The current view: one writer stores, any number of readers load.
pub(crate) struct ViewCell<C: Connect>(ArcSwapAny<Arc<View<C>>, Strategy>);

impl<C: Connect> ViewCell<C> {
    pub(crate) fn new(view: View<C>) -> Self {
        Self(ArcSwapAny::new(Arc::new(view)))
    }

    /// The current view, for a moment: not to be held across an await.
    #[inline]
    pub(crate) fn load(&self) -> Guard<Arc<View<C>>, Strategy> {
        self.0.load()
    }

    /// The current view, to keep.
    pub(crate) fn load_full(&self) -> Arc<View<C>> {
        self.0.load_full()
    }

    /// Replaces the view, and returns the one before. INVARIANT(I1): called by `reconcile.rs` only, under its lock.
    pub(crate) fn store(&self, view: View<C>) -> Arc<View<C>> {
        self.0.swap(Arc::new(view))
    }
}

/// What was replaced, until nobody reads it any more.
///
/// WHY: whoever is the last to have a view frees it, with two counts for each pod to go down, and that may be a pick that was under way
/// when the view was replaced. Kept here, the last one is always the writer. The same for a pod that has left, whose last request ends
/// some time later.
///
/// When a swap has returned, nobody can find the old view any more, and each reader that still has it is in its count (arc-swap turns
/// the readers' debts into counts). So a count of one is the writer's own, and stays so.
#[derive(Debug)]
pub(crate) struct Retired<C: Connect> {
    views: Vec<Arc<View<C>>>,
    backends: Vec<Arc<Backend<C>>>,
}

impl<C: Connect> Retired<C> {
    pub(crate) fn keep(&mut self, view: Arc<View<C>>) {
        self.views.push(view);
    }

    pub(crate) fn keep_backends(&mut self, backends: impl IntoIterator<Item = Arc<Backend<C>>>) {
        self.backends.extend(backends);
    }

    /// Frees what only the writer has. The views first, as they have the pods that left.
    pub(crate) fn free(&mut self) {
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
