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
    pub(crate) picker: Arc<dyn Picker>,
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

    /// Replaces the view. INVARIANT(I1): called by `reconcile.rs` only, under its lock.
    pub(crate) fn store(&self, view: View<C>) {
        self.0.store(Arc::new(view));
    }
}
