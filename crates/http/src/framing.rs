//! How a request is framed: where its body ends, and which of its fields are for one connection
//! only. It is decided here, once and before anything is sent, for HTTP/1 and HTTP/2.
//!
//! A length that disagrees with the body lets an endpoint read one request as two, or the request
//! of the next caller as the rest of this one. So such a request is refused. If the length of the
//! body is not known beforehand, the body is counted while it is sent
//! ([`Counted`](crate::counted::Counted)).
//!
//! * `Content-Length`: one field with one number, and what the body says of its size agrees
//!   (RFC 9110 8.6).
//! * `Transfer-Encoding`: `chunked` and nothing else, for a stream, without `Content-Length`
//!   (RFC 9112 6.1). HTTP/2 has no transfer codings (RFC 9113 8.2.2): the field is removed.
//! * Fields for one connection (RFC 9110 7.6.1): removed. The options `close` and `te` of
//!   `Connection` remain in HTTP/1.
//! * `TE`: only `trailers` remains (RFC 9110 10.1.4, RFC 9113 8.2.2).
//! * `Trailer`: removed where no trailers can follow, which is in HTTP/1 without `chunked`
//!   (RFC 9112 7.1.2).
//! * Trailers: without fields that frame or route a message (RFC 9110 6.5.1).

use http::header::{
    CONNECTION, CONTENT_LENGTH, Entry, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body::{Body, SizeHint};

use crate::protocol::Protocol;
use crate::request_body::RequestBody;

/// SPEC(RFC 9110 7.6.1, 11.7): fields that mean the next recipient only, beside those that
/// `Connection` names.
static FOR_ONE_CONNECTION: [HeaderName; 5] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    UPGRADE,
];

/// Brings the fields of `request` and its body into agreement. An error is what is wrong.
pub(crate) fn settle(request: &mut Request<RequestBody>, protocol: Protocol) -> Result<(), String> {
    let is_stream = !request.body().is_replayable();
    if request.headers().is_empty() && !is_stream {
        return Ok(());
    }
    let size = match request.body().is_end_stream() {
        true => SizeHint::with_exact(0),
        false => request.body().size_hint(),
    };
    let declared = content_length(request.headers(), &size)?;
    let is_chunked = is_chunked(request.headers(), is_stream)? && protocol == Protocol::Http1;
    remove_connection_fields(request.headers_mut(), protocol);
    // hyper takes an HTTP/1 request with a length of zero for complete, and would not notice that
    // the stream has content.
    let is_zero = declared == Some(0) && !request.body().is_end_stream();
    let length = declared.or_else(|| size.exact().filter(|&length| length > 0 && !is_chunked));
    if is_stream && let Some(length) = length {
        request.body_mut().declare_length(length);
    }
    if protocol == Protocol::Http1 {
        let headers = request.headers_mut();
        if is_stream && (is_zero || is_chunked || declared.or(size.exact()).is_none()) {
            headers.remove(CONTENT_LENGTH);
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        } else {
            headers.remove(TRAILER);
        }
    }
    Ok(())
}

/// Removes from trailers what has no place there.
///
/// SPEC(RFC 9110 6.5.1): a recipient that merges trailers into the head must not find another
/// length or another host there.
pub(crate) fn settle_trailers(trailers: &mut HeaderMap) {
    let of_the_head = [CONTENT_LENGTH, HOST, TRAILER];
    let for_one_connection = FOR_ONE_CONNECTION.iter().chain([&CONNECTION, &TRANSFER_ENCODING, &TE]);
    for name in of_the_head.iter().chain(for_one_connection) {
        trailers.remove(name);
    }
}

/// Reads the caller's `Content-Length`, which agrees with what the body says of its size.
fn content_length(headers: &HeaderMap, size: &SizeHint) -> Result<Option<u64>, String> {
    let Some(value) = single(headers, &CONTENT_LENGTH)? else {
        return Ok(None);
    };
    let Some(length) = number(value.as_bytes()) else {
        return Err(format!(
            "`Content-Length: {}` is not one number of bytes; leave it out, and it is taken from the body, which has \
             {}",
            value.as_bytes().escape_ascii(),
            words(size)
        ));
    };
    match length < size.lower() || size.upper().is_some_and(|upper| length > upper) {
        true => Err(format!(
            "`Content-Length: {length}` disagrees with the body, which has {}; leave it out, and it is taken from the \
             body",
            words(size)
        )),
        false => Ok(Some(length)),
    }
}

/// Whether the caller asks for chunks.
fn is_chunked(headers: &HeaderMap, is_stream: bool) -> Result<bool, String> {
    let Some(coding) = single(headers, &TRANSFER_ENCODING)? else {
        return Ok(false);
    };
    let problem = if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        "can be `chunked` only"
    } else if headers.contains_key(CONTENT_LENGTH) {
        "and `Content-Length` exclude each other"
    } else if !is_stream {
        "is for a body that is a stream, and this one is in memory"
    } else {
        return Ok(true);
    };
    Err(format!(
        "`Transfer-Encoding: {}` {problem}; leave it out, and the client chooses",
        coding.as_bytes().escape_ascii()
    ))
}

/// Returns the only field of this name.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, String> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    let Some(second) = values.next() else {
        return Ok(first);
    };
    let given: Vec<_> = first.into_iter().chain([second]).chain(values).collect();
    Err(format!(
        "`{name}` is given {} times, as {given:?}; give it once",
        given.len()
    ))
}

/// SPEC(RFC 9110 8.6): digits, without a sign.
fn number(digits: &[u8]) -> Option<u64> {
    let is_digits = digits.iter().all(u8::is_ascii_digit);
    // A zero in front is allowed, but a recipient may take the number for octal.
    let is_plain = digits.len() < 2 || !digits.starts_with(b"0");
    let digits = str::from_utf8(digits).ok().filter(|_| is_digits && is_plain)?;
    digits.parse().ok()
}

/// What a body says of its size.
fn words(size: &SizeHint) -> String {
    match (size.exact(), size.lower(), size.upper()) {
        (Some(exact), ..) => format!("{exact} bytes"),
        (None, 0, None) => "an unknown length".to_owned(),
        (None, lower, None) => format!("at least {lower} bytes"),
        (None, lower, Some(upper)) => format!("{lower} to {upper} bytes"),
    }
}

/// Removes what is for one connection only, and keeps of `Connection` what this one obeys.
fn remove_connection_fields(headers: &mut HeaderMap, protocol: Protocol) {
    let accepts_trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case(b"trailers"));
    let mut closes = false;
    if let Entry::Occupied(connection) = headers.entry(CONNECTION) {
        let (_, values) = connection.remove_entry_mult();
        let values: Vec<_> = values.collect();
        for option in values.iter().flat_map(list) {
            closes |= option.eq_ignore_ascii_case(b"close");
            if let Ok(named) = HeaderName::from_bytes(option) {
                headers.remove(named);
            }
        }
    }
    for name in FOR_ONE_CONNECTION.iter().chain([&TRANSFER_ENCODING, &TE]) {
        headers.remove(name);
    }
    if accepts_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    // SPEC(RFC 9110 10.1.4): TE is for one connection, and `Connection` says so.
    let options = match (protocol, closes, accepts_trailers) {
        (Protocol::Http2, ..) | (_, false, false) => return,
        (_, true, false) => "close",
        (_, false, true) => "te",
        (_, true, true) => "close, te",
    };
    headers.insert(CONNECTION, HeaderValue::from_static(options));
}

/// Returns the elements of the lists in the fields `name`.
pub(crate) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).iter().flat_map(list)
}

/// SPEC(RFC 9110 5.6.1): the elements of a list.
fn list(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}
