//! [`Driver`]: the task of one connection, which reads and writes it, publishes what the peer
//! allows, and checks that the peer is alive. [`open`] makes it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use super::exchange::takes_streams;
use super::liveness::{Liveness, Step};
use super::{ConnectionState, Handle, Settings};
use crate::connector::HeadLimits;
use crate::error::BoxError;
use crate::intercept::{Intercept, Intercepted};
use crate::last_use::LastUse;
use crate::sync::lock;

/// Runs a connection until it is closed: by the peer, because it does not answer a PING, or because
/// its last handle was dropped and its last stream has ended.
pub(crate) struct Driver<S> {
    connection: Connection<Intercepted<S, ReadCount>, Bytes>,
    ping_pong: Option<PingPong>,
    liveness: Liveness,
    timer: Option<Pin<Box<Sleep>>>,
    /// How often something had been read when this was last looked at.
    seen_reads: u64,
    /// The number of streams that was published.
    seen_streams: usize,
    /// `None` after the end was published, or after the last handle was dropped: it would keep the
    /// connection open.
    sender: Option<SendRequest<Bytes>>,
    shared: HandlesView,
    checks: mpsc::UnboundedReceiver<()>,
}

/// The driver's view of the handles.
struct HandlesView {
    state: Weak<ConnectionState>,
    reads: Arc<AtomicU64>,
}

impl HandlesView {
    fn close(&self) {
        if let Some(state) = self.state.upgrade() {
            state.close();
        }
    }
}

/// Whatever ends the driver, also a panic, the handles learn it.
impl Drop for HandlesView {
    fn drop(&mut self) {
        self.close();
    }
}

/// Counts the reads of a connection that returned something.
pub(crate) struct ReadCount(Arc<AtomicU64>);

impl Intercept for ReadCount {
    fn after_read(&mut self, read: &[u8]) -> io::Result<()> {
        if !read.is_empty() {
            // ORDERING: Relaxed, a number on its own, which only this task changes.
            self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
        }
        Ok(())
    }
}

/// Begins HTTP/2, and waits for the peer's SETTINGS.
///
/// WHY it waits: only SETTINGS say how many requests the connection may carry, and that the peer
/// speaks HTTP/2 at all. SPEC(RFC 9113 3.4): a server sends them first, without being asked.
pub(crate) async fn open<S>(stream: S, settings: Settings, limits: HeadLimits) -> Result<(Handle, Driver<S>), BoxError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let reads = Arc::<AtomicU64>::default();
    let stream = Intercepted::new(stream, ReadCount(Arc::clone(&reads)));
    let (sender, mut connection) = builder(settings, limits).handshake(stream).await?;
    poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(Ok(())) if connection.max_concurrent_send_streams() != NOT_TOLD => {
            Poll::Ready(Err(GOING_AWAY.into()))
        }
        Poll::Ready(end) => Poll::Ready(Err(end.err().map_or_else(|| NO_SETTINGS.into(), explain))),
        Poll::Pending if connection.max_concurrent_send_streams() == NOT_TOLD => Poll::Pending,
        Poll::Pending => Poll::Ready(Ok::<(), BoxError>(())),
    })
    .await?;
    let (send_checks, checks) = mpsc::unbounded_channel();
    let streams = connection.max_concurrent_send_streams();
    let handle = Handle(Arc::new(ConnectionState {
        sender: sender.clone(),
        streams: AtomicUsize::new(streams),
        is_closed: AtomicBool::new(false),
        is_suspect: AtomicBool::new(false),
        has_answered: AtomicBool::new(false),
        last_use: LastUse::new(),
        reads: Arc::clone(&reads),
        silence: Mutex::default(),
        changed: Mutex::default(),
        unanswered_ping: Mutex::default(),
        checks: send_checks,
        runtime: runtime::Handle::current(),
    }));
    let driver = Driver {
        ping_pong: connection.ping_pong(),
        connection,
        liveness: Liveness::new(settings.keep_alive, Instant::now()),
        timer: None,
        seen_reads: 0,
        seen_streams: streams,
        sender: Some(sender),
        shared: HandlesView {
            state: Arc::downgrade(&handle.0),
            reads,
        },
        checks,
    };
    Ok((handle, driver))
}

fn builder(settings: Settings, limits: HeadLimits) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(settings.window())
        .initial_connection_window_size(settings.connection_window())
        .max_header_list_size(u32::try_from(limits.bytes).unwrap_or(u32::MAX))
        .initial_max_send_streams(NOT_TOLD)
        .max_local_error_reset_streams(None)
        .max_concurrent_reset_streams(REMEMBERED.max(4 * settings.max_streams))
        .data_frame_budget(BUDGET_PER_WINDOW * settings.connection_window() as usize);
    builder
}

/// Streams that were reset here, whose late frames are known as such. h2's own number; for more
/// streams on a connection there are more.
const REMEMBERED: usize = 50;

/// h2 ends a connection on which many small DATA frames are held unread: each costs what it has
/// less than 256 bytes. This allows windows that are full of frames of 20 bytes, as a stream of
/// short messages has them. (h2's own number is half a window.)
const BUDGET_PER_WINDOW: usize = 12;

/// Why there is no connection, if `open` ended with this.
fn explain(error: h2::Error) -> BoxError {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};

    match error.get_io().map(io::Error::kind) {
        Some(BrokenPipe | ConnectionReset | UnexpectedEof) => NO_SETTINGS.into(),
        _ => error.into(),
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Driver<S> {
    /// Drives the connection to its end.
    pub(crate) async fn run(mut self) -> Result<(), BoxError> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // What is asked for is in the state.
        while let Poll::Ready(check) = self.checks.poll_recv(cx) {
            if check.is_none() {
                self.sender = None;
                break;
            }
        }
        loop {
            if let Poll::Ready(end) = Pin::new(&mut self.connection).poll(cx) {
                return Poll::Ready(end.map_err(Into::into));
            }
            self.publish();
            self.receive_pong(cx);
            match self.check(cx) {
                // It has to be written.
                Step::Ping => {}
                Step::Dead => return Poll::Ready(Err(self.unanswered_ping())),
                Step::Wait(_) => return Poll::Pending,
            }
        }
    }

    /// Publishes what the peer allows, if it may have said something about it.
    fn publish(&mut self) {
        let reads = self.shared.reads.load(Relaxed);
        if reads == self.seen_reads {
            return;
        }
        self.seen_reads = reads;
        if self.liveness.has_interval() {
            self.liveness.was_read(Instant::now());
        }
        if self.sender.as_mut().is_some_and(|sender| !takes_streams(sender)) {
            self.sender = None;
            self.shared.close();
        }
        let streams = self.connection.max_concurrent_send_streams();
        if self.seen_streams != streams {
            self.seen_streams = streams;
            if let Some(state) = self.shared.state.upgrade() {
                state.streams.store(streams, Relaxed);
                state.tell();
            }
        }
    }

    /// The connection has proved itself.
    fn receive_pong(&mut self, cx: &mut Context<'_>) {
        let Some(ping_pong) = &mut self.ping_pong else { return };
        if let Poll::Ready(Ok(_)) = ping_pong.poll_pong(cx) {
            self.liveness.ponged();
            if let Some(state) = self.shared.state.upgrade()
                && state.is_suspect.swap(false, Relaxed)
            {
                state.tell();
            }
        }
    }

    /// Sends a PING if one is due, and sets the timer for the next step.
    fn check(&mut self, cx: &mut Context<'_>) -> Step {
        let state = self.shared.state.upgrade();
        let is_suspect = state.is_some_and(|state| state.is_suspect.load(Relaxed));
        if !is_suspect && !self.liveness.is_active() {
            return Step::Wait(None);
        }
        // One handle is the pool's, and each request has another.
        let is_busy = self.shared.state.strong_count() > 1;
        loop {
            let now = Instant::now();
            let step = self.liveness.step(now, is_busy, is_suspect);
            match step {
                Step::Ping => {
                    if let Some(ping_pong) = &mut self.ping_pong {
                        // One that cannot be sent is not answered, either.
                        let _ = ping_pong.send_ping(Ping::opaque());
                    }
                    self.liveness.pinged(now);
                    return Step::Ping;
                }
                Step::Wait(Some(at)) => {
                    let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
                    // WHY: each read moves the time on, and a timer that is too early costs less
                    // than one that is set for each.
                    if timer.is_elapsed() || timer.deadline() > at {
                        timer.as_mut().reset(at);
                    }
                    if timer.as_mut().poll(cx).is_pending() {
                        return step;
                    }
                }
                Step::Dead | Step::Wait(None) => return step,
            }
        }
    }

    fn unanswered_ping(&self) -> BoxError {
        let timeout = self.liveness.timeout();
        if let Some(state) = self.shared.state.upgrade() {
            *lock(&state.unanswered_ping) = Some(timeout);
        }
        UnansweredPing(timeout).into()
    }
}

/// The peer did not answer a PING within this time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the pod did not answer a PING within {0:?} (`http2_keep_alive_timeout`)")]
pub(crate) struct UnansweredPing(pub(crate) Duration);

/// Stands for the limit of streams before the peer's SETTINGS; no SETTINGS can say so much.
const NOT_TOLD: usize = usize::MAX - 1;

const GOING_AWAY: &str = "the pod announced the end of the connection (GOAWAY) as soon as it was open";

const NO_SETTINGS: &str =
    "the pod closed the connection before it said what it allows (SETTINGS); does it speak HTTP/2 on this port?";
