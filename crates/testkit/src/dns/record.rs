//! Records and record types as plain values. Must not live here: how they are chosen (`zone`) or
//! written (`wire`).
//!
//! Names are absolute, without the trailing dot, and lower-case but for the name a client asked,
//! which is echoed as written.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// A DNS record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Alias.
    Cname,
    /// Reverse name.
    Ptr,
    /// Start of authority.
    Soa,
    /// Service location.
    Srv,
    /// Text.
    Txt,
    /// Any other type, by number.
    Other(u16),
}

impl RecordType {
    const NAMED: [(Self, u16); 7] = [
        (Self::A, 1),
        (Self::Cname, 5),
        (Self::Soa, 6),
        (Self::Ptr, 12),
        (Self::Txt, 16),
        (Self::Aaaa, 28),
        (Self::Srv, 33),
    ];

    /// Returns the type with this number on the wire.
    pub fn from_code(code: u16) -> Self {
        Self::NAMED
            .iter()
            .find(|entry| entry.1 == code)
            .map_or(Self::Other(code), |entry| entry.0)
    }

    /// Returns the number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::Other(code) => code,
            named => Self::NAMED
                .iter()
                .find(|entry| entry.0 == named)
                .map_or(0, |entry| entry.1),
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(code) => write!(f, "TYPE{code}"),
            named => f.write_str(&format!("{named:?}").to_uppercase()),
        }
    }
}

/// An absolute name.
pub(crate) type Name = Arc<str>;

/// One resource record of class IN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) owner: Name,
    pub(crate) ttl: u32,
    pub(crate) data: Data,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(Name),
    Ptr(Name),
    Txt(String),
    Srv {
        weight: u16,
        port: u16,
        target: Name,
    },
    Soa {
        mname: Name,
        rname: Name,
        serial: u32,
        minimum: u32,
    },
}

impl Data {
    pub(crate) fn rtype(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::Aaaa,
            Self::Cname(_) => RecordType::Cname,
            Self::Ptr(_) => RecordType::Ptr,
            Self::Txt(_) => RecordType::Txt,
            Self::Srv { .. } => RecordType::Srv,
            Self::Soa { .. } => RecordType::Soa,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RecordType;

    #[test]
    fn codes_and_names() {
        for code in [1, 5, 6, 12, 16, 28, 33, 255] {
            assert_eq!(RecordType::from_code(code).code(), code);
        }
        assert_eq!(RecordType::Aaaa.to_string(), "AAAA");
        assert_eq!(RecordType::from_code(255).to_string(), "TYPE255");
    }
}
