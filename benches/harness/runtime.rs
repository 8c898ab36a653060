//! Runtimes that programs of sockets share.

use tokio::runtime::{Builder, Runtime};

/// Returns a runtime of one thread: what it costs is the CPU time of this thread.
///
/// # Panics
///
/// If the system has no epoll instance left.
pub fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
