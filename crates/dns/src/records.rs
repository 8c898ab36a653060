//! Questions and answers as plain values, and the trait [`Transport`] between the lookup and the
//! wire.
//!
//! The DNS library is used in `wire.rs` and `failure.rs` only, and decisions are made in
//! `lookup.rs`. The tests implement [`Transport`] with a scripted DNS.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use headless_core::{BoxFuture, Failure, FailureKind, Negative};

/// The record types that this crate asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    A,
    Aaaa,
    Srv,
    Ptr,
}

/// One question: a type, and an absolute name in lower case with its trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Question {
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

impl Question {
    pub(crate) fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    /// Returns the question for the addresses of `name` that `ip` would answer.
    pub(crate) fn forward(ip: IpAddr, name: String) -> Self {
        Self {
            kind: if ip.is_ipv4() { Kind::A } else { Kind::Aaaa },
            name,
        }
    }

    /// Returns the PTR question for `ip`. SPEC(RFC 1035 3.5, RFC 3596 2.5): octets, or nibbles, in
    /// reverse.
    pub(crate) fn reverse(ip: IpAddr) -> Self {
        let name = match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
            }
            IpAddr::V6(ip) => {
                let nibbles = ip
                    .octets()
                    .into_iter()
                    .rev()
                    .flat_map(|octet| [octet & 0xf, octet >> 4]);
                nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa."
            }
        };
        Self { kind: Kind::Ptr, name }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Srv => "SRV",
            Kind::Ptr => "PTR",
        };
        write!(f, "{kind} {}", self.name)
    }
}

/// A record, as far as this crate reads it. Names are in lower case, with their trailing dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) owner: String,
    pub(crate) ttl: Duration,
    pub(crate) data: Data,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Ip(IpAddr),
    /// Priority and weight are left out, as Kubernetes gives them no meaning.
    Srv {
        target: String,
        port: u16,
    },
    /// The name in a PTR record.
    Name(String),
    /// The target of a CNAME record.
    Alias(String),
}

/// The records of a positive answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) answers: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
    /// Whether some records did not fit, not even over TCP.
    pub(crate) truncated: bool,
}

/// The reasons why a question has no records as its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// NXDOMAIN or NODATA: an answer, which says that there are none.
    Negative(Negative),
    /// The answer did not fit, not even over TCP, and came without records.
    Truncated,
    /// There was no answer.
    Failed(Failure),
}

impl LookupError {
    pub(crate) fn failed(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self::Failed(Failure::new(kind, detail))
    }
}

pub(crate) type Reply = Result<Records, LookupError>;

pub(crate) fn positive(reply: Reply) -> Result<Option<Records>, Failure> {
    match reply {
        Ok(records) => Ok(Some(records)),
        Err(LookupError::Negative(_) | LookupError::Truncated) => Ok(None),
        Err(LookupError::Failed(failure)) => Err(failure),
    }
}

/// Sends one question to DNS. The implementation bounds each wait. Dropping the future loses only
/// this answer.
pub(crate) trait Transport: Send + Sync + 'static {
    fn query<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Reply>;
}

/// The number of questions under way at the same time, if there is one per pod.
///
/// It is enough to name 1,000 pods in about 63 round trips, and so few that a DNS server does not
/// notice a client that starts.
pub(crate) const PARALLEL: usize = 16;

/// The largest number of records that are read of one answer, and of endpoints that are made of it.
/// It is more than a message holds (64 KiB, with at least 12 bytes per record).
pub(crate) const MAX_RECORDS: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names() {
        for (ip, name) in [
            ("10.1.2.3", "3.2.1.10.in-addr.arpa.".to_owned()),
            ("fd00::1a", format!("a.1.{}0.0.d.f.ip6.arpa.", "0.".repeat(26))),
        ] {
            assert_eq!(Question::reverse(ip.parse().unwrap()), Question::new(Kind::Ptr, name));
        }
    }

    #[test]
    fn a_question_reads_like_a_question() {
        assert_eq!(
            Question::new(Kind::Aaaa, "web.shop.svc.").to_string(),
            "AAAA web.shop.svc."
        );
    }
}
