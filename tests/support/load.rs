//! Load for a client: callers in a closed loop until they are stopped, and the requests that
//! failed.

use std::fmt;
use std::time::Duration;

use headless_http::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::wait::WAIT_LIMIT;

/// Callers at work.
#[derive(Debug)]
pub struct Load<E> {
    callers: JoinSet<Vec<Failed<E>>>,
    done: watch::Sender<u64>,
    stop: watch::Sender<bool>,
}

/// A request that failed, from its start to its end.
#[derive(Debug)]
pub struct Failed<E> {
    pub from: Instant,
    pub to: Instant,
    pub error: E,
}

/// One request: its caller, and how many the caller made before.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub caller: u64,
    pub number: u64,
}

impl<E: Send + 'static> Load<E> {
    /// Starts `callers` callers. Each begins a request when the one before is over, and `pace`
    /// after its start at the earliest.
    pub fn start<F>(callers: u64, pace: Duration, request: impl Fn(Call) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let (done, stop) = (watch::Sender::new(0), watch::Sender::new(false));
        let run = |caller| {
            let (request, done, stopped) = (request.clone(), done.clone(), stop.subscribe());
            async move {
                let mut failed = Vec::new();
                let mut ticks = (!pace.is_zero()).then(|| interval(pace));
                if let Some(ticks) = &mut ticks {
                    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                }
                for number in 0.. {
                    if *stopped.borrow() {
                        break;
                    }
                    if let Some(ticks) = &mut ticks {
                        ticks.tick().await;
                    }
                    let from = Instant::now();
                    if let Err(error) = request(Call { caller, number }).await {
                        let to = Instant::now();
                        failed.push(Failed { from, to, error });
                    }
                    done.send_modify(|done| *done += 1);
                }
                failed
            }
        };
        Self {
            callers: (0..callers).map(run).collect(),
            done,
            stop,
        }
    }

    /// Returns the number of requests that are over, failed ones included.
    pub fn done(&self) -> u64 {
        *self.done.borrow()
    }

    /// Waits until `count` more requests are over.
    ///
    /// # Panics
    /// If that takes longer than [`WAIT_LIMIT`].
    pub async fn more(&self, count: u64) {
        let mut done = self.done.subscribe();
        let wanted = *done.borrow() + count;
        let reached = timeout(WAIT_LIMIT, done.wait_for(|done| *done >= wanted)).await;
        assert!(reached.is_ok(), "{} of {wanted} requests are over", self.done());
    }

    /// Lets every caller finish its request and end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Stops the load; returns the requests that failed, once all callers have ended.
    pub async fn failed(self) -> Vec<Failed<E>> {
        self.stop();
        self.callers.join_all().await.into_iter().flatten().collect()
    }
}

/// Why a GET to a pod of the testkit's HTTP application is no success.
#[derive(Debug)]
pub enum Problem {
    /// An error of the client, or of the pod.
    Failed(String),
    /// The answer of another pod than the one the client meant.
    OtherPod { meant: String, answered: String },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => f.write_str(error),
            Self::OtherPod { meant, answered } => write!(f, "meant for {meant}, answered by {answered}"),
        }
    }
}

/// GETs `/`. The answer must arrive whole; where the endpoint has a name, it must be that pod's.
///
/// # Errors
/// Otherwise.
pub async fn get(client: Client) -> Result<(), Problem> {
    let failed = |error: headless_http::Error| Problem::Failed(error_chain(&error));
    let reply = client.get("/").await.map_err(failed)?;
    let (status, meant) = (reply.status(), reply.endpoint().pod().map(ToString::to_string));
    let answered = reply.text().await.map_err(failed)?.trim_end().to_owned();
    match meant {
        _ if !status.is_success() => Err(Problem::Failed(format!("{status}: {answered}"))),
        Some(meant) if meant != answered => Err(Problem::OtherPod { meant, answered }),
        _ => Ok(()),
    }
}

/// An error with its sources, separated by colons.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
