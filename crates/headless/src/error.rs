//! What can go wrong, by when it shows: [`StartError`], [`BuildError`], [`AcquireError`]. Each says what was asked, what was
//! found, and what to check.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use headless_core::{Endpoint, Failure, FailureKind, FoundBy, NameError, Negative, Resolution, Role};
use thiserror::Error as ThisError;

use crate::pool::{ConnectError, Stage};

/// A [`Discovery`](crate::Discovery) could not start.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum StartError {
    /// The name cannot be read.
    #[error(transparent)]
    Name(NameError),
    /// The resolver cannot be made: no name server, no namespace.
    #[error(transparent)]
    Resolver(Box<dyn Error + Send + Sync>),
    /// DNS says that there is no ready pod.
    #[error(
        "{service} has no ready pod: {negative}; check that the Service exists in that namespace, that it is headless \
         (clusterIP: None), that its selector matches, and that pods are Ready (kubectl get endpointslices)"
    )]
    NoReadyPods {
        /// What was looked up.
        service: Arc<str>,
        /// What DNS answered.
        negative: Negative,
    },
    /// DNS did not say.
    #[error("cannot resolve {service}: {failure}{}", what_to_check(failure.kind))]
    Unresolved {
        /// What was looked up.
        service: Arc<str>,
        /// What went wrong.
        failure: Failure,
    },
}

impl StartError {
    pub(crate) fn unresolved(service: &Arc<str>, failure: Failure) -> Self {
        Self::Unresolved {
            service: Arc::clone(service),
            failure,
        }
    }

    pub(crate) fn from_resolution(service: &Arc<str>, resolution: &Resolution) -> Option<Self> {
        match resolution {
            Resolution::NoEndpoints(negative) => Some(Self::NoReadyPods {
                service: Arc::clone(service),
                negative: negative.clone(),
            }),
            Resolution::Failed(failure) => Some(Self::unresolved(service, failure.clone())),
            _ => None,
        }
    }
}

/// The discovery's task is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[error("the discovery has stopped")]
pub struct Closed;

/// A balancer cannot be built as configured.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting cannot work.
    #[error("`{field}` cannot be used: {rule}")]
    Config {
        /// The setting's name.
        field: &'static str,
        /// What is required.
        rule: &'static str,
    },
    /// A policy by ordinal, on pods without ordinals.
    #[error(
        "role-aware routing of {service} needs pods with ordinals, and none of its {pods} pods has one (found by {}); the pods \
         must belong to a StatefulSet whose serviceName is this Service; give the Service's port a name and use it here, or \
         pin the StatefulSet's name on the resolver", found_by.map_or_else(|| "nothing yet".to_owned(), |by| by.to_string())
    )]
    NoOrdinals {
        /// What was looked up.
        service: String,
        /// How many pods there are.
        pods: usize,
        /// How they were found.
        found_by: Option<FoundBy>,
    },
}

/// No connection could be had.
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum AcquireError {
    /// The set is empty, and stayed so.
    #[error(
        "{service} has no ready pod (waited {waited:?}; {}{})",
        last_good_age.map_or_else(|| "none was ever found".to_owned(), |age| format!("pods were last found {age:?} ago")),
        reason.as_ref().map_or_else(String::new, |reason| format!("; {reason}"))
    )]
    NoEndpoints {
        /// What is watched.
        service: Arc<str>,
        /// How long this call waited.
        waited: Duration,
        /// How long ago DNS last listed a pod.
        last_good_age: Option<Duration>,
        /// What DNS said last, if it was not a list of pods.
        reason: Option<String>,
    },
    /// There are pods, but none of those that were asked for ([`acquire_from`](crate::Balancer::acquire_from)).
    #[error("none of the {asked} pods asked for is among the {pods} of {service} that fit (waited {waited:?})")]
    NoneOfRequested {
        /// What is watched.
        service: Arc<str>,
        /// How many pods were asked for.
        asked: usize,
        /// How many pods there are.
        pods: usize,
        /// How long this call waited.
        waited: Duration,
    },
    /// There are pods, but none in this role.
    #[error("none of the {pods} pods of {service} is a {role} (waited {waited:?})")]
    NoSuchRole {
        /// What is watched.
        service: Arc<str>,
        /// The role asked for.
        role: Role,
        /// How many pods there are.
        pods: usize,
        /// How long this call waited.
        waited: Duration,
    },
    /// The route asks for a role, and the policy knows none.
    #[error("the route asks for a {role}, but the policy of {service} is not role-aware; wrap it in `RoleAware`")]
    RolesNotConfigured {
        /// What is watched.
        service: Arc<str>,
        /// The role asked for.
        role: Role,
    },
    /// Every pod that fits was tried, and none could be connected to.
    #[error("no pod of {service} can be reached ({tried} tried, waited {waited:?}); last: {last}")]
    Unreachable {
        /// What is watched.
        service: Arc<str>,
        /// How many pods were tried in the last round.
        tried: usize,
        /// How long this call waited.
        waited: Duration,
        /// The last failure.
        last: Box<ConnectError>,
    },
    /// The deadline passed while waiting for one pod.
    #[error(
        "no connection to {endpoint} within {waited:?}: {stage} ({busy} in use, {connecting} being opened, {waiting} others \
         waiting, limit {limit}); {}{}",
        what_is_too_small(*stage),
        last_connect_error.as_ref().map_or_else(String::new, |dial| format!("; last failed dial: {dial}"))
    )]
    Timeout {
        /// The pod waited for.
        endpoint: Arc<Endpoint>,
        /// How long this call waited.
        waited: Duration,
        /// What it was waiting for in the end.
        stage: Stage,
        /// Connections of that pod in use.
        busy: usize,
        /// Connections being opened.
        connecting: usize,
        /// Other callers waiting for that pod.
        waiting: usize,
        /// The limit of connections.
        limit: usize,
        /// The last dial that failed, to this pod or to one tried before it.
        last_connect_error: Option<Box<ConnectError>>,
    },
    /// Every pod that fits has as many waiters as are allowed.
    #[error("every pod of {service} has {limit} callers waiting; shed load, or raise `max_waiters_per_endpoint`")]
    Overloaded {
        /// What is watched.
        service: Arc<str>,
        /// The limit of waiters per pod.
        limit: usize,
    },
    /// The balancer was shut down.
    #[error("the balancer of {service} was shut down")]
    ShutDown {
        /// What was watched.
        service: Arc<str>,
    },
}

const fn what_is_too_small(stage: Stage) -> &'static str {
    match stage {
        Stage::AwaitingPermit => "the other pods are slow, or `max_connections_total` is too small",
        _ => "the pod is slow, or `max_connections_per_endpoint` is too small",
    }
}

/// What to look at, where the failure itself does not say.
const fn what_to_check(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Timeout | FailureKind::Io => {
            "; check the name server's address, and that UDP and TCP port 53 are open to it (NetworkPolicy)"
        }
        FailureKind::ServFail | FailureKind::Refused => {
            "; check that this is the cluster's name server, and that it is healthy"
        }
        _ => "",
    }
}
