//! The callers: 64 of them, in a closed loop or at a fixed rate, and the outcome of each request.
//!
//! At a fixed rate the time of a request runs from the moment it was *due*, whether a caller was
//! free then or not: a client that stalls cannot hide the requests that it kept waiting (Gil Tene's
//! coordinated omission).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use headless_benches::harness::cpu;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout_at};

use super::case::{Case, Change, Churn, STEP};
use super::implementation::{Implementation, Kind};
use super::server::Servers;

/// The number of callers.
pub const CALLERS: usize = 64;
const WARM_UP: Duration = Duration::from_millis(200);
/// Without churn, before and after.
const STEADY: Duration = Duration::from_millis(350);
/// Steps of churn in a run: each pod is replaced once.
const STEPS: u32 = 8;
/// A request that has not ended after this time has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The times of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// A caller sends a request as soon as it has the answer of the last one.
    Closed,
    /// All callers together send this number of requests per second.
    Open(u32),
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The time when it began, or was due to begin.
    pub begin: Instant,
    /// The time when its body was complete, or it had failed.
    pub end: Instant,
    /// The pod that answered.
    pub outcome: Result<SocketAddr, Kind>,
}

/// The events of a run.
#[derive(Debug)]
pub struct Recording {
    /// After the warm-up.
    pub samples: Vec<Sample>,
    /// Before the churn, and after it.
    pub steady: [Range<Instant>; 2],
    /// The churn.
    pub churn: Range<Instant>,
    /// The changes of the list.
    pub changes: Vec<Change>,
    /// Connections opened during the churn.
    pub opened: u64,
    /// CPU time of client and pods at the beginning of the first steady time, of the churn, of the
    /// second steady time, and at its end; `None` if the kernel does not count it.
    pub cpu: Option<[Duration; 4]>,
    /// The message of the first failure of each kind.
    pub examples: BTreeMap<Kind, String>,
}

/// Runs new pods and a new client: warm-up, a steady time, the churn, another steady time.
pub async fn run<C: Implementation>(case: Case, load: Loop, servers: &mut Servers) -> Recording {
    let mut churn = Churn::begin(case, servers).await;
    let client = C::over(churn.list()).await;
    let processes = [Some(std::process::id()), churn.servers_process(), client.process()];
    let cpu = || {
        processes
            .into_iter()
            .flatten()
            .map(cpu::of_process)
            .sum::<Option<Duration>>()
    };
    let callers = Callers::begin(client, load);
    let begin = Instant::now() + WARM_UP;
    let (churn_begin, churn_end) = (begin + STEADY, begin + STEADY + STEPS * STEP);
    let end = churn_end + STEADY;

    sleep_until(begin.into()).await;
    let mut used = vec![cpu()];
    sleep_until(churn_begin.into()).await;
    used.push(cpu());
    let opened_before = churn.opened().await;
    for k in 0..STEPS {
        sleep_until((churn_begin + k * STEP).into()).await;
        churn.step().await;
    }
    sleep_until(churn_end.into()).await;
    used.push(cpu());
    let opened = churn.opened().await - opened_before;
    sleep_until(end.into()).await;
    used.push(cpu());
    let Calls { mut samples, examples } = callers.end().await;
    samples.retain(|sample| sample.end >= begin);
    Recording {
        samples,
        steady: [begin..churn_begin, churn_end..end],
        churn: churn_begin..churn_end,
        changes: churn.end().await,
        opened,
        cpu: used
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .and_then(|used| used.try_into().ok()),
        examples,
    }
}

/// The requests of one caller, or of all.
#[derive(Debug, Default)]
struct Calls {
    samples: Vec<Sample>,
    examples: BTreeMap<Kind, String>,
}

struct Callers {
    tasks: JoinSet<Calls>,
    stop: Arc<AtomicBool>,
}

impl Callers {
    fn begin(client: impl Implementation, load: Loop) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        match load {
            Loop::Closed => {
                for _ in 0..CALLERS {
                    let (client, stop) = (client.clone(), Arc::clone(&stop));
                    tasks.spawn(async move {
                        let mut calls = Calls::default();
                        while !stop.load(Relaxed) {
                            calls.call(&client, Instant::now()).await;
                        }
                        calls
                    });
                }
            }
            Loop::Open(rate) => {
                let due = Arc::new(Mutex::new(metronome(rate, Arc::clone(&stop))));
                for _ in 0..CALLERS {
                    let (client, due) = (client.clone(), Arc::clone(&due));
                    tasks.spawn(async move {
                        let mut calls = Calls::default();
                        loop {
                            let next = due.lock().await.recv().await;
                            let Some(begin) = next else { return calls };
                            calls.call(&client, begin).await;
                        }
                    });
                }
            }
        }
        Self { tasks, stop }
    }

    async fn end(mut self) -> Calls {
        self.stop.store(true, Relaxed);
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let mut all = Calls::default();
        while let Ok(Some(calls)) = timeout_at(deadline.into(), self.tasks.join_next()).await {
            let calls = calls.unwrap();
            all.samples.extend(calls.samples);
            all.examples.extend(calls.examples);
        }
        // Callers that are left hang in a request. Their earlier samples are lost; the failure
        // counts.
        let hanging = Sample {
            begin: deadline - REQUEST_TIMEOUT,
            end: deadline,
            outcome: Err(Kind::Timeout),
        };
        all.samples.extend(vec![hanging; self.tasks.len()]);
        all
    }
}

impl Calls {
    async fn call(&mut self, client: &impl Implementation, begin: Instant) {
        let outcome = client.get().await;
        let failed = outcome.is_err();
        let outcome = outcome.map_err(|failure| {
            let kind = failure.kind;
            self.examples.entry(kind).or_insert_with(|| failure.to_string());
            kind
        });
        self.samples.push(Sample {
            begin,
            end: Instant::now(),
            outcome,
        });
        if failed {
            // A request that fails without waiting must not keep the other callers from running.
            tokio::task::yield_now().await;
        }
    }
}

/// Sends the times when requests are due. WHY a thread: tokio's timers have a resolution of a
/// millisecond.
fn metronome(rate: u32, stop: Arc<AtomicBool>) -> mpsc::UnboundedReceiver<Instant> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        let begin = Instant::now();
        for k in 1.. {
            let due = begin + Duration::from_secs(1) * k / rate;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if stop.load(Relaxed) || sender.send(due).is_err() {
                return;
            }
        }
    });
    receiver
}
