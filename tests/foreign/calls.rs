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
    /// The same, and answers that broke off; the server's log may lack what it processed when it
    /// was killed.
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
    client: Client,
    answered: Arc<Mutex<Vec<u64>>>,
}

impl Calls {
    /// Starts requests to `path`: of four requests, one is a write, and one is marked.
    pub fn start(client: &Client, path: &'static str, pace: Duration) -> Self {
        let answered = Arc::<Mutex<Vec<u64>>>::default();
        let all = client.clone();
        let writes = Arc::clone(&answered);
        let load = Load::start(CALLERS, pace, move |Call { caller, number }| {
            let (client, writes) = (all.clone(), Arc::clone(&writes));
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
        Self {
            load,
            client: client.clone(),
            answered,
        }
    }

    /// Waits until so many more requests are over.
    pub async fn more(&self, count: u64) {
        self.reach(self.load.done() + count).await;
    }

    /// Waits until so many requests are over in all.
    pub async fn reach(&self, count: u64) {
        while self.load.done() < count {
            let next = count.min(self.load.done() + 500);
            let stats = || self.client.balancer().stats();
            until(
                || self.load.done() >= next,
                || format!("{} of {count} requests are over: {:#?}", self.load.done(), stats()),
            )
            .await;
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
                // An answer that has begun cannot be asked for again without the caller.
                Cause::Error(Error::Body { .. }) if may_lose == MayLose::WritesAndLogs => {}
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
        if let Err(fault) = writes_are_as_said(&processed(bed), &lost) {
            panic!("{server}: {fault}");
        }
        println!("{server}: {requests} requests, {} writes lost", lost.len());
    }
}

/// Whether each write was processed at most once, and none that the client says it has not sent:
/// `lost` has the writes that failed, and what the client says.
fn writes_are_as_said(processed: &HashMap<u64, u32>, lost: &HashMap<u64, bool>) -> Result<(), String> {
    for (id, times) in processed.iter().filter(|(id, _)| kind(**id) == Kind::Write) {
        if *times > 1 {
            return Err(format!("write {id} was processed {times} times"));
        }
        if lost.get(id) == Some(&true) {
            return Err(format!(
                "write {id} was processed, and the client says that it was not sent"
            ));
        }
    }
    Ok(())
}

/// How often each request is in the pods' logs.
fn processed(bed: &Bed) -> HashMap<u64, u32> {
    let mut processed = HashMap::new();
    for line in bed.log() {
        // Lines without a number are of the probes of the testkit.
        if let Some(Ok(id)) = line.split(' ').nth(1).map(str::parse::<u64>) {
            *processed.entry(id).or_default() += 1;
        }
    }
    processed
}

#[test]
fn a_write_that_is_processed_twice_or_denied_is_found() {
    let is_fault = |processed: &[(u64, u32)], lost: &[(u64, bool)]| {
        writes_are_as_said(&processed.iter().copied().collect(), &lost.iter().copied().collect()).is_err()
    };
    assert_eq!((kind(4), kind(5), kind(6)), (Kind::Write, Kind::Marked, Kind::Read));
    assert!(!is_fault(&[(4, 1), (5, 2), (6, 3)], &[(4, false), (8, true)]));
    assert!(is_fault(&[(4, 2)], &[]));
    assert!(is_fault(&[(4, 1)], &[(4, true)]));
}
