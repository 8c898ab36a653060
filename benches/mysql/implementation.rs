//! The interface of what is measured: [`Implementation`]s and their [`Caller`]s.

use crate::servers::Pods;

/// The pods, and the callers.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub pods: Pods,
    pub callers: usize,
    /// Instructions are counted: nothing may run in the background.
    pub is_counted: bool,
}

impl Setup {
    /// Creates a setup of one caller.
    pub const fn of(pods: Pods) -> Self {
        Self {
            pods,
            callers: 1,
            is_counted: false,
        }
    }

    /// Prepares for a run under callgrind.
    pub const fn counted(mut self) -> Self {
        self.is_counted = true;
        self
    }
}

/// A client of the pods.
pub trait Implementation: Sized {
    /// Its name in the report.
    const NAME: &'static str;
    /// The part of one caller.
    type Caller: Caller;

    /// Opens its pools, if it has any.
    fn open(setup: Setup) -> impl Future<Output = Self>;

    /// Returns the part of the caller with this number.
    fn caller(&self, number: usize) -> impl Future<Output = Self::Caller>;

    /// Closes all connections. Its callers were dropped.
    fn close(self) -> impl Future<Output = ()>;

    /// Returns the id of the additional process that it needs, if any.
    fn process(&self) -> Option<u32> {
        None
    }
}

/// Selects one row of [`item`](crate::servers::SELECT).
pub trait Caller: Send + 'static {
    /// Sends text, with the number in it.
    fn text(&mut self, id: u32) -> impl Future<Output = String> + Send;

    /// Executes a prepared statement.
    fn prepared(&mut self, id: u32) -> impl Future<Output = String> + Send;
}

/// Returns the statement as text.
pub fn text(id: u32) -> String {
    format!("SELECT c FROM item WHERE id = {id}")
}
