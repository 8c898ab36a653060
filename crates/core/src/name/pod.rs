//! [`PodName`] and [`Ordinal`]: the name of a pod, and its number in its StatefulSet.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use super::{Label, NameError, check_label};

/// A pod's host name under its Service, the first label of its DNS name: `web-0`, or `10-1-2-3` for
/// a pod without a host name of its own.
///
/// Cloning increments a reference count. Names are ordered by set, then by ordinal *as a number*:
/// `web-2` comes before `web-10`.
///
/// ```
/// # use headless_core as headless;
/// use headless::{Ordinal, PodName};
///
/// let pod: PodName = "mysql-12".parse()?;
/// assert_eq!(pod.set(), Some("mysql"));
/// assert_eq!(pod.ordinal(), Some(Ordinal::new(12)));
/// assert!(pod > "mysql-2".parse()?);
/// let zero: PodName = "mysql-07".parse()?;
/// assert_eq!(zero.ordinal(), None, "a StatefulSet never writes a leading zero");
/// # Ok::<(), headless::NameError>(())
/// ```
#[derive(Clone)]
pub struct PodName {
    name: Arc<str>,
    ordinal: Option<Ordinal>,
}

impl PodName {
    /// Returns the whole label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns the ordinal, if the name has the form that a StatefulSet gives: `<set>-<digits>`.
    ///
    /// The form is no proof: an address written with dashes has it, too ([`PodName::is_dashed`]),
    /// and so have about one in a thousand pod names of a Deployment. If the StatefulSet's name is
    /// known, compare [`PodName::set`] as well.
    #[must_use]
    pub fn ordinal(&self) -> Option<Ordinal> {
        self.ordinal
    }

    /// Returns the StatefulSet's name, if the name has the form that a StatefulSet gives.
    #[must_use]
    pub fn set(&self) -> Option<&str> {
        self.ordinal.map(|_| self.stem())
    }

    /// Returns whether this is `ip` written with dashes (`10-1-2-3`, `fd00--1`), the name that
    /// Kubernetes DNS invents for a pod without a host name.
    ///
    /// CoreDNS adds a `0` where the dashed IPv6 form would end in a dash (coredns#7431).
    #[must_use]
    pub fn is_dashed(&self, ip: IpAddr) -> bool {
        // Most names begin with a letter, and this is called for each pod of each answer.
        if ip.is_ipv4() && !self.name.starts_with(|first: char| first.is_ascii_digit()) {
            return false;
        }
        let mut dashed = match ip {
            IpAddr::V4(ip) => ip.to_string().replace('.', "-"),
            IpAddr::V6(ip) => ip.to_string().replace(':', "-"),
        };
        if dashed.ends_with('-') {
            dashed.push('0');
        }
        *self.name == *dashed
    }

    // WHY: the dash is not searched for. Lists of pods are compared name by name with each answer,
    // and an ordinal has no leading zero.
    fn stem(&self) -> &str {
        let dash_and_digits = self
            .ordinal
            .map_or(0, |Ordinal(number)| 2 + number.checked_ilog10().unwrap_or(0));
        let end = self.name.len().saturating_sub(dash_and_digits as usize);
        self.name.get(..end).unwrap_or(&self.name)
    }
}

impl FromStr for PodName {
    type Err = NameError;

    fn from_str(input: &str) -> Result<Self, NameError> {
        let name = input.to_ascii_lowercase();
        check_label(&name, Label::Dns1123).map_err(|problem| NameError {
            what: "pod",
            input: input.to_owned(),
            problem,
        })?;
        let ordinal = name
            .rsplit_once('-')
            .filter(|(set, _)| !set.is_empty())
            .and_then(|(_, digits)| digits.parse().ok());
        Ok(Self {
            name: name.into(),
            ordinal,
        })
    }
}

impl PartialEq for PodName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for PodName {}

impl Hash for PodName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl PartialOrd for PodName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PodName {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.stem(), self.ordinal).cmp(&(other.stem(), other.ordinal))
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The number of a pod in its StatefulSet. Ordinals begin at 0, unless `spec.ordinals.start` says
/// otherwise.
///
/// Gaps are normal, since a pod that is not ready has no DNS record. So the number of pods is never
/// inferred from the highest ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ordinal(u32);

impl Ordinal {
    /// Ordinal 0, the first one of a default StatefulSet.
    pub const ZERO: Self = Self(0);

    /// Returns the ordinal `number`.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number itself.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for Ordinal {
    type Err = NameError;

    /// Parses the digits as a StatefulSet writes them: no sign, no leading zero, at most `i32::MAX`
    /// (the type in the API).
    fn from_str(digits: &str) -> Result<Self, NameError> {
        let fail = |problem: &str| NameError {
            what: "ordinal",
            input: digits.to_owned(),
            problem: problem.to_owned(),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(fail("it must be digits only"));
        }
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(fail("it must not begin with a zero"));
        }
        let number: i32 = digits
            .parse()
            .map_err(|_| fail("it is larger than Kubernetes allows (2147483647)"))?;
        Ok(Self(number.unsigned_abs()))
    }
}

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_read_as_a_stateful_set_writes_them() {
        for (name, set, ordinal) in [
            ("web-0", Some("web"), Some(0)),
            ("my-app-12", Some("my-app"), Some(12)),
            ("web-2147483647", Some("web"), Some(2_147_483_647)),
            ("web-2147483648", None, None),
            ("web-00", None, None),
            ("web-01", None, None),
            ("web", None, None),
            ("0", None, None),
            ("web-a1", None, None),
        ] {
            let pod: PodName = name.parse().unwrap();
            assert_eq!((pod.set(), pod.ordinal().map(Ordinal::get)), (set, ordinal), "{name}");
        }
    }

    #[test]
    fn a_dashed_address_is_recognised() {
        for (name, ip) in [("10-1-2-3", "10.1.2.3"), ("fd00--1", "fd00::1"), ("fd00--0", "fd00::")] {
            assert!(
                name.parse::<PodName>().unwrap().is_dashed(ip.parse().unwrap()),
                "{name}"
            );
        }
        assert!(
            !"10-1-2-3"
                .parse::<PodName>()
                .unwrap()
                .is_dashed("10.1.2.4".parse().unwrap())
        );
    }

    #[test]
    fn pods_sort_by_set_then_number() {
        let mut pods: Vec<PodName> = ["web-10", "web-2", "db-1", "web", "10-1-2-3"]
            .iter()
            .map(|p| p.parse().unwrap())
            .collect();
        pods.sort();
        let pods: Vec<&str> = pods.iter().map(PodName::as_str).collect();
        assert_eq!(pods, ["10-1-2-3", "db-1", "web", "web-2", "web-10"]);
    }
}
