//! Load: callers that send one request after the other. What came of it is counted in `tally`.
//!
//! A closed loop: a caller sends its next request when it has the answer to the last. So a slow pod
//! holds callers up, as it would hold up the threads of a real program.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use demo_support::explain;
use headless_http::Client;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::tally::{Answer, Tally};

/// How many callers send at the same time.
pub(crate) const CALLERS: usize = 16;

/// Without one answer after so many failures, the rest would fail too.
const HOPELESS: u64 = CALLERS as u64;

/// What the callers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// GETs.
    Reads,
    /// Every fifth request is a POST.
    ReadsAndWrites,
}

impl Mix {
    fn is_write(self, number: u64) -> bool {
        self == Self::ReadsAndWrites && number.is_multiple_of(5)
    }
}

/// Callers at work.
pub(crate) struct Load {
    progress: Arc<Progress>,
    callers: JoinSet<()>,
}

struct Progress {
    /// How many requests may still be sent.
    budget: AtomicU64,
    tally: Mutex<Tally>,
}

impl Load {
    /// Sends `requests`, then ends.
    pub(crate) async fn run(client: &Client, mix: Mix, requests: u64) -> Tally {
        let load = Self::begin(client, mix, requests);
        load.end().await
    }

    /// Sends requests until it is stopped.
    pub(crate) fn start(client: &Client, mix: Mix) -> Self {
        Self::begin(client, mix, u64::MAX)
    }

    fn begin(client: &Client, mix: Mix, requests: u64) -> Self {
        let progress = Arc::new(Progress {
            budget: AtomicU64::new(requests),
            tally: Mutex::default(),
        });
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            // A clone of the client is a reference count: they all share its connections.
            callers.spawn(call(client.clone(), Arc::clone(&progress), mix));
        }
        Self { progress, callers }
    }

    /// The tally so far.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.progress.tally()
    }

    /// Lets the requests under way end, and sends no more.
    pub(crate) async fn stop(self) -> Tally {
        self.progress.budget.store(0, Relaxed);
        self.end().await
    }

    async fn end(mut self) -> Tally {
        while let Some(caller) = self.callers.join_next().await {
            if let Err(error) = caller {
                self.tally().fail(explain(&error));
            }
        }
        std::mem::take(&mut *self.tally()).ended()
    }
}

impl Progress {
    fn next(&self) -> Option<u64> {
        self.budget
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .ok()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn call(client: Client, progress: Arc<Progress>, mix: Mix) {
    while let Some(number) = progress.next() {
        let is_write = mix.is_write(number);
        let begun = Instant::now();
        let outcome = send(&client, is_write).await;
        let mut tally = progress.tally();
        tally.requests += 1;
        match outcome {
            Ok(answer) => tally.note(answer, is_write, begun),
            Err(error) => tally.fail(explain(&error)),
        }
        if tally.answered() == 0 && tally.failed >= HOPELESS {
            progress.budget.store(0, Relaxed);
        }
    }
}

async fn send(client: &Client, is_write: bool) -> Result<Answer, headless_http::Error> {
    let reply = match is_write {
        true => client.post("/", "quantity=2").await?,
        false => client.get("/").await?,
    };
    let signed = reply.headers().get("x-pod").and_then(|name| name.to_str().ok());
    let answer = Answer {
        from: reply.endpoint().key().clone(),
        status: reply.status().as_u16(),
        signed: signed.map(ToOwned::to_owned),
    };
    // Read to the end, or the connection cannot be used again; and an answer counts when it is
    // complete.
    reply.bytes().await?;
    Ok(answer)
}
