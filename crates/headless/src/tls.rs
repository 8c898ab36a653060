//! [`Tls`]: a description of TLS to the endpoints, the same for every client built on this crate.
//! It holds no type of a TLS library; each client turns it into the configuration of its driver.
//!
//! Must not live here: handshakes and their errors, which belong to the clients.

#[cfg(feature = "tls")]
mod der;
mod pem;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

#[cfg(feature = "tls")]
pub use self::der::ClientCertificate;
pub use self::pem::{ClientIdentity, Pem};

/// A description of TLS to the endpoints: which authorities to trust, which name an endpoint must
/// prove, and which certificate the client shows.
///
/// It is plain data. The client that it is given to reads and checks it when the client is built.
/// Nothing in it can turn verification off.
///
/// ```
/// use headless::{Pem, Tls, Verify};
///
/// // The usual case in a cluster: a private CA, and mutual TLS from files of a mounted Secret.
/// let tls = Tls::with_ca(Pem::file("/etc/tls/ca.crt"))
///     .client_certificate(Pem::file("/etc/tls/tls.crt"), Pem::file("/etc/tls/tls.key"))
///     .verify(Verify::EndpointName);
/// # drop(tls);
/// ```
#[derive(Clone)]
#[must_use = "TLS begins with the client that this is given to"]
pub struct Tls {
    system_roots: bool,
    authorities: Vec<Pem>,
    identity: Option<ClientIdentity>,
    verify: Option<Verify>,
    provider: Option<TlsProvider>,
}

impl Tls {
    /// Trusts the CAs that the system trusts: those in `SSL_CERT_FILE` and `SSL_CERT_DIR` if they
    /// are set, otherwise those of the system's store.
    ///
    /// No list is compiled in, because the image or the mounted bundle decides what a cluster
    /// trusts. The client reads the store when it is built, which blocks for some milliseconds.
    pub fn with_system_roots() -> Self {
        Self::new(true, Vec::new())
    }

    /// Trusts the CAs in `pem` and no others.
    ///
    /// This is the usual case in a cluster, where the CA is private (`ca.crt` in a Secret of
    /// cert-manager). `pem` may hold several certificates, so that an old and a new CA can be
    /// trusted together.
    pub fn with_ca(pem: impl Into<Pem>) -> Self {
        Self::new(false, vec![pem.into()])
    }

    const fn new(system_roots: bool, authorities: Vec<Pem>) -> Self {
        Self {
            system_roots,
            authorities,
            identity: None,
            verify: None,
            provider: None,
        }
    }

    /// Trusts the CAs in `pem` as well.
    pub fn and_ca(mut self, pem: impl Into<Pem>) -> Self {
        self.authorities.push(pem.into());
        self
    }

    /// Shows this certificate to endpoints that ask for one (mutual TLS).
    ///
    /// `chain` is the client's certificate, followed by the intermediate ones. `key` is its private
    /// key (PKCS#8, PKCS#1 or SEC1, not encrypted). Default: none.
    pub fn client_certificate(mut self, chain: impl Into<Pem>, key: impl Into<Pem>) -> Self {
        self.identity = Some(ClientIdentity::new(chain.into(), key.into()));
        self
    }

    /// Sets the name that an endpoint's certificate must carry. Default: the client's own default,
    /// [`Verify::ServiceName`] for HTTP and [`Verify::EndpointName`] for MySQL.
    pub fn verify(mut self, verify: Verify) -> Self {
        self.verify = Some(verify);
        self
    }

    /// Chooses the provider of cryptography. Default: the one that is compiled in.
    ///
    /// The choice is required when both are compiled in, because no feature of another crate in the
    /// same program may change which one this client uses.
    pub const fn provider(mut self, provider: TlsProvider) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Returns whether the system's CAs are trusted.
    #[must_use]
    pub const fn trusts_system_roots(&self) -> bool {
        self.system_roots
    }

    /// Returns the CAs that were given as PEM.
    #[must_use]
    pub fn authorities(&self) -> &[Pem] {
        &self.authorities
    }

    /// Returns the certificate that the client shows.
    #[must_use]
    pub const fn client_identity(&self) -> Option<&ClientIdentity> {
        self.identity.as_ref()
    }

    /// Returns what [`verify`](Self::verify) was set to.
    #[must_use]
    pub const fn verification(&self) -> Option<&Verify> {
        self.verify.as_ref()
    }

    /// Returns the provider to use in a client that was compiled with these.
    ///
    /// # Errors
    /// [`TlsError`], if none is compiled in, or several are and none was chosen, or another was.
    pub fn provider_among(&self, compiled: &[TlsProvider]) -> Result<TlsProvider, TlsError> {
        match (self.provider, compiled) {
            (_, []) => Err(TlsError::NotCompiled),
            (None, [only]) => Ok(*only),
            (None, _) => Err(TlsError::ProviderNotChosen),
            (Some(provider), _) if compiled.contains(&provider) => Ok(provider),
            (Some(provider), _) => Err(TlsError::ProviderNotCompiled { provider }),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("system_roots", &self.system_roots)
            .field("authorities", &self.authorities)
            .field("client_certificate", &self.identity.is_some())
            .field("verify", &self.verify)
            .field("provider", &self.provider)
            .finish()
    }
}

/// The name that an endpoint's certificate must carry, as a DNS name (or IP address) among its
/// subject alternative names. The client sends the same name as SNI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verify {
    /// The Service's name: for HTTP the host that `Host` and `:authority` name, which is the full
    /// name `web.shop.svc.cluster.local` unless the client has another authority.
    ///
    /// SPEC(RFC 9110 4.3.4): the certificate proves the host of the URI. It is the full name,
    /// because that is the one spelling that exists for every Service and does not depend on the
    /// caller's namespace. If the certificates carry another one, use [`Verify::Name`].
    ServiceName,
    /// The endpoint's own DNS name below the Service: `web-0.web.shop.svc.cluster.local`.
    ///
    /// Each pod needs a certificate of its own, and an address that went to another pod is noticed.
    /// So that this holds, the HTTP client resumes no TLS session.
    EndpointName,
    /// This name, whether it is the Service's or not: `web.shop.svc`, `shop.example`.
    Name(String),
}

/// A provider of cryptography for TLS. Each is a feature of the client's crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsProvider {
    /// The crate `ring` (feature `tls-ring`).
    Ring,
    /// The crate `aws-lc-rs` (feature `tls-aws-lc`).
    AwsLc,
}

impl TlsProvider {
    /// The feature that compiles it in.
    const fn feature(self) -> &'static str {
        match self {
            Self::Ring => "tls-ring",
            Self::AwsLc => "tls-aws-lc",
        }
    }
}

/// A setting of [`Tls`] cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read.
    #[error("`{setting}`: {} cannot be read", path.display())]
    File {
        /// The setting's name.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The PEM is damaged.
    #[error("`{setting}`: the PEM cannot be read: {problem}")]
    Pem {
        /// The setting's name.
        setting: &'static str,
        /// What was found.
        problem: Box<str>,
    },
    /// The PEM holds no certificate.
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
        /// The position among the setting's certificates, counted from 1.
        number: usize,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The PEM holds no private key.
    #[error(
        "`client_certificate`: there is no private key in it; it must have a section `-----BEGIN PRIVATE KEY-----`, and an \
         encrypted one cannot be used"
    )]
    NoKey,
    /// The client's certificate and key cannot be used together.
    #[error("`client_certificate`: this certificate and this private key cannot be used together")]
    Identity(#[source] Box<dyn Error + Send + Sync>),
    /// No certificate can carry the name that is to be verified.
    #[error("`{setting}`: a certificate cannot carry `{name}`; write a DNS name or an IP address")]
    ServerName {
        /// The setting's name.
        setting: &'static str,
        /// The name.
        name: Box<str>,
    },
    /// The client cannot verify this.
    #[error("`verify`: this client does not know {verify:?}; use another one")]
    UnknownVerify {
        /// What was asked for.
        verify: Verify,
    },
    /// The system trusts no CA, as in an image without `ca-certificates`.
    #[error(
        "`with_system_roots`: the system has no usable root certificates ({unreadable} unreadable); install `ca-certificates` in \
         the image, set SSL_CERT_FILE, or give a CA with `Tls::with_ca`"
    )]
    NoSystemRoots {
        /// The number of certificates that were found and could not be read.
        unreadable: usize,
        /// The first thing that went wrong. `None` if the store is merely empty.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The TLS library refuses the settings as a whole.
    #[error("`tls`: {0}")]
    Library(Box<dyn Error + Send + Sync>),
    /// The client's crate has no provider of cryptography.
    #[error("`tls`: compiled without TLS; enable the feature `tls-ring` or `tls-aws-lc`")]
    NotCompiled,
    /// The chosen provider is not compiled in.
    #[error("`Tls::provider`: {provider:?} is not compiled in; enable the feature `{}`", provider.feature())]
    ProviderNotCompiled {
        /// The provider that was chosen.
        provider: TlsProvider,
    },
    /// Several providers are compiled in, and none was chosen.
    #[error(
        "`tls`: both `tls-ring` and `tls-aws-lc` are compiled in; choose one with `Tls::provider`, or enable one feature only"
    )]
    ProviderNotChosen,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_is_the_only_one_or_the_chosen_one() {
        use TlsProvider::{AwsLc, Ring};
        let tls = Tls::with_system_roots();
        for (tls, compiled, says) in [
            (
                tls.clone(),
                &[][..],
                Err("enable the feature `tls-ring` or `tls-aws-lc`"),
            ),
            (
                tls.clone().provider(Ring),
                &[],
                Err("enable the feature `tls-ring` or `tls-aws-lc`"),
            ),
            (tls.clone(), &[AwsLc], Ok(AwsLc)),
            (tls.clone(), &[Ring, AwsLc], Err("choose one with `Tls::provider`")),
            (tls.clone().provider(AwsLc), &[Ring, AwsLc], Ok(AwsLc)),
            (tls.provider(AwsLc), &[Ring], Err("enable the feature `tls-aws-lc`")),
        ] {
            match (tls.provider_among(compiled), says) {
                (Ok(provider), Ok(expected)) => assert_eq!(provider, expected),
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
                (other, says) => panic!("{other:?} instead of {says:?}"),
            }
        }
    }

    #[test]
    fn no_certificate_and_no_key_is_printed() {
        let tls = Tls::with_ca("the ca").client_certificate("the chain", "the key");
        assert_eq!(
            format!("{tls:?} {:?}", tls.client_identity()),
            "Tls { system_roots: false, authorities: [Pem(6 bytes)], client_certificate: true, verify: None, \
             provider: None } Some(ClientIdentity { chain: Pem(9 bytes), .. })"
        );
    }
}
