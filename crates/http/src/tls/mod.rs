//! [`Tls`]: whom the client trusts, which name it expects and who it is itself. What happens on a connection is `handshake`.
//!
//! No type of rustls gets out of this module, and nothing in it can turn verification off. The provider of cryptography is a
//! feature of the crate and always named: rustls' process-wide default belongs to the application.

mod handshake;
mod sessions;

use std::fmt;
use std::sync::Arc;

#[cfg(not(feature = "tls-ring"))]
use tokio_rustls::rustls::crypto::aws_lc_rs as cryptography;
#[cfg(feature = "tls-ring")]
use tokio_rustls::rustls::crypto::ring as cryptography;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

pub(crate) use self::handshake::Handshake;
use crate::error::BoxError;

/// TLS to the pods, given to [`ClientBuilder::tls`](crate::ClientBuilder::tls): whom to trust, which name the pods must prove, and
/// who the client is. TLS 1.3 and 1.2; there is no way to turn verification off.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use headless::Discovery;
/// use headless_http::{Client, Tls};
///
/// let tls = Tls::with_ca(std::fs::read("/etc/tls/ca.crt")?)?
///     .client_certificate(std::fs::read("/etc/tls/tls.crt")?, std::fs::read("/etc/tls/tls.key")?)?;
/// let client = Client::builder(Discovery::start("web.shop.svc:https").await?).tls(tls).build()?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
///
/// # Sessions
/// All pods prove the same name, and only the pod that gave a ticket can resume by it. So each pod has tickets of its own; those of
/// 1,024 pods are remembered, the ones dialled last. As with all of TLS, a resumed session does not show the certificate again.
/// There is no early data: nothing is sent before the handshake is over, so nobody can replay it.
///
/// # Rotation
/// Certificates are read once. When the CA or the client's own certificate is replaced, make a new client.
#[derive(Clone)]
pub struct Tls {
    roots: Arc<RootCertStore>,
    identity: Option<Arc<CertifiedKey>>,
    verify: Verify,
}

impl Tls {
    /// Trusts the CAs in `pem` and nobody else: the usual case in a cluster, where the CA is private (`ca.crt` in a Secret of
    /// cert-manager). Any number of certificates, so that an old and a new CA go together.
    ///
    /// # Errors
    /// [`TlsError`], if there is no certificate in it, or one that cannot be read: one that is left out would be missed later.
    pub fn with_ca(pem: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for (at, certificate) in certificates("with_ca", pem.as_ref())?.into_iter().enumerate() {
            roots.add(certificate).map_err(|error| TlsError::Certificate {
                setting: "with_ca",
                number: at + 1,
                source: error.into(),
            })?;
        }
        Ok(Self::new(roots))
    }

    /// Trusts the CAs that the system trusts: `SSL_CERT_FILE` and `SSL_CERT_DIR` if they are set, and the system's store otherwise.
    /// Reads files; it blocks for some milliseconds.
    ///
    /// No list is compiled in: whom a cluster trusts is decided by whoever makes the image or mounts the bundle, not by this crate.
    ///
    /// # Errors
    /// [`TlsError::NoSystemRoots`], as in an image without `ca-certificates`.
    pub fn with_system_roots() -> Result<Self, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // A system's store is a hundred certificates of all ages; one that cannot be read says nothing about the others.
        let (_, unreadable) = roots.add_parsable_certificates(found.certs);
        match roots.is_empty() {
            false => Ok(Self::new(roots)),
            true => Err(TlsError::NoSystemRoots {
                unreadable,
                source: found.errors.into_iter().next().map(Into::into),
            }),
        }
    }

    fn new(roots: RootCertStore) -> Self {
        Self {
            roots: Arc::new(roots),
            identity: None,
            verify: Verify::default(),
        }
    }

    /// Who the client is, for pods that ask (mutual TLS): its certificate with the intermediate ones behind it, and the private key
    /// (PKCS#8, PKCS#1 or SEC1), both as PEM. Default: nobody.
    ///
    /// With TLS 1.3, a pod that misses or refuses this says so after the handshake. Over HTTP/1.1 the first request then fails with
    /// [`Error::Send`](crate::Error::Send), and the pod's alert is among its causes; over HTTP/2, opening the connection does.
    ///
    /// # Errors
    /// [`TlsError`], if one of the two cannot be read, or they do not belong together.
    pub fn client_certificate(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let chain = certificates("client_certificate", chain.as_ref())?;
        let key = PrivateKeyDer::from_pem_slice(key.as_ref()).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoKey,
            error => TlsError::pem("client_certificate", &error),
        })?;
        let identity =
            CertifiedKey::from_der(chain, key, &provider()).map_err(|error| TlsError::Identity(error.into()))?;
        self.identity = Some(Arc::new(identity));
        Ok(self)
    }

    /// Which name a pod's certificate must carry. Default: [`Verify::Service`].
    #[must_use]
    pub fn verify(mut self, verify: Verify) -> Self {
        self.verify = verify;
        self
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("roots", &self.roots.len())
            .field("client_certificate", &self.identity.is_some())
            .field("verify", &self.verify)
            .finish()
    }
}

/// Which name a pod's certificate must carry, as a DNS name (or IP address) among its subject alternative names. The same name is
/// sent as SNI.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Verify {
    /// The host that `Host` and `:authority` name: the Service's full name, `web.shop.svc.cluster.local`, or what
    /// [`authority`](crate::ClientBuilder::authority) says. The default.
    ///
    /// SPEC(RFC 9110 4.3.4): the certificate proves the host of the URI. In full, because that is the one spelling that exists for every
    /// Service and does not depend on who asks; issue certificates with it, or give the one that they have as [`Verify::Name`].
    #[default]
    Service,
    /// The pod's own DNS name below the Service: `web-0.web.shop.svc.cluster.local`. Each pod needs a certificate of its own, and an
    /// address that went to another pod is noticed. Pods whose name DNS did not tell are refused.
    Pod,
    /// This name, of the Service or not: `web.shop.svc`, `shop.example`.
    Name(String),
}

/// What is wrong with a setting of [`Tls`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The PEM is damaged.
    #[error("`{setting}`: the PEM cannot be read: {problem}")]
    Pem {
        /// The setting's name.
        setting: &'static str,
        /// What was found.
        problem: Box<str>,
    },
    /// There is no certificate in it.
    #[error("`{setting}`: there is no certificate in it; it must have a section `-----BEGIN CERTIFICATE-----`")]
    NoCertificate {
        /// The setting's name.
        setting: &'static str,
    },
    /// A section is called a certificate, and is none.
    #[error("`{setting}`: certificate {number} cannot be read")]
    Certificate {
        /// The setting's name.
        setting: &'static str,
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it.
        source: BoxError,
    },
    /// There is no private key in it.
    #[error(
        "`client_certificate`: there is no private key in it; it must have a section `-----BEGIN PRIVATE KEY-----`, and an \
         encrypted one cannot be used"
    )]
    NoKey,
    /// The client's certificate and key cannot be used together.
    #[error("`client_certificate`: this certificate and this private key cannot be used together")]
    Identity(#[source] BoxError),
    /// The system trusts nobody.
    #[error(
        "`with_system_roots`: the system has no usable root certificates ({unreadable} unreadable); install `ca-certificates` in \
         the image, set SSL_CERT_FILE, or give a CA with `Tls::with_ca`"
    )]
    NoSystemRoots {
        /// How many certificates were found and could not be read.
        unreadable: usize,
        /// The first thing that went wrong, if it was not merely that there are none.
        source: Option<BoxError>,
    },
}

impl TlsError {
    fn pem(setting: &'static str, error: &pem::Error) -> Self {
        let problem = match error {
            pem::Error::MissingSectionEnd { end_marker } => {
                format!("section `{}` has no end", String::from_utf8_lossy(end_marker))
            }
            pem::Error::IllegalSectionStart { line } => {
                format!("`{}` begins no section", String::from_utf8_lossy(line).trim())
            }
            other => other.to_string(),
        };
        Self::Pem {
            setting,
            problem: problem.into(),
        }
    }
}

/// At least one.
fn certificates(setting: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::NoCertificate { setting }),
        found => found.map_err(|error| TlsError::pem(setting, &error)),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(cryptography::default_provider())
}
