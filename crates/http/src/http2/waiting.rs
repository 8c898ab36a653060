//! [`Waiting`]: a request that waits for its peer, and what it means that it is given up.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::{ConnectionState, Silence};
use crate::sync::lock;

/// A request that waits for the head of its answer, or for more of the body. If it is dropped
/// while it waits, it was given up.
pub(super) struct Waiting {
    state: Arc<ConnectionState>,
    /// `None`: it does not wait.
    for_since: Option<Silence>,
}

impl Waiting {
    /// It has waited since `since`, which is a moment ago.
    pub(super) fn new(state: Arc<ConnectionState>, since: Instant) -> Self {
        let reads = state.reads.load(Relaxed);
        Self {
            state,
            for_since: Some(Silence { reads, since }),
        }
    }

    /// It waits from now on, unless it did already.
    pub(super) fn begin(&mut self) {
        self.for_since.get_or_insert_with(|| Silence {
            reads: self.state.reads.load(Relaxed),
            since: Instant::now(),
        });
    }

    /// What it waited for has come.
    pub(super) const fn end(&mut self) {
        self.for_since = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(silence) = self.for_since {
            self.state.given_up(silence);
        }
    }
}

impl ConnectionState {
    /// A request was given up. If nothing was read while it waited, the peer may be gone although
    /// the connection is not: it has to answer a PING.
    ///
    /// Those that are given up sooner than an answer can be expected do so together.
    fn given_up(&self, waited: Silence) {
        if self.reads.load(Relaxed) != waited.reads {
            return;
        }
        let since = {
            let mut silence = lock(&self.silence);
            match *silence {
                Some(silence) if silence.reads == waited.reads && silence.since <= waited.since => silence.since,
                _ => {
                    *silence = Some(waited);
                    waited.since
                }
            }
        };
        if since.elapsed() >= LEAST_SILENCE && !self.is_suspect.swap(true, Relaxed) {
            let _ended_already = self.checks.send(());
        }
    }
}

/// A shorter silence says nothing about a peer: callers that need no answer any more give up as
/// soon as they know.
pub(super) const LEAST_SILENCE: Duration = Duration::from_millis(5);
