//! A steady trickle of `GET /`, so that in-flight counts, latencies and connections are alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use demo_support::{Log, explain};
use headless_http::{Client, Error};
use tokio::task::JoinSet;
use tokio::time::interval;

/// More at a time is not sent: a Service that hangs is not helped by a heap of requests.
const MOST_IN_FLIGHT: usize = 1000;

/// How many requests are sent and how they went. Clones share the counts.
#[derive(Clone)]
pub(crate) struct Load {
    rate: u64,
    counts: Arc<Counts>,
}

/// ORDERING: Relaxed: numbers to be shown, nothing depends on them.
#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
    is_failing: AtomicBool,
}

impl Load {
    /// `rate` requests a second.
    pub(crate) fn new(rate: u64) -> Self {
        Self {
            rate,
            counts: Arc::default(),
        }
    }

    pub(crate) fn rate(&self) -> u64 {
        self.rate
    }

    pub(crate) fn answered(&self) -> u64 {
        self.counts.answered.load(Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.counts.failed.load(Relaxed)
    }

    /// Sends until it is dropped; what is under way then is dropped too.
    pub(crate) fn run(&self, client: Client, log: Log) -> impl Future<Output = ()> + use<> {
        let load = self.clone();
        async move {
            let mut tick = interval(Duration::from_secs(1) / u32::try_from(load.rate).unwrap_or(u32::MAX));
            let mut requests = JoinSet::new();
            loop {
                tick.tick().await;
                while requests.try_join_next().is_some() {}
                if requests.len() < MOST_IN_FLIGHT {
                    let (load, client, log) = (load.clone(), client.clone(), log.clone());
                    requests.spawn(async move { load.count(get(&client).await, &log) });
                }
            }
        }
    }

    /// The first failure after a success is an event, and so is the first success after that.
    fn count(&self, outcome: Result<(), Error>, log: &Log) {
        let counts = &self.counts;
        match outcome {
            Ok(()) => {
                counts.answered.fetch_add(1, Relaxed);
                if counts.is_failing.swap(false, Relaxed) {
                    log.add("load", "requests are answered again");
                }
            }
            Err(error) => {
                counts.failed.fetch_add(1, Relaxed);
                if !counts.is_failing.swap(true, Relaxed) {
                    log.add("load", format!("a request failed: {}", explain(&error)));
                }
            }
        }
    }
}

async fn get(client: &Client) -> Result<(), Error> {
    // Read to its end: only then its connection is free for the next.
    client.get("/").await?.bytes().await.map(drop)
}
