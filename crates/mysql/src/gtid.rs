//! What a server has executed, and what a reader must see: [`Position`] and the portable [`Token`].
//!
//! Both servers number their committed transactions, in two ways that have nothing in common.
//! MariaDB keeps the last sequence number of each replication domain ([`MariaDbGtids`]), MySQL the
//! set of all transactions ([`GtidSet`]). A [`Position`] is either; it is what `@@gtid_slave_pos`,
//! `@@gtid_binlog_pos` and `@@global.gtid_executed` say. A [`Token`] is a position that a client
//! carries to where it will read.
//!
//! Everything printed here is printed from parsed numbers, never from the text that came in: what
//! goes into SQL cannot break out of its quotes. What must not live here: sockets, clocks, and the
//! choice of a pod.
//!
//! Sources: MariaDB "Global Transaction ID"; MySQL Reference Manual 19.1.3.1 "GTID Format and
//! Storage" and WL#15294 (tags).

mod bytes;
mod error;
mod mariadb;
mod mysql;
mod text;
mod token;
mod wait;

use std::fmt;
use std::str::FromStr;

pub use self::error::{FlavorMismatch, GtidError};
pub use self::mariadb::MariaDbGtids;
pub use self::mysql::GtidSet;
pub use self::token::Token;
pub use self::wait::{Wait, WaitOutcome};

/// The way in which a kind of server numbers transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    clippy::exhaustive_enums,
    reason = "there are two ways, and code must tell them apart"
)]
pub enum Flavor {
    /// `domain-server-sequence`.
    MariaDb,
    /// `uuid:first-last`.
    MySql,
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
        })
    }
}

/// The transactions that a server has executed.
///
/// Prints and parses as the servers write it. Parsing tells the flavours apart by the colon, which
/// every MySQL set has and no MariaDB list.
///
/// ```
/// use headless_mysql::gtid::Position;
///
/// let replica: Position = "0-9100-12,7-9101-3".parse()?;
/// let primary: Position = "0-9100-15,7-9101-3".parse()?;
/// assert!(primary.covers(&replica));
/// assert_eq!(primary.minus(&replica).to_string(), "0-9100-15");
/// # Ok::<(), headless_mysql::gtid::GtidError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "complete with its flavours")]
pub enum Position {
    /// Nothing executed yet; of either flavour.
    #[default]
    Empty,
    /// The last transaction of each domain.
    MariaDb(MariaDbGtids),
    /// All transactions of each source.
    MySql(GtidSet),
}

impl Position {
    /// Returns the kind of server that it comes from; `None` while it is empty.
    #[must_use]
    pub const fn flavor(&self) -> Option<Flavor> {
        match self {
            Self::Empty => None,
            Self::MariaDb(_) => Some(Flavor::MariaDb),
            Self::MySql(_) => Some(Flavor::MySql),
        }
    }

    /// Returns whether nothing was executed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Returns whether everything in `other` is executed here. Positions of two flavours do not
    /// cover each other, unless one is empty.
    ///
    /// Allocates nothing: it is asked for each replica on each read that carries a token.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Empty) => true,
            (Self::MariaDb(own), Self::MariaDb(other)) => own.covers(other),
            (Self::MySql(own), Self::MySql(other)) => own.covers(other),
            (Self::Empty | Self::MariaDb(_) | Self::MySql(_), _) => false,
        }
    }

    /// Returns whether no transaction is executed in both.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MariaDb(own), Self::MariaDb(other)) => own.is_disjoint(other),
            (Self::MySql(own), Self::MySql(other)) => own.is_disjoint(other),
            (Self::Empty | Self::MariaDb(_) | Self::MySql(_), _) => true,
        }
    }

    /// Returns what is executed here or there: the later transaction of each MariaDB domain, the
    /// union of MySQL sets.
    ///
    /// # Errors
    /// [`FlavorMismatch`]: the two are of different flavours.
    pub fn union(&self, other: &Self) -> Result<Self, FlavorMismatch> {
        Ok(match (self, other) {
            (Self::Empty, any) | (any, Self::Empty) => any.clone(),
            (Self::MariaDb(own), Self::MariaDb(other)) => Self::MariaDb(own.union(other)),
            (Self::MySql(own), Self::MySql(other)) => Self::MySql(own.union(other)),
            (Self::MariaDb(_), Self::MySql(_)) | (Self::MySql(_), Self::MariaDb(_)) => return Err(FlavorMismatch),
        })
    }

    /// Returns what is executed here but not there. Of MariaDB, the last transaction of each domain
    /// in which `other` is behind.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::MariaDb(own), Self::MariaDb(other)) => own.minus(other).into(),
            (Self::MySql(own), Self::MySql(other)) => own.minus(other).into(),
            (Self::Empty | Self::MariaDb(_) | Self::MySql(_), _) => self.clone(),
        }
    }

    /// Returns what is executed both here and there.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::MariaDb(own), Self::MariaDb(other)) => own.intersection(other).into(),
            (Self::MySql(own), Self::MySql(other)) => own.minus(&own.minus(other)).into(),
            (Self::Empty | Self::MariaDb(_) | Self::MySql(_), _) => Self::Empty,
        }
    }
}

impl FromStr for Position {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        text::parse(text, MAX_SERVER_RANGES)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, self, ',')
    }
}

impl From<MariaDbGtids> for Position {
    fn from(gtids: MariaDbGtids) -> Self {
        if gtids.is_empty() {
            Self::Empty
        } else {
            Self::MariaDb(gtids)
        }
    }
}

impl From<GtidSet> for Position {
    fn from(set: GtidSet) -> Self {
        if set.is_empty() { Self::Empty } else { Self::MySql(set) }
    }
}

/// A server is trusted more than a token, but its set is kept many times over: some MiB at most.
const MAX_SERVER_RANGES: usize = 65_536;

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
mod tests;
