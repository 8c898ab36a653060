//! What an answer or a failure means: for the pod's load figure, for its connection, and for sending the request again.
//!
//! Must not live here: what is done about it (`send`, `body`).

use std::error::Error;

use h2::Reason;
use headless_core::Outcome;
use http::{Method, Request, StatusCode};

use crate::request_body::BodyFailed;

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

/// Marks a request that may be sent again although a pod may have acted on it, as GET may.
///
/// For requests that come to the same however often they are carried out: a search by POST, or a write with a key of its own that the
/// Service knows again. PUT and DELETE are not taken for such by themselves: the second one may come late, and undo what somebody else
/// did in between. If nobody else writes there, or the request has a condition (`If-Match`), mark it.
///
/// It is an extension of the request, so it goes through a tower stack; it is not sent.
///
/// ```
/// use headless_http::Idempotent;
///
/// let request = http::Request::put("/cart/42").extension(Idempotent).body(r#"{"qty":2}"#)?;
/// # drop(request);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_structs, reason = "a mark, written out by whoever sets it")]
pub struct Idempotent;

/// Whether a request may be sent again although a pod may have acted on it.
pub(crate) fn is_repeatable<B>(request: &Request<B>) -> bool {
    is_safe(request.method()) || request.extensions().get::<Idempotent>().is_some()
}

/// What broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request itself: its body failed, or it cannot be expressed in HTTP. The pod did nothing wrong.
    Ours,
    /// Nothing yet: the connection is still busy with what came before, and the request was not sent.
    Unsettled,
    /// This HTTP/2 stream, of which the pod says that it did not look at it.
    ///
    /// SPEC(RFC 9113 8.7): REFUSED_STREAM, or a number above the last one of a GOAWAY, guarantees that the request has not been
    /// processed.
    Unprocessed,
    /// This HTTP/2 stream; the connection is as good as before.
    Stream,
    /// The connection.
    Connection,
}

impl Fault {
    /// Reads hyper's error.
    pub(crate) fn of(error: &hyper::Error) -> Self {
        if error.is_user() && !error.is_body_write_aborted() {
            // hyper also blames the user when a request was in the hands of its driver at the driver's end; there is a source then.
            return match error.source() {
                Some(source) if !source.is::<BodyFailed>() => Self::Connection,
                _ => Self::Ours,
            };
        }
        let Some(error) = error.source().and_then(<dyn Error>::downcast_ref::<h2::Error>) else {
            return Self::Connection;
        };
        // h2 gives the pod's GOAWAY as the error of those streams only that are above its last one. The others go on, and if the
        // connection then ends under them, that is an error of its own. One gap is hyper's: it says the same of a stream that the pod
        // gets and covers with its GOAWAY between two looks of the driver, which are next to each other in one turn.
        if error.is_go_away() && error.is_remote() {
            return Self::Unprocessed;
        }
        match (error.is_reset(), error.is_remote(), error.is_library()) {
            (false, ..) => Self::Connection,
            (true, true, _) if error.reason() == Some(Reason::REFUSED_STREAM) => Self::Unprocessed,
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
