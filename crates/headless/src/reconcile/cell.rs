//! [`ViewCell`]: the current view. One writer stores, any number of readers load.
//!
//! INVARIANT(I1): only `reconcile.rs` and its modules can make a cell, and store into one.
//!
//! The cell is an `ArcSwap`. Its default strategy reads without touching a shared cache line, and
//! rests on an argument about memory ordering that was wrong twice (corrected in 1.9.0 and 1.9.1)
//! and is doubted again for weakly ordered machines (arc-swap#210, open). So: the default strategy
//! on x86, where every locked instruction is a full barrier and the doubt does not apply; the
//! lock-based strategy elsewhere, until the doubt is settled.

use std::sync::Arc;

use arc_swap::{ArcSwapAny, Guard};
use headless_core::Connect;

use crate::view::View;

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
type Strategy = arc_swap::DefaultStrategy;
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
type Strategy = std::sync::RwLock<()>;

/// The current view, for a moment: not to be held across an await.
pub(crate) type ViewGuard<C> = Guard<Arc<View<C>>, Strategy>;

pub(super) struct ViewCell<C: Connect>(ArcSwapAny<Arc<View<C>>, Strategy>);

impl<C: Connect> ViewCell<C> {
    pub(super) fn new(view: View<C>) -> Self {
        Self(ArcSwapAny::new(Arc::new(view)))
    }

    #[inline]
    pub(super) fn load(&self) -> ViewGuard<C> {
        self.0.load()
    }

    pub(super) fn load_full(&self) -> Arc<View<C>> {
        self.0.load_full()
    }

    /// Replaces the view, and returns the one before. Called under the writer's lock.
    pub(super) fn store(&self, view: View<C>) -> Arc<View<C>> {
        self.0.swap(Arc::new(view))
    }
}
