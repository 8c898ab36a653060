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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_features_that_users_enable() {
        let tls = Tls::with_system_roots();
        let error = Handshake::new(&tls, "web.shop.svc:https", "web.shop.svc", Protocol::Http1).unwrap_err();
        assert!(error.is_not_sent());
        assert_eq!(
            error.to_string(),
            "`tls`: compiled without TLS; enable the feature `tls-ring` or `tls-aws-lc`"
        );
    }
}
