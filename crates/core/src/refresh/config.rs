//! [`RefreshConfig`]: the settings of [`Refresh`](crate::Refresh), each with its default and the
//! reason for it.

use std::time::Duration;

/// The settings of [`Refresh`](crate::Refresh). The defaults suit kubeadm's DNS, with and without
/// caches in between.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RefreshConfig {
    /// The shortest wait between two lookups, except after evidence and once after the start.
    /// Default: 1 s, so that a TTL of 0 does not spin.
    pub min_poll: Duration,
    /// The longest wait between two lookups. Default: 5 s.
    ///
    /// kubeadm serves a TTL of 30 s without a cache, so an earlier lookup finds new pods earlier.
    /// In gRPC a lookup waits for a connection to break, which is its most reported gap
    /// (grpc#12295).
    pub max_poll: Duration,
    /// The longest wait for the TTL of a cache to run out. Default: 30 s, the most that the caches
    /// of Kubernetes keep. A lookup before that only reaches the cache.
    pub max_cached_poll: Duration,
    /// The largest share by which a wait is randomly prolonged. Default: 0.1, so that clients do
    /// not stay synchronised.
    pub poll_jitter: f64,
    /// The wait after a first failure. It doubles with each further failure, ±20 %. Default: 250
    /// ms.
    pub retry_first: Duration,
    /// The longest wait after a failure. Default: 5 s, so that recovery is seen as fast as a
    /// change.
    pub retry_max: Duration,
    /// The number of negative answers in a row that empty a non-empty set. Default: 3, since
    /// NXDOMAIN for live pods does happen (coredns#6518). `u32::MAX` never empties it.
    pub negatives: u32,
    /// The time over which these negative answers must be spread. Default: 15 s (HAProxy's `hold
    /// nx` is 30 s).
    pub negative_hold: Duration,
    /// The time for which the old endpoints are kept after each of them was replaced, if no new one
    /// could be connected to before. Default: 10 s.
    pub replace_hold: Duration,
    /// The shortest time between two lookups, when a failed connection or a waiting caller requests
    /// one. Default: 1 s.
    pub min_reresolve_interval: Duration,
    /// The time without a confirming answer after which the set is emptied. Default: `None`, since
    /// a working connection is better evidence than a silent DNS server.
    pub max_stale: Option<Duration>,
    /// The largest number of endpoints in an answer; a larger one is refused. Default: 10,000.
    ///
    /// That is more than twice what fits into a DNS message (4,090 addresses), so only a wrong or
    /// hostile server exceeds it. Far larger sets would cost memory and pick quality.
    pub max_endpoints: usize,
}

impl Default for RefreshConfig {
    fn default() -> Self {
        Self {
            min_poll: Duration::from_secs(1),
            max_poll: Duration::from_secs(5),
            max_cached_poll: Duration::from_secs(30),
            poll_jitter: 0.1,
            retry_first: Duration::from_millis(250),
            retry_max: Duration::from_secs(5),
            negatives: 3,
            negative_hold: Duration::from_secs(15),
            replace_hold: Duration::from_secs(10),
            min_reresolve_interval: Duration::from_secs(1),
            max_stale: None,
            max_endpoints: 10_000,
        }
    }
}
