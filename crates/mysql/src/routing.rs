//! What a read asks for ([`ReadOptions`], [`StalePolicy`]), and where a connection leads and why
//! ([`Decision`]). Values only; the decisions are made in `router/`.

use std::fmt;
use std::time::Duration;

use crate::gtid::Token;
use crate::topology::Overview;

/// What becomes of a read when no replica is fresh enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StalePolicy {
    /// The primary takes the read, [a few at a time](crate::SplitterBuilder::primary_reads). This
    /// is the default.
    ///
    /// If there is no primary either, the replica that is least behind takes the read, unless the
    /// read asks for a token or a lag. So reads go on while a primary is replaced.
    #[default]
    Primary,
    /// The replica that is least behind takes the read.
    LeastStale,
    /// The read fails with [`TooStale`](crate::Error::TooStale).
    Error,
}

/// What one read asks for, beyond the settings of the [`Splitter`](crate::Splitter).
///
/// ```
/// use std::time::Duration;
/// use headless_mysql::{ReadOptions, gtid::Token};
///
/// let token: Token = "0-100-4711".parse()?; // from a cookie
/// let options = ReadOptions::new().sees(token).max_lag(Duration::from_millis(200));
/// # let _ = options;
/// # Ok::<(), headless_mysql::gtid::GtidError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    pub(crate) token: Token,
    pub(crate) max_lag: Option<Duration>,
    pub(crate) token_wait: Option<Duration>,
    pub(crate) when_stale: Option<StalePolicy>,
}

impl ReadOptions {
    /// Returns options that ask for nothing: the splitter's own settings hold.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the read see the writes that `token` stands for. Default: no token.
    #[must_use]
    pub fn sees(mut self, token: Token) -> Self {
        self.token = token;
        self
    }

    /// Sets how far behind the primary a replica may be. Default: the splitter's
    /// [`max_lag`](crate::SplitterBuilder::max_lag).
    #[must_use]
    pub fn max_lag(mut self, lag: Duration) -> Self {
        self.max_lag = Some(lag);
        self
    }

    /// Sets how long to wait for the best replica to reach the token, before the read goes to the
    /// primary. Default: the splitter's [`token_wait`](crate::SplitterBuilder::token_wait).
    #[must_use]
    pub fn token_wait(mut self, wait: Duration) -> Self {
        self.token_wait = Some(wait);
        self
    }

    /// Sets what becomes of the read when no replica is fresh enough. Default: the splitter's
    /// [`when_stale`](crate::SplitterBuilder::when_stale).
    #[must_use]
    pub fn when_stale(mut self, policy: StalePolicy) -> Self {
        self.when_stale = Some(policy);
        self
    }
}

/// Why a connection leads to its pod, as [`Conn::explain`](crate::Conn::explain) tells it.
///
/// Its `Display` is one line for a log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// The pod's name, or its address if it has none.
    pub pod: String,
    /// What decided.
    pub reason: RouteReason,
    /// The token that the read had to see; empty if it had none.
    pub token: Token,
    /// The lag that the read allowed, if it asked for another one than the splitter's.
    pub max_lag: Option<Duration>,
    /// The pods as they are known now.
    pub candidates: Vec<Candidate>,
}

/// One pod in a [`Decision`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// The pod's name, or its address if it has none.
    pub pod: String,
    /// What the pod takes, in a word: `primary`, `replica` or `out`.
    pub role: &'static str,
    /// How far the pod is behind the primary, in time; `None` if that is not known.
    pub lag: Option<Duration>,
    /// Why the pod takes nothing, if so.
    pub problem: Option<String>,
}

/// What decided where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteReason {
    /// The pod is the verified primary.
    Primary,
    /// The pod is a replica that is fresh enough; of several, the policy chose.
    FreshReplica,
    /// The pod is a replica that is known to have what the token asks for.
    HasToken,
    /// The pod is the replica that was nearest to the token, and has reached it while the read
    /// waited for this long.
    WaitedForToken(Duration),
    /// The pod is the primary, because no replica reached the token in time.
    TokenOnPrimary,
    /// The pod is the primary, because no replica is fresh enough.
    StaleReplicas,
    /// No replica is fresh enough, and the pod is the least behind.
    LeastStale,
    /// The caller named the pod.
    Requested,
}

impl fmt::Display for RouteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary => f.write_str("the verified primary"),
            Self::FreshReplica => f.write_str("a fresh replica"),
            Self::HasToken => f.write_str("a replica that has the token"),
            Self::WaitedForToken(waited) => write!(
                f,
                "a replica that reached the token within {} ms",
                waited.as_millis() + 1
            ),
            Self::TokenOnPrimary => f.write_str("the primary: no replica reached the token in time"),
            Self::StaleReplicas => f.write_str("the primary: no replica is fresh enough"),
            Self::LeastStale => f.write_str("the least stale replica: none is fresh enough"),
            Self::Requested => f.write_str("the pod that was asked for"),
        }
    }
}

impl Decision {
    pub(crate) fn new(pod: String, reason: RouteReason, options: &ReadOptions, overview: &Overview) -> Self {
        let candidates = overview.pods.iter().map(|pod| Candidate {
            pod: pod.name.clone(),
            role: pod.role_word(),
            lag: pod.lag,
            problem: pod.problem.clone(),
        });
        Self {
            pod,
            reason,
            token: options.token.clone(),
            max_lag: options.max_lag,
            candidates: candidates.collect(),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pod, self.reason)?;
        if !self.token.is_empty() {
            write!(f, "; token {}", self.token)?;
        }
        for candidate in &self.candidates {
            write!(f, "; {} {}", candidate.pod, candidate.role)?;
            if let Some(lag) = candidate.lag {
                write!(f, ", {} ms behind", lag.as_millis())?;
            }
            if let Some(problem) = &candidate.problem {
                write!(f, ", {problem}")?;
            }
        }
        Ok(())
    }
}
