//! Fakes for paused-time tests: a resolver and a connector that behave as told, and record what was
//! asked of them.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use headless::{AbortHandle, BoxFuture, Connect, Discovery, Endpoint, FoundBy, Multiplexing, OnStart, Resolve};
use headless::{Answer, Failure, FailureKind, Negative, NegativeKind, Resolution};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Lets paused time pass: every timer due until then fires, in order, at once.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lets spawned tasks run until nothing is left to do but wait.
pub async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// `web-<k>` at `10.0.0.<ip>:80`.
pub fn pod(k: u8, ip: u8) -> Endpoint {
    Endpoint::new(([10, 0, 0, ip], 80).into()).with_pod(format!("web-{k}").parse().unwrap())
}

pub fn found(pods: impl IntoIterator<Item = Endpoint>) -> Resolution {
    Resolution::Found(Answer::new(
        pods.into_iter().collect(),
        Duration::from_secs(5),
        FoundBy::NamedPort,
    ))
}

pub fn nothing() -> Resolution {
    Resolution::NoEndpoints(Negative::new(
        NegativeKind::NoSuchName,
        Some(Duration::from_secs(5)),
        "A web.shop.svc.cluster.local.",
    ))
}

pub fn failed() -> Resolution {
    Resolution::Failed(Failure::new(FailureKind::ServFail, "10.96.0.10 answered SERVFAIL"))
}

/// A DNS that says what the test says.
#[derive(Clone)]
pub struct FakeDns(Arc<(Mutex<Resolution>, AtomicUsize, AtomicUsize)>);

impl FakeDns {
    pub fn new(says: Resolution) -> Self {
        Self(Arc::new((Mutex::new(says), AtomicUsize::new(0), AtomicUsize::new(0))))
    }

    pub fn says(&self, resolution: Resolution) {
        *self.0.0.lock().unwrap() = resolution;
    }

    pub fn resolutions(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }

    pub async fn watch(&self) -> Discovery {
        Discovery::builder(self.clone())
            .on_start(OnStart::Empty)
            .start()
            .await
            .unwrap()
    }
}

impl Resolve for FakeDns {
    fn resolve(&self) -> BoxFuture<'_, Resolution> {
        self.0.1.fetch_add(1, Ordering::SeqCst);
        let says = self.0.0.lock().unwrap().clone();
        Box::pin(std::future::ready(says))
    }

    fn service(&self) -> String {
        "web.shop.svc.cluster.local:http".to_owned()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dial {
    Succeeds,
    Refuses,
    /// Refuses with an error that the connector calls a misconfiguration.
    RefusesForGood,
    Hangs,
    Panics,
    /// Something accepts the connection and closes it.
    OpensDead,
}

/// How a live connection answers a check; a dead one always fails it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Check {
    #[default]
    Passes,
    Hangs,
    Panics,
}

/// Connections to pods, which behave as told; counts what is open.
#[derive(Clone)]
pub struct FakePods(Arc<State>);

impl Default for FakePods {
    fn default() -> Self {
        Self::with_streams(EXCLUSIVE)
    }
}

/// Stands for connections that are exclusive.
const EXCLUSIVE: usize = usize::MAX;

#[derive(Default)]
struct State {
    behaviour: Mutex<HashMap<SocketAddr, Dial>>,
    changed: Notify,
    attempts: AtomicUsize,
    open: Mutex<HashMap<SocketAddr, usize>>,
    streams: AtomicUsize,
    /// How many of the streams the pods allow now.
    allowed: AtomicUsize,
    /// The connections opened so far, dead and alive.
    conns: Mutex<Vec<Weak<Closer>>>,
    check: Mutex<Check>,
    /// The numbers of the connections that were checked.
    checked: Mutex<Vec<usize>>,
    /// `is_reusable` panics.
    shy: AtomicBool,
    connecting: AtomicUsize,
    most_connecting: AtomicUsize,
    /// Of connections that are open or being opened.
    most: AtomicUsize,
    /// Since it was last asked to be watched.
    least_open: AtomicUsize,
    /// How old each connection was when it closed.
    lives: Mutex<Vec<Duration>>,
}

impl State {
    fn open(&self) -> usize {
        self.open.lock().unwrap().values().sum()
    }

    fn count_most(&self) {
        let connecting = self.connecting.load(Ordering::SeqCst);
        self.most_connecting.fetch_max(connecting, Ordering::SeqCst);
        self.most.fetch_max(connecting + self.open(), Ordering::SeqCst);
    }
}

impl FakePods {
    /// Pods with connections that carry several requests each.
    pub fn with_streams(streams: usize) -> Self {
        let state = State::default();
        state.streams.store(streams, Ordering::SeqCst);
        state.allowed.store(usize::MAX, Ordering::SeqCst);
        Self(Arc::new(state))
    }

    /// From now on; an attempt that hangs goes on with it.
    pub fn set(&self, pod: &Endpoint, attempt: Dial) {
        self.0.behaviour.lock().unwrap().insert(pod.addr(), attempt);
        self.0.changed.notify_waiters();
    }

    /// Every connection to this pod that is open now is dead, and it shows.
    pub fn break_open(&self, pod: &Endpoint) {
        self.each_open(pod, |conn| conn.usable.store(false, Ordering::SeqCst));
    }

    /// Every connection to this pod that is open now is dead, and only a check finds it out.
    pub fn kill_silently(&self, pod: &Endpoint) {
        self.each_open(pod, |conn| conn.silent.store(true, Ordering::SeqCst));
    }

    fn each_open(&self, pod: &Endpoint, act: impl Fn(&Closer)) {
        let open: Vec<_> = self.0.conns.lock().unwrap().iter().filter_map(Weak::upgrade).collect();
        open.iter()
            .filter(|conn| conn.addr == pod.addr())
            .for_each(|conn| act(conn));
    }

    /// From now on; a check that hangs goes on with it.
    pub fn checks(&self, check: Check) {
        *self.0.check.lock().unwrap() = check;
        self.0.changed.notify_waiters();
    }

    /// The numbers of the connections that were checked, in order.
    pub fn checked(&self) -> Vec<usize> {
        self.0.checked.lock().unwrap().clone()
    }

    /// Whether looking at a connection panics.
    pub fn is_shy(&self, shy: bool) {
        self.0.shy.store(shy, Ordering::SeqCst);
    }

    /// From now on the pods allow so many streams on each connection.
    pub fn allow_streams(&self, streams: usize) {
        self.0.allowed.store(streams, Ordering::SeqCst);
    }

    pub fn most_connecting(&self) -> usize {
        self.0.most_connecting.load(Ordering::SeqCst)
    }

    /// The most connections that were open or being opened at a time.
    pub fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    /// The fewest connections that were open at a time, since the last call.
    pub fn least_open(&self) -> usize {
        self.0.least_open.swap(self.open(), Ordering::SeqCst)
    }

    pub fn connecting(&self) -> usize {
        self.0.connecting.load(Ordering::SeqCst)
    }

    /// How old the connections were that have closed, in the order in which they did.
    pub fn lives(&self) -> Vec<Duration> {
        self.0.lives.lock().unwrap().clone()
    }

    pub fn attempts(&self) -> usize {
        self.0.attempts.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> usize {
        self.0.open()
    }

    pub fn open_to(&self, pod: &Endpoint) -> usize {
        self.0.open.lock().unwrap().get(&pod.addr()).copied().unwrap_or(0)
    }
}

/// One connection; closed when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct FakeConn {
    pub addr: SocketAddr,
    /// Counted from 1, over all pods.
    pub number: usize,
    pub usable: Arc<AtomicBool>,
    /// Whether it was cut at a drain deadline.
    pub aborted: Arc<AtomicBool>,
    closer: Arc<Closer>,
}

struct Closer {
    state: Arc<State>,
    addr: SocketAddr,
    usable: Arc<AtomicBool>,
    silent: AtomicBool,
    opened: Instant,
}

impl std::fmt::Debug for Closer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Closer")
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        *self.state.open.lock().unwrap().get_mut(&self.addr).unwrap() -= 1;
        self.state.least_open.fetch_min(self.state.open(), Ordering::SeqCst);
        self.state.lives.lock().unwrap().push(self.opened.elapsed());
    }
}

/// Counts an attempt, however it ends.
struct Connecting<'a>(&'a State);

impl<'a> Connecting<'a> {
    fn begin(state: &'a State) -> Self {
        state.attempts.fetch_add(1, Ordering::SeqCst);
        state.connecting.fetch_add(1, Ordering::SeqCst);
        state.count_most();
        Self(state)
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.connecting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
pub struct Refused {
    /// It is a misconfiguration.
    pub for_good: bool,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.for_good {
            false => "connection refused",
            true => "another protocol",
        })
    }
}

impl std::error::Error for Refused {}

impl Connect for FakePods {
    type Conn = FakeConn;
    type Error = Refused;

    async fn connect(&self, endpoint: &Endpoint) -> Result<FakeConn, Refused> {
        let connecting = Connecting::begin(&self.0);
        let usable = loop {
            let changed = self.0.changed.notified();
            let attempt = self
                .0
                .behaviour
                .lock()
                .unwrap()
                .get(&endpoint.addr())
                .copied()
                .unwrap_or(Dial::Succeeds);
            match attempt {
                Dial::Succeeds => break true,
                Dial::OpensDead => break false,
                Dial::Refuses => return Err(Refused { for_good: false }),
                Dial::RefusesForGood => return Err(Refused { for_good: true }),
                Dial::Panics => panic!("a connector that panics"),
                Dial::Hangs => changed.await,
            }
        };
        drop(connecting);
        *self.0.open.lock().unwrap().entry(endpoint.addr()).or_insert(0) += 1;
        self.0.count_most();
        let usable = Arc::new(AtomicBool::new(usable));
        let closer = Arc::new(Closer {
            state: Arc::clone(&self.0),
            addr: endpoint.addr(),
            usable: Arc::clone(&usable),
            silent: AtomicBool::new(false),
            opened: Instant::now(),
        });
        let mut conns = self.0.conns.lock().unwrap();
        conns.push(Arc::downgrade(&closer));
        Ok(FakeConn {
            addr: endpoint.addr(),
            number: conns.len(),
            usable,
            aborted: Arc::default(),
            closer,
        })
    }

    fn is_misconfiguration(&self, error: &Refused) -> bool {
        error.for_good
    }

    fn is_reusable(&self, conn: &FakeConn) -> bool {
        assert!(!self.0.shy.load(Ordering::SeqCst), "a connector that panics");
        conn.usable.load(Ordering::SeqCst)
    }

    fn multiplexing(&self) -> Multiplexing {
        match self.0.streams.load(Ordering::SeqCst) {
            EXCLUSIVE => Multiplexing::Exclusive,
            streams => Multiplexing::Streams(NonZeroUsize::new(streams).unwrap()),
        }
    }

    fn share(&self, conn: &FakeConn) -> Option<FakeConn> {
        Some(conn.clone())
    }

    fn stream_limit(&self, _: &FakeConn) -> usize {
        self.0.allowed.load(Ordering::SeqCst)
    }

    async fn validate(&self, conn: &mut FakeConn) -> Result<(), Refused> {
        self.0.checked.lock().unwrap().push(conn.number);
        loop {
            let changed = self.0.changed.notified();
            let check = *self.0.check.lock().unwrap();
            match check {
                Check::Passes if conn.closer.silent.load(Ordering::SeqCst) => return Err(Refused { for_good: false }),
                Check::Passes => return Ok(()),
                Check::Hangs => changed.await,
                Check::Panics => panic!("a check that panics"),
            }
        }
    }

    fn abort_handle(&self, conn: &FakeConn) -> Option<Box<dyn AbortHandle>> {
        Some(Box::new(FakeAbort(Arc::clone(&conn.aborted))))
    }
}

struct FakeAbort(Arc<AtomicBool>);

impl AbortHandle for FakeAbort {
    fn abort(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_finished(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}
