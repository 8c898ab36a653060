//! [`Resolution`]: the result of one lookup of a Service, in types that no resolver library owns.
//!
//! The three kinds mean three different things to [`Refresh`](crate::Refresh): endpoints were
//! found, DNS answered that there are none, or DNS gave no answer. No lookup happens here.

use std::fmt;
use std::time::Duration;

use crate::Endpoint;

/// The result of one lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolution {
    /// The lookup found ready endpoints.
    Found(Answer),
    /// DNS answered that there are no endpoints. A Service without ready pods, a deleted Service
    /// and a wrong namespace look alike.
    ///
    /// SPEC(k8s-dns 2.4.1): a headless Service without ready endpoints is answered with NXDOMAIN.
    NoEndpoints(Negative),
    /// DNS gave no answer, so nothing was learnt.
    Failed(Failure),
}

/// The endpoints that one lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The endpoints, each once, in any order.
    pub endpoints: Vec<Endpoint>,
    /// The smallest TTL among the records used.
    pub ttl: Duration,
    /// Whether some records did not fit into the message. Endpoints may be missing then, so such an
    /// answer removes none.
    pub truncated: bool,
    /// The way in which the endpoints and their names were found.
    pub found_by: FoundBy,
}

impl Answer {
    /// Returns a complete answer.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>, ttl: Duration, found_by: FoundBy) -> Self {
        Self {
            endpoints,
            ttl,
            truncated: false,
            found_by,
        }
    }

    /// Returns the same answer, marked as truncated.
    #[must_use]
    pub fn truncated(mut self) -> Self {
        self.truncated = true;
        self
    }
}

/// A way to learn a Service's endpoints, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FoundBy {
    /// SRV of a named port: names, addresses and ports in one query, on every DNS server.
    NamedPort,
    /// SRV at the Service's own name, which CoreDNS and kube-dns answer, also for ports without a
    /// name.
    ServiceSrv,
    /// A/AAAA of the Service, and of each `<set>-<k>` below it.
    PodNames,
    /// A/AAAA of the Service, and the PTR of each address, confirmed by a forward lookup.
    Reverse,
    /// A/AAAA of the Service only: addresses without names.
    Addresses,
    /// A list given by the program, without DNS.
    Static,
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NamedPort => "SRV of the named port",
            Self::ServiceSrv => "SRV of the Service",
            Self::PodNames => "A/AAAA with pod names",
            Self::Reverse => "A/AAAA with PTR",
            Self::Addresses => "A/AAAA",
            Self::Static => "a static list",
        })
    }
}

/// A negative answer: DNS says that the Service has no ready pods.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negative {
    /// The form of the negative answer.
    pub kind: NegativeKind,
    /// The time for which the answer may be cached, from the SOA record, if the server sent one.
    pub ttl: Option<Duration>,
    /// The question, for error messages: `A web.shop.svc.cluster.local.`.
    pub question: String,
}

impl Negative {
    /// Returns a negative answer to `question`.
    #[must_use]
    pub fn new(kind: NegativeKind, ttl: Option<Duration>, question: impl Into<String>) -> Self {
        Self {
            kind,
            ttl,
            question: question.into(),
        }
    }
}

impl fmt::Display for Negative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered with {}", self.question, self.kind)
    }
}

/// A kind of negative answer (RFC 2308).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NegativeKind {
    /// NXDOMAIN: the name does not exist.
    NoSuchName,
    /// NODATA for every address family asked: the name exists, but has no such records.
    NoData,
}

impl fmt::Display for NegativeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchName => "NXDOMAIN",
            Self::NoData => "no records (NODATA)",
        })
    }
}

/// A lookup without an answer. It is never a reason to remove an endpoint (invariant I5).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// The question, the server and the reply, in one sentence for the reader of the log.
    pub detail: String,
}

impl Failure {
    /// Returns a failure of `kind`; `detail` completes the sentence.
    #[must_use]
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}

impl std::error::Error for Failure {}

/// A kind of [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The server could not answer (SERVFAIL): CoreDNS has not synchronised, or a cache lost its
    /// upstream.
    ServFail,
    /// The server refused to answer (REFUSED), or returned another error code.
    Refused,
    /// No answer came in time.
    Timeout,
    /// The server could not be reached.
    Io,
    /// The answer could not be read.
    Malformed,
    /// The answer does not fit into a DNS message, even over TCP.
    TooLarge,
    /// The answer is about other names than the question (a CNAME, a foreign owner).
    Foreign,
    /// The question cannot be answered; asking again does not help until something is changed.
    Misconfigured,
}

impl FailureKind {
    /// All kinds, for tables and counters.
    pub const ALL: &[Self] = &[
        Self::ServFail,
        Self::Refused,
        Self::Timeout,
        Self::Io,
        Self::Malformed,
        Self::TooLarge,
        Self::Foreign,
        Self::Misconfigured,
    ];
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServFail => "DNS server failure (SERVFAIL)",
            Self::Refused => "DNS server refused",
            Self::Timeout => "DNS timed out",
            Self::Io => "DNS server unreachable",
            Self::Malformed => "DNS answer unreadable",
            Self::TooLarge => "DNS answer too large",
            Self::Foreign => "DNS answer about another name",
            Self::Misconfigured => "name and cluster do not fit together",
        })
    }
}
