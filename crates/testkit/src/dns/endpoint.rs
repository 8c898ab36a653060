//! A pod in DNS: its addresses and the first label of its own name.
//!
//! Source of the dashed form: CoreDNS `endpointHostname` (`plugin/kubernetes/kubernetes.go`). Must
//! not live here: which Service sees the pod under which label (`registry`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::record::Data;

/// A listed pod, as one Service sees it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) pod: String,
    /// First label of the pod's own name: its hostname under the governing Service, else the dashed
    /// address.
    pub(crate) label: String,
    pub(crate) v4: Option<Ipv4Addr>,
    pub(crate) v6: Option<Ipv6Addr>,
}

impl Endpoint {
    /// An endpoint no pod stands behind.
    pub(crate) fn foreign(ip: IpAddr) -> Self {
        Self {
            pod: String::new(),
            label: dashed(ip),
            v4: match ip {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            },
            v6: match ip {
                IpAddr::V4(_) => None,
                IpAddr::V6(ip) => Some(ip),
            },
        }
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = Data> {
        let v4 = self.v4.map(Data::A);
        v4.into_iter().chain(self.v6.map(Data::Aaaa))
    }
}

/// The label of an endpoint without hostname, as in CoreDNS: `10-1-2-3`, `fd00--1`, and `fd00--0`
/// for `fd00::`.
fn dashed(ip: IpAddr) -> String {
    let mut label = ip.to_string().replace(['.', ':'], "-");
    if label.ends_with('-') {
        label.push('0');
    }
    label
}

#[cfg(test)]
mod tests {
    use super::dashed;

    #[test]
    fn dashed_labels_are_valid_host_names() {
        for (ip, label) in [("10.1.2.3", "10-1-2-3"), ("fd00::1", "fd00--1"), ("fd00::", "fd00--0")] {
            assert_eq!(dashed(ip.parse().unwrap()), label);
        }
    }
}
