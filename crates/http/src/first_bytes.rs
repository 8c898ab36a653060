//! [`FirstBytes`]: whether the first bytes that an endpoint sends are those of the protocol that is
//! expected, or of one that the client was not told of.

use crate::protocol::Protocol;

/// Looks at the first bytes of a connection without TLS.
pub(crate) struct FirstBytes {
    expected: Protocol,
    bytes: [u8; MOST],
    count: usize,
}

/// The endpoint speaks another protocol: a setting of the client is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WrongProtocol {
    #[error("the pod answered with an alert of TLS; use the port for plain HTTP, or make the client with `tls(..)`")]
    Tls,
    #[error("the pod answered in HTTP/1.1: use `Protocol::Http1`")]
    Http1,
    #[error("the pod answered in HTTP/2: use `Protocol::Http2`")]
    Http2,
}

impl FirstBytes {
    pub(crate) const fn new(expected: Protocol) -> Self {
        Self {
            expected,
            bytes: [0; MOST],
            count: 0,
        }
    }

    /// Takes what was read. `None`: too little to tell.
    pub(crate) fn push(&mut self, read: &[u8]) -> Option<Result<(), WrongProtocol>> {
        let part = read.len().min(MOST - self.count);
        self.bytes[self.count..self.count + part].copy_from_slice(&read[..part]);
        self.count += part;
        let seen = &self.bytes[..self.count];
        let other = match self.expected {
            Protocol::Http1 => begins(seen, |at, byte| match at {
                0..3 => byte < 0x20 && byte != b'\r' && byte != b'\n',
                _ => byte == SETTINGS[at - 3],
            }),
            Protocol::Http2 => begins(&seen[..seen.len().min(HTTP1.len())], |at, byte| byte == HTTP1[at]),
        };
        let length = match self.expected {
            Protocol::Http1 => MOST,
            Protocol::Http2 => HTTP1.len(),
        };
        match (seen.first()?, self.expected) {
            (&TLS_ALERT, _) => Some(Err(WrongProtocol::Tls)),
            _ if !other => Some(Ok(())),
            _ if seen.len() < length => None,
            (_, Protocol::Http1) => Some(Err(WrongProtocol::Http2)),
            (_, Protocol::Http2) => Some(Err(WrongProtocol::Http1)),
        }
    }
}

fn begins(seen: &[u8], matches: impl Fn(usize, u8) -> bool) -> bool {
    seen.iter().enumerate().all(|(at, &byte)| matches(at, byte))
}

/// As many bytes as the header of an HTTP/2 frame has.
const MOST: usize = 9;

/// SPEC(RFC 9113 3.4, 4.1): an HTTP/2 server begins with SETTINGS: after the length of the frame
/// come its type, its flags and the stream 0.
const SETTINGS: [u8; 6] = [4, 0, 0, 0, 0, 0];

/// SPEC(RFC 9112 2.3)
const HTTP1: &[u8] = b"HTTP/1.";

/// SPEC(RFC 8446 5.1): the content type of an alert, which is how a TLS server answers plain HTTP.
/// No answer of HTTP/1 begins with it, and no HTTP/2 connection: it would be a first frame of more
/// than a megabyte.
const TLS_ALERT: u8 = 21;

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes the bytes in pieces of this size until it can be told.
    fn told(expected: Protocol, bytes: &[u8], size: usize) -> Option<Result<(), WrongProtocol>> {
        let mut first = FirstBytes::new(expected);
        bytes.chunks(size).find_map(|piece| first.push(piece))
    }

    #[test]
    fn the_other_protocol_is_recognized_however_the_bytes_are_split() {
        use Protocol::{Http1, Http2};

        let alert = b"\x15\x03\x03\x00\x02\x02\x46";
        let settings = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64";
        for (expected, bytes, result) in [
            (Http1, &alert[..], Some(Err(WrongProtocol::Tls))),
            (Http2, alert, Some(Err(WrongProtocol::Tls))),
            (Http2, b"HTTP/1.1 400 Bad Request\r\n", Some(Err(WrongProtocol::Http1))),
            (Http2, b"HTTP/1.0 505", Some(Err(WrongProtocol::Http1))),
            (Http2, b"HTTP/1", None),
            (Http2, b"HTTP/2.0 200", Some(Ok(()))),
            (Http2, settings, Some(Ok(()))),
            (Http1, settings, Some(Err(WrongProtocol::Http2))),
            (Http1, &settings[..8], None),
            (Http1, b"HTTP/1.1 200 OK\r\n", Some(Ok(()))),
            (Http1, b"\r\nHTTP/1.1 200 OK\r\n", Some(Ok(()))),
            (Http1, b"SSH-2.0-x\r\n", Some(Ok(()))),
        ] {
            for size in [1, 2, 5, 9, 100] {
                assert_eq!(told(expected, bytes, size), result, "{expected:?} {bytes:?} by {size}");
            }
        }
    }
}
