//! What the tests of TLS share: a CA, the certificates it issues, and pods that serve HTTP over TLS
//! and report what they observe.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use headless_testkit::{App, Pod};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// The default name of the Service in these tests.
pub(crate) const SERVICE: &str = "web.shop.svc.cluster.local";

pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub(crate) struct Identity {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A CA whose certificate this one issues.
    pub(crate) fn intermediate(&self, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.issue_until(names, 4096)
    }

    pub(crate) fn issue_until(&self, names: &[&str], year: i32) -> Identity {
        self.issue_with(names, |params| params.not_after = date_time_ymd(year, 1, 1))
    }

    /// Issues a certificate that differs in what `set` sets.
    pub(crate) fn issue_with(&self, names: &[&str], set: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        set(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// How a pod serves TLS.
pub(crate) struct Server {
    pub(crate) identity: Identity,
    pub(crate) alpn: &'static [&'static str],
    /// Clients must show a certificate of this CA.
    pub(crate) clients: Option<Arc<Ca>>,
    pub(crate) only_tls12: bool,
    /// How many tickets it sends after a handshake of TLS 1.3.
    pub(crate) tickets: usize,
}

impl Server {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            alpn: &["h2", "http/1.1"],
            clients: None,
            only_tls12: false,
            tickets: 2,
        }
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let versions = match self.only_tls12 {
            true => vec![&TLS12],
            false => vec![&TLS13, &TLS12],
        };
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_protocol_versions(&versions).unwrap();
        let config = match &self.clients {
            None => config.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(ca.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = CertificateDer::pem_slice_iter(self.identity.chain.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.identity.key.as_bytes()).unwrap();
        let mut config = config.with_single_cert(chain, key).unwrap();
        config.send_tls13_tickets = self.tickets;
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// All pods share this configuration and its tickets: each pod accepts those of the others.
    pub(crate) fn app(&self) -> App {
        let config = self.config();
        App::custom(move |pod, stream| serve(pod, stream, Arc::clone(&config)))
    }
}

/// Each pod serves with the identity under its own name.
pub(crate) fn app_of(identities: impl IntoIterator<Item = (&'static str, Identity)>) -> App {
    let identities = identities.into_iter();
    app_of_servers(identities.map(|(pod, identity)| (pod, Server::new(identity))))
}

/// Each pod serves as the server under its own name.
pub(crate) fn app_of_servers(servers: impl IntoIterator<Item = (&'static str, Server)>) -> App {
    let configs = servers.into_iter().map(|(pod, server)| (pod, server.config()));
    let configs: BTreeMap<_, _> = configs.collect();
    App::custom(move |pod, stream| {
        let config = Arc::clone(&configs[pod.name()]);
        serve(pod, stream, config)
    })
}

/// Answers each request with an [`Observation`], a word for each field. The answer to `/endless`
/// does not end after it.
pub(crate) async fn serve<S>(pod: Pod, stream: S, config: Arc<ServerConfig>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else {
        return;
    };
    let tls = stream.get_ref().1;
    let word = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or(b"-").to_vec()).unwrap();
    let connection = format!(
        "{} {:?} {} {} {}",
        pod.name(),
        tls.handshake_kind().unwrap(),
        word(tls.server_name().map(str::as_bytes)),
        word(tls.alpn_protocol()),
        tls.peer_certificates().is_some(),
    );
    let service = service_fn(|request: Request<Incoming>| {
        let scheme = request.uri().scheme_str().unwrap_or("-").to_owned();
        let text = Ok::<_, Infallible>(Frame::data(Bytes::from(format!("{connection} {scheme}"))));
        let text = stream::iter([text]);
        let body = match request.uri().path() {
            "/endless" => BodyExt::boxed(StreamBody::new(text.chain(stream::pending()))),
            _ => BodyExt::boxed(StreamBody::new(text)),
        };
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    // The client's side asserts how it ends.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// What a pod observed of the connection and the request.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) pod: String,
    pub(crate) handshake: String,
    pub(crate) sni: String,
    pub(crate) alpn: String,
    pub(crate) client_certificate: bool,
    /// HTTP/2 only.
    pub(crate) scheme: String,
}

impl Observation {
    pub(crate) fn parse(text: &str) -> Self {
        let mut words = text.split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap();
        Self {
            pod: word(),
            handshake: word(),
            sni: word(),
            alpn: word(),
            client_certificate: word() == "true",
            scheme: word(),
        }
    }
}
