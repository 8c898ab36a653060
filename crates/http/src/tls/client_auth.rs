//! [`ClientAuth`]: whether an endpoint asks for a client certificate, and of which CAs. rustls tells
//! only when it looks for one.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::sync::lock;

/// Finds the client's certificate, and remembers that it was asked for. There is one for each
/// endpoint.
pub(super) struct ClientAuth {
    certificates: Arc<dyn ResolvesClientCert>,
    /// ORDERING: Relaxed; it is set and read by the task that makes the handshake.
    was_asked: AtomicBool,
    /// The CAs that the endpoint named last.
    authorities: Mutex<Vec<String>>,
}

impl ClientAuth {
    pub(super) fn new(certificates: Arc<dyn ResolvesClientCert>) -> Self {
        Self {
            certificates,
            was_asked: AtomicBool::new(false),
            authorities: Mutex::default(),
        }
    }

    /// Returns whether the endpoint has asked for a certificate, in this handshake or before.
    pub(super) fn was_asked(&self) -> bool {
        self.was_asked.load(Relaxed)
    }

    pub(super) fn has_certificate(&self) -> bool {
        self.certificates.has_certs()
    }

    /// Returns the end of a sentence that names the CAs that the endpoint accepts, if it named any.
    pub(super) fn accepted(&self) -> String {
        let authorities = lock(&self.authorities);
        match authorities.is_empty() {
            true => String::new(),
            false => format!("; it accepts those issued by {}", authorities.join(", ")),
        }
    }
}

impl ResolvesClientCert for ClientAuth {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Relaxed);
        let names = hints.iter().take(MOST_NAMES).filter_map(|hint| common_name(hint));
        let names = names.map(|name| format!("`{name}`")).collect();
        *lock(&self.authorities) = names;
        self.certificates.resolve(hints, schemes)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.certificates.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.certificates.has_certs()
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuth")
            .field("was_asked", &self.was_asked())
            .finish_non_exhaustive()
    }
}

/// A server that accepts the CAs of the whole web names all of them.
const MOST_NAMES: usize = 5;

/// The common name in a distinguished name (DER), for a message: SPEC(RFC 5280 4.1.2.4), its object
/// identifier followed by a string.
fn common_name(name: &[u8]) -> Option<&str> {
    let at = name.windows(COMMON_NAME.len()).position(|part| part == COMMON_NAME)?;
    let [_kind, length, rest @ ..] = &name[at + COMMON_NAME.len()..] else {
        return None;
    };
    // A longer one has another form of length.
    let text = rest.get(..usize::from(*length)).filter(|_| *length < 0x80)?;
    std::str::from_utf8(text)
        .ok()
        .filter(|text| !text.contains(char::is_control))
}

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_name_is_found_or_left_out() {
        let good = b"\x30\x12\x31\x10\x30\x0e\x06\x03\x55\x04\x03\x0c\x07clients";
        assert_eq!(common_name(good), Some("clients"));
        for bad in [
            &b""[..],
            b"\x30\x00",
            b"\x06\x03\x55\x04\x03",
            b"\x06\x03\x55\x04\x03\x0c",
            b"\x06\x03\x55\x04\x03\x0c\x07clie",
            b"\x06\x03\x55\x04\x03\x0c\x02\xff\xff",
            b"\x06\x03\x55\x04\x03\x0c\x02a\n",
            b"\x06\x03\x55\x04\x03\x0c\x81\x03abc",
        ] {
            assert_eq!(common_name(bad), None, "{bad:?}");
        }
    }
}
