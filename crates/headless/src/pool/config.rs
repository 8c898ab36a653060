//! [`PoolConfig`]: the settings of the pools, and what is not allowed.

use std::time::Duration;

/// The settings of the pools, one pool per endpoint.
///
/// The defaults suit HTTP. A database needs fewer connections, and validation.
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
    /// How many connections one endpoint may have: idle, in use and being opened. Default 64.
    ///
    /// A database needs far fewer (its own limit divided by the number of clients).
    pub max_connections_per_endpoint: usize,
    /// How many connections all endpoints together may have. Default: no limit.
    ///
    /// At the limit, an idle connection of another endpoint is closed for a caller; one in use is
    /// closed when it is returned, unless callers of its own endpoint wait for it. An endpoint that
    /// always has waiters gives nothing up, so allow for more connections than there are endpoints.
    pub max_connections_total: Option<usize>,
    /// How many connections to one endpoint are kept idle, ready for the next callers; of
    /// multiplexed connections (HTTP/2), how many are kept open. Default 0: unused endpoints cost
    /// nothing.
    ///
    /// They are opened when the endpoint appears, and never expire by `idle_timeout`. Whatever the
    /// number, an endpoint that joins others in a set is connected to first, and takes requests
    /// when that has succeeded.
    pub min_idle_per_endpoint: usize,
    /// How many connections to one endpoint may be opened at a time. Default 8.
    ///
    /// 64 handshakes at once do not help a pod that has just started, and a returned connection may
    /// be there sooner.
    pub max_connecting_per_endpoint: usize,
    /// How many callers may wait for one endpoint. Default 1024.
    ///
    /// Further callers try other endpoints, and are refused if all queues are full: a queue that no
    /// deadline can empty is only a slower refusal.
    pub max_waiters_per_endpoint: usize,
    /// How long opening one connection may take. Default 2 s.
    ///
    /// Within a cluster it takes milliseconds, and a pod that vanished drops the first packet
    /// silently.
    pub connect_timeout: Duration,
    /// How long a connection may stay unused. Default 60 s, below the idle timeouts usual at
    /// servers; checked every quarter of it.
    pub idle_timeout: Duration,
    /// How old a connection may grow before it is replaced. Default 30 minutes.
    ///
    /// Each connection draws its own limit between 80 and 100 % of this, so that connections opened
    /// together do not end together. The replacement is opened first, so that no request waits for
    /// it.
    pub max_lifetime: Option<Duration>,
    /// After how long an idle connection must be [validated](crate::Connect::validate) before it is
    /// checked out. Default: never; the end of an HTTP connection shows by itself. For a database
    /// 500 ms, as in HikariCP.
    pub validate_after_idle: Option<Duration>,
    /// How often the connection that has been idle longest is [validated](crate::Connect::validate)
    /// in the background. Default: never.
    ///
    /// It finds dead connections before a request does, and keeps firewalls from forgetting live
    /// ones.
    pub keep_alive: Option<Duration>,
    /// How long the requests to a removed endpoint may take to finish. Default 30 s, Kubernetes'
    /// default grace period.
    ///
    /// Then their connections are aborted, if the connector can
    /// ([`abort_handle`](crate::Connect::abort_handle)).
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
    /// How often the pools are maintained.
    pub(crate) fn maintenance_interval(&self) -> Duration {
        let idle = self.idle_timeout / 4;
        self.keep_alive.map_or(idle, |every| idle.min(every / 2))
    }
}

/// A setting that cannot work, and the rule that it breaks.
pub(crate) struct InvalidSetting {
    pub(crate) field: &'static str,
    pub(crate) rule: &'static str,
}

impl PoolConfig {
    /// Refuses settings that cannot work.
    pub(crate) fn validate(&self) -> Result<(), InvalidSetting> {
        let numbers = [
            ("max_connections_per_endpoint", Some(self.max_connections_per_endpoint)),
            ("max_connections_total", self.max_connections_total),
            ("max_connecting_per_endpoint", Some(self.max_connecting_per_endpoint)),
            // Even the first connection is waited for.
            ("max_waiters_per_endpoint", Some(self.max_waiters_per_endpoint)),
        ];
        if let Some((field, _)) = numbers.into_iter().find(|(_, number)| *number == Some(0)) {
            return Err(invalid(field, "it must be at least 1"));
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
            return Err(invalid(field, "it must be longer than zero"));
        }
        if self.min_idle_per_endpoint > self.max_connections_per_endpoint {
            return Err(invalid(
                "min_idle_per_endpoint",
                "it must not be above `max_connections_per_endpoint`",
            ));
        }
        if self
            .max_connections_total
            .is_some_and(|total| self.min_idle_per_endpoint > total)
        {
            return Err(invalid(
                "min_idle_per_endpoint",
                "it must not be above `max_connections_total`",
            ));
        }
        let Some(lifetime) = self.max_lifetime else {
            return Ok(());
        };
        // `drain_timeout` may be longer: it is about requests, not about the age of a connection.
        let shorter = &times[..5];
        match shorter
            .iter()
            .find(|(_, time)| time.is_some_and(|time| time > lifetime))
        {
            Some((field, _)) => Err(invalid(field, "it must not be longer than `max_lifetime`")),
            None => Ok(()),
        }
    }
}

const fn invalid(field: &'static str, rule: &'static str) -> InvalidSetting {
    InvalidSetting { field, rule }
}
