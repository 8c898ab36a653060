//! [`AcquireError`]: no connection could be had. Made of what the attempts found ([`Attempts`]).

use std::sync::Arc;
use std::time::Duration;

use headless_core::{Endpoint, Role};
use thiserror::Error as ThisError;

use crate::pool::{ConnectError, Counts, Stage};

/// No connection could be had.
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum AcquireError {
    /// The set is empty, and stayed empty.
    #[error(
        "{service} has no ready pod (waited {waited:?}; {}{})",
        last_good_age.map_or_else(
            || "none was ever found".to_owned(),
            |age| format!("pods were last found {age:?} ago")
        ),
        reason.as_ref().map_or_else(String::new, |reason| format!("; {reason}"))
    )]
    NoEndpoints {
        /// What is watched.
        service: Arc<str>,
        /// How long this call waited.
        waited: Duration,
        /// How long ago DNS last listed an endpoint.
        last_good_age: Option<Duration>,
        /// What DNS said last, if it was not a list of endpoints.
        reason: Option<String>,
    },
    /// There are endpoints, but none of the requested ones
    /// ([`acquire_from`](crate::Balancer::acquire_from)), or no other than those that were tried
    /// ([`acquire_other`](crate::Balancer::acquire_other)).
    #[error(
        "none of the {requested} pods asked for is among the {endpoints} of {service} that fit (waited {waited:?})"
    )]
    NoneOfRequested {
        /// What is watched.
        service: Arc<str>,
        /// How many endpoints were requested.
        requested: usize,
        /// How many endpoints there are.
        endpoints: usize,
        /// How long this call waited.
        waited: Duration,
    },
    /// There are endpoints, but none in this role.
    #[error("none of the {endpoints} pods of {service} is a {role} (waited {waited:?})")]
    NoSuchRole {
        /// What is watched.
        service: Arc<str>,
        /// The requested role.
        role: Role,
        /// How many endpoints there are.
        endpoints: usize,
        /// How long this call waited.
        waited: Duration,
    },
    /// The route asks for a role, and the policy knows none.
    #[error("the route asks for a {role}, but the policy of {service} is not role-aware; wrap it in `RoleAware`")]
    RolesNotConfigured {
        /// What is watched.
        service: Arc<str>,
        /// The requested role.
        role: Role,
    },
    /// Every endpoint that fits was tried, and none could be connected to.
    ///
    /// It comes at once if no other attempt can succeed soon (a wrong certificate, another
    /// protocol, a runtime that has shut down), and otherwise at the deadline.
    #[error(
        "no pod of {service} can be reached ({tried} tried, waited {waited:?}); last: {last}{}",
        hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"))
    )]
    Unreachable {
        /// What is watched.
        service: Arc<str>,
        /// How many endpoints were tried in the last round.
        tried: usize,
        /// How long this call waited.
        waited: Duration,
        /// The last failure.
        last: Box<ConnectError>,
        /// What DNS tells that may be the reason ([`Resolve::hint`](crate::Resolve::hint)).
        hint: Option<String>,
    },
    /// The deadline passed while the call waited for one endpoint.
    #[error(
        "no connection to {endpoint} within {waited:?}: {stage} ({busy} in use, {connecting} being opened, \
         {waiting} others waiting, limit {limit}); {}{}",
        what_is_too_small(*stage, *busy),
        last_connect_error.as_ref().map_or_else(String::new, |last| format!("; last failed attempt to connect: {last}"))
    )]
    Timeout {
        /// The endpoint.
        endpoint: Arc<Endpoint>,
        /// How long this call waited.
        waited: Duration,
        /// What it was waiting for in the end.
        stage: Stage,
        /// How many connections to that endpoint are in use.
        busy: usize,
        /// How many are being opened.
        connecting: usize,
        /// How many other callers wait for that endpoint.
        waiting: usize,
        /// How many connections the endpoint may have.
        limit: usize,
        /// The last failure to connect, to this endpoint or to one tried before it.
        last_connect_error: Option<Box<ConnectError>>,
    },
    /// Every endpoint that fits has as many waiters as are allowed.
    #[error("every pod of {service} has {limit} callers waiting; shed load, or raise `max_waiters_per_endpoint`")]
    Overloaded {
        /// What is watched.
        service: Arc<str>,
        /// How many callers may wait for one endpoint.
        limit: usize,
    },
    /// The balancer was shut down.
    #[error("the balancer of {service} was shut down")]
    ShutDown {
        /// What was watched.
        service: Arc<str>,
    },
}

const fn what_is_too_small(stage: Stage, busy: usize) -> &'static str {
    match stage {
        Stage::NoStreams => "the pod starts, drains, or has too much to do",
        Stage::AwaitingPermit => "the other pods are slow, or `max_connections_total` is too small",
        Stage::Connecting if busy == 0 => {
            "opening it takes too long: the pod hangs, or a network policy drops its packets"
        }
        _ => "the pod is slow, or `max_connections_per_endpoint` is too small",
    }
}

/// What one round of attempts, on each endpoint that fits, came to.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// How many endpoints the caller named, if no other will do.
    pub(crate) requested: Option<usize>,
    pub(crate) tried: usize,
    pub(crate) full: usize,
    /// How many cannot be connected to, and will not soon.
    pub(crate) permanent: usize,
    pub(crate) last_connect_error: Option<ConnectError>,
    pub(crate) timed_out: Option<TimedOut>,
    /// An endpoint that allows no stream at the moment.
    pub(crate) barred: Option<TimedOut>,
}

/// The endpoint that was being waited for at the deadline.
#[derive(Debug)]
pub(crate) struct TimedOut {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) stage: Stage,
    pub(crate) counts: Counts,
    pub(crate) last_failure: Option<ConnectError>,
}

/// The balancer at the time of the error.
pub(crate) struct Circumstances<'a> {
    pub(crate) service: &'a Arc<str>,
    pub(crate) role: Option<Role>,
    pub(crate) endpoints: usize,
    pub(crate) max_connections: usize,
    pub(crate) max_waiters: usize,
    pub(crate) last_good_age: Option<Duration>,
    /// What DNS said last, if it was not a list of endpoints.
    pub(crate) dns_said: Option<String>,
    /// What DNS tells that may be why connections fail.
    pub(crate) hint: Option<String>,
    pub(crate) waited: Duration,
}

impl Attempts {
    /// These attempts, with what those before had learnt: the deadline may cut the last round
    /// short.
    pub(crate) fn after(mut self, before: Self) -> Self {
        self.tried = self.tried.max(before.tried);
        self.last_connect_error = self.last_connect_error.or(before.last_connect_error);
        self.barred = self.barred.or(before.barred);
        self
    }

    /// Whether another round is pointless: the time is up, or every endpoint that fits has a full
    /// queue or fails permanently.
    pub(crate) fn is_final(&self) -> bool {
        self.timed_out.is_some() || (self.tried > 0 && self.full + self.permanent == self.tried)
    }

    /// The error that explains why no attempt succeeded.
    pub(crate) fn explain(self, now: Circumstances<'_>) -> AcquireError {
        let (service, waited) = (Arc::clone(now.service), now.waited);
        let timed_out = self.timed_out.or(self.barred);
        match (timed_out, self.last_connect_error) {
            // A pool whose connections are all in use is the cause, or one whose endpoint allows no
            // stream on them; for one that has none, the cause is the failed attempts to connect.
            (Some(late), last) if last.is_none() || late.counts.busy > 0 || late.stage == Stage::NoStreams => {
                return AcquireError::Timeout {
                    endpoint: late.endpoint,
                    waited,
                    stage: late.stage,
                    busy: late.counts.busy,
                    connecting: late.counts.connecting,
                    waiting: late.counts.waiting,
                    limit: now.max_connections,
                    last_connect_error: late.last_failure.or(last).map(Box::new),
                };
            }
            (_, Some(last)) if self.full == 0 => {
                return AcquireError::Unreachable {
                    service,
                    tried: self.tried,
                    waited,
                    last: Box::new(last),
                    hint: now.hint,
                };
            }
            _ if self.full > 0 => {
                let limit = now.max_waiters;
                return AcquireError::Overloaded { service, limit };
            }
            _ => {}
        }
        let endpoints = now.endpoints;
        let (requested, role) = match endpoints {
            0 => (None, None),
            _ => (self.requested, now.role),
        };
        match (requested, role) {
            (Some(requested), _) => AcquireError::NoneOfRequested {
                service,
                requested,
                endpoints,
                waited,
            },
            (None, Some(role)) => AcquireError::NoSuchRole {
                service,
                role,
                endpoints,
                waited,
            },
            (None, None) => AcquireError::NoEndpoints {
                service,
                waited,
                last_good_age: now.last_good_age,
                reason: now.dns_said,
            },
        }
    }
}
