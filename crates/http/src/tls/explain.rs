//! What a failed handshake means, and what to do about it: here what the library and the other side
//! say; what is wrong with a certificate is in `certificate`.

mod certificate;

use std::io;

use tokio_rustls::rustls::{AlertDescription as Alert, Error as RustlsError};

use super::client_auth::ClientAuth;

/// Whether a failed handshake fails again until a setting is changed. The end of the connection, a
/// reset or an internal error of the pod may pass by itself.
pub(super) fn is_misconfiguration(error: &io::Error) -> bool {
    match library_error(error) {
        Some(RustlsError::AlertReceived(alert)) => {
            !matches!(alert, Alert::CloseNotify | Alert::InternalError | Alert::UserCanceled)
        }
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

/// Whether the other side refuses the handshake, which it does before it processes anything.
///
/// SPEC(RFC 8446 4.4.2.4, 6.2): these alerts are about the handshake only. In TLS 1.3 the client
/// has finished it by then and may have sent a request.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        library_error(error),
        Some(RustlsError::AlertReceived(
            Alert::HandshakeFailure
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError
                | Alert::CertificateRequired
        ))
    )
}

/// Explains a failed handshake in terms of Services and certificates. rustls' own error stays the
/// source.
pub(super) fn explain(error: &io::Error, alpn: &str, client_auth: &ClientAuth) -> String {
    match library_error(error) {
        Some(RustlsError::InvalidCertificate(problem)) => certificate::explain(problem),
        Some(RustlsError::InvalidMessage(_)) => {
            "the answer is not TLS; does this port speak plain HTTP? Use the port for TLS, or leave `tls(..)` out"
                .to_owned()
        }
        Some(RustlsError::NoCertificatesPresented) => "the pod showed no certificate".to_owned(),
        Some(RustlsError::AlertReceived(alert)) => explain_alert(*alert, alpn, client_auth),
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the pod closed the connection during the handshake; does this port speak plain HTTP?".to_owned()
        }
        None => error.to_string(),
    }
}

/// SPEC(RFC 8446 6.2): what each alert means. TLS 1.2 has no `certificate_required`: servers then
/// say `handshake_failure` or `bad_certificate` to a client without a certificate.
fn explain_alert(alert: Alert, alpn: &str, client_auth: &ClientAuth) -> String {
    let accepted = client_auth.accepted();
    let problem = match alert {
        Alert::NoApplicationProtocol => return no_common_protocol(alpn),
        Alert::CertificateRequired => {
            format!("the pod requires a client certificate; set `Tls::client_certificate`{accepted}")
        }
        Alert::HandshakeFailure | Alert::BadCertificate | Alert::CertificateUnknown
            if client_auth.was_asked() && !client_auth.has_certificate() =>
        {
            format!("the pod requires a client certificate; set `Tls::client_certificate`{accepted}")
        }
        Alert::UnknownCA => {
            format!("the pod does not trust the CA that issued the client's certificate{accepted}")
        }
        Alert::CertificateExpired => {
            "the client's certificate has expired, or is not valid yet by the pod's clock; renew it".to_owned()
        }
        Alert::CertificateRevoked => "the client's certificate was revoked; issue a new one".to_owned(),
        Alert::UnsupportedCertificate => "the client's certificate is not for this use; issue it with the extended \
                                          key usage `clientAuth`, and a key of a type that the pod supports"
            .to_owned(),
        Alert::BadCertificate => "the client's certificate is damaged, or a signature in its chain is wrong".to_owned(),
        Alert::CertificateUnknown => {
            format!("the pod refuses the client's certificate without saying why{accepted}")
        }
        Alert::AccessDenied => {
            "the client's certificate is valid, and the pod gives it no access; is it for the right identity?"
                .to_owned()
        }
        Alert::DecryptError => "the pod could not verify a signature of the client or of its certificate; was its CA \
                                created anew under the old name?"
            .to_owned(),
        Alert::ProtocolVersion => "the pod speaks neither TLS 1.3 nor TLS 1.2".to_owned(),
        Alert::HandshakeFailure | Alert::InsufficientSecurity => {
            "the pod and this client have no cipher suite, group or signature scheme in common".to_owned()
        }
        Alert::UnrecognisedName => "the pod does not serve this name; which names are its certificates for?".to_owned(),
        Alert::InternalError => "the pod failed in the handshake; its log says why".to_owned(),
        other => format!("the pod ended the handshake with the alert {other:?}"),
    };
    format!("{problem} (alert {alert:?})")
}

/// What rustls said, if it refused the connection.
fn library_error(error: &io::Error) -> Option<&RustlsError> {
    error.get_ref()?.downcast_ref()
}

pub(super) fn no_common_protocol(alpn: &str) -> String {
    format!("the pod does not agree to speak `{alpn}` (ALPN); choose another `protocol(..)`, or enable it in the pod")
}
