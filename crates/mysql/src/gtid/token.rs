//! [`Token`]: read-your-writes that fits into a cookie.

use std::fmt;
use std::str::FromStr;

use super::{Flavor, FlavorMismatch, GtidError, Position, bytes, text};

/// What a reader must see: proof of a write that any process can carry to where it reads.
///
/// Take it after a write, send it with the answer, give it to the next read, wherever that runs.
/// The read then goes to a replica that has the write, waits for one, or goes to the primary.
///
/// Two forms, both stable:
///
/// * **Text**, by [`Display`](fmt::Display) and [`FromStr`]: what the server prints, with `~`
///   instead of `,`, as cookies allow no comma (RFC 6265 4.1.1) and lists of header fields are
///   split there (RFC 9110 5.6.1). Both are read.
/// * **Bytes**, by [`to_bytes`](Self::to_bytes) and [`from_bytes`](Self::from_bytes), a third of
///   the size or less.
///
/// A token is no secret and no authority: it names transactions by number. A forged one makes reads
/// wait, up to their deadline. At most [`Token::MAX_RANGES`] transactions or ranges are read, so
/// that it cannot eat memory.
///
/// ```
/// use headless_mysql::gtid::{Position, Token};
///
/// let mut token: Token = "0-9100-10".parse()?;           // SELECT @@last_gtid, after the commit
/// token = token.merge(&"0-9100-12~7-9100-3".parse()?)?;  // from another write
/// let replica: Position = "0-9100-11,7-9100-3".parse()?; // from SELECT @@gtid_slave_pos
/// assert!(!token.is_reached_by(&replica)?);
/// assert_eq!(token.to_string(), "0-9100-12~7-9100-3");
/// assert_eq!(Token::from_bytes(&token.to_bytes())?, token);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Token(Position);

impl Token {
    /// How many transactions or ranges a token may have to be read. A cluster's own set is as large
    /// only if a thousand of its transactions are missing.
    pub const MAX_RANGES: usize = 1024;

    /// Returns a token that asks for nothing; every server has reached it.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Position::Empty)
    }

    /// Returns whether it asks for nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the kind of server that it comes from; `None` if it is empty.
    #[must_use]
    pub const fn flavor(&self) -> Option<Flavor> {
        self.0.flavor()
    }

    /// Returns the transactions that it asks for.
    #[must_use]
    pub const fn position(&self) -> &Position {
        &self.0
    }

    /// Returns a token that asks for what either asks for. The order and the number of merges do
    /// not matter.
    ///
    /// # Errors
    /// [`FlavorMismatch`]: the two come from different kinds of servers.
    pub fn merge(&self, other: &Self) -> Result<Self, FlavorMismatch> {
        self.0.union(&other.0).map(Self)
    }

    /// Returns whether a server at `position` has everything that the token asks for.
    ///
    /// # Errors
    /// [`FlavorMismatch`]: the token comes from another kind of server.
    pub fn is_reached_by(&self, position: &Position) -> Result<bool, FlavorMismatch> {
        match (self.flavor(), position.flavor()) {
            (Some(own), Some(other)) if own != other => Err(FlavorMismatch),
            _ => Ok(position.covers(&self.0)),
        }
    }

    /// Returns the byte form. Equal tokens have equal bytes.
    ///
    /// The first byte is the version (1) in its high half and the flavour in its low half. All
    /// other numbers are unsigned LEB128 in their shortest form, sorted as printed:
    ///
    /// * 0, empty: nothing.
    /// * 1, MariaDB: the number of domains; of each its number, the server, the sequence.
    /// * 2, MySQL: the number of sources; of each 16 bytes of UUID, the length of the tag, the tag,
    ///   the number of ranges; of each range the numbers skipped since the last one, and the
    ///   numbers in it less one.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes::write(&self.0)
    }

    /// Reads the byte form.
    ///
    /// # Errors
    /// [`GtidError`]: it is not exactly what [`to_bytes`](Self::to_bytes) writes, or has more than
    /// [`MAX_RANGES`](Self::MAX_RANGES).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GtidError> {
        bytes::parse(bytes, Self::MAX_RANGES).map(Self)
    }
}

impl FromStr for Token {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        text::parse(text, Self::MAX_RANGES).map(Self)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, &self.0, '~')
    }
}

impl From<Position> for Token {
    fn from(position: Position) -> Self {
        Self(position)
    }
}
