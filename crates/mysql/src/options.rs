//! How one read is done: [`ReadOptions`], and what to do when no replica will do, [`StalePolicy`]. Values only.

use std::time::Duration;

use crate::gtid::Token;

/// What becomes of a read when no replica is fresh enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StalePolicy {
    /// The primary takes it, [a few at a time](crate::SplitterBuilder::primary_reads). If there is no primary either, the replica that
    /// is least behind does, unless the read asks for a token or a lag: reads go on while a primary is replaced. The default.
    #[default]
    Primary,
    /// The replica that is least behind takes it.
    LeastStale,
    /// It fails with [`TooStale`](crate::Error::TooStale).
    Error,
}

/// What one read asks for, beyond the settings of the [`Splitter`](crate::Splitter).
///
/// ```
/// use std::time::Duration;
/// use headless_mysql::ReadOptions;
///
/// # fn token() -> headless_mysql::gtid::Token { headless_mysql::gtid::Token::empty() }
/// let options = ReadOptions::new().sees(token()).max_lag(Duration::from_millis(200));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    pub(crate) token: Token,
    pub(crate) max_lag: Option<Duration>,
    pub(crate) token_wait: Option<Duration>,
    pub(crate) when_stale: Option<StalePolicy>,
}

impl ReadOptions {
    /// As the splitter is set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The read sees the writes that `token` stands for.
    #[must_use]
    pub fn sees(mut self, token: Token) -> Self {
        self.token = token;
        self
    }

    /// How far behind the primary a replica may be. Default: the splitter's [`max_lag`](crate::SplitterBuilder::max_lag).
    #[must_use]
    pub fn max_lag(mut self, lag: Duration) -> Self {
        self.max_lag = Some(lag);
        self
    }

    /// How long to wait for the best replica to reach the token, before the primary is asked. Default: the splitter's
    /// [`token_wait`](crate::SplitterBuilder::token_wait).
    #[must_use]
    pub fn token_wait(mut self, wait: Duration) -> Self {
        self.token_wait = Some(wait);
        self
    }

    /// What to do when no replica will do. Default: the splitter's [`when_stale`](crate::SplitterBuilder::when_stale).
    #[must_use]
    pub fn when_stale(mut self, policy: StalePolicy) -> Self {
        self.when_stale = Some(policy);
        self
    }
}
