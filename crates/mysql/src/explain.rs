//! [`Decision`]: why a connection leads where it leads. For people and logs; nothing is decided here.

use std::fmt;
use std::time::Duration;

use crate::gtid::Token;
use crate::options::ReadOptions;
use crate::topology::Overview;

/// Why a connection leads to its pod.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// The pod.
    pub pod: String,
    /// What decided.
    pub why: Why,
    /// What the read had to see.
    pub token: Token,
    /// The lag that the read allowed, if it asked for another than usual.
    pub max_lag: Option<Duration>,
    /// The pods as they were known: name, role, lag, and why one takes nothing.
    pub candidates: Vec<Candidate>,
}

/// One pod, as it was known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// Its name.
    pub pod: String,
    /// What it takes, in a word.
    pub role: &'static str,
    /// How far behind it is.
    pub lag: Option<Duration>,
    /// Why it takes nothing, if so.
    pub problem: Option<String>,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It is the verified primary.
    Primary,
    /// A replica that is fresh enough; of several, the policy chose.
    FreshReplica,
    /// A replica known to have what the token asks for.
    HasToken,
    /// The replica that was nearest to the token has reached it while the read waited.
    WaitedForToken(Duration),
    /// The primary, because no replica reached the token in time.
    TokenOnPrimary,
    /// The primary, because no replica is fresh enough.
    StaleReplicas,
    /// No replica is fresh enough; this one is the least behind.
    LeastStale,
    /// The caller named the pod.
    Asked,
}

impl fmt::Display for Why {
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
            Self::Asked => f.write_str("the pod that was asked for"),
        }
    }
}

impl Decision {
    pub(crate) fn new(pod: String, why: Why, options: &ReadOptions, overview: &Overview) -> Self {
        let candidates = overview.pods.iter().map(|pod| Candidate {
            pod: pod.name.clone(),
            role: pod.role_word(),
            lag: pod.lag,
            problem: pod.problem.clone(),
        });
        Self {
            pod,
            why,
            token: options.token.clone(),
            max_lag: options.max_lag,
            candidates: candidates.collect(),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pod, self.why)?;
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
