//! [`Endpoint`]: one address of one pod, a plain value. Connections, load and health are kept
//! elsewhere.

use std::fmt;
use std::net::SocketAddr;

use crate::{Ordinal, PodName};

/// An address at which one pod can be reached, and the identity of the pod, as far as DNS tells it.
///
/// Two endpoints are the same only if pod name, IP *and* port agree ([`EndpointKey`]). A pod that
/// returns under a new IP is a new endpoint: it gets new connections and inherits no latency, but
/// it has the same ordinal. Another pod on a reused IP is a new endpoint, too, and must never
/// receive what was meant for the old one.
///
/// ```
/// # use headless_core as headless;
/// use headless::Endpoint;
///
/// let endpoint = Endpoint::new("10.1.4.7:8080".parse()?).with_pod("web-2".parse()?);
/// assert_eq!(endpoint.ordinal().map(|o| o.get()), Some(2));
/// assert_eq!(endpoint.to_string(), "web-2 (10.1.4.7:8080)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    key: EndpointKey,
    ordinal: Option<Ordinal>,
}

impl Endpoint {
    /// Returns an endpoint of which only the address is known.
    #[must_use]
    pub const fn new(addr: SocketAddr) -> Self {
        Self {
            key: EndpointKey { pod: None, addr },
            ordinal: None,
        }
    }

    /// Returns the endpoint of `pod` at the same address.
    ///
    /// The ordinal is read from the name, unless the name is the address written with dashes:
    /// `10-1-2-3` would otherwise be ordinal 3 of a set named `10-1-2`.
    #[must_use]
    pub fn with_pod(mut self, pod: PodName) -> Self {
        self.ordinal = pod.ordinal().filter(|_| !pod.is_dashed(self.key.addr.ip()));
        self.key.pod = Some(pod);
        self
    }

    /// Returns the same endpoint without an ordinal, for a pod whose name only looks like that of a
    /// StatefulSet's pod.
    #[must_use]
    pub fn without_ordinal(mut self) -> Self {
        self.ordinal = None;
        self
    }

    /// Returns the address to connect to.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.key.addr
    }

    /// Returns the pod's name, if DNS told it.
    #[must_use]
    pub fn pod(&self) -> Option<&PodName> {
        self.key.pod.as_ref()
    }

    /// Returns the pod's number in its StatefulSet, if it has one.
    #[must_use]
    pub const fn ordinal(&self) -> Option<Ordinal> {
        self.ordinal
    }

    /// Returns the identity of this endpoint.
    #[must_use]
    pub const fn key(&self) -> &EndpointKey {
        &self.key
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

/// The identity of an [`Endpoint`]: pod name (if known), IP and port.
///
/// Keys are ordered by StatefulSet, ordinal (as a number) and address. A
/// [`Snapshot`](crate::Snapshot) is sorted by key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointKey {
    pod: Option<PodName>,
    addr: SocketAddr,
}

impl EndpointKey {
    /// Returns the pod's name, if DNS told it.
    #[must_use]
    pub fn pod(&self) -> Option<&PodName> {
        self.pod.as_ref()
    }

    /// Returns the IP and port.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl fmt::Display for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pod {
            Some(pod) => write!(f, "{pod} ({})", self.addr),
            None => self.addr.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashed_name_gives_no_ordinal() {
        let dashed = Endpoint::new("10.1.2.3:80".parse().unwrap()).with_pod("10-1-2-3".parse().unwrap());
        assert_eq!(dashed.ordinal(), None);
        let real = Endpoint::new("10.1.2.3:80".parse().unwrap()).with_pod("10-1-2-4".parse().unwrap());
        assert_eq!(
            real.ordinal(),
            Some(Ordinal::new(4)),
            "not its own address, so it is a name"
        );
    }

    #[test]
    fn identity_is_pod_ip_and_port() {
        let base = Endpoint::new("10.0.0.1:80".parse().unwrap()).with_pod("web-0".parse().unwrap());
        let other_pod = Endpoint::new("10.0.0.1:80".parse().unwrap()).with_pod("web-1".parse().unwrap());
        let other_ip = Endpoint::new("10.0.0.2:80".parse().unwrap()).with_pod("web-0".parse().unwrap());
        let other_port = Endpoint::new("10.0.0.1:81".parse().unwrap()).with_pod("web-0".parse().unwrap());
        for other in [other_pod, other_ip, other_port] {
            assert_ne!(base.key(), other.key());
        }
        assert_eq!(
            base.key(),
            base.clone().without_ordinal().key(),
            "the ordinal follows from the name"
        );
    }
}
