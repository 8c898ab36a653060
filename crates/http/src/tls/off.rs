//! TLS without its features: [`Tls`] has no value, so what the rest of the crate does with one compiles to nothing.

use headless_core::Endpoint;

use crate::cut::Cuttable;
use crate::{ConnectorError, Error, Protocol};

#[derive(Clone, Debug)]
pub(crate) enum Tls {}

#[derive(Clone, Debug)]
pub(crate) enum Handshake {}

impl Tls {
    pub(crate) fn handshake(&self, _: &str, _: &str, _: Protocol) -> Result<Handshake, Error> {
        match *self {}
    }
}

impl Handshake {
    pub(crate) async fn with(&self, _: &Endpoint, _: Cuttable) -> Result<Cuttable, ConnectorError> {
        match *self {}
    }
}
