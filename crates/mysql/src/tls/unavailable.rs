//! TLS without its features: no [`TlsOptions`] can be made.

use headless::{Endpoint, Tls, TlsError};
use mysql_async::OptsBuilder;

#[derive(Clone)]
pub(crate) enum TlsOptions {}

impl TlsOptions {
    pub(crate) fn new(_: &Tls, _: &str) -> Result<Self, TlsError> {
        Err(TlsError::NotCompiled)
    }

    pub(crate) fn apply(&self, _: OptsBuilder, _: &Endpoint) -> OptsBuilder {
        match *self {}
    }
}
