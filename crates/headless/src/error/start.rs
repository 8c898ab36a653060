//! [`StartError`]: a watch could not start. [`Closed`]: it has ended.

use std::error::Error;
use std::sync::Arc;

use headless_core::{Failure, FailureKind, NameError, Negative, Resolution};
use thiserror::Error as ThisError;

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
        "{service} has no ready pod: {negative}; check that the Service exists in that namespace, \
         that it is headless (clusterIP: None), that its selector matches, and that pods are Ready \
         (kubectl get endpointslices)"
    )]
    NoReadyPods {
        /// What was looked up.
        service: Arc<str>,
        /// What DNS answered.
        negative: Negative,
    },
    /// The lookup failed.
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
#[non_exhaustive]
pub struct Closed;

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
