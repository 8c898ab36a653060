//! [`TlsOptions`]: what a [`Tls`] describes, checked and in the driver's terms.

use std::path::PathBuf;
use std::sync::Arc;

use headless::{Endpoint, Pem, Tls, TlsError, TlsProvider, Verify};
use mysql_async::{ClientIdentity, OptsBuilder, SslOpts};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::sign::CertifiedKey;

/// What the features compile in.
const PROVIDERS: &[TlsProvider] = &[
    #[cfg(feature = "tls-ring")]
    TlsProvider::Ring,
    #[cfg(feature = "tls-aws-lc")]
    TlsProvider::AwsLc,
];

/// TLS for each connection of a splitter.
#[derive(Clone)]
pub(crate) struct TlsOptions {
    /// All but the name.
    options: SslOpts,
    expected: ExpectedName,
}

/// The name that a certificate must carry.
#[derive(Clone)]
enum ExpectedName {
    Same(Arc<str>),
    /// The endpoint's own, below this domain. Without a name from DNS it is the address.
    EndpointOf(Arc<str>),
}

impl TlsOptions {
    /// Reads and checks `tls` for the endpoints of `domain`.
    ///
    /// The driver takes rustls' process-wide provider, so the chosen one becomes that, unless the
    /// application has set one already.
    pub(crate) fn new(tls: &Tls, domain: &str) -> Result<Self, TlsError> {
        let expected = match tls.verification() {
            Some(Verify::Name(name)) => ExpectedName::Same(checked(name)?.into()),
            Some(Verify::ServiceName) => ExpectedName::Same(checked(domain)?.into()),
            None | Some(Verify::EndpointName) => ExpectedName::EndpointOf(domain.into()),
            Some(other) => return Err(TlsError::UnknownVerify { verify: other.clone() }),
        };
        let provider = provider(tls)?;
        check_identity(tls, &provider)?;
        let options = SslOpts::default()
            .with_disable_built_in_roots(true)
            .with_root_certs(roots(tls)?)
            .with_client_identity(
                tls.client_identity()
                    .map(|identity| ClientIdentity::new(source(identity.chain()), source(identity.key()))),
            );
        if CryptoProvider::get_default().is_none() {
            // An error means that another thread has just set one.
            let _ = provider.install_default();
        }
        Ok(Self { options, expected })
    }

    /// Adds TLS to the options of one connection.
    pub(crate) fn apply(&self, options: OptsBuilder, endpoint: &Endpoint) -> OptsBuilder {
        let name = match (&self.expected, endpoint.pod()) {
            (ExpectedName::Same(name), _) => (**name).to_owned(),
            (ExpectedName::EndpointOf(domain), Some(pod)) => format!("{pod}.{domain}"),
            (ExpectedName::EndpointOf(_), None) => endpoint.addr().ip().to_string(),
        };
        // It is not dangerous to name the pod: the driver knows the address only, which no
        // certificate is for.
        let tls = self.options.clone().with_danger_tls_hostname_override(Some(name));
        options.ssl_opts(Some(tls))
    }
}

fn checked(name: &str) -> Result<&str, TlsError> {
    match ServerName::try_from(name) {
        Ok(_) => Ok(name),
        Err(_) => Err(TlsError::ServerName {
            setting: "verify",
            name: name.into(),
        }),
    }
}

/// Returns the CAs to trust, each of which the driver can read.
fn roots<S: From<PathBuf> + From<Vec<u8>>>(tls: &Tls) -> Result<Vec<S>, TlsError> {
    let mut store = RootCertStore::empty();
    for (index, certificate) in tls.read_authorities()?.into_iter().enumerate() {
        store.add(certificate.into()).map_err(|error| TlsError::Certificate {
            setting: "with_ca",
            number: index + 1,
            source: error.into(),
        })?;
    }
    // Files stay files: the driver reads them for each connection, and so follows a renewed CA.
    let mut roots: Vec<_> = tls.authorities().iter().map(source).collect();
    if tls.trusts_system_roots() {
        let found = rustls_native_certs::load_native_certs();
        let (usable, unreadable): (Vec<_>, Vec<_>) = found
            .certs
            .into_iter()
            .partition(|certificate| store.add(certificate.clone()).is_ok());
        if usable.is_empty() {
            return Err(TlsError::NoSystemRoots {
                unreadable: unreadable.len(),
                source: found.errors.into_iter().next().map(Into::into),
            });
        }
        roots.extend(usable.iter().map(|certificate| certificate.to_vec().into()));
    }
    Ok(roots)
}

fn check_identity(tls: &Tls, provider: &CryptoProvider) -> Result<(), TlsError> {
    let Some(identity) = tls.read_client_certificate()? else {
        return Ok(());
    };
    let chain = identity.chain.into_iter().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::try_from(identity.key).map_err(|error| TlsError::Identity(error.into()))?;
    match CertifiedKey::from_der(chain, key, provider) {
        Ok(_) => Ok(()),
        Err(error) => Err(TlsError::Identity(error.into())),
    }
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

/// The driver's type for a file or bytes, which it does not export.
fn source<S: From<PathBuf> + From<Vec<u8>>>(pem: &Pem) -> S {
    match (pem.path(), pem.text()) {
        (Some(path), _) => path.to_path_buf().into(),
        (None, text) => text.unwrap_or_default().to_vec().into(),
    }
}

#[cfg(test)]
mod tests {
    use mysql_async::Opts;

    use super::*;

    const DOMAIN: &str = "mysql.shop.svc.cluster.local";

    /// Trusts a CA. The provider is named, so that the tests run with both compiled in too.
    fn trusting() -> Tls {
        let ca = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
        Tls::with_ca(ca.cert.pem()).provider(TlsProvider::Ring)
    }

    #[test]
    fn the_name_is_the_endpoints_own_or_what_is_set() {
        let nameless = Endpoint::new(([10, 0, 0, 1], 3306).into());
        let named = nameless.clone().with_pod("mysql-0".parse().unwrap());
        for (verify, endpoint, expected) in [
            (None, &named, "mysql-0.mysql.shop.svc.cluster.local"),
            (None, &nameless, "10.0.0.1"),
            (
                Some(Verify::EndpointName),
                &named,
                "mysql-0.mysql.shop.svc.cluster.local",
            ),
            (Some(Verify::ServiceName), &named, DOMAIN),
            (Some(Verify::Name("db.example".into())), &nameless, "db.example"),
        ] {
            let tls = verify.into_iter().fold(trusting(), Tls::verify);
            let options = TlsOptions::new(&tls, DOMAIN).unwrap();
            let options = Opts::from(options.apply(OptsBuilder::default(), endpoint));
            let options = options.ssl_opts().unwrap();
            assert_eq!(options.tls_hostname_override(), Some(expected));
            assert!(options.disable_built_in_roots() && !options.accept_invalid_certs());
            assert_eq!(options.root_certs().len(), 1);
        }
    }

    #[test]
    fn bad_settings_are_found_before_there_is_a_connection() {
        for (tls, says) in [
            (Tls::with_ca(""), "`with_ca`: there is no certificate in it"),
            (
                Tls::with_ca(Pem::file("/nowhere/ca.pem")),
                "/nowhere/ca.pem cannot be read",
            ),
            (
                trusting().client_certificate("", ""),
                "`client_certificate`: there is no certificate",
            ),
            (
                trusting().verify(Verify::Name("two words".into())),
                "`verify`: a certificate cannot carry `two words`",
            ),
        ] {
            let error = TlsOptions::new(&tls.provider(TlsProvider::Ring), DOMAIN).err().unwrap();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
