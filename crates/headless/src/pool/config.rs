//! [`PoolConfig`]: the knobs of the pods' pools, and what is not allowed.

use std::time::Duration;

use crate::error::BuildError;

/// The knobs of the pools, one pool per pod.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolConfig {
    /// How many connections one pod may have, idle, lent and being opened. Default 64; a database wants far fewer (its own
    /// limit divided by the number of clients), a web service may have more.
    pub connections_per_pod: usize,
    /// How many callers may wait for one pod; further ones try other pods, and are refused if all are full. Default 1024: a
    /// queue that no deadline can empty is only a slower refusal.
    pub max_waiters_per_pod: usize,
    /// How long opening one connection may take. Default 2 s: within a cluster it takes milliseconds, and a pod that vanished
    /// swallows the first packet in silence.
    pub dial_timeout: Duration,
    /// How long a connection may stay unused. Default 60 s, below the idle timeouts usual at servers; checked every quarter.
    pub idle_timeout: Duration,
    /// How long a removed pod's connections may finish what they do before they are cut, if the connector can
    /// ([`abort_handle`](headless_core::Connect::abort_handle)). Default 30 s, Kubernetes' default grace period.
    pub drain_timeout: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            connections_per_pod: 64,
            max_waiters_per_pod: 1024,
            dial_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl PoolConfig {
    /// Refuses what cannot work, by the field's name.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let refuse = |field, rule| Err(BuildError::Config { field, rule });
        if self.connections_per_pod == 0 {
            return refuse("connections_per_pod", "it must be at least 1");
        }
        if self.max_waiters_per_pod == 0 {
            return refuse(
                "max_waiters_per_pod",
                "it must be at least 1: even a first connection is waited for",
            );
        }
        if self.dial_timeout.is_zero() {
            return refuse("dial_timeout", "it must be longer than zero");
        }
        if self.idle_timeout.is_zero() {
            return refuse("idle_timeout", "it must be longer than zero");
        }
        Ok(())
    }
}
