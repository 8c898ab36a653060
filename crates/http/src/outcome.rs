//! [`ResponseHead`], and what an answer says about its endpoint: by its status, by `Retry-After`,
//! and by gRPC's status, which comes after the body.
//!
//! | HTTP | counts as |
//! |---|---|
//! | 429, 503 | [`Overloaded`](Outcome::Overloaded), with `Retry-After` if it can be read |
//! | other 5xx | [`Failure`](Outcome::Failure): failing fast must not look like being fast |
//! | any other | [`Success`](Outcome::Success): the pod works |
//!
//! An answer over HTTP/2 with status 200 and `application/grpc` counts by its `grpc-status`, in the
//! head or in the trailers. The codes blame the endpoint where another one might do better:
//!
//! | gRPC | counts as |
//! |---|---|
//! | 8 `RESOURCE_EXHAUSTED` | `Overloaded`, with `grpc-retry-pushback-ms` if it can be read |
//! | 2 `UNKNOWN`, 4 `DEADLINE_EXCEEDED`, 13 `INTERNAL` | `Failure` |
//! | 14 `UNAVAILABLE`, 15 `DATA_LOSS` | `Failure` |
//! | no code, or one that is none | `Failure`: gRPC takes it for `UNKNOWN` |
//! | 1 `CANCELLED` | [`Cancelled`](Outcome::Cancelled): the caller gave up |
//! | any other | `Success`: it is about the request, and any pod would say the same |
//!
//! Must not live here: what a failure without an answer means (`classify`).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use headless::Outcome;
use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode, Version};

/// How a client classifies answers. `None`: by [`ResponseHead::default_outcome`].
pub(crate) type Classify = Option<Arc<dyn Fn(ResponseHead<'_>) -> Outcome + Send + Sync>>;

/// The head of an answer, borrowed: all but the body. Or, for gRPC, the trailers after the body.
#[derive(Clone, Copy)]
pub struct ResponseHead<'a> {
    status: StatusCode,
    version: Version,
    headers: &'a HeaderMap,
    is_grpc: bool,
    is_trailers: bool,
}

impl<'a> ResponseHead<'a> {
    pub(crate) fn of<B>(answer: &'a http::Response<B>) -> Self {
        let (version, headers) = (answer.version(), answer.headers());
        Self {
            status: answer.status(),
            version,
            headers,
            // SPEC(gRPC over HTTP/2): there is no gRPC over HTTP/1, which is spared the search.
            is_grpc: version == Version::HTTP_2 && is_grpc(headers),
            is_trailers: false,
        }
    }

    /// Returns the status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.status
    }

    /// Returns the version.
    #[must_use]
    pub const fn version(self) -> Version {
        self.version
    }

    /// Returns the headers, or the trailers if [`is_trailers`](Self::is_trailers).
    #[must_use]
    pub const fn headers(self) -> &'a HeaderMap {
        self.headers
    }

    /// Returns whether these are the trailers of an answer of gRPC, after its body.
    #[must_use]
    pub const fn is_trailers(self) -> bool {
        self.is_trailers
    }

    /// Returns how the answer counts by default: the table of
    /// [`classify`](crate::ClientBuilder::classify).
    #[must_use]
    pub fn default_outcome(self) -> Outcome {
        match self.status {
            StatusCode::OK if self.is_grpc => match self.headers.get(&GRPC_STATUS) {
                Some(code) => grpc_outcome(code, self.headers),
                None if self.is_trailers => Outcome::Failure,
                None => Outcome::Success,
            },
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Outcome::Overloaded {
                retry_after: self
                    .headers
                    .get(RETRY_AFTER)
                    .and_then(|value| retry_after(value, today())),
            },
            status if status.is_server_error() => Outcome::Failure,
            _ => Outcome::Success,
        }
    }

    /// Classifies the answer as the client does.
    pub(crate) fn classify(self, classify: &Classify) -> Outcome {
        match classify {
            Some(classify) => classify(self),
            None => self.default_outcome(),
        }
    }

    /// What has to be classified again when the body has ended: an answer of gRPC without a status
    /// so far.
    pub(crate) fn awaited_trailers(self, classify: &Classify) -> Option<AwaitedTrailers> {
        let is_awaited = self.is_grpc && self.status == StatusCode::OK && !self.headers.contains_key(&GRPC_STATUS);
        is_awaited.then(|| AwaitedTrailers {
            classify: classify.clone(),
        })
    }
}

impl fmt::Debug for ResponseHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("is_trailers", &self.is_trailers)
            .finish_non_exhaustive()
    }
}

/// An answer of gRPC whose status is still to come.
pub(crate) struct AwaitedTrailers {
    classify: Classify,
}

impl AwaitedTrailers {
    /// Classifies the answer by its trailers; by empty ones if there were none.
    pub(crate) fn outcome(&self, trailers: &HeaderMap) -> Outcome {
        let head = ResponseHead {
            status: StatusCode::OK,
            version: Version::HTTP_2,
            headers: trailers,
            is_grpc: true,
            is_trailers: true,
        };
        head.classify(&self.classify)
    }
}

/// SPEC(gRPC over HTTP/2, Responses): `application/grpc`, also with `+proto` or parameters.
/// `application/grpc-web` is another protocol.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let Some((start, rest)) = content_type.and_then(|value| value.split_at_checked(GRPC.len())) else {
        return false;
    };
    start.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

fn grpc_outcome(code: &HeaderValue, headers: &HeaderMap) -> Outcome {
    match code.as_bytes() {
        b"8" => Outcome::Overloaded {
            retry_after: headers.get(&GRPC_PUSHBACK).and_then(pushback),
        },
        b"1" => Outcome::Cancelled,
        b"0" | b"3" | b"5" | b"6" | b"7" | b"9" | b"10" | b"11" | b"12" | b"16" => Outcome::Success,
        _ => Outcome::Failure,
    }
}

/// SPEC(RFC 9110 10.2.3): a number of seconds, or a date. What is neither is ignored.
fn retry_after(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let pause = match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true if text.is_empty() => return None,
        // So many digits that they are no `u64` are a long time.
        true => Duration::from_secs(text.parse().unwrap_or(u64::MAX)),
        // A date that has passed says that it is over.
        false => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(now)
            .unwrap_or_default(),
    };
    Some(pause.min(LONGEST_PAUSE))
}

#[expect(
    clippy::disallowed_methods,
    reason = "`Retry-After` can be a date, which only the wall clock can tell"
)]
fn today() -> SystemTime {
    SystemTime::now()
}

/// SPEC(gRFC A6): milliseconds. A negative number asks for no retry at all, and names no time.
fn pushback(value: &HeaderValue) -> Option<Duration> {
    let millis = value.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(millis).min(LONGEST_PAUSE))
}

/// As long as gRPC ejects an endpoint at most (gRFC A50). A larger number is a mistake, or is meant
/// for clients that have one server.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

const GRPC: &[u8] = b"application/grpc";

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

const GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

#[cfg(test)]
mod tests {
    use super::*;

    const OVERLOADED: Outcome = Outcome::Overloaded { retry_after: None };

    const fn overloaded_for(seconds: u64) -> Outcome {
        Outcome::Overloaded {
            retry_after: Some(Duration::from_secs(seconds)),
        }
    }

    fn answer(version: Version, status: u16, fields: &[(&str, &str)]) -> http::Response<()> {
        let mut answer = http::Response::builder().version(version).status(status);
        for (name, value) in fields {
            answer = answer.header(*name, *value);
        }
        answer.body(()).unwrap()
    }

    #[test]
    fn a_status_says_how_the_pod_does() {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for (status, expected) in [
                (200, Outcome::Success),
                (304, Outcome::Success),
                (404, Outcome::Success),
                (429, OVERLOADED),
                (500, Outcome::Failure),
                (502, Outcome::Failure),
                (503, OVERLOADED),
                (504, Outcome::Failure),
                (599, Outcome::Failure),
            ] {
                let answer = answer(version, status, &[]);
                assert_eq!(ResponseHead::of(&answer).default_outcome(), expected, "{status}");
            }
        }
    }

    #[test]
    fn a_retry_after_counts_where_the_pod_is_overloaded() {
        for (status, expected) in [
            (429, overloaded_for(7)),
            (503, overloaded_for(7)),
            (200, Outcome::Success),
        ] {
            let answer = answer(Version::HTTP_11, status, &[("retry-after", "7")]);
            assert_eq!(ResponseHead::of(&answer).default_outcome(), expected, "{status}");
        }
    }

    #[test]
    fn a_retry_after_is_seconds_or_a_date_in_each_of_the_three_forms() {
        // Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110 5.6.7.
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let now = date - Duration::from_secs(90);
        for (value, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("007", Some(7)),
            (" 7 ", Some(7)),
            ("300", Some(300)),
            ("86400", Some(300)),
            ("99999999999999999999999999", Some(300)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(90)),
            ("Sun Nov  6 08:49:37 1994", Some(90)),
            ("Sun, 06 Nov 1994 08:48:00 GMT", Some(0)),
            ("Mon, 06 Nov 1995 08:49:37 GMT", Some(300)),
            ("", None),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("5s", None),
            ("soon", None),
            ("Sun, 32 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994", None),
        ] {
            let found = retry_after(&HeaderValue::from_static(value), now);
            assert_eq!(found, expected.map(Duration::from_secs), "{value:?}");
        }
        let bytes = HeaderValue::from_bytes(b"\xff7").unwrap();
        assert_eq!(retry_after(&bytes, now), None);
    }

    const CODES: [(&str, Outcome); 20] = [
        ("0", Outcome::Success),
        ("1", Outcome::Cancelled),
        ("2", Outcome::Failure),
        ("3", Outcome::Success),
        ("4", Outcome::Failure),
        ("5", Outcome::Success),
        ("6", Outcome::Success),
        ("7", Outcome::Success),
        ("8", OVERLOADED),
        ("9", Outcome::Success),
        ("10", Outcome::Success),
        ("11", Outcome::Success),
        ("12", Outcome::Success),
        ("13", Outcome::Failure),
        ("14", Outcome::Failure),
        ("15", Outcome::Failure),
        ("16", Outcome::Success),
        ("17", Outcome::Failure),
        ("", Outcome::Failure),
        ("ok", Outcome::Failure),
    ];

    #[test]
    fn a_code_of_grpc_counts_in_the_head_and_in_the_trailers() {
        let headers = answer(Version::HTTP_2, 200, &[("content-type", "application/grpc")]);
        let awaited = ResponseHead::of(&headers).awaited_trailers(&None).unwrap();
        assert_eq!(ResponseHead::of(&headers).default_outcome(), Outcome::Success, "so far");
        for (code, expected) in CODES {
            let fields = [("content-type", "application/grpc"), ("grpc-status", code)];
            let head = answer(Version::HTTP_2, 200, &fields);
            let head = ResponseHead::of(&head);
            assert_eq!(head.default_outcome(), expected, "{code:?} in the head");
            assert!(head.awaited_trailers(&None).is_none(), "{code:?}");
            let trailers = answer(Version::HTTP_2, 200, &fields[1..]);
            assert_eq!(
                awaited.outcome(trailers.headers()),
                expected,
                "{code:?} in the trailers"
            );
        }
        assert_eq!(
            awaited.outcome(&HeaderMap::new()),
            Outcome::Failure,
            "gRPC takes it for UNKNOWN"
        );
    }

    #[test]
    fn a_pushback_of_grpc_is_a_pause() {
        for (millis, expected) in [
            ("7000", overloaded_for(7)),
            ("0", overloaded_for(0)),
            ("900000", overloaded_for(300)),
            ("-1", OVERLOADED),
            ("x", OVERLOADED),
        ] {
            let fields = [
                ("content-type", "application/grpc"),
                ("grpc-status", "8"),
                ("grpc-retry-pushback-ms", millis),
            ];
            let head = answer(Version::HTTP_2, 200, &fields);
            assert_eq!(ResponseHead::of(&head).default_outcome(), expected, "{millis}");
        }
    }

    #[test]
    fn only_an_answer_of_grpc_counts_by_its_code() {
        for (version, status, content_type, expected) in [
            (Version::HTTP_2, 200, "application/grpc", Outcome::Failure),
            (Version::HTTP_2, 200, "Application/gRPC+proto", Outcome::Failure),
            (Version::HTTP_2, 200, "application/grpc;charset=utf-8", Outcome::Failure),
            (Version::HTTP_2, 200, "application/grpc-web", Outcome::Success),
            (Version::HTTP_2, 200, "application/grp", Outcome::Success),
            (Version::HTTP_2, 200, "text/html", Outcome::Success),
            (Version::HTTP_11, 200, "application/grpc", Outcome::Success),
            (Version::HTTP_2, 503, "application/grpc", OVERLOADED),
            (Version::HTTP_2, 404, "application/grpc", Outcome::Success),
        ] {
            let head = answer(
                version,
                status,
                &[("content-type", content_type), ("grpc-status", "14")],
            );
            let found = ResponseHead::of(&head).default_outcome();
            assert_eq!(found, expected, "{version:?} {status} {content_type}");
            let head = answer(version, status, &[("content-type", content_type)]);
            let is_awaited = ResponseHead::of(&head).awaited_trailers(&None).is_some();
            assert_eq!(
                is_awaited,
                expected == Outcome::Failure,
                "{version:?} {status} {content_type}"
            );
        }
    }
}
