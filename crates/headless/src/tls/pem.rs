//! [`Pem`]: certificates and keys, as text or as the file that holds it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Certificates or a private key in PEM format: the text itself, or the file that holds it.
///
/// ```
/// use headless::{Pem, Tls};
///
/// let from_file = Tls::with_ca(Pem::file("/etc/tls/ca.crt"));
/// # fn read_secret() -> Vec<u8> { Vec::new() }
/// let from_memory = Tls::with_ca(read_secret());
/// # drop((from_file, from_memory));
/// ```
#[derive(Clone)]
pub struct Pem(pub(super) Source);

#[derive(Clone)]
pub(super) enum Source {
    Text(Arc<[u8]>),
    File(Arc<Path>),
}

impl Pem {
    /// Names a file. The client reads it, not this call.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into().into()))
    }

    /// Returns the file, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Source::File(path) => Some(path),
            Source::Text(_) => None,
        }
    }

    /// Returns the text, if it is in memory.
    #[must_use]
    pub fn text(&self) -> Option<&[u8]> {
        match &self.0 {
            Source::Text(text) => Some(text),
            Source::File(_) => None,
        }
    }
}

impl From<&[u8]> for Pem {
    fn from(text: &[u8]) -> Self {
        Self(Source::Text(text.into()))
    }
}

impl From<Vec<u8>> for Pem {
    fn from(text: Vec<u8>) -> Self {
        Self(Source::Text(text.into()))
    }
}

impl From<&str> for Pem {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for Pem {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl fmt::Debug for Pem {
    /// Without the text, which may be a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Text(text) => write!(f, "Pem({} bytes)", text.len()),
            Source::File(path) => write!(f, "Pem({})", path.display()),
        }
    }
}

/// The certificate that a client shows, and its private key.
#[derive(Clone)]
pub struct ClientIdentity {
    chain: Pem,
    key: Pem,
}

impl ClientIdentity {
    pub(super) const fn new(chain: Pem, key: Pem) -> Self {
        Self { chain, key }
    }

    /// Returns the client's certificate, followed by the intermediate ones.
    #[must_use]
    pub const fn chain(&self) -> &Pem {
        &self.chain
    }

    /// Returns the private key.
    #[must_use]
    pub const fn key(&self) -> &Pem {
        &self.key
    }
}

impl fmt::Debug for ClientIdentity {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity")
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}
