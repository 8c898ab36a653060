//! [`Wait`]: the statement that waits on a server until it has a token, and what its answer means.
//! Text only.
//!
//! The two kinds of servers differ where it hurts: a timeout of zero returns at once on MariaDB and
//! waits for ever on MySQL; on MariaDB it is a negative one that never ends. So a wait of less than
//! a millisecond is none.

use std::time::Duration;

use super::{Flavor, Token};

/// A statement that waits on a server until it has a token, or a time is over.
///
/// ```
/// use std::time::Duration;
/// use headless_mysql::gtid::{Token, Wait, WaitOutcome};
///
/// let token: Token = "0-9100-10".parse()?;
/// if let Some(wait) = Wait::for_token(&token, Duration::from_millis(250)) {
///     assert_eq!(wait.sql(), "SELECT MASTER_GTID_WAIT('0-9100-10', 0.250)");
///     assert_eq!(wait.outcome(Some(-1)), WaitOutcome::TimedOut);
/// }
/// # Ok::<(), headless_mysql::gtid::GtidError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    flavor: Flavor,
    sql: String,
}

/// The outcome of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a token is reached, or not yet")]
pub enum WaitOutcome {
    /// The server has the token.
    Reached,
    /// It has not, so far.
    TimedOut,
}

impl Wait {
    /// Returns the statement that waits for `token`, for at most `limit` and at most an hour.
    /// `None` if there is nothing to wait for, or less than a millisecond.
    #[must_use]
    pub fn for_token(token: &Token, limit: Duration) -> Option<Self> {
        let flavor = token.flavor()?;
        if limit < Duration::from_millis(1) {
            return None;
        }
        let seconds = limit.as_secs_f64().min(MOST);
        // What is printed comes from parsed numbers (see the module `gtid`), so it cannot end the
        // quotes.
        let position = token.position();
        let sql = match flavor {
            Flavor::MariaDb => format!("SELECT MASTER_GTID_WAIT('{position}', {seconds:.3})"),
            Flavor::MySql => format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{position}', {seconds:.3})"),
        };
        Some(Self { flavor, sql })
    }

    /// Returns the statement. It must be sent to a replica only: a MariaDB primary replicates
    /// nothing and would wait in vain.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Returns what the number that came back means; `None` is NULL.
    #[must_use]
    pub const fn outcome(&self, answer: Option<i64>) -> WaitOutcome {
        match (self.flavor, answer) {
            (Flavor::MariaDb | Flavor::MySql, Some(0)) => WaitOutcome::Reached,
            // -1 on MariaDB, 1 on MySQL; NULL and the rest are no proof either.
            (Flavor::MariaDb | Flavor::MySql, _) => WaitOutcome::TimedOut,
        }
    }
}

/// An hour: longer than any read waits, and far from where the servers' arithmetic ends.
const MOST: f64 = 3600.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_gets_its_own_statement() {
        let limit = Duration::from_millis(250);
        let mariadb: Token = "0-9100-10~7-1-3".parse().unwrap();
        let wait = Wait::for_token(&mariadb, limit).unwrap();
        assert_eq!(wait.sql(), "SELECT MASTER_GTID_WAIT('0-9100-10,7-1-3', 0.250)");
        assert_eq!(wait.outcome(Some(0)), WaitOutcome::Reached);
        assert_eq!(wait.outcome(Some(-1)), WaitOutcome::TimedOut);
        assert_eq!(wait.outcome(None), WaitOutcome::TimedOut);
        let mysql: Token = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5".parse().unwrap();
        let wait = Wait::for_token(&mysql, limit).unwrap();
        assert!(
            wait.sql().starts_with("SELECT WAIT_FOR_EXECUTED_GTID_SET('3"),
            "{}",
            wait.sql()
        );
        assert_eq!(wait.outcome(Some(1)), WaitOutcome::TimedOut);
    }

    #[test]
    fn no_wait_is_for_zero_or_for_ever() {
        let token: Token = "0-1-1".parse().unwrap();
        assert_eq!(Wait::for_token(&token, Duration::ZERO), None);
        assert_eq!(Wait::for_token(&token, Duration::from_micros(999)), None);
        assert!(
            Wait::for_token(&token, Duration::from_millis(1))
                .unwrap()
                .sql()
                .ends_with("0.001)")
        );
        assert!(
            Wait::for_token(&token, Duration::MAX)
                .unwrap()
                .sql()
                .ends_with("3600.000)")
        );
        assert_eq!(Wait::for_token(&Token::empty(), Duration::from_secs(1)), None);
    }
}
