//! The requests: every fifth one an order, each answer read to its end and checked.

use std::fmt;
use std::time::Duration;

use headless_http::{Client, Error};
use headless_tests::support::load::{Call, Load, error_chain};
use http::Method;

use crate::shop::page;

pub const CALLERS: u64 = 32;
const ORDER_EVERY: u64 = 5;

/// A request without a good answer.
#[derive(Debug)]
pub struct Problem {
    pub method: Method,
    pub id: u64,
    pub cause: Cause,
}

#[derive(Debug)]
pub enum Cause {
    Error(Error),
    Answer(String),
}

/// Callers without pauses.
pub fn start(client: &Client) -> Load<Problem> {
    let client = client.clone();
    Load::start(CALLERS, Duration::ZERO, move |call| request(client.clone(), call))
}

async fn request(client: Client, Call { caller, number }: Call) -> Result<(), Problem> {
    let id = (caller << 40) + number;
    let method = match id % ORDER_EVERY {
        0 => Method::POST,
        _ => Method::GET,
    };
    let sent = send(&client, &method, id).await;
    sent.map_err(|cause| Problem { method, id, cause })
}

async fn send(client: &Client, method: &Method, id: u64) -> Result<(), Cause> {
    let reply = match *method {
        Method::POST => client.post("/orders", id.to_string()).await?,
        _ => client.get(&format!("/items/{id}")).await?,
    };
    let (status, pod) = (reply.status(), reply.endpoint().pod().map(ToString::to_string));
    let body = reply.text().await?;
    match pod {
        Some(pod) if status.is_success() && body == page(&pod, method, id) => Ok(()),
        pod => Err(Cause::Answer(format!("{status} from {pod:?}: {body:?}"))),
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.method, self.id)?;
        match &self.cause {
            Cause::Answer(text) => f.write_str(text),
            Cause::Error(error) => f.write_str(&error_chain(error)),
        }
    }
}
