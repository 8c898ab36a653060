//! What a failed handshake means, and what to do about it.

use std::io;
use std::time::Duration;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error as RustlsError};

/// Whether a failed handshake fails again until a setting is changed. The end of the connection, a
/// reset or an internal error of the pod may pass by itself.
pub(super) fn is_misconfiguration(error: &io::Error) -> bool {
    match library_error(error) {
        Some(RustlsError::AlertReceived(alert)) => !matches!(
            alert,
            AlertDescription::CloseNotify | AlertDescription::InternalError | AlertDescription::UserCanceled
        ),
        Some(error) => matches!(
            error,
            RustlsError::InvalidCertificate(_)
                | RustlsError::InvalidMessage(_)
                | RustlsError::NoCertificatesPresented
                | RustlsError::PeerIncompatible(_)
                | RustlsError::UnsupportedNameType
        ),
        None => false,
    }
}

/// What rustls said, if it refused the connection.
fn library_error(error: &io::Error) -> Option<&RustlsError> {
    error.get_ref()?.downcast_ref()
}

/// Explains a failed handshake in terms of Services and certificates. rustls' own error stays the
/// source.
pub(super) fn explain(error: &io::Error, alpn: &str) -> String {
    let Some(fault) = library_error(error) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the pod closed the connection during the handshake; does this port speak plain HTTP?".to_owned()
            }
            _ => error.to_string(),
        };
    };
    match fault {
        RustlsError::InvalidCertificate(problem) => explain_certificate(problem),
        RustlsError::InvalidMessage(_) => {
            "the answer is not TLS; does this port speak plain HTTP? Use the port for TLS, or leave `tls(..)` out"
                .to_owned()
        }
        RustlsError::AlertReceived(AlertDescription::NoApplicationProtocol) => no_common_protocol(alpn),
        RustlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            "the pod requires a client certificate; set `Tls::client_certificate`".to_owned()
        }
        RustlsError::AlertReceived(
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

fn explain_certificate(problem: &CertificateError) -> String {
    use CertificateError as Problem;
    match problem {
        Problem::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "the pod's certificate carries no name (as subject alternative name)".to_owned()
        }
        Problem::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            format!(
                "the pod's certificate is for {}; issue it for the name expected, or say with `Tls::verify` \
                 which to expect",
                names.join(", ")
            )
        }
        // A CA that was created anew under its old name leads to a bad signature.
        Problem::UnknownIssuer | Problem::BadSignature => {
            "the pod's certificate is not signed by a CA that this client trusts; is it the CA that issued it, \
             and the newest?"
                .to_owned()
        }
        Problem::ExpiredContext { time, not_after } => {
            let ago = Duration::from_secs(time.as_secs().saturating_sub(not_after.as_secs()));
            format!("the pod's certificate expired {ago:?} ago; is the pod told of the new one?")
        }
        other => RustlsError::InvalidCertificate(other.clone()).to_string(),
    }
}

/// Takes a name out of `DnsName("web")`, as rustls writes it.
fn bare(presented: &str) -> String {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    format!("`{}`", inner.unwrap_or(presented).trim_matches('"'))
}

pub(super) fn no_common_protocol(alpn: &str) -> String {
    format!("the pod does not agree to speak `{alpn}` (ALPN); choose another `protocol(..)`, or enable it in the pod")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_certificate_carries_is_shown_as_it_is_written() {
        assert_eq!(bare("DnsName(\"*.shop.svc\")"), "`*.shop.svc`");
        assert_eq!(bare("IpAddress(10.0.0.1)"), "`10.0.0.1`");
        assert_eq!(bare("something else"), "`something else`");
    }
}
