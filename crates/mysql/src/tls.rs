//! [`Tls`]: encryption to the pods, and what their certificates must show.

use std::path::PathBuf;

/// TLS for every connection. The server must show a certificate that a trusted authority signed for the pod's name or the Service's.
///
/// ```
/// use headless_mysql::Tls;
///
/// let tls = Tls::new().authority("/etc/mysql/ca.pem"); // for `mysql-0.mysql-headless.default.svc.cluster.local`
/// let tls = tls.server_name("mysql.example.com");       // or for one name that all pods share
/// # let _ = tls;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tls {
    pub(crate) authorities: Vec<PathBuf>,
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    pub(crate) server_name: Option<String>,
}

impl Tls {
    /// Trusts the authorities of the public web, until [`authority`](Self::authority) names others.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates of this PEM file instead of the public web's. More than once: any of them.
    #[must_use]
    pub fn authority(mut self, pem: impl Into<PathBuf>) -> Self {
        self.authorities.push(pem.into());
        self
    }

    /// Shows a certificate of the client's own (PEM files).
    #[must_use]
    pub fn identity(mut self, certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((certificates.into(), key.into()));
        self
    }

    /// The name that certificates must be for. Default: the pod's own DNS name, `mysql-0.mysql-headless.default.svc.cluster.local`.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }
}
