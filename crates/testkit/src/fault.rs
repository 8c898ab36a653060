//! What can be made to go wrong: in DNS ([`Fault`], [`FaultRule`], [`ForgedAnswer`]) and in a pod
//! ([`Failure`]).
//!
//! Plain values. Must not live here: how they take effect (`dns::responder`, `listen`, `http`).

use std::{net::IpAddr, time::Duration};

use crate::dns::{Query, RecordType, Transport};

/// What the DNS server does to a query instead of answering it truthfully.
///
/// A `Fault` given to [`Dns::fail`](crate::Dns::fail) applies to every query until it is removed;
/// [`FaultRule`] narrows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Sends nothing: the client runs into its timeout.
    Drop,
    /// Answers later. Adds to other delays and combines with one other fault.
    Delay(Duration),
    /// Answers SERVFAIL: a name server that has lost the API server or its upstream.
    ServFail,
    /// Answers REFUSED.
    Refused,
    /// Answers NXDOMAIN with SOA, as for a Service without ready pods.
    NxDomain,
    /// Answers NOERROR without records, with SOA.
    NoData,
    /// Sets TC and keeps only this many records, chosen at random; over TCP too unless the rule
    /// says otherwise.
    Truncate {
        /// Number of answer records kept.
        keep: usize,
    },
    /// Sends a message whose header promises a record that is not there.
    Malformed,
    /// Answers with records that do not describe the cluster.
    Forge(ForgedAnswer),
}

impl Fault {
    /// Limits the fault to the next `times` matching queries.
    pub fn times(self, times: u32) -> FaultRule {
        FaultRule::from(self).times(times)
    }

    /// Limits the fault to queries of this type.
    pub fn on_type(self, rtype: RecordType) -> FaultRule {
        FaultRule::from(self).on_type(rtype)
    }

    /// Limits the fault to queries for this absolute name. Letter case and a trailing dot do not
    /// matter.
    pub fn on_name(self, name: &str) -> FaultRule {
        FaultRule::from(self).on_name(name)
    }

    /// Limits the fault to queries over this transport.
    pub fn over(self, transport: Transport) -> FaultRule {
        FaultRule::from(self).over(transport)
    }
}

/// A [`Fault`] with the queries it applies to. All conditions must hold.
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
pub struct ForgedAnswer {
    pub(crate) omit: Vec<String>,
    pub(crate) add: Vec<IpAddr>,
    pub(crate) cname: Option<String>,
}

impl ForgedAnswer {
    /// Returns a forged answer that still describes the cluster.
    pub fn new() -> Self {
        Self::default()
    }

    /// Omits this pod, as a server does that has not yet read all EndpointSlices.
    #[must_use]
    pub fn omit(mut self, pod: &str) -> Self {
        self.omit.push(pod.to_owned());
        self
    }

    /// Adds an address that belongs to no pod.
    #[must_use]
    pub fn add_address(mut self, ip: IpAddr) -> Self {
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

impl From<ForgedAnswer> for FaultRule {
    fn from(forged: ForgedAnswer) -> Self {
        Fault::Forge(forged).into()
    }
}

/// What a pod does instead of serving. Set with [`Pod::fail`](crate::Pod::fail), ended with
/// [`Pod::heal`](crate::Pod::heal).
///
/// | failure | [`http`](crate::App::http) | [`echo`](crate::App::echo) | [`custom`](crate::App::custom) |
/// |---|---|---|---|
/// | `Status` | yes | no effect | no effect |
/// | `CloseConnection` | yes | yes | no effect |
/// | `Blackhole` | yes | yes | new connections only |
/// | `StallAccept`, `Refuse` | yes | yes | yes |
///
/// None has an effect on an [external](crate::App::external) program, or on a pod without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Answers each HTTP request with this status code, or with 500 if it is not a valid one.
    Status(u16),
    /// Closes the connection when a request (for the echo application, a line) arrives, without an
    /// answer.
    CloseConnection,
    /// Accepts connections and reads requests, and never answers: a hung process. Open connections
    /// hang too.
    Blackhole,
    /// Does not accept: the kernel completes the handshake and the process never takes the
    /// connection. Open connections go on.
    StallAccept,
    /// Closes the listening socket: new connections are refused. Open connections go on.
    Refuse,
}
