//! [`Error`]: whose problem it is, what was asked, what was found, and whether the request may have been processed.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use headless::{AcquireError, BuildError, StartError};
use headless_core::Endpoint;

/// An error of any kind.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a request, or the making of a client, failed.
///
/// Before doing something about it, ask [`is_not_sent`](Self::is_not_sent): whether the pod can have acted on the request decides
/// whether it may be sent again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The Service could not be discovered. (Only from [`Client::connect`](crate::Client::connect).)
    #[error(transparent)]
    Start(#[from] StartError),
    /// The client's settings do not go together.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The client's settings or the request cannot be expressed in HTTP to this Service.
    #[error("cannot call `{service}`: {problem}")]
    InvalidRequest {
        /// The Service the client calls.
        service: Box<str>,
        /// What is wrong, and what to write instead.
        problem: Box<str>,
    },
    /// No connection to any pod was to be had. The request was not sent.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The connection failed between the request and its answer.
    #[error(
        "{endpoint} did not answer (attempt {attempts}): the connection failed, and the request {}; {not_retried}",
        outlook(*.may_have_been_processed)
    )]
    Send {
        /// The pod of the last attempt.
        endpoint: Arc<Endpoint>,
        /// How many attempts were made, each on another pod while there were others.
        attempts: usize,
        /// Whether the pod may have acted on the request. `false`: it certainly has not.
        may_have_been_processed: bool,
        /// Why it was not sent once more.
        not_retried: NotRetried,
        /// What the connection said.
        source: BoxError,
    },
    /// The request's own body failed while it was sent. The pod got a part of it.
    #[error("the body of the request to {endpoint} failed while it was sent")]
    RequestBody {
        /// The pod it was sent to.
        endpoint: Arc<Endpoint>,
        /// What the body said.
        source: BoxError,
    },
    /// No answer began within the request timeout.
    #[error(
        "no answer within {limit:?}; {}; raise `request_timeout` if the pods need longer",
        waited_for(.endpoint.as_deref())
    )]
    Timeout {
        /// The timeout that passed.
        limit: Duration,
        /// The pod that had the request. `None`: it still waited for a connection and was not sent.
        endpoint: Option<Arc<Endpoint>>,
    },
    /// The answer began and did not come to its end.
    #[error("the body of the answer from {endpoint} is incomplete")]
    Body {
        /// The pod that answered.
        endpoint: Arc<Endpoint>,
        /// What went wrong.
        source: BoxError,
    },
    /// The answer is not text ([`Response::text`](crate::Response::text)).
    #[error("the body of the answer from {endpoint} is not UTF-8; read it with `bytes()`")]
    NotText {
        /// The pod that answered.
        endpoint: Arc<Endpoint>,
        /// Where it stops being text.
        source: std::string::FromUtf8Error,
    },
}

/// Why a request that failed was not sent once more ([`Client`](crate::Client#retries) has the rules).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotRetried {
    /// A pod may have acted on it, and nobody said that this may happen twice.
    #[error("only you can know whether it may be sent again (mark it `Idempotent` if it always may)")]
    NotIdempotent,
    /// Its body was a stream, which is used up.
    #[error("its body is a stream, which cannot be sent twice")]
    BodyUsedUp,
    /// Every pod had it once, or it was sent as often as [`max_retries`](crate::ClientBuilder::max_retries) allows.
    #[error("it was tried on as many pods as there are, or as `max_retries` allows")]
    Exhausted,
    /// Too many requests were sent again lately ([`retry_budget`](crate::ClientBuilder::retry_budget)).
    #[error("the retry budget is used up: many requests fail, and sending them again would add to the load")]
    Budget,
    /// No connection for another attempt was to be had.
    #[error("there was no connection for another attempt: {0}")]
    NoConnection(Box<AcquireError>),
}

impl Error {
    /// Whether no pod can have acted on the request: it may be sent again whatever its method.
    #[must_use]
    pub const fn is_not_sent(&self) -> bool {
        match self {
            Self::Build(_) | Self::InvalidRequest { .. } | Self::Acquire(_) => true,
            Self::Start(_) => true,
            Self::Send {
                may_have_been_processed,
                ..
            } => !*may_have_been_processed,
            Self::Timeout { endpoint, .. } => endpoint.is_none(),
            Self::RequestBody { .. } | Self::Body { .. } | Self::NotText { .. } => false,
        }
    }

    /// The pod that the error is about, if it got that far.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Send { endpoint, .. }
            | Self::RequestBody { endpoint, .. }
            | Self::Body { endpoint, .. }
            | Self::NotText { endpoint, .. } => Some(endpoint),
            Self::Timeout { endpoint, .. } => endpoint.as_deref(),
            Self::Start(_) | Self::Build(_) | Self::InvalidRequest { .. } | Self::Acquire(_) => None,
        }
    }

    pub(crate) fn invalid(service: &str, problem: impl Into<Box<str>>) -> Self {
        Self::InvalidRequest {
            service: service.into(),
            problem: problem.into(),
        }
    }
}

const fn outlook(may_have_been_processed: bool) -> &'static str {
    match may_have_been_processed {
        true => "may have been processed",
        false => "was not processed",
    }
}

fn waited_for(endpoint: Option<&Endpoint>) -> String {
    match endpoint {
        Some(endpoint) => format!("{endpoint} has the request and may have processed it"),
        None => "it waited for a connection and was not sent".to_owned(),
    }
}
