//! [`PoolConfig`]: the knobs of the pods' pools, and what is not allowed.

use std::time::Duration;

use crate::error::BuildError;

/// The knobs of the pools, one pool per pod. The defaults suit HTTP; a database wants fewer connections and a check.
///
/// ```
/// use std::time::Duration;
///
/// let mut pool = headless::PoolConfig::default();
/// pool.max_connections_per_endpoint = 8;
/// pool.validate_after_idle = Some(Duration::from_millis(500));
/// # let _ = pool;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolConfig {
    /// How many connections one pod may have, idle, lent and being opened. Default 64; a database wants far fewer (its own
    /// limit divided by the number of clients), a web service may have more.
    pub max_connections_per_endpoint: usize,
    /// How many connections all pods together may have. Where it is reached, an idle connection of another pod gives way to a
    /// caller, and one in use when it comes back, unless callers of its own pod wait for it: a pod that is never without waiters
    /// gives nothing up, so allow for more connections than there are pods. Default none.
    pub max_connections_total: Option<usize>,
    /// How many connections to one pod are kept idle, ready for the next callers; of shared connections (HTTP/2), how many are kept
    /// open. They are opened when the pod appears and never expire by `idle_timeout`. Default 0: idle pods cost nothing.
    ///
    /// Whatever the number, a pod that comes to a set with others in it is connected to first, and takes requests when that has
    /// succeeded.
    pub min_idle_per_endpoint: usize,
    /// How many connections to one pod may be opened at a time. Default 8: a pod that has just started is not helped by 64
    /// handshakes at once, and a connection that comes back may be there sooner.
    pub max_connecting_per_endpoint: usize,
    /// How many callers may wait for one pod; further ones try other pods, and are refused if all are full. Default 1024: a
    /// queue that no deadline can empty is only a slower refusal.
    pub max_waiters_per_endpoint: usize,
    /// How long opening one connection may take. Default 2 s: within a cluster it takes milliseconds, and a pod that vanished
    /// swallows the first packet in silence.
    pub connect_timeout: Duration,
    /// How long a connection may stay unused. Default 60 s, below the idle timeouts usual at servers; checked every quarter.
    pub idle_timeout: Duration,
    /// How old a connection may grow before it is replaced. Each draws its own age between 80 and 100 % of this, so that those
    /// opened together do not end together. The replacement is opened first, so that no request pays for it. Default 30 minutes.
    pub max_lifetime: Option<Duration>,
    /// After how long an idle connection must be [checked](headless_core::Connect::validate) before it is lent. Default none: the
    /// end of an HTTP connection shows by itself. For a database 500 ms, as in HikariCP.
    pub validate_after_idle: Option<Duration>,
    /// How often the connection that has been idle longest is [checked](headless_core::Connect::validate), in the background. It
    /// finds dead connections before a request does, and keeps firewalls from forgetting live ones. Default none.
    pub keep_alive: Option<Duration>,
    /// How long a removed pod's connections may finish what they do before they are cut, if the connector can
    /// ([`abort_handle`](headless_core::Connect::abort_handle)). Default 30 s, Kubernetes' default grace period.
    pub drain_timeout: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_connections_per_endpoint: 64,
            max_connections_total: None,
            min_idle_per_endpoint: 0,
            max_connecting_per_endpoint: 8,
            max_waiters_per_endpoint: 1024,
            connect_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(60),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            validate_after_idle: None,
            keep_alive: None,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl PoolConfig {
    /// Refuses what cannot work, by the field's name.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let numbers = [
            ("max_connections_per_endpoint", Some(self.max_connections_per_endpoint)),
            ("max_connections_total", self.max_connections_total),
            ("max_connecting_per_endpoint", Some(self.max_connecting_per_endpoint)),
            // Even a first connection is waited for.
            ("max_waiters_per_endpoint", Some(self.max_waiters_per_endpoint)),
        ];
        if let Some((field, _)) = numbers.into_iter().find(|(_, number)| *number == Some(0)) {
            return Err(refused(field, "it must be at least 1"));
        }
        let times = [
            ("connect_timeout", Some(self.connect_timeout)),
            ("idle_timeout", Some(self.idle_timeout)),
            ("max_lifetime", self.max_lifetime),
            ("validate_after_idle", self.validate_after_idle),
            ("keep_alive", self.keep_alive),
            ("drain_timeout", Some(self.drain_timeout)),
        ];
        if let Some((field, _)) = times.into_iter().find(|(_, time)| *time == Some(Duration::ZERO)) {
            return Err(refused(field, "it must be longer than zero"));
        }
        if self.min_idle_per_endpoint > self.max_connections_per_endpoint {
            return Err(refused(
                "min_idle_per_endpoint",
                "it must not be above `max_connections_per_endpoint`",
            ));
        }
        if self
            .max_connections_total
            .is_some_and(|all| self.min_idle_per_endpoint > all)
        {
            return Err(refused(
                "min_idle_per_endpoint",
                "it must not be above `max_connections_total`",
            ));
        }
        let Some(lifetime) = self.max_lifetime else {
            return Ok(());
        };
        let within = [
            ("connect_timeout", Some(self.connect_timeout)),
            ("idle_timeout", Some(self.idle_timeout)),
            ("validate_after_idle", self.validate_after_idle),
            ("keep_alive", self.keep_alive),
        ];
        match within
            .into_iter()
            .find(|(_, time)| time.is_some_and(|time| time > lifetime))
        {
            Some((field, _)) => Err(refused(field, "it must not be longer than `max_lifetime`")),
            None => Ok(()),
        }
    }
}

fn refused(field: &'static str, rule: &'static str) -> BuildError {
    BuildError::Config { field, rule }
}
