//! TLS on rustls: what [`Tls`] describes becomes a configuration here.
//! What happens on a connection is in `handshake`.
//!
//! No type of rustls leaves this module, and nothing in it can turn verification off. The provider
//! of cryptography is always named: rustls' process-wide default belongs to the application.

mod client_auth;
mod explain;
mod handshake;
mod late_refusal;
mod sessions;

use std::sync::Arc;

use headless::{Tls, TlsError, TlsProvider};
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) use self::handshake::Handshake;

/// What the features compile in.
const PROVIDERS: &[TlsProvider] = &[
    #[cfg(feature = "tls-ring")]
    TlsProvider::Ring,
    #[cfg(feature = "tls-aws-lc")]
    TlsProvider::AwsLc,
];

/// Reads what `tls` names, and checks it.
fn client_config(tls: &Tls) -> Result<ClientConfig, TlsError> {
    let provider = provider(tls)?;
    let identity = match tls.read_client_certificate()? {
        Some(identity) => {
            let chain = identity.chain.into_iter().map(CertificateDer::from).collect();
            let key = PrivateKeyDer::try_from(identity.key).map_err(|error| TlsError::Identity(error.into()))?;
            let identity = CertifiedKey::from_der(chain, key, &provider);
            Some(identity.map_err(|error| TlsError::Identity(error.into()))?)
        }
        None => None,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Library(error.into()))?
        .with_root_certificates(roots(tls)?);
    Ok(match identity {
        Some(identity) => {
            let identity: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(Arc::new(identity)));
            config.with_client_cert_resolver(identity)
        }
        None => config.with_no_client_auth(),
    })
}

/// The CAs to trust, at least one.
fn roots(tls: &Tls) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in tls.read_authorities()?.into_iter().enumerate() {
        // A CA that is left out would be missed later.
        roots.add(certificate.into()).map_err(|error| TlsError::Certificate {
            setting: "with_ca",
            number: index + 1,
            source: error.into(),
        })?;
    }
    if tls.trusts_system_roots() {
        let found = rustls_native_certs::load_native_certs();
        // A system's store is a hundred certificates of all ages. One that cannot be read says
        // nothing about the others.
        let (usable, unreadable) = roots.add_parsable_certificates(found.certs);
        if usable == 0 {
            return Err(TlsError::NoSystemRoots {
                unreadable,
                source: found.errors.into_iter().next().map(Into::into),
            });
        }
    }
    Ok(roots)
}

fn provider(tls: &Tls) -> Result<CryptoProvider, TlsError> {
    match tls.provider_among(PROVIDERS)? {
        #[cfg(feature = "tls-ring")]
        TlsProvider::Ring => Ok(crypto::ring::default_provider()),
        #[cfg(feature = "tls-aws-lc")]
        TlsProvider::AwsLc => Ok(crypto::aws_lc_rs::default_provider()),
        other => Err(TlsError::ProviderNotCompiled { provider: other }),
    }
}
