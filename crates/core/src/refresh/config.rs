//! [`RefreshConfig`]: the knobs of [`Refresh`](crate::Refresh), each with its default and the reason for it.

use std::time::Duration;

/// The knobs of [`Refresh`](crate::Refresh). The defaults suit kubeadm's DNS with and without caches in between.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RefreshConfig {
    /// Never ask more often than this, except for evidence and once after the start. Default 1 s: a TTL of 0 must not spin.
    pub min_poll: Duration,
    /// Ask at least this often. Default 5 s: kubeadm serves a TTL of 30 s with no cache behind it, so asking sooner finds
    /// new pods sooner; gRPC's waiting for a connection to break is the field's most reported gap (grpc#12295).
    pub max_poll: Duration,
    /// Through a cache: wait for its TTL to run out, but ask at least this often. Default 30 s, what Kubernetes' caches keep at
    /// most; a longer TTL is somebody's mistake. Asking sooner only asks the cache.
    pub max_cached_poll: Duration,
    /// Each wait is longer by a random part of up to this share. Default 0.1: so that clients do not march in step.
    pub poll_jitter: f64,
    /// The wait after a first failure. Default 250 ms; doubles with each further one, ±20 %.
    pub retry_first: Duration,
    /// The longest wait between failures. Default 5 s: recovery must be seen as fast as a change.
    pub retry_max: Duration,
    /// How many negative answers in a row empty a known set. Default 3; random NXDOMAIN for live pods is a fact
    /// (coredns#6518). `u32::MAX`: never.
    pub negatives: u32,
    /// Over how long these must spread. Default 15 s; HAProxy's `hold nx` is 30 s.
    pub negative_hold: Duration,
    /// How long the old pods are kept after every one of them was replaced, if no new one could be connected to before.
    /// Default 10 s.
    pub replace_hold: Duration,
    /// The least time between two looks, when a failed connection or a waiting caller asks for one. Default 1 s.
    pub min_reresolve_interval: Duration,
    /// Empty the set when no answer has confirmed it for so long. Default `None`: a working connection is better evidence
    /// than a silent DNS server.
    pub max_stale: Option<Duration>,
    /// Refuse an answer with more endpoints. Default 10,000: twice what fits into any DNS message (4,090 addresses), so only a
    /// wrong or hostile server meets it; what is far above would cost memory and pick quality before anyone noticed.
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
