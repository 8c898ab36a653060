//! [`IpFamily`]: which of a pod's addresses are used.

use std::net::{IpAddr, Ipv4Addr};

/// Which IP addresses of a pod count. A pod is *one* endpoint even when it has one address of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum IpFamily {
    /// IPv4; IPv6 for a pod that has no IPv4 address. The default: it works in single- and dual-stack clusters.
    #[default]
    PreferV4,
    /// IPv6; IPv4 for a pod that has no IPv6 address.
    PreferV6,
    /// IPv4 only; AAAA is never asked.
    V4Only,
    /// IPv6 only; A is never asked.
    V6Only,
}

impl IpFamily {
    /// Whether A records are wanted.
    #[must_use]
    pub const fn wants_v4(self) -> bool {
        !matches!(self, Self::V6Only)
    }

    /// Whether AAAA records are wanted.
    #[must_use]
    pub const fn wants_v6(self) -> bool {
        !matches!(self, Self::V4Only)
    }

    /// Of the addresses of one pod, those of the preferred family, or of the other if there are none.
    pub(crate) fn choose(self, ips: impl Iterator<Item = IpAddr> + Clone) -> Vec<IpAddr> {
        let of = |v4: bool| -> Vec<IpAddr> { ips.clone().filter(|ip| ip.is_ipv4() == v4).collect() };
        match self {
            Self::V4Only => of(true),
            Self::V6Only => of(false),
            Self::PreferV4 => Some(of(true)).filter(|v4| !v4.is_empty()).unwrap_or_else(|| of(false)),
            Self::PreferV6 => Some(of(false)).filter(|v6| !v6.is_empty()).unwrap_or_else(|| of(true)),
        }
    }
}

/// Of the addresses of a Service that came without names, those of the chosen family that a pod can have, sorted, each once.
///
/// Without names nobody can tell which A and which AAAA belong to one pod; one family for all counts each pod once.
pub(crate) fn nameless_addresses(ips: &[IpAddr], family: IpFamily) -> Vec<IpAddr> {
    let mut ips = family.choose(ips.iter().copied().filter(|ip| can_be_a_pod(*ip)));
    ips.sort_unstable();
    ips.dedup();
    ips
}

/// Whether `ip` can be a pod's address at all.
pub(crate) fn can_be_a_pod(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}
