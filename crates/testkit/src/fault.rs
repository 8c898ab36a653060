//! The vocabulary of what can be made to go wrong: in DNS ([`Fault`], [`FaultRule`], [`Lie`]) and in a pod ([`Failure`]).
//!
//! Plain values. Must not live here: how they are carried out (`dns::responder`, `listen`, `http`).

use std::{net::IpAddr, time::Duration};

use crate::dns::{Query, RecordType, Transport};

/// What the DNS server does to a query instead of answering it truthfully.
///
/// A `Fault` given to [`Dns::fail`](crate::Dns::fail) applies to every query until it is removed; [`FaultRule`] narrows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Says nothing: the client runs into its timeout.
    Drop,
    /// Answers, but later. Adds up with other delays and goes together with one other fault.
    Delay(Duration),
    /// Answers SERVFAIL: a name server that has lost the API server or its upstream.
    ServFail,
    /// Answers REFUSED.
    Refused,
    /// Answers NXDOMAIN with SOA, as for a Service without ready pods.
    NxDomain,
    /// Answers NOERROR without records, with SOA.
    NoData,
    /// Sets TC and keeps only this many records, chosen at random; over TCP too unless the rule says otherwise.
    Truncate {
        /// Number of answer records kept.
        keep: usize,
    },
    /// Sends a message whose header promises a record that is not there.
    Malformed,
    /// Answers, but not the truth.
    Lie(Lie),
}

impl Fault {
    /// Applies to the next `times` matching queries only.
    pub fn times(self, times: u32) -> FaultRule {
        FaultRule::from(self).times(times)
    }

    /// Applies to queries of this type only.
    pub fn on_type(self, rtype: RecordType) -> FaultRule {
        FaultRule::from(self).on_type(rtype)
    }

    /// Applies to queries for this absolute name only (letter case and a trailing dot do not matter).
    pub fn on_name(self, name: &str) -> FaultRule {
        FaultRule::from(self).on_name(name)
    }

    /// Applies to queries over this transport only.
    pub fn over(self, transport: Transport) -> FaultRule {
        FaultRule::from(self).over(transport)
    }
}

/// A [`Fault`] with the queries it applies to. The conditions add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRule {
    pub(crate) fault: Fault,
    rtype: Option<RecordType>,
    name: Option<String>,
    transport: Option<Transport>,
    pub(crate) left: Option<u32>,
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            rtype: None,
            name: None,
            transport: None,
            left: None,
        }
    }
}

impl FaultRule {
    /// As [`Fault::times`].
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.left = Some(times);
        self
    }

    /// As [`Fault::on_type`].
    #[must_use]
    pub fn on_type(mut self, rtype: RecordType) -> Self {
        self.rtype = Some(rtype);
        self
    }

    /// As [`Fault::on_name`].
    #[must_use]
    pub fn on_name(mut self, name: &str) -> Self {
        self.name = Some(name.trim_end_matches('.').to_ascii_lowercase());
        self
    }

    /// As [`Fault::over`].
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    pub(crate) fn matches(&self, query: &Query) -> bool {
        self.rtype.is_none_or(|rtype| rtype == query.rtype)
            && self.transport.is_none_or(|over| over == query.transport)
            && self.name.as_ref().is_none_or(|name| *name == query.name)
    }
}

/// An answer that does not describe the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lie {
    pub(crate) omit: Vec<String>,
    pub(crate) add: Vec<IpAddr>,
    pub(crate) cname: Option<String>,
}

impl Lie {
    /// A lie that is still the truth.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves this pod out, as a server does that has not yet read all EndpointSlices.
    #[must_use]
    pub fn omit(mut self, pod: &str) -> Self {
        self.omit.push(pod.to_owned());
        self
    }

    /// Lists an address that belongs to no pod.
    #[must_use]
    pub fn also(mut self, ip: IpAddr) -> Self {
        self.add.push(ip);
        self
    }

    /// Puts an alias in front of the answer, as CoreDNS's autopath plugin does.
    #[must_use]
    pub fn cname(mut self, target: &str) -> Self {
        self.cname = Some(target.trim_end_matches('.').to_ascii_lowercase());
        self
    }
}

impl From<Lie> for FaultRule {
    fn from(lie: Lie) -> Self {
        Fault::Lie(lie).into()
    }
}

/// What a pod does instead of serving. Set with [`Pod::fail`](crate::Pod::fail), ended with [`Pod::heal`](crate::Pod::heal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Answers each HTTP request with this status code.
    Status(u16),
    /// Closes the connection when a request arrives, without an answer. (HTTP only.)
    CloseConnection,
    /// Accepts connections and reads requests, and never answers: a hung process. Open connections hang too.
    Blackhole,
    /// Does not accept: the kernel completes the handshake and nobody comes. Open connections go on.
    StallAccept,
    /// Closes the listening socket: new connections are refused. Open connections go on.
    Refuse,
}
