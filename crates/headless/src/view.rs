//! [`View`]: all backends of a balancer and the picker over them.
//!
//! Invariant I2: a reader sees a whole view, or the whole one before. Backends and picker are one
//! value, so an index that the picker returns always points into the backends it was prepared with.
//! How a view is replaced is `reconcile/cell.rs`.

use std::fmt;
use std::sync::Arc;

use headless_core::policy::Picker;
use headless_core::{Connect, Generation, Role};

use crate::backend::Backend;

/// The backends of a view, in the order of the snapshot.
pub(crate) type Backends<C> = Box<[Arc<Backend<C>>]>;

/// All backends that may be picked, and what picks among them.
pub(crate) struct View<C: Connect> {
    pub(crate) generation: Generation,
    pub(crate) backends: Backends<C>,
    pub(crate) roles: Box<[Option<Role>]>,
    pub(crate) picker: Box<dyn Picker>,
    /// Whether the picker goes by latency, and so needs the time. Here, where each pick reads it.
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
