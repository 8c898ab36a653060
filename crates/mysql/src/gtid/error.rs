//! What can be wrong with a position or a token: [`GtidError`], [`FlavorMismatch`].

use super::Flavor;

/// A position or token that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GtidError {
    /// It is not written as it must be.
    #[error("cannot read GTID position: at offset {offset}, expected {expected}, found {found}")]
    Syntax {
        /// Where it is, in bytes from the beginning.
        offset: usize,
        /// What was expected there.
        expected: &'static str,
        /// What is there, shortened.
        found: String,
    },
    /// It has more parts than are read. Nothing larger is ever held in memory.
    #[error("cannot read GTID position: it has more than {limit} {what}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
}

/// A MariaDB position was compared or merged with a MySQL one.
///
/// A token was taken to another cluster, or a cluster mixes servers; neither can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a {} GTID position cannot be compared with a {} one; use the token with the cluster that it came from",
    Flavor::MariaDb,
    Flavor::MySql
)]
#[non_exhaustive]
pub struct FlavorMismatch;
