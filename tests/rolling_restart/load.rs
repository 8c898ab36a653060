//! The callers: a closed loop without pauses, every fifth request an order, every answer read to its end and checked.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use headless_http::{Client, Error};
use http::Method;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::shop::page;

pub const CALLERS: u64 = 32;
const ORDER_EVERY: u64 = 5;

/// The callers at work.
pub struct Load {
    callers: JoinSet<Vec<Failed>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    done: AtomicU64,
    stop: AtomicBool,
}

/// A request without a good answer.
pub struct Failed {
    pub id: u64,
    pub method: Method,
    pub from: Instant,
    pub to: Instant,
    pub problem: Problem,
}

pub enum Problem {
    Error(Error),
    Answer(String),
}

impl Load {
    pub fn start(client: &Client) -> Self {
        let shared = Arc::new(Shared::default());
        let callers = (0..CALLERS).map(|caller| call(client.clone(), caller, Arc::clone(&shared)));
        Self {
            callers: callers.collect(),
            shared,
        }
    }

    /// Requests that are over, well or not.
    pub fn done(&self) -> u64 {
        self.shared.done.load(Relaxed)
    }

    /// Lets every caller finish what it does.
    pub fn stop(&self) {
        self.shared.stop.store(true, Relaxed);
    }

    /// What failed, once the callers have stopped.
    pub async fn failed(self) -> Vec<Failed> {
        self.callers.join_all().await.into_iter().flatten().collect()
    }
}

async fn call(client: Client, caller: u64, shared: Arc<Shared>) -> Vec<Failed> {
    let mut failed = Vec::new();
    let mut id = caller << 40;
    while !shared.stop.load(Relaxed) {
        let from = Instant::now();
        let method = match id % ORDER_EVERY {
            0 => Method::POST,
            _ => Method::GET,
        };
        if let Err(problem) = ask(&client, &method, id).await {
            failed.push(Failed {
                id,
                method,
                from,
                to: Instant::now(),
                problem,
            });
        }
        id += 1;
        shared.done.fetch_add(1, Relaxed);
    }
    failed
}

async fn ask(client: &Client, method: &Method, id: u64) -> Result<(), Problem> {
    let reply = match *method {
        Method::POST => client.post("/orders", id.to_string()).await?,
        _ => client.get(&format!("/items/{id}")).await?,
    };
    let (status, pod) = (reply.status(), reply.endpoint().pod().map(ToString::to_string));
    let body = reply.text().await?;
    match pod {
        Some(pod) if status.is_success() && body == page(&pod, method, id) => Ok(()),
        pod => Err(Problem::Answer(format!("{status} from {pod:?}: {body:?}"))),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} after {:?}: ", self.method, self.id, self.to - self.from)?;
        match &self.problem {
            Problem::Answer(what) => f.write_str(what),
            Problem::Error(error) => {
                write!(f, "{error}")?;
                let mut source = error.source();
                while let Some(cause) = source {
                    write!(f, ": {cause}")?;
                    source = cause.source();
                }
                Ok(())
            }
        }
    }
}
