//! What one lookup of a Service came to: [`Resolution`], in words that no resolver library owns.
//!
//! Three kinds, which mean three different things to [`Refresh`](crate::Refresh): pods were found, DNS says there are none,
//! or DNS did not say. Also [`AnswerBuilder`], which makes endpoints of records: SRV targets meet addresses by *owner name*
//! (CoreDNS shuffles the additional section, so never by position). No lookup happens here.

use std::fmt;
use std::time::Duration;

use crate::Endpoint;

/// The outcome of one lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolution {
    /// Ready pods.
    Found(Answer),
    /// DNS says that there are none. Zero ready pods, a deleted Service and a wrong namespace look alike.
    /// SPEC(k8s-dns 2.4.1): a headless Service without ready endpoints is answered with NXDOMAIN.
    NoEndpoints(Negative),
    /// DNS did not say: nothing is known that was not known before.
    Failed(Failure),
}

/// The pods one lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Each endpoint once, in no particular order.
    pub endpoints: Vec<Endpoint>,
    /// The smallest TTL among the records used.
    pub ttl: Duration,
    /// Some records did not fit into the message: pods may be missing, so nothing may be removed on its word.
    pub truncated: bool,
    /// Which way the pods and their names were found.
    pub found_by: FoundBy,
}

impl Answer {
    /// A complete answer.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>, ttl: Duration, found_by: FoundBy) -> Self {
        Self {
            endpoints,
            ttl,
            truncated: false,
            found_by,
        }
    }

    /// The same answer, marked as cut short.
    #[must_use]
    pub fn truncated(mut self) -> Self {
        self.truncated = true;
        self
    }
}

/// The ways to learn a Service's pods from DNS, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FoundBy {
    /// SRV of a named port: names, addresses and ports in one query, on every DNS server.
    NamedPort,
    /// SRV at the Service's own name: CoreDNS and kube-dns answer it, also for ports without a name.
    ServiceSrv,
    /// A/AAAA of the Service, and of each `<set>-<k>` below it.
    PodNames,
    /// A/AAAA of the Service, and the PTR of each address, confirmed by a forward lookup.
    Reverse,
    /// A/AAAA of the Service only: addresses without names.
    Addresses,
    /// Not by DNS: a list given by the program.
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

/// DNS says that the Service has no ready pods.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negative {
    /// How it said so.
    pub kind: NegativeKind,
    /// How long the server lets this be believed (from the SOA record), if it said.
    pub ttl: Option<Duration>,
    /// What was asked, for error messages: `A web.shop.svc.cluster.local.`.
    pub question: String,
}

impl Negative {
    /// A negative answer to `question`.
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

/// The two negative answers of DNS (RFC 2308).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NegativeKind {
    /// NXDOMAIN: the name does not exist.
    NoSuchName,
    /// NODATA, for every address family asked: the name exists, without such records.
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

/// DNS did not say. Never a reason to remove a pod (invariant I5).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// What was asked, of whom, and what came back, in one sentence for the person who reads the log.
    pub detail: String,
}

impl Failure {
    /// A failure of `kind`; `detail` completes the sentence.
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

/// The kinds of [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The server could not answer (SERVFAIL): CoreDNS not synced, or a cache that lost its upstream.
    ServFail,
    /// The server would not answer (REFUSED), or another error code.
    Refused,
    /// No answer in time.
    Timeout,
    /// The server could not be reached.
    Io,
    /// The answer could not be read.
    Malformed,
    /// The set does not fit into a DNS message, even over TCP.
    TooLarge,
    /// The answer speaks of other names than were asked (a CNAME, a foreign owner).
    Foreign,
    /// The question itself cannot work; asking again will not help until something is changed.
    Misconfigured,
}

impl FailureKind {
    /// Every kind, for tables and counters.
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
