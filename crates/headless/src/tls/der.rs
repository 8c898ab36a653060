//! What is in the PEM that a [`Tls`] names, in DER format, for connectors.

use std::borrow::Cow;
use std::fmt;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::pem::{Pem, Source};
use super::{Tls, TlsError};

/// The certificate that a client shows, and its private key, in DER format.
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientCertificate {
    /// The client's certificate, followed by the intermediate ones.
    pub chain: Vec<Vec<u8>>,
    /// The private key (PKCS#8, PKCS#1 or SEC1).
    pub key: Vec<u8>,
}

impl fmt::Debug for ClientCertificate {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("chain", &self.chain.len())
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the CAs that were given as PEM, and returns them in DER format.
    ///
    /// It is for connectors, and reads files if some were named, which blocks.
    ///
    /// # Errors
    /// [`TlsError`], if a file cannot be read, the PEM is damaged, or it holds no certificate.
    pub fn read_authorities(&self) -> Result<Vec<Vec<u8>>, TlsError> {
        let each = self.authorities().iter().map(|pem| pem.certificates("with_ca"));
        Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// Reads the certificate that the client shows, and returns it in DER format.
    ///
    /// It is for connectors, and reads files if some were named, which blocks.
    ///
    /// # Errors
    /// As [`read_authorities`](Self::read_authorities), and [`TlsError::NoKey`].
    pub fn read_client_certificate(&self) -> Result<Option<ClientCertificate>, TlsError> {
        let Some(identity) = self.client_identity() else {
            return Ok(None);
        };
        let chain = identity.chain().certificates(IDENTITY)?;
        let key = identity.key().read(IDENTITY)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoKey,
            error => damaged(IDENTITY, &error),
        })?;
        let key = key.secret_der().to_vec();
        Ok(Some(ClientCertificate { chain, key }))
    }
}

impl Pem {
    fn read(&self, setting: &'static str) -> Result<Cow<'_, [u8]>, TlsError> {
        match &self.0 {
            Source::Text(text) => Ok(Cow::Borrowed(text)),
            Source::File(path) => match std::fs::read(path) {
                Ok(text) => Ok(Cow::Owned(text)),
                Err(source) => Err(TlsError::File {
                    setting,
                    path: path.to_path_buf(),
                    source,
                }),
            },
        }
    }

    /// Returns at least one certificate.
    fn certificates(&self, setting: &'static str) -> Result<Vec<Vec<u8>>, TlsError> {
        let text = self.read(setting)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text)
            .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
            .collect();
        match found {
            Ok(found) if found.is_empty() => Err(TlsError::NoCertificate { setting }),
            found => found.map_err(|error| damaged(setting, &error)),
        }
    }
}

fn damaged(setting: &'static str, error: &pem::Error) -> TlsError {
    let problem = match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("section `{}` has no end", String::from_utf8_lossy(end_marker))
        }
        pem::Error::IllegalSectionStart { line } => {
            format!("`{}` begins no section", String::from_utf8_lossy(line).trim())
        }
        other => other.to_string(),
    };
    TlsError::Pem {
        setting,
        problem: problem.into(),
    }
}

const IDENTITY: &str = "client_certificate";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_read_from_memory_and_from_files() {
        let section = |name: &str, base64: &str| format!("-----BEGIN {name}-----\n{base64}\n-----END {name}-----\n");
        let (certificate, key) = (section("CERTIFICATE", "AAAA"), section("PRIVATE KEY", "AAEC"));
        let file = std::env::temp_dir().join(format!("headless-pem-{}", std::process::id()));
        std::fs::write(&file, format!("{certificate}{key}{certificate}")).unwrap();
        let tls = Tls::with_ca(Pem::file(&file))
            .and_ca(certificate)
            .client_certificate(Pem::file(&file), key);
        assert_eq!(tls.read_authorities().unwrap(), [[0; 3]; 3]);
        let identity = tls.read_client_certificate().unwrap().unwrap();
        assert_eq!(
            (&*identity.chain, &*identity.key),
            (&[vec![0; 3], vec![0; 3]][..], &[0, 1, 2][..])
        );
        std::fs::remove_file(&file).unwrap();
        let missing = tls.read_authorities().unwrap_err();
        assert!(
            matches!(missing, TlsError::File { setting: "with_ca", .. }),
            "{missing:?}"
        );
    }
}
