//! [`Port`]: a port of the pods, by name or by number.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use super::NameError;

/// A port of the pods, by number or by the name that the Service gives it.
///
/// The *name* is the better choice: one SRV query then gives names, addresses and ports of all
/// pods, on every DNS server. A *number* is the container's port (`targetPort`), not the Service's
/// `port`: a headless Service has no virtual IP, so the port is not translated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Port {
    /// The container's port number, 1 to 65535.
    Number(NonZeroU16),
    /// The name of a port in the Service's `spec.ports`.
    Name(Box<str>),
}

impl Port {
    /// Returns a port by its name in the Service.
    ///
    /// # Errors
    /// [`NameError`] if it is not a port name (RFC 6335 5.1): at most 15 lower-case letters, digits
    /// and single inner hyphens, with at least one letter.
    pub fn name(name: &str) -> Result<Self, NameError> {
        let fail = |problem: &str| NameError {
            what: "port",
            input: name.to_owned(),
            problem: problem.to_owned(),
        };
        if name.is_empty() || name.len() > 15 {
            return Err(fail("a port name has 1 to 15 characters"));
        }
        if !name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Err(fail("a port name has only lower-case letters, digits and hyphens"));
        }
        if !name.bytes().any(|b| b.is_ascii_lowercase()) {
            return Err(fail("a port name has at least one letter"));
        }
        if name.starts_with('-') || name.ends_with('-') || name.contains("--") {
            return Err(fail("a hyphen must stand alone between letters or digits"));
        }
        Ok(Self::Name(name.into()))
    }
}

impl FromStr for Port {
    type Err = NameError;

    fn from_str(port: &str) -> Result<Self, NameError> {
        if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) {
            return port.parse().map(Self::Number).map_err(|_| NameError {
                what: "port",
                input: port.to_owned(),
                problem: "a port number lies between 1 and 65535".to_owned(),
            });
        }
        Self::name(port)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}
