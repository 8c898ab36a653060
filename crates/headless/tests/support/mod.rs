//! Fakes for paused-time tests: a resolver and a connector that do as they are told, and note what was asked of them.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use headless::{AbortHandle, BoxFuture, Connect, Discovery, Endpoint, FoundBy, OnStart, Resolve, Sharing};
use headless_core::{Answer, Failure, FailureKind, Negative, NegativeKind, Resolution};
use tokio::sync::Notify;

/// Lets paused time pass: every timer due until then fires, in order, at once.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
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
    Resolution::None(Negative::new(
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

    pub fn looks(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }

    pub async fn watch(&self) -> Discovery {
        Discovery::with(self.clone())
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
    Hangs,
    Panics,
}

/// Connections to pods that behave as told; counts what is open.
#[derive(Clone)]
pub struct FakePods(Arc<State>);

impl Default for FakePods {
    fn default() -> Self {
        Self::with_streams(EXCLUSIVE)
    }
}

/// Stands for connections that are not shared at all.
const EXCLUSIVE: usize = usize::MAX;

#[derive(Default)]
struct State {
    dials: Mutex<HashMap<SocketAddr, Dial>>,
    changed: Notify,
    attempts: AtomicUsize,
    open: Mutex<HashMap<SocketAddr, usize>>,
    streams: AtomicUsize,
    /// Of each pod, the `usable` of the connections opened so far.
    usable: Mutex<HashMap<SocketAddr, Vec<Weak<AtomicBool>>>>,
}

impl FakePods {
    /// Pods whose connections carry several requests each.
    pub fn with_streams(streams: usize) -> Self {
        let state = State::default();
        state.streams.store(streams, Ordering::SeqCst);
        Self(Arc::new(state))
    }

    /// From now on; a dial that hangs goes on with it.
    pub fn set(&self, pod: &Endpoint, dial: Dial) {
        self.0.dials.lock().unwrap().insert(pod.addr(), dial);
        self.0.changed.notify_waiters();
    }

    /// Every connection to this pod that is open now is dead.
    pub fn break_open(&self, pod: &Endpoint) {
        let all = self.0.usable.lock().unwrap().remove(&pod.addr());
        for usable in all.unwrap_or_default().iter().filter_map(Weak::upgrade) {
            usable.store(false, Ordering::SeqCst);
        }
    }

    pub fn attempts(&self) -> usize {
        self.0.attempts.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> usize {
        self.0.open.lock().unwrap().values().sum()
    }
}

/// One connection; closed when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct FakeConn {
    pub addr: SocketAddr,
    pub usable: Arc<AtomicBool>,
    /// Whether it was cut at a drain deadline.
    pub aborted: Arc<AtomicBool>,
    _closer: Arc<Closer>,
}

struct Closer(Arc<State>, SocketAddr);

impl std::fmt::Debug for Closer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Closer")
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        *self.0.open.lock().unwrap().get_mut(&self.1).unwrap() -= 1;
    }
}

#[derive(Debug)]
pub struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection refused")
    }
}

impl std::error::Error for Refused {}

impl Connect for FakePods {
    type Conn = FakeConn;
    type Error = Refused;

    async fn connect(&self, endpoint: &Endpoint) -> Result<FakeConn, Refused> {
        self.0.attempts.fetch_add(1, Ordering::SeqCst);
        loop {
            let changed = self.0.changed.notified();
            let dial = self
                .0
                .dials
                .lock()
                .unwrap()
                .get(&endpoint.addr())
                .copied()
                .unwrap_or(Dial::Succeeds);
            match dial {
                Dial::Succeeds => break,
                Dial::Refuses => return Err(Refused),
                Dial::Panics => panic!("a connector that panics"),
                Dial::Hangs => changed.await,
            }
        }
        *self.0.open.lock().unwrap().entry(endpoint.addr()).or_insert(0) += 1;
        let usable = Arc::new(AtomicBool::new(true));
        let mut all = self.0.usable.lock().unwrap();
        all.entry(endpoint.addr()).or_default().push(Arc::downgrade(&usable));
        Ok(FakeConn {
            addr: endpoint.addr(),
            usable,
            aborted: Arc::default(),
            _closer: Arc::new(Closer(Arc::clone(&self.0), endpoint.addr())),
        })
    }

    fn is_reusable(&self, conn: &FakeConn) -> bool {
        conn.usable.load(Ordering::SeqCst)
    }

    fn sharing(&self) -> Sharing {
        match self.0.streams.load(Ordering::SeqCst) {
            EXCLUSIVE => Sharing::Exclusive,
            streams => Sharing::Streams(streams),
        }
    }

    fn share(&self, conn: &FakeConn) -> Option<FakeConn> {
        Some(conn.clone())
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
