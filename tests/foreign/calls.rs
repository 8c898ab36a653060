//! The requests of a load, and what may become of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use headless_http::{Client, Error, Idempotent, RequestBody};
use headless_tests::support::load::{Call, Load, error_chain};
use headless_tests::support::wait::until;
use http::{Method, Request};

use crate::bed::Bed;

/// The callers of a load.
pub const CALLERS: u64 = 8;

/// Returns the number of requests under each load.
pub fn requests() -> u64 {
    std::env::var("HEADLESS_FOREIGN_REQUESTS").map_or(2000, |number| number.parse().unwrap())
}

/// What a request is to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// GET.
    Read,
    /// POST, marked as idempotent.
    Marked,
    /// POST.
    Write,
}

/// A request without the right answer.
#[derive(Debug)]
pub struct Problem {
    id: u64,
    kind: Kind,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Error(Error),
    /// An answer that is not that of this request.
    Answer(String),
}

/// What may be lost under a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayLose {
    Nothing,
    /// Writes on a connection that broke, since only the caller knows whether they may be repeated.
    Writes,
    /// The same, and the server's log may lack what it processed when it was killed.
    WritesAndLogs,
}

fn kind(id: u64) -> Kind {
    match id % 4 {
        0 => Kind::Write,
        1 => Kind::Marked,
        _ => Kind::Read,
    }
}

/// Callers at work, and the writes that were answered.
pub struct Calls {
    pub load: Load<Problem>,
    answered: Arc<Mutex<Vec<u64>>>,
}

impl Calls {
    /// Starts requests to `path`: of four requests, one is a write, and one is marked.
    pub fn start(client: &Client, path: &'static str, pace: Duration) -> Self {
        let (client, answered) = (client.clone(), Arc::<Mutex<Vec<u64>>>::default());
        let writes = Arc::clone(&answered);
        let load = Load::start(CALLERS, pace, move |Call { caller, number }| {
            let (client, writes) = (client.clone(), Arc::clone(&writes));
            async move {
                let id = (caller << 32) + number;
                let kind = kind(id);
                let asked = ask(&client, kind, id, path).await;
                if asked.is_ok() && kind == Kind::Write {
                    writes.lock().unwrap().push(id);
                }
                asked.map_err(|cause| Problem { id, kind, cause })
            }
        });
        Self { load, answered }
    }

    /// Waits until so many requests are over in all.
    pub async fn reach(&self, count: u64) {
        while self.load.done() < count {
            self.load.more(1.max((count - self.load.done()).min(500))).await;
        }
    }
}

async fn ask(client: &Client, kind: Kind, id: u64, path: &str) -> Result<(), Cause> {
    let length = match kind {
        Kind::Read => 0,
        _ => (id % 1000 * 7) as usize,
    };
    let mut request = Request::new(RequestBody::from(Bytes::from(vec![b'.'; length])));
    *request.uri_mut() = path.parse().unwrap();
    request.headers_mut().insert("x-id", id.into());
    if kind != Kind::Read {
        *request.method_mut() = Method::POST;
    }
    if kind == Kind::Marked {
        request.extensions_mut().insert(Idempotent);
    }
    let reply = client.request(request).await.map_err(Cause::Error)?;
    let (status, echo) = (reply.status(), reply.headers().get("x-id").cloned());
    let text = reply.text().await.map_err(Cause::Error)?;
    match echo {
        Some(echo) if echo == id.to_string() && status == 200 && text == format!("{id} {length}\n") => Ok(()),
        echo => Err(Cause::Answer(format!(
            "{status}, x-id {echo:?}, {text:?}; {length} bytes were sent"
        ))),
    }
}

impl Calls {
    /// Ends the load; checks what has become of each request, with the logs of the pods.
    pub async fn check(self, bed: &Bed, may_lose: MayLose) {
        let (server, requests) = (bed.server, self.load.done());
        let failed = self.load.failed().await;
        let answered = std::mem::take(&mut *self.answered.lock().unwrap());
        let mut lost = HashMap::new();
        for failure in &failed {
            let Problem { id, kind, cause } = &failure.error;
            match cause {
                Cause::Error(error) if *kind == Kind::Write && may_lose != MayLose::Nothing => {
                    lost.insert(*id, error.is_not_sent());
                }
                Cause::Error(error) => panic!(
                    "{server}: {} of {requests} requests failed, such as {kind:?} {id}: {}\n{error:?}\n{}",
                    failed.len(),
                    error_chain(error),
                    bed.printed()
                ),
                Cause::Answer(what) => panic!("{server}: {kind:?} {id} got another answer than its own: {what}"),
            }
        }
        // Some servers write the line after the answer.
        if may_lose != MayLose::WritesAndLogs {
            let missing = || {
                let processed = processed(bed);
                answered.iter().filter(|id| !processed.contains_key(id)).count()
            };
            until(
                || missing() == 0,
                || format!("{server}: {} answered writes in no log", missing()),
            )
            .await;
        }
        for (id, times) in processed(bed) {
            if kind(id) == Kind::Write {
                assert_eq!(times, 1, "{server}: write {id} was processed more than once");
                assert_ne!(
                    lost.get(&id),
                    Some(&true),
                    "{server}: write {id} was processed; the client denies it"
                );
            }
        }
        println!("{server}: {requests} requests, {} writes lost", lost.len());
    }
}

/// How often each request is in the pods' logs.
fn processed(bed: &Bed) -> HashMap<u64, u32> {
    let mut processed = HashMap::new();
    for line in bed.log() {
        // Lines without a number are of the probes of the testkit.
        let id = line.split(' ').nth(1).and_then(|id| id.parse().ok());
        if let Some(id) = id {
            *processed.entry(id).or_default() += 1;
        }
    }
    processed
}
