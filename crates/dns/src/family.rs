//! [`IpFamily`]: which of a pod's addresses are used.

use std::net::{IpAddr, Ipv4Addr};

/// Which IP addresses of a pod are used. A pod is *one* endpoint, even if it has one address of
/// each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum IpFamily {
    /// IPv4, or IPv6 for a pod that has no IPv4 address. The default, as it works in single- and
    /// dual-stack clusters.
    #[default]
    PreferV4,
    /// IPv6, or IPv4 for a pod that has no IPv6 address.
    PreferV6,
    /// IPv4 only; AAAA records are never asked for.
    V4Only,
    /// IPv6 only; A records are never asked for.
    V6Only,
}

impl IpFamily {
    /// Returns whether A records are asked for.
    #[must_use]
    pub const fn wants_v4(self) -> bool {
        !matches!(self, Self::V6Only)
    }

    /// Returns whether AAAA records are asked for.
    #[must_use]
    pub const fn wants_v6(self) -> bool {
        !matches!(self, Self::V4Only)
    }

    /// Returns those addresses of one pod that are of the preferred family, or those of the other
    /// one if there are none.
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

/// Returns those addresses of a Service that are of the chosen family and can be a pod's, sorted,
/// each once. They came without names.
///
/// Without names it is unknown which A and which AAAA record belong to one pod. With one family for
/// all, each pod is counted once.
pub(crate) fn nameless_addresses(ips: &[IpAddr], family: IpFamily) -> Vec<IpAddr> {
    let mut ips = family.choose(ips.iter().copied().filter(|ip| can_be_a_pod(*ip)));
    ips.sort_unstable();
    ips.dedup();
    ips
}

/// Returns whether `ip` can be the address of a pod.
pub(crate) fn can_be_a_pod(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}
