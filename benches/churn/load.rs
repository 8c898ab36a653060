//! The callers: 64 of them, in a closed loop or at a fixed rate, and what each request came to.
//!
//! At a fixed rate a request's time runs from the moment it was *due*, whether a caller was free then or not: a client that stalls
//! cannot hide the requests that it kept waiting (Gil Tene's coordinated omission).

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
use super::contender::{Contender, Kind};
use super::server::Servers;

/// How many callers there are.
pub const CALLERS: usize = 64;
const WARM_UP: Duration = Duration::from_millis(200);
/// Without churn, before and after.
const STEADY: Duration = Duration::from_millis(350);
/// Steps of churn in a run: each pod is replaced once.
const STEPS: u32 = 8;
/// When the churn begins and ends, counted from the first steady time.
pub const CHURN_AFTER: [Duration; 2] = [STEADY, STEADY.saturating_add(STEP.saturating_mul(STEPS))];
/// What has not ended so long after the run has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// When callers call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// As soon as the answer before is there.
    Closed,
    /// So many requests in a second, all callers together.
    Open(u32),
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When it began, or was due to.
    pub begin: Instant,
    /// When its body was complete, or it had failed.
    pub end: Instant,
    /// Which pod answered.
    pub outcome: Result<SocketAddr, Kind>,
}

/// All that happened in a run.
#[derive(Debug)]
pub struct Recording {
    /// After the warm-up.
    pub samples: Vec<Sample>,
    /// Before the churn, and after it.
    pub steady: [Range<Instant>; 2],
    /// The churn.
    pub churn: Range<Instant>,
    /// To the list.
    pub changes: Vec<Change>,
    /// Connections opened during the churn.
    pub opened: u64,
    /// What client and pods had used of their CPUs at the beginning of the first steady time, of the churn, of the second steady time,
    /// and at its end; `None` where the kernel does not tell.
    pub cpu: Option<[Duration; 4]>,
    /// The first failure of each kind, in words.
    pub examples: BTreeMap<Kind, String>,
}

/// Fresh pods and a fresh client: warm-up, a steady time, the churn, another steady time.
pub async fn run<C: Contender>(case: Case, load: Loop, servers: &mut Servers) -> Recording {
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

/// What one caller, or all of them, have seen.
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
    fn begin(client: impl Contender, load: Loop) -> Self {
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
        let deadline = Instant::now() + PATIENCE;
        let mut all = Calls::default();
        while let Ok(Some(calls)) = timeout_at(deadline.into(), self.tasks.join_next()).await {
            let calls = calls.unwrap();
            all.samples.extend(calls.samples);
            all.examples.extend(calls.examples);
        }
        // Callers still there hang in a request. What they saw before is lost, and the failure is not.
        let hanging = Sample {
            begin: deadline - PATIENCE,
            end: deadline,
            outcome: Err(Kind::Timeout),
        };
        all.samples.extend(vec![hanging; self.tasks.len()]);
        all
    }
}

impl Calls {
    async fn call(&mut self, client: &impl Contender, begin: Instant) {
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
            // Whoever fails without waiting must not keep all others from running.
            tokio::task::yield_now().await;
        }
    }
}

/// Says when requests are due. A thread, because tokio's timers are as coarse as a millisecond.
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
