//! [`Handshake`]: one TLS handshake with one pod, and what it means when it fails.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use headless_core::{Endpoint, ServiceName, Target};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{AlertDescription, CertificateError, ClientConfig, Error as TlsFault};

use super::sessions::Sessions;
use super::{Tls, Verify, provider};
use crate::cut::Cuttable;
use crate::{ConnectorError, Error, Protocol};

/// The settings of [`Tls`], ready for the pods of one Service.
#[derive(Clone)]
pub(crate) struct Handshake(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    expected: Expected,
    protocol: Protocol,
}

/// The name that a certificate must carry.
enum Expected {
    Same(ServerName<'static>),
    PodOf(ServiceName),
}

impl Tls {
    /// Checks what can only be checked when the Service, the host in `Host` and the protocol are known.
    pub(crate) fn handshake(&self, service: &str, host: &str, protocol: Protocol) -> Result<Handshake, Error> {
        let expected = match &self.verify {
            Verify::Service => Expected::same(service, "authority", host)?,
            Verify::Name(name) => Expected::same(service, "verify", name)?,
            Verify::Pod => Expected::pod_of(service)?,
        };
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::invalid(service, format!("`tls`: {error}")))?
            .with_root_certificates(Arc::clone(&self.roots));
        let mut config = match &self.identity {
            Some(identity) => {
                let identity: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(Arc::clone(identity)));
                config.with_client_cert_resolver(identity)
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![alpn(protocol).to_vec()];
        Ok(Handshake(Arc::new(Inner {
            sessions: Sessions::new(config),
            expected,
            protocol,
        })))
    }
}

impl Handshake {
    /// Makes `stream` a TLS connection to `endpoint`, which has proved its name.
    ///
    /// # Cancel safety
    /// Safe: dropping the future closes the stream.
    pub(crate) async fn with(
        &self,
        endpoint: &Endpoint,
        stream: Cuttable,
    ) -> Result<TlsStream<Cuttable>, ConnectorError> {
        let Inner {
            sessions,
            expected,
            protocol,
        } = &*self.0;
        let name = expected.of(endpoint)?;
        let failed = |problem: String, source: Option<io::Error>| ConnectorError::Tls {
            server_name: name.to_str().into(),
            problem: problem.into(),
            source: source.map(Into::into),
        };
        let connector = TlsConnector::from(sessions.of(endpoint.key()));
        let stream = match connector.connect(name.clone(), stream).await {
            Ok(stream) => stream,
            Err(error) => return Err(failed(explain(&error, *protocol), Some(error))),
        };
        match stream.get_ref().1.alpn_protocol() {
            Some(agreed) if agreed == alpn(*protocol) => Ok(stream),
            // SPEC(RFC 7301 3.1): a server may not know the extension. SPEC(RFC 9113 3.2): HTTP/2 then is not to be spoken.
            None if *protocol == Protocol::Http1 => Ok(stream),
            _ => Err(failed(no_common_protocol(*protocol), None)),
        }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}

impl Expected {
    fn same(service: &str, setting: &str, name: &str) -> Result<Self, Error> {
        // An IPv6 address has brackets in a URI and none in a certificate; a trailing dot is of DNS, and in no certificate.
        let bare = name.trim_start_matches('[').trim_end_matches([']', '.']);
        match ServerName::try_from(bare.to_owned()) {
            Ok(name) => Ok(Self::Same(name)),
            Err(_) => {
                let problem =
                    format!("`{setting}`: a certificate cannot carry `{name}`; write a DNS name or an IP address");
                Err(Error::invalid(service, problem))
            }
        }
    }

    fn pod_of(service: &str) -> Result<Self, Error> {
        let full = service.parse::<Target>().ok().and_then(|target| {
            let (namespace, zone) = (target.namespace()?, target.zone()?);
            target.in_cluster(namespace, zone).ok()
        });
        full.map(Self::PodOf).ok_or_else(|| {
            let problem = "`verify`: the pods' names need a Service in full, as in `web.shop.svc.cluster.local`; with this discovery, \
                           use `Verify::Name`";
            Error::invalid(service, problem)
        })
    }

    fn of(&self, endpoint: &Endpoint) -> Result<ServerName<'static>, ConnectorError> {
        let service = match self {
            Self::Same(name) => return Ok(name.clone()),
            Self::PodOf(service) => service,
        };
        let name = endpoint.pod().map(|pod| format!("{pod}.{service}"));
        name.and_then(|name| ServerName::try_from(name).ok())
            .ok_or(ConnectorError::NoPodName)
    }
}

/// SPEC(RFC 7301 6, RFC 9113 3.1): the identifiers.
const fn alpn(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Http1 => b"http/1.1",
        Protocol::Http2 => b"h2",
    }
}

/// What a failed handshake means to somebody who has a Service and certificates in a cluster; rustls' own words stay the source.
fn explain(error: &io::Error, protocol: Protocol) -> String {
    let Some(fault) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsFault>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the pod closed the connection during the handshake; does this port speak plain HTTP?".to_owned()
            }
            _ => error.to_string(),
        };
    };
    match fault {
        TlsFault::InvalidCertificate(problem) => of_certificate(problem),
        TlsFault::InvalidMessage(_) => {
            "the answer is not TLS; does this port speak plain HTTP? Use the port for TLS, or leave `tls(..)` out"
                .to_owned()
        }
        TlsFault::AlertReceived(AlertDescription::NoApplicationProtocol) => no_common_protocol(protocol),
        TlsFault::AlertReceived(AlertDescription::CertificateRequired) => {
            "the pod wants to know who is calling; give it `Tls::client_certificate`".to_owned()
        }
        TlsFault::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate),
        ) => format!("the pod refuses the client's certificate ({alert:?})"),
        other => other.to_string(),
    }
}

fn of_certificate(problem: &CertificateError) -> String {
    use CertificateError as Problem;
    match problem {
        Problem::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "the pod's certificate carries no name (as subject alternative name)".to_owned()
        }
        Problem::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            format!(
                "the pod's certificate is for {}; issue it for the name expected, or say with `Tls::verify` which to expect",
                names.join(", ")
            )
        }
        // A bad signature is what a CA that was made anew under its old name leads to.
        Problem::UnknownIssuer | Problem::BadSignature => {
            "the pod's certificate is not signed by a CA that this client trusts; is it the CA that issued it, and the newest?".to_owned()
        }
        Problem::ExpiredContext { time, not_after } => {
            let ago = Duration::from_secs(time.as_secs().saturating_sub(not_after.as_secs()));
            format!("the pod's certificate expired {ago:?} ago; is the pod told of the new one?")
        }
        other => TlsFault::InvalidCertificate(other.clone()).to_string(),
    }
}

/// `DnsName("web")` is how rustls writes what a certificate carries.
fn bare(presented: &str) -> String {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    format!("`{}`", inner.unwrap_or(presented).trim_matches('"'))
}

fn no_common_protocol(protocol: Protocol) -> String {
    format!(
        "the pod does not agree to speak `{}` (ALPN); choose another `protocol(..)`, or enable it in the pod",
        String::from_utf8_lossy(alpn(protocol))
    )
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
            let expected = Expected::same("web", "verify", name).unwrap();
            assert_eq!(expected.of(&endpoint()).unwrap().to_str(), verified);
        }
    }

    #[test]
    fn a_pod_is_expected_under_its_own_name_and_refused_without_one() {
        let expected = Expected::pod_of("web.shop.svc.cluster.local:https").unwrap();
        let name = expected.of(&endpoint().with_pod("web-0".parse().unwrap())).unwrap();
        assert_eq!(name.to_str(), "web-0.web.shop.svc.cluster.local");
        let error = expected.of(&endpoint()).unwrap_err();
        assert!(matches!(error, ConnectorError::NoPodName), "{error}");
        assert!(Expected::pod_of("web.shop.svc").is_err(), "in which cluster?");
        assert!(Expected::pod_of("a list of my own").is_err());
    }

    #[test]
    fn what_a_certificate_carries_is_shown_as_it_is_written() {
        assert_eq!(bare("DnsName(\"*.shop.svc\")"), "`*.shop.svc`");
        assert_eq!(bare("IpAddress(10.0.0.1)"), "`10.0.0.1`");
        assert_eq!(bare("something else"), "`something else`");
    }
}
