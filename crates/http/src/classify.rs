//! What an answer or a failure means: for the pod's load figure, for its connection, and for sending the request again.
//!
//! Must not live here: what is done about it (`send`, `body`).

use std::error::Error;

use h2::Reason;
use headless_core::Outcome;
use http::{Method, StatusCode};

/// How an answer with this status counts.
///
/// A server error (5xx) is a failure even when it comes fast, so that a pod which fails fast does not look like the fastest one.
/// Any other status is the pod doing its work.
pub(crate) fn outcome(status: StatusCode) -> Outcome {
    match status.is_server_error() {
        true => Outcome::Failure,
        false => Outcome::Success,
    }
}

/// Whether a request of this method may be sent twice: it only asks.
///
/// SPEC(RFC 9110 9.2.1): the safe methods. PUT and DELETE are idempotent (9.2.2) and still left out: repeated *late*, they undo what
/// somebody else did in between.
pub(crate) fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

/// What broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request itself: its body failed, or it cannot be expressed in HTTP. The pod did nothing wrong.
    Ours,
    /// Nothing yet: the connection is still busy with what came before, and the request was not sent.
    Unsettled,
    /// The pod refused this stream without looking at it.
    ///
    /// SPEC(RFC 9113 8.7): REFUSED_STREAM guarantees that the request has not been processed.
    Refused,
    /// This HTTP/2 stream; the connection is as good as before.
    Stream,
    /// The connection.
    Connection,
}

impl Fault {
    /// Reads hyper's error.
    pub(crate) fn of(error: &hyper::Error) -> Self {
        if error.is_user() && !error.is_body_write_aborted() {
            return Self::Ours;
        }
        let Some(error) = error.source().and_then(<dyn Error>::downcast_ref::<h2::Error>) else {
            return Self::Connection;
        };
        match (error.is_reset(), error.is_remote(), error.is_library()) {
            (false, ..) => Self::Connection,
            (true, true, _) if error.reason() == Some(Reason::REFUSED_STREAM) => Self::Refused,
            (true, true, _) | (true, _, true) => Self::Stream,
            // hyper resets the stream of a request whose body failed.
            (true, false, false) => Self::Ours,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_server_errors_are_failures() {
        for (status, is) in [
            (200, Outcome::Success),
            (304, Outcome::Success),
            (404, Outcome::Success),
            (429, Outcome::Success),
            (500, Outcome::Failure),
            (503, Outcome::Failure),
        ] {
            assert_eq!(outcome(StatusCode::from_u16(status).unwrap()), is, "{status}");
        }
    }

    #[test]
    fn safe_methods_are_those_of_rfc_9110() {
        let safe = ["GET", "HEAD", "OPTIONS", "TRACE"];
        for method in [
            "GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "DELETE", "PATCH", "QUERY",
        ] {
            let expected = safe.contains(&method);
            assert_eq!(is_safe(&method.parse().unwrap()), expected, "{method}");
        }
    }
}
