//! [`Handshake`]: one TLS handshake with one endpoint, and what it means when it fails.

use std::fmt;
use std::io;
use std::sync::Arc;

use headless::{Endpoint, ServiceName, Target, Tls, TlsError, Verify};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::client_config;
use super::explain::{explain, is_misconfiguration, no_common_protocol};
use super::late_refusal::{Guarded, settled};
use super::sessions::Sessions;
use crate::abort::AbortableStream;
use crate::error::{ConnectorError, Error};
use crate::protocol::Protocol;
use crate::refusal::Refusal;

/// What [`Tls`] describes, ready for the endpoints of one Service.
#[derive(Clone)]
pub(crate) struct Handshake(Arc<Settings>);

struct Settings {
    sessions: Sessions,
    expected: ExpectedName,
    protocol: Protocol,
}

/// The name that a certificate must carry.
enum ExpectedName {
    Same(ServerName<'static>),
    EndpointOf(ServiceName),
}

impl Handshake {
    /// Reads and checks `tls` for a Service that is called as `host` over `protocol`.
    pub(crate) fn new(tls: &Tls, service: &str, host: &str, protocol: Protocol) -> Result<Self, Error> {
        let expected = match tls.verification() {
            None | Some(Verify::ServiceName) => ExpectedName::same("authority", host)?,
            Some(Verify::Name(name)) => ExpectedName::same("verify", name)?,
            Some(Verify::EndpointName) => ExpectedName::endpoint_of(service)?,
            Some(other) => return Err(TlsError::UnknownVerify { verify: other.clone() }.into()),
        };
        let mut config = client_config(tls)?;
        config.alpn_protocols = vec![protocol.alpn().into()];
        Ok(Self(Arc::new(Settings {
            // A resumed session does not show the certificate again, and servers may share tickets:
            // only a full handshake notices that the address went to another pod.
            sessions: Sessions::new(config, !matches!(expected, ExpectedName::EndpointOf(_))),
            expected,
            protocol,
        })))
    }

    /// Makes `stream` a TLS connection to `endpoint`, which has proved its name. The refusal is set
    /// if the endpoint refuses the connection before it sends anything.
    ///
    /// # Cancel safety
    /// Dropping the future closes the stream.
    pub(crate) async fn connect(
        &self,
        endpoint: &Endpoint,
        stream: AbortableStream,
    ) -> Result<(Guarded<TlsStream<AbortableStream>>, Refusal), ConnectorError> {
        let Settings {
            sessions,
            expected,
            protocol,
        } = &*self.0;
        let name = expected.of(endpoint)?;
        let alpn = protocol.alpn();
        let session = sessions.of(endpoint.key());
        let failed = {
            let (name, client_auth) = (name.clone(), Arc::clone(&session.client_auth));
            move |error: io::Error| ConnectorError::Tls {
                server_name: name.to_str().into(),
                problem: explain(&error, alpn, &client_auth).into(),
                is_misconfiguration: is_misconfiguration(&error),
                source: Some(error.into()),
            }
        };
        let connector = TlsConnector::from(session.config);
        let mut stream = connector.connect(name.clone(), stream).await.map_err(&failed)?;
        match stream.get_ref().1.alpn_protocol() {
            Some(agreed) if agreed == alpn.as_bytes() => {}
            // SPEC(RFC 7301 3.1): a server may not know the extension.
            // SPEC(RFC 9113 3.2): HTTP/2 is not spoken then.
            None if *protocol == Protocol::Http1 => {}
            _ => {
                return Err(ConnectorError::Tls {
                    server_name: name.to_str().into(),
                    problem: no_common_protocol(alpn).into(),
                    is_misconfiguration: true,
                    source: None,
                });
            }
        }
        // SPEC(RFC 9113 3.4): over HTTP/2 the server speaks first, which is waited for anyway.
        if *protocol == Protocol::Http1 {
            settled(&mut stream, &session.client_auth).await.map_err(&failed)?;
        }
        let refusal = Refusal::default();
        Ok((Guarded::new(stream, refusal.clone(), failed), refusal))
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}

impl ExpectedName {
    fn same(setting: &'static str, name: &str) -> Result<Self, TlsError> {
        // Only a URI writes an IPv6 address in brackets, and only DNS ends a name with a dot.
        let bare = name.trim_start_matches('[').trim_end_matches([']', '.']);
        match ServerName::try_from(bare.to_owned()) {
            Ok(name) => Ok(Self::Same(name)),
            Err(_) => Err(TlsError::ServerName {
                setting,
                name: name.into(),
            }),
        }
    }

    fn endpoint_of(service: &str) -> Result<Self, Error> {
        let full = service.parse::<Target>().ok().and_then(|target| {
            let (namespace, zone) = (target.namespace()?, target.zone()?);
            target.in_cluster(namespace, zone).ok()
        });
        full.map(Self::EndpointOf).ok_or_else(|| {
            let problem = "`verify`: the pods' names need a Service in full, as in \
                           `web.shop.svc.cluster.local`; with this discovery, use `Verify::Name`";
            Error::setting(service, problem)
        })
    }

    fn of(&self, endpoint: &Endpoint) -> Result<ServerName<'static>, ConnectorError> {
        let service = match self {
            Self::Same(name) => return Ok(name.clone()),
            Self::EndpointOf(service) => service,
        };
        let name = endpoint.pod().map(|pod| format!("{pod}.{service}"));
        name.and_then(|name| ServerName::try_from(name).ok())
            .ok_or(ConnectorError::NoEndpointName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new(([10, 0, 0, 1], 8443).into())
    }

    #[test]
    fn a_name_is_verified_without_what_only_a_uri_or_dns_has() {
        for (name, verified) in [
            ("web.shop.svc", "web.shop.svc"),
            ("web.shop.svc.", "web.shop.svc"),
            ("[fd00::1]", "fd00::1"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            let expected = ExpectedName::same("verify", name).unwrap();
            assert_eq!(expected.of(&endpoint()).unwrap().to_str(), verified);
        }
    }

    #[test]
    fn an_endpoint_is_expected_under_its_own_name_and_refused_without_one() {
        let expected = ExpectedName::endpoint_of("web.shop.svc.cluster.local:https").unwrap();
        let name = expected.of(&endpoint().with_pod("web-0".parse().unwrap())).unwrap();
        assert_eq!(name.to_str(), "web-0.web.shop.svc.cluster.local");
        let error = expected.of(&endpoint()).unwrap_err();
        assert!(matches!(error, ConnectorError::NoEndpointName), "{error}");
        assert!(ExpectedName::endpoint_of("web.shop.svc").is_err(), "in which cluster?");
        assert!(ExpectedName::endpoint_of("a list of my own").is_err());
    }
}
