//! The meaning of each error of the DNS library for a Service's pods.
//!
//! This is one pure function. The other modules rely on one distinction: NXDOMAIN and NODATA are
//! *answers* ([`LookupError::Negative`]), everything else is the absence of an answer.

use std::net::SocketAddr;
use std::time::Duration;

use headless_core::{FailureKind, Negative, NegativeKind};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;

use crate::records::{LookupError, Question};

/// Returns the meaning of `error`, the reply of `server` to `question`.
pub(crate) fn meaning(error: &NetError, question: &Question, server: SocketAddr) -> LookupError {
    let failed = |kind, what: &str| LookupError::failed(kind, format!("{server} was asked {question}: {what}"));
    match error {
        // SPEC(k8s-dns 2.4.1): no ready endpoint is answered with NXDOMAIN. SPEC(RFC 2308 5): it
        // may be cached for min(SOA TTL, minimum).
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            let kind = match none.response_code {
                ResponseCode::NXDomain => NegativeKind::NoSuchName,
                _ => NegativeKind::NoData,
            };
            let ttl = none.negative_ttl.map(|seconds| Duration::from_secs(u64::from(seconds)));
            LookupError::Negative(Negative::new(kind, ttl, question.to_string()))
        }
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => failed(
            FailureKind::ServFail,
            "SERVFAIL; it has not synced with the Kubernetes API yet, lost the server behind it, or has more records \
             than fit into the 64 KiB of a message",
        ),
        NetError::Dns(DnsError::ResponseCode(code)) => failed(FailureKind::Refused, &format!("it answered `{code}`")),
        NetError::Timeout => failed(FailureKind::Timeout, "no answer in time"),
        NetError::Truncated => LookupError::Truncated,
        NetError::Io(_) | NetError::NoConnections | NetError::Busy => failed(FailureKind::Io, &error.to_string()),
        // The library may add errors; a new one is not an answer.
        _ => failed(FailureKind::Malformed, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Kind;
    use hickory_resolver::net::NoRecords;
    use hickory_resolver::proto::op::Query;

    fn meant(error: NetError) -> LookupError {
        meaning(
            &error,
            &Question::new(Kind::A, "web.shop.svc."),
            "10.96.0.10:53".parse().unwrap(),
        )
    }

    fn kind(error: NetError) -> FailureKind {
        match meant(error) {
            LookupError::Failed(failure) => {
                assert!(
                    failure.detail.starts_with("10.96.0.10:53 was asked A web.shop.svc.: "),
                    "{failure}"
                );
                failure.kind
            }
            other => panic!("{other:?}"),
        }
    }

    fn no_records(code: ResponseCode, ttl: Option<u32>) -> NetError {
        let mut none = NoRecords::new(Query::default(), code);
        none.negative_ttl = ttl;
        none.into()
    }

    fn negative(kind: NegativeKind, seconds: Option<u64>) -> LookupError {
        LookupError::Negative(Negative::new(kind, seconds.map(Duration::from_secs), "A web.shop.svc."))
    }

    #[test]
    fn nxdomain_is_an_answer() {
        assert_eq!(
            meant(no_records(ResponseCode::NXDomain, Some(5))),
            negative(NegativeKind::NoSuchName, Some(5))
        );
    }

    #[test]
    fn nodata_is_an_answer() {
        assert_eq!(
            meant(no_records(ResponseCode::NoError, Some(30))),
            negative(NegativeKind::NoData, Some(30))
        );
    }

    #[test]
    fn without_an_soa_there_is_no_negative_ttl() {
        assert_eq!(
            meant(no_records(ResponseCode::NXDomain, None)),
            negative(NegativeKind::NoSuchName, None)
        );
    }

    #[test]
    fn servfail_is_no_answer() {
        assert_eq!(
            kind(DnsError::ResponseCode(ResponseCode::ServFail).into()),
            FailureKind::ServFail
        );
    }

    #[test]
    fn refused_and_every_other_code_are_no_answer() {
        for code in [
            ResponseCode::Refused,
            ResponseCode::FormErr,
            ResponseCode::NotImp,
            ResponseCode::NotAuth,
        ] {
            assert_eq!(kind(DnsError::ResponseCode(code).into()), FailureKind::Refused);
        }
    }

    #[test]
    fn a_timeout_is_no_answer() {
        assert_eq!(kind(NetError::Timeout), FailureKind::Timeout);
    }

    #[test]
    fn truncation_over_tcp_is_kept_apart() {
        assert_eq!(meant(NetError::Truncated), LookupError::Truncated);
    }

    #[test]
    fn an_unreachable_server_is_no_answer() {
        let io = std::io::Error::from(std::io::ErrorKind::NetworkUnreachable);
        for error in [NetError::from(io), NetError::NoConnections, NetError::Busy] {
            assert_eq!(kind(error), FailureKind::Io);
        }
    }

    #[test]
    fn an_unreadable_or_unknown_reply_is_no_answer() {
        for error in [
            NetError::Message("bad packet"),
            NetError::QueryCaseMismatch,
            DnsError::DnssecBogus.into(),
        ] {
            assert_eq!(kind(error), FailureKind::Malformed);
        }
    }
}
