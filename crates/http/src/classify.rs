//! What a failure means: for the endpoint's load, for its connection, and for sending the request
//! again.
//!
//! Must not live here: what an answer means (`outcome`), and what is done about it (`send`,
//! `retry`, `body`).

use std::error::Error;

use h2::Reason;
use http::{Method, Request};

use crate::connection::ExchangeError;
use crate::request_body::BodyFailed;

/// Whether a request of this method only asks, so that it may be sent twice.
///
/// SPEC(RFC 9110 9.2.1): the safe methods. PUT and DELETE are idempotent (9.2.2) and still left
/// out: repeated *late*, they undo what another client did in between.
pub(crate) fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

/// Marks a request that may be sent again although a pod may have acted on it, as a GET may.
///
/// It is for requests with the same effect however often they are carried out: a search by POST, or
/// a write with a key by which the Service recognizes it. PUT and DELETE are not marked by
/// themselves, because a late second one may undo what another client did in between. Mark them if
/// there is no other writer, or if the request has a condition (`If-Match`).
///
/// The mark is an extension of the request, so it passes through a tower stack. It is not sent.
///
/// ```
/// use headless_http::Idempotent;
///
/// let request = http::Request::put("/cart/42").extension(Idempotent).body(r#"{"qty":2}"#)?;
/// # drop(request);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_structs, reason = "a mark, which the caller writes out")]
pub struct Idempotent;

/// Whether a request may be sent again although a pod may have acted on it.
pub(crate) fn is_repeatable<B>(request: &Request<B>) -> bool {
    is_safe(request.method()) || request.extensions().get::<Idempotent>().is_some()
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Classification {
    /// The request: its body failed, or it cannot be expressed in HTTP. The pod did nothing wrong.
    Request,
    /// Nothing: the request was not sent. Its connection had ended, or is still busy with the
    /// exchange before.
    Unsent,
    /// This HTTP/2 stream, which the pod says it has not processed.
    ///
    /// SPEC(RFC 9113 8.7): REFUSED_STREAM, or a number above the last one of a GOAWAY, guarantees
    /// that the request has not been processed.
    NotProcessed,
    /// The answer: it is not HTTP, or it is beyond the limits of this client. Another endpoint
    /// would answer the same.
    Answer,
    /// This HTTP/2 stream. The connection works as before.
    Stream,
    /// The connection.
    Connection,
    /// The connection, which was closed on this side: the peer broke the rules of HTTP/2. Which of
    /// its answers did is not known.
    Misbehaved,
    /// Nothing that is known: there was no answer within the time of one attempt.
    TimedOut,
}

/// Reads the error that ended an exchange.
pub(crate) fn classify(error: &ExchangeError) -> Classification {
    match error {
        ExchangeError::Http1(error) => classify_http1(error),
        ExchangeError::Http2(error) => classify_http2(error),
        ExchangeError::UnansweredPing(_) => Classification::Connection,
        ExchangeError::WrongProtocol(_) => Classification::Answer,
        ExchangeError::RequestBody(_) => Classification::Request,
    }
}

fn classify_http1(error: &hyper::Error) -> Classification {
    if error.is_user() && !error.is_body_write_aborted() {
        // hyper also blames the user for a request that its driver held when the driver ended. Only
        // then is there a source that is no error of the body.
        return match error.source() {
            Some(source) if !source.is::<BodyFailed>() => Classification::Connection,
            _ => Classification::Request,
        };
    }
    match error.is_parse() {
        true => Classification::Answer,
        false => Classification::Connection,
    }
}

fn classify_http2(error: &h2::Error) -> Classification {
    if error.is_reset() {
        return match error.reason() {
            Some(Reason::REFUSED_STREAM) if error.is_remote() => Classification::NotProcessed,
            _ if error.is_remote() => Classification::Stream,
            // h2 resets a stream on which the peer breaks the rules, or whose head is too large.
            _ if error.is_library() => Classification::Answer,
            // We reset the stream of a request whose body failed.
            _ => Classification::Request,
        };
    }
    if error.is_go_away() {
        // h2 reports the pod's GOAWAY only for streams above its last one. The others go on, and
        // fail with an error of their own if the connection ends.
        return match error.is_remote() {
            true => Classification::NotProcessed,
            // h2 has closed the connection, on which the peer broke the rules.
            false => Classification::Misbehaved,
        };
    }
    match error.is_io() {
        true => Classification::Connection,
        // The request cannot be expressed in HTTP/2.
        false => Classification::Request,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
