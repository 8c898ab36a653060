//! Names in questions: which zone they belong to, and which address a reverse name stands for. Pure
//! text work.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const V4: &str = "in-addr.arpa";
const V6: &str = "ip6.arpa";

/// `name` without the zone at its end; `None` if it is not in the zone.
pub(super) fn relative<'n>(name: &'n str, zone: &str) -> Option<&'n str> {
    let rest = name.strip_suffix(zone)?;
    match rest.is_empty() {
        true => Some(rest),
        false => rest.strip_suffix('.'),
    }
}

/// The reverse zone that `name` is in.
pub(super) fn reverse_zone(name: &str) -> Option<&'static str> {
    [V4, V6].into_iter().find(|zone| relative(name, zone).is_some())
}

/// The address that a complete reverse name stands for (RFC 1035 section 3.5, RFC 3596 section
/// 2.5).
pub(super) fn reverse_ip(name: &str) -> Option<IpAddr> {
    if let Some(labels) = relative(name, V4) {
        let octets: Result<Vec<u8>, _> = labels.rsplit('.').map(str::parse).collect();
        let octets: [u8; 4] = octets.ok()?.try_into().ok()?;
        return Some(Ipv4Addr::from(octets).into());
    }
    let labels: Vec<&str> = relative(name, V6)?.rsplit('.').collect();
    if labels.len() != 32 || labels.iter().any(|label| label.len() != 1) {
        return None;
    }
    let bits = u128::from_str_radix(&labels.concat(), 16).ok()?;
    Some(Ipv6Addr::from(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_end_at_a_label() {
        assert_eq!(relative("a.cluster.local", "cluster.local"), Some("a"));
        assert_eq!(relative("cluster.local", "cluster.local"), Some(""));
        assert_eq!(relative("xcluster.local", "cluster.local"), None);
    }

    #[test]
    fn reverse_names() {
        let ip = |name: &str| reverse_ip(name).map(|ip| ip.to_string());
        assert_eq!(ip("4.3.2.127.in-addr.arpa").as_deref(), Some("127.2.3.4"));
        assert_eq!(ip("3.2.127.in-addr.arpa"), None);
        let nibbles = "1.".to_owned() + &"0.".repeat(27) + "0.0.d.f.ip6.arpa";
        assert_eq!(ip(&nibbles).as_deref(), Some("fd00::1"));
        assert_eq!(ip("f.ip6.arpa"), None);
    }
}
