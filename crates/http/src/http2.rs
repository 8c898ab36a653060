//! One HTTP/2 connection, on `h2`: what its user holds, and what its peer allows. Which requests go
//! there is the pool's decision.
//!
//! * `driver.rs` opens the connection, and is the task that reads and writes it.
//! * `exchange.rs` sends one request, in the caller's task, up to the head of its answer.
//! * `upload.rs` sends the body of a request that is a stream; `incoming.rs` is the body of an
//!   answer.
//! * `liveness.rs` decides when a PING is sent, and when the peer is taken for dead; `waiting.rs`
//!   notices that a request was given up in silence.
//!
//! # Flow control
//! The connection's window is the sum of the windows of as many streams as it may have. So a body
//! that is held unread uses up the window of its own stream, and never what another stream needs.
//! This bounds what a connection holds in memory: the window of a stream times the number of
//! streams.

mod driver;
mod exchange;
mod incoming;
mod liveness;
mod upload;
mod waiting;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use headless::CapacityChanged;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(crate) use self::driver::{UnansweredPing, open};
pub(crate) use self::incoming::Incoming;
pub(crate) use self::liveness::KeepAlive;
use crate::last_use::LastUse;
use crate::sync::lock;

/// How HTTP/2 is spoken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Streams on a connection, at most.
    pub(crate) max_streams: usize,
    /// Bytes of one answer that are held unread. `None`: [`DEFAULT_WINDOW`], or less if there are
    /// too many streams for it.
    pub(crate) stream_window: Option<u32>,
    pub(crate) keep_alive: KeepAlive,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_streams: 100,
            stream_window: None,
            keep_alive: KeepAlive {
                interval: None,
                timeout: Duration::from_secs(20),
                while_idle: false,
            },
        }
    }
}

impl Settings {
    /// Says what is wrong: which setting, its value, and the rule.
    pub(crate) fn check(&self) -> Result<(), String> {
        let most_streams = (MOST_WINDOW / LEAST_WINDOW) as usize;
        let streams = self.max_streams;
        if !(1..=most_streams).contains(&streams) {
            return Err(format!(
                "`http2_max_concurrent_streams` is {streams}; it must be from 1 to {most_streams}"
            ));
        }
        let most = MOST_WINDOW as usize / streams;
        let window = self.window();
        if window < LEAST_WINDOW || window as usize > most {
            return Err(format!(
                "`http2_stream_window` is {window}; it must be from {LEAST_WINDOW} to {most}, so that {streams} \
                 streams (`http2_max_concurrent_streams`) fit into the window of a connection"
            ));
        }
        let KeepAlive { interval, timeout, .. } = self.keep_alive;
        let interval = interval.map(|interval| ("http2_keep_alive_interval", interval));
        let times = interval.into_iter().chain([("http2_keep_alive_timeout", timeout)]);
        for (name, time) in times {
            if !(LEAST_TIME..=MOST_TIME).contains(&time) {
                return Err(format!(
                    "`{name}` is {time:?}; it must be from {LEAST_TIME:?} to {MOST_TIME:?}"
                ));
            }
        }
        Ok(())
    }

    /// The window of a stream.
    fn window(&self) -> u32 {
        let share = MOST_WINDOW as usize / self.max_streams.max(1);
        let most = u32::try_from(share).unwrap_or(MOST_WINDOW);
        self.stream_window.unwrap_or_else(|| DEFAULT_WINDOW.min(most))
    }

    /// The window of a connection: none of its streams can use up what another needs.
    fn connection_window(&self) -> u32 {
        let streams = u32::try_from(self.max_streams).unwrap_or(MOST_WINDOW);
        self.window().saturating_mul(streams).clamp(LEAST_WINDOW, MOST_WINDOW)
    }
}

/// At 1 ms of round trip, a gigabyte per second.
const DEFAULT_WINDOW: u32 = 1024 * 1024;

/// SPEC(RFC 9113 6.9.1)
const MOST_WINDOW: u32 = (1 << 31) - 1;

/// The window that streams and connections begin with. SPEC(RFC 9113 6.9.2)
const LEAST_WINDOW: u32 = 65_535;

/// A timer that is faster than the network floods it.
const LEAST_TIME: Duration = Duration::from_millis(10);

/// Longer is never.
const MOST_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A handle to an open connection. Clones share the connection, and the last one closes it.
#[derive(Clone)]
pub(crate) struct Handle(Arc<ConnectionState>);

/// What all handles to a connection and its driver share.
///
/// ORDERING: Relaxed. Each is a fact on its own: what belongs together is in h2, under its lock. A
/// request that reads an old one opens a stream that h2 refuses at once, or that waits for its
/// turn.
struct ConnectionState {
    sender: SendRequest<Bytes>,
    /// The number of streams that the peer allows.
    streams: AtomicUsize,
    /// It takes no more streams: it has ended, or the peer has announced the end (GOAWAY).
    is_closed: AtomicBool,
    /// It has to prove that the peer answers before it takes another stream.
    is_suspect: AtomicBool,
    has_answered: AtomicBool,
    last_use: LastUse,
    /// How often something was read.
    reads: Arc<AtomicU64>,
    /// The first request that was given up since something was read last.
    silence: Mutex<Option<Silence>>,
    changed: Mutex<Option<CapacityChanged>>,
    /// The PING that was not answered within this time, after which the driver ended.
    unanswered_ping: Mutex<Option<Duration>>,
    /// Asks the driver for a PING. It is closed with the last handle.
    checks: mpsc::UnboundedSender<()>,
    /// Runs what outlives the caller of a request, wherever that is.
    runtime: runtime::Handle,
}

/// Nothing was read while a request waited.
#[derive(Clone, Copy)]
struct Silence {
    /// How often something had been read.
    reads: u64,
    since: Instant,
}

impl Handle {
    /// Returns how many streams the peer allows at a time, by its last SETTINGS.
    pub(crate) fn stream_limit(&self) -> usize {
        self.0.streams.load(Relaxed)
    }

    /// Returns whether it takes no more streams, for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed.load(Relaxed)
    }

    /// Returns whether the peer has to answer a PING before it gets another stream.
    pub(crate) fn is_suspect(&self) -> bool {
        self.0.is_suspect.load(Relaxed)
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.0.has_answered.load(Relaxed)
    }

    pub(crate) fn last_use(&self) -> &LastUse {
        &self.0.last_use
    }

    /// Has `changed` called whenever the answer of one of the methods above may be another.
    pub(crate) fn watch(&self, changed: CapacityChanged) {
        *lock(&self.0.changed) = Some(changed);
    }
}

impl ConnectionState {
    /// Tells the pool that it allows more or less than before. The lock orders this after
    /// [`Handle::watch`], or before what the pool reads after that.
    fn tell(&self) {
        let changed = lock(&self.changed).clone();
        if let Some(changed) = changed {
            changed.notify();
        }
    }

    fn close(&self) {
        if !self.is_closed.swap(true, Relaxed) {
            self.tell();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("streams", &self.stream_limit())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
