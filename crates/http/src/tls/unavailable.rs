//! TLS without its features: no [`Handshake`] can be made, so what the rest of the crate does with
//! one compiles to nothing.

use headless::{Endpoint, Tls, TlsError};

use crate::abort::AbortableStream;
use crate::error::{ConnectorError, Error};
use crate::protocol::Protocol;
use crate::refusal::Refusal;

#[derive(Clone, Debug)]
pub(crate) enum Handshake {}

impl Handshake {
    pub(crate) fn new(_: &Tls, _: &str, _: &str, _: Protocol) -> Result<Self, Error> {
        Err(TlsError::NotCompiled.into())
    }

    pub(crate) async fn connect(
        &self,
        _: &Endpoint,
        _: AbortableStream,
    ) -> Result<(AbortableStream, Refusal), ConnectorError> {
        match *self {}
    }
}
