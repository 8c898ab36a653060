//! [`Error`] and [`ConnectorError`]: what was asked, what was found, and whether the request may
//! have been processed.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::ExchangeError;
use headless::{AcquireError, BuildError, Endpoint, EndpointKey, StartError, TlsError};

use crate::first_bytes::WrongProtocol;

/// An error of any kind.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a request, or the building of a client, failed.
///
/// Whether the pod can have acted on the request decides whether it may be sent again:
/// [`is_not_sent`](Self::is_not_sent) says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The Service could not be discovered. Only [`Client::connect`](crate::Client::connect)
    /// returns it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A setting of the client cannot work.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The client's TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The request cannot be expressed in HTTP to this Service.
    #[error("cannot call `{service}`: {problem}")]
    InvalidRequest {
        /// The Service that the client calls.
        service: Box<str>,
        /// What is wrong, and what to write instead.
        problem: Box<str>,
    },
    /// The pod that the request is for ([`OnEndpoint`](crate::OnEndpoint)) is not in the set. The
    /// request was not sent.
    #[error(
        "{endpoint} is not among the pods of `{service}`: it has left, or was never one; without `OnEndpoint`, any pod \
         takes the request"
    )]
    NoSuchEndpoint {
        /// The Service that the client calls.
        service: Box<str>,
        /// The pod that was asked for.
        endpoint: EndpointKey,
    },
    /// No connection to any pod was available. The request was not sent.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The connection failed between the request and its answer, or there was no answer within
    /// [`per_try_timeout`](crate::ClientBuilder::per_try_timeout).
    #[error(
        "{endpoint} did not answer (attempt {attempts}): {}, and the request {}; {no_retry_reason}",
        what_failed(&**.source),
        outlook(*.may_have_been_processed)
    )]
    Send {
        /// The pod of the last attempt.
        endpoint: Arc<Endpoint>,
        /// The number of attempts.
        attempts: usize,
        /// Whether a pod may have acted on the request. `false`: certainly none has.
        may_have_been_processed: bool,
        /// Why it was not sent once more.
        no_retry_reason: NoRetryReason,
        /// What the connection said, or that the time of the attempt was over.
        source: BoxError,
    },
    /// The request's own body failed while it was sent, or has another length than its
    /// `Content-Length`. The pod received a part of it at most.
    #[error("the body of the request to {endpoint} failed while it was sent")]
    RequestBody {
        /// The pod that it was sent to.
        endpoint: Arc<Endpoint>,
        /// What the body said.
        source: BoxError,
    },
    /// The head of the answer is not HTTP, or is larger than this client allows. The pod may have
    /// processed the request, and it was not sent to another pod, which would answer the same.
    #[error("{endpoint} answered, and its answer cannot be read: {}{}", root(&**.source), if_large(&**.source))]
    InvalidResponse {
        /// The pod that answered.
        endpoint: Arc<Endpoint>,
        /// What is wrong with the answer.
        source: BoxError,
    },
    /// No answer began within the request timeout.
    #[error(
        "no answer within {limit:?} (`request_timeout`); {}",
        waited_for(.endpoint.as_deref(), .source.as_deref())
    )]
    Timeout {
        /// The timeout that passed.
        limit: Duration,
        /// The pod that had the request last. `None`: no pod can have acted on it.
        endpoint: Option<Arc<Endpoint>>,
        /// Without a pod, why there was no connection in that time (an [`AcquireError`]). With one,
        /// what an attempt failed with before, if one did.
        source: Option<BoxError>,
    },
    /// The answer began and did not come to its end.
    #[error("the body of the answer from {endpoint} is incomplete{}", stalled(&**.source))]
    Body {
        /// The pod that answered.
        endpoint: Arc<Endpoint>,
        /// What went wrong.
        source: BoxError,
    },
    /// The body of the answer is larger than the caller allows
    /// ([`Response::bytes_limited`](crate::Response::bytes_limited)).
    #[error(
        "the body of the answer from {endpoint} is larger than {limit} bytes{}; raise the limit, or read it as a stream \
         (`into_http`)",
        declared.map_or_else(String::new, |bytes| format!(" (its length is {bytes})"))
    )]
    BodyTooLarge {
        /// The pod that answered.
        endpoint: Arc<Endpoint>,
        /// The caller's limit, in bytes.
        limit: usize,
        /// The length that the answer declares. `None`: it was found out by reading.
        declared: Option<u64>,
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

/// Why a request that failed was not sent once more. [`Client`](crate::Client#retries) has the
/// rules.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoRetryReason {
    /// A pod may have acted on it, and it is not marked as [`Idempotent`](crate::Idempotent).
    #[error("only you can know whether it may be sent again (mark it `Idempotent` if it always may)")]
    NotIdempotent,
    /// Its body is a stream, of which more was sent than
    /// [`replay_buffer_bytes`](crate::ClientBuilder::replay_buffer_bytes) keeps.
    #[error("its body is a stream, of which more was sent than is kept (`replay_buffer_bytes`)")]
    BodyConsumed,
    /// Every pod had it, and one of them once more, or it was sent as often as
    /// [`max_retries`](crate::ClientBuilder::max_retries) allows.
    #[error("it was tried on as many pods as there are, or as `max_retries` allows")]
    AttemptsExhausted,
    /// Too many requests were sent again lately
    /// ([`retry_budget`](crate::ClientBuilder::retry_budget)).
    #[error("the retry budget is used up: many requests fail, and sending them again would add to the load")]
    BudgetExhausted,
    /// No connection for another attempt was available.
    #[error("there was no connection for another attempt: {0}")]
    NoConnection(Box<AcquireError>),
}

impl Error {
    /// Returns whether no pod can have acted on the request: it may then be sent again, whatever
    /// its method.
    #[must_use]
    pub const fn is_not_sent(&self) -> bool {
        match self {
            Self::Start(_)
            | Self::Build(_)
            | Self::Tls(_)
            | Self::InvalidRequest { .. }
            | Self::NoSuchEndpoint { .. }
            | Self::Acquire(_) => true,
            Self::Send {
                may_have_been_processed,
                ..
            } => !*may_have_been_processed,
            Self::Timeout { endpoint, .. } => endpoint.is_none(),
            Self::RequestBody { .. }
            | Self::InvalidResponse { .. }
            | Self::Body { .. }
            | Self::BodyTooLarge { .. }
            | Self::NotText { .. } => false,
        }
    }

    /// Returns the pod that the error is about, if the request came that far.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Send { endpoint, .. }
            | Self::RequestBody { endpoint, .. }
            | Self::InvalidResponse { endpoint, .. }
            | Self::Body { endpoint, .. }
            | Self::BodyTooLarge { endpoint, .. }
            | Self::NotText { endpoint, .. } => Some(endpoint),
            Self::Timeout { endpoint, .. } => endpoint.as_deref(),
            Self::Start(_)
            | Self::Build(_)
            | Self::Tls(_)
            | Self::InvalidRequest { .. }
            | Self::NoSuchEndpoint { .. }
            | Self::Acquire(_) => None,
        }
    }

    /// Returns whether a limit of time was reached:
    /// [`request_timeout`](crate::ClientBuilder::request_timeout),
    /// [`per_try_timeout`](crate::ClientBuilder::per_try_timeout) in the last attempt, or
    /// [`body_idle_timeout`](crate::ClientBuilder::body_idle_timeout). After
    /// [`acquire_timeout`](crate::ClientBuilder::acquire_timeout), the error says why there was no
    /// connection, and is [`Acquire`](Self::Acquire).
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Send { source, .. } => source.is::<AttemptTimedOut>(),
            Self::Body { source, .. } => source.is::<BodyStalled>(),
            _ => false,
        }
    }

    pub(crate) fn setting(service: &str, problem: impl Into<Box<str>>) -> Self {
        BuildError::of_client(service, problem).into()
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

fn what_failed(source: &(dyn StdError + Send + Sync + 'static)) -> String {
    match (
        source.downcast_ref::<AttemptTimedOut>(),
        source.downcast_ref::<NotConnected>(),
    ) {
        (Some(timed_out), _) => timed_out.to_string(),
        (_, Some(not_connected)) => not_connected.to_string(),
        (None, None) => "the connection failed".to_owned(),
    }
}

fn stalled(source: &(dyn StdError + Send + Sync + 'static)) -> String {
    let stalled = source.downcast_ref::<BodyStalled>();
    stalled.map_or_else(String::new, |stalled| format!(": {stalled}"))
}

fn waited_for(endpoint: Option<&Endpoint>, source: Option<&(dyn StdError + Send + Sync + 'static)>) -> String {
    match (endpoint, source) {
        (Some(endpoint), None) => format!(
            "{endpoint} has the request and may have processed it; raise `request_timeout` if the pods need longer"
        ),
        (Some(endpoint), Some(before)) => {
            format!("{endpoint} may have processed the request, and an attempt failed before: {before}")
        }
        (None, Some(why)) => format!("the request was not sent: {why}"),
        (None, None) => "the request was not sent".to_owned(),
    }
}

/// The connection was none, as it turned out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotConnected {
    /// It ended, and never carried an answer.
    #[error("it accepted the connection and closed it before an answer ({})", root(&**.0))]
    Unanswered(#[source] BoxError),
    /// The pod has refused it after it was opened, with these words.
    #[error("{0}")]
    Refused(Box<str>),
}

/// An attempt had no answer within [`per_try_timeout`](crate::ClientBuilder::per_try_timeout),
/// which was this.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?} (`per_try_timeout`)")]
pub(crate) struct AttemptTimedOut(pub(crate) Duration);

/// A body had nothing to read for this long.
#[derive(Debug, thiserror::Error)]
#[error(
    "nothing came for {0:?} (`body_idle_timeout`); a stream that may be quiet for longer needs `BodyIdleTimeout(None)` \
     with its request"
)]
pub(crate) struct BodyStalled(pub(crate) Duration);

/// Why a connection could not be opened. The error around it says which pod it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// TCP: refused, unreachable, reset. Refused usually means that nothing listens on this port in
    /// the pod: a numeric port must be the container's, not the Service's.
    #[error(transparent)]
    Tcp(io::Error),
    /// The connection was open, and HTTP could not begin on it.
    #[error("HTTP cannot begin: {}", root(&**.0))]
    Handshake(#[source] BoxError),
    /// TLS could not begin: the pod did not prove the name, does not speak TLS, or does not agree
    /// to the protocol.
    #[error("TLS to `{server_name}` failed: {problem}")]
    Tls {
        /// The name that the pod's certificate must carry ([`Verify`](crate::Verify)).
        server_name: Box<str>,
        /// What was found, and what to do.
        problem: Box<str>,
        /// It comes again until a setting of the client or of the pod is changed. `false` if it may
        /// pass by itself.
        is_misconfiguration: bool,
        /// What the TLS library said, if it refused the connection.
        source: Option<BoxError>,
    },
    /// With [`Verify::EndpointName`](crate::Verify::EndpointName): there is no name that the pod
    /// could prove. Nothing was sent.
    #[error(
        "`Verify::EndpointName`: DNS did not tell this pod's name, so no certificate can prove it; give the Service's \
         port by its name, which brings the pods' names, or use `Verify::ServiceName`"
    )]
    NoEndpointName,
}

impl ConnectorError {
    pub(crate) fn handshake(error: impl Into<BoxError>) -> Self {
        Self::Handshake(error.into())
    }

    /// Whether it comes again until a setting is changed.
    pub(crate) fn is_misconfiguration(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Handshake(error) => error.is::<WrongProtocol>(),
            Self::Tls {
                is_misconfiguration, ..
            } => *is_misconfiguration,
            Self::NoEndpointName => true,
        }
    }
}

/// What to do if the head of an answer is too large, or may be.
fn if_large(source: &(dyn StdError + 'static)) -> &'static str {
    match source.downcast_ref() {
        // hyper tells it in its text only.
        Some(ExchangeError::Http1(error)) if error.to_string().contains("too large") => {
            "; raise `max_response_headers` or `max_response_head_bytes`"
        }
        // h2 does not tell which rule the head breaks.
        Some(ExchangeError::Http2(_)) => "; if it is large, raise `max_response_head_bytes`",
        _ => "",
    }
}

/// WHY not the error itself: hyper's says `connection error`, whatever the cause.
pub(crate) fn root<'a>(mut error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error
}
