//! What is wrong with the certificate that a pod showed.

use std::time::Duration;

use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{CertificateError as Problem, Error as RustlsError};

pub(super) fn explain(problem: &Problem) -> String {
    match problem {
        Problem::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "the pod's certificate carries no name (as subject alternative name); issue it for the name expected"
                .to_owned()
        }
        Problem::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            format!(
                "the pod's certificate is for {}; issue it for the name expected, or say with `Tls::verify` \
                 which to expect",
                names.join(", ")
            )
        }
        Problem::UnknownIssuer => "the pod's certificate is not signed by a CA that this client trusts; is it the CA \
                                   that issued it, and does the pod send the intermediate certificates? One that is \
                                   self-signed is its own CA"
            .to_owned(),
        // A CA that was created anew under its old name leads to a bad signature.
        Problem::BadSignature => "the pod's certificate is not signed by a CA that this client trusts: its signature \
                                  is by another key; was the CA created anew under its old name?"
            .to_owned(),
        Problem::ExpiredContext { time, not_after } => format!(
            "the pod's certificate expired {} ago (on {}); is the pod told of the new one?",
            span(*not_after, *time),
            Date(*not_after)
        ),
        Problem::NotValidYetContext { time, not_before } => format!(
            "the pod's certificate will be valid in {} (from {}); is the clock of this machine right, or that of the \
             CA?",
            span(*time, *not_before),
            Date(*not_before)
        ),
        Problem::Revoked => "the pod's certificate was revoked; issue a new one".to_owned(),
        Problem::InvalidPurposeContext { presented, .. } => {
            let found: Vec<_> = presented.iter().map(|purpose| format!("`{purpose:?}`")).collect();
            let found = match found.is_empty() {
                true => "no use".to_owned(),
                false => found.join(", "),
            };
            format!(
                "the pod's certificate is for {found} by its extended key usage; issue it with `serverAuth`, or \
                 without that extension"
            )
        }
        #[expect(deprecated, reason = "the library still reports it")]
        Problem::UnsupportedSignatureAlgorithm => UNSUPPORTED.to_owned(),
        Problem::UnsupportedSignatureAlgorithmContext { .. }
        | Problem::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => UNSUPPORTED.to_owned(),
        Problem::BadEncoding => "the pod's certificate is damaged".to_owned(),
        Problem::UnhandledCriticalExtension => {
            "the pod's certificate has a critical extension that this client does not know".to_owned()
        }
        Problem::Other(other) => explain_path(&other.0.to_string()),
        other => RustlsError::InvalidCertificate(other.clone()).to_string(),
    }
}

const UNSUPPORTED: &str = "a signature in the pod's certificate chain is of a kind that this client does not accept \
                           (SHA-1, RSA below 2048 bits, an uncommon curve); issue it anew with ECDSA P-256 or RSA 2048";

/// The library passes on what is wrong with a path from the certificate to a CA by its name only.
fn explain_path(name: &str) -> String {
    let problem = match name {
        "MaximumPathDepthExceeded" => {
            "the path from the pod's certificate to a trusted CA has more than 6 intermediate certificates; issue it \
             from a CA nearer to the root, or trust one of the intermediate CAs"
        }
        "MaximumPathBuildCallsExceeded" | "MaximumSignatureChecksExceeded" => {
            "the pod sends more certificates than can be checked; send only those between its own and the CA"
        }
        "CaUsedAsEndEntity" => {
            "the pod's certificate is that of a CA (basic constraints); issue one for the pod with it"
        }
        "EndEntityUsedAsCa" => {
            "an issuer of the pod's certificate is no CA (basic constraints); is a self-signed certificate used as \
             one?"
        }
        "PathLenConstraintViolated" => {
            "a CA above the pod's certificate allows fewer intermediate CAs (path length) than there are"
        }
        "NameConstraintViolation" => {
            "a CA above the pod's certificate may not issue certificates for its names (name constraints)"
        }
        "UnsupportedCertVersion" => "the pod's certificate is not of X.509 version 3",
        _ => return format!("the pod's certificate cannot be used: {name}"),
    };
    format!("{problem} ({name})")
}

/// Takes a name out of `DnsName("web")`, as rustls writes it.
fn bare(presented: &str) -> String {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    format!("`{}`", inner.unwrap_or(presented).trim_matches('"'))
}

/// The time between, in the largest unit that fits.
fn span(from: UnixTime, to: UnixTime) -> String {
    let seconds = Duration::from_secs(to.as_secs().saturating_sub(from.as_secs())).as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..DAY => (seconds / 3600, "hour"),
        _ => (seconds / DAY, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

const DAY: u64 = 24 * 3600;

/// Writes a day of the Gregorian calendar, in UTC: `2020-01-01`.
struct Date(UnixTime);

impl std::fmt::Display for Date {
    /// Counts in years that begin in March, so that the day of a leap year comes last; a cycle of
    /// 400 years has 146,097 days, and day 0 is 0000-03-01, 719,468 days before 1970.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let days = self.0.as_secs() / DAY + 719_468;
        let (cycle, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = match month {
            0..10 => (month + 3, 0),
            _ => (month - 9, 1),
        };
        write!(f, "{:04}-{month:02}-{day:02}", 400 * cycle + year + next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn what_a_certificate_carries_is_shown_as_it_is_written() {
        assert_eq!(bare("DnsName(\"*.shop.svc\")"), "`*.shop.svc`");
        assert_eq!(bare("IpAddress(10.0.0.1)"), "`10.0.0.1`");
        assert_eq!(bare("something else"), "`something else`");
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_577_836_799, "2019-12-31"),
            (1_577_836_800, "2020-01-01"),
            (4_107_542_400, "2100-03-01"),
            (253_402_300_799, "9999-12-31"),
        ] {
            assert_eq!(Date(at(seconds)).to_string(), day);
        }
    }

    #[test]
    fn a_time_is_told_in_units_that_are_read_at_a_glance() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (3599, "59 minutes"),
            (3600, "1 hour"),
            (2 * DAY - 1, "1 day"),
            (218_109_760, "2524 days"),
        ] {
            assert_eq!(span(at(10), at(10 + seconds)), text);
        }
    }

    #[test]
    fn each_problem_says_what_was_found_and_what_to_do() {
        let (time, day) = (at(1_577_836_800), 24 * 3600);
        for (problem, says) in [
            (
                Problem::ExpiredContext {
                    time: at(1_577_836_800 + 2523 * day),
                    not_after: time,
                },
                "expired 2523 days ago (on 2020-01-01); is the pod told of the new one?",
            ),
            (
                Problem::NotValidYetContext {
                    time: at(1_577_836_800 - 3 * day),
                    not_before: time,
                },
                "will be valid in 3 days (from 2020-01-01); is the clock",
            ),
            (Problem::Revoked, "was revoked; issue a new one"),
            (Problem::UnknownIssuer, "not signed by a CA that this client trusts"),
            (Problem::BadSignature, "was the CA created anew under its old name?"),
            (
                Problem::InvalidPurposeContext {
                    required: tokio_rustls::rustls::ExtendedKeyPurpose::ServerAuth,
                    presented: vec![tokio_rustls::rustls::ExtendedKeyPurpose::ClientAuth],
                },
                "is for `ClientAuth` by its extended key usage; issue it with `serverAuth`",
            ),
            (Problem::BadEncoding, "is damaged"),
        ] {
            let text = explain(&problem);
            assert!(text.contains(says), "{text}");
        }
    }
}
