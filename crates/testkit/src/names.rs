//! Names of workloads, Services and pods: what Kubernetes accepts, and ordinals.

use fastrand::Rng;

use crate::error::Error;

/// SPEC(RFC 1123 label, as the Kubernetes API validates it).
pub(crate) fn check(kind: &'static str, name: &str) -> Result<(), Error> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let reason = match name {
        "" => "it is empty",
        long if long.len() > 63 => "it has more than 63 characters",
        odd if !odd.bytes().all(allowed) => "only a-z, 0-9 and '-' are allowed",
        dash if dash.starts_with('-') || dash.ends_with('-') => "it begins or ends with '-'",
        _ => return Ok(()),
    };
    Err(Error::InvalidName {
        kind,
        name: name.to_owned(),
        reason,
    })
}

/// A port of a Service or of its pods.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub(crate) name: Option<String>,
    pub(crate) number: u16,
}

impl Port {
    pub(crate) fn named(name: &str, number: u16) -> Self {
        Self {
            name: Some(name.to_owned()),
            number,
        }
    }

    pub(crate) fn unnamed(number: u16) -> Self {
        Self { name: None, number }
    }
}

pub(crate) fn check_ports(ports: &[Port]) -> Result<(), Error> {
    let mut names = ports.iter().filter_map(|port| port.name.as_deref());
    names.try_for_each(|name| check("port", name))
}

/// A name suffix in the alphabet Kubernetes uses for generated names: no vowels, and no 0, 1 or 3
/// (`util/rand` of apimachinery).
pub(crate) fn suffix(rng: &mut Rng, len: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..len)
        .map(|_| char::from(ALPHABET[rng.usize(..ALPHABET.len())]))
        .collect()
}

/// The `k` of `<set>-<k>`.
pub(crate) fn ordinal(set: &str, pod: &str) -> Option<u32> {
    let digits = pod.strip_prefix(set)?.strip_prefix('-')?;
    let canonical = digits == "0" || !digits.starts_with(['0', '+']);
    digits.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals() {
        assert_eq!(ordinal("web", "web-12"), Some(12));
        assert_eq!(ordinal("web", "web-0"), Some(0));
        for other in ["web-", "web-01", "web-+1", "web-x", "api-1", "web1"] {
            assert_eq!(ordinal("web", other), None, "{other}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_names() {
        let names = |seed| suffix(&mut Rng::with_seed(seed), 50);
        assert_eq!(names(7), names(7));
        assert_ne!(names(7), names(8));
    }

    #[test]
    fn labels() {
        assert!(check("service", "web-2").is_ok());
        for bad in ["", "Web", "-web", "web-", "w.b", &"w".repeat(64)] {
            assert!(check("service", bad).is_err(), "{bad}");
        }
    }
}
