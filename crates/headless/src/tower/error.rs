//! [`Error`]: why a call through [`Balanced`](super::Balanced) failed, and whether the request had
//! left.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use headless_core::Endpoint;
use thiserror::Error as ThisError;

use super::BoxError;
use crate::error::{AcquireError, BuildError};

/// A call failed. `E` is the error of the made services.
///
/// It is a [`std::error::Error`] when `E` is one. A boxed error is none; for layers that need
/// `Into<BoxError>`, put `map_err(headless::tower::Error::into_boxed)` between them and this one.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error<E> {
    /// The layer cannot work as configured, and every call fails.
    /// [`try_layer`](super::DiscoveryLayer::try_layer) reports it early.
    #[error(transparent)]
    Build(BuildError),
    /// No connection could be had.
    #[error(transparent)]
    Acquire(AcquireError),
    /// The service of the chosen endpoint did not become ready in time. Its connection was closed.
    #[error("the service for {endpoint} was not ready within {waited:?}")]
    Timeout {
        /// The endpoint.
        endpoint: Arc<Endpoint>,
        /// How long this call waited for it to become ready.
        waited: Duration,
    },
    /// Services reported that they are dead before they got the request, and no other connection
    /// could be had.
    #[error(transparent)]
    NotReady(E),
    /// The service took the request and failed. It is unknown whether the endpoint has seen it.
    #[error(transparent)]
    Service(E),
}

impl<E> Error<E> {
    /// Returns whether the request provably never reached a service: then it can be sent again,
    /// whatever it does.
    #[must_use]
    pub const fn is_unsent(&self) -> bool {
        !matches!(self, Self::Service(_))
    }

    /// Returns the service's own error, if it is one.
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::NotReady(error) | Self::Service(error) => Some(error),
            Self::Build(_) | Self::Acquire(_) | Self::Timeout { .. } => None,
        }
    }

    /// Converts it into a boxed error, as most layers of tower do.
    #[must_use]
    pub fn into_boxed(self) -> BoxError
    where
        E: Into<BoxError>,
    {
        match self {
            Self::Build(error) => error.into(),
            Self::Acquire(error) => error.into(),
            Self::Timeout { endpoint, waited } => Error::<Infallible>::Timeout { endpoint, waited }.into(),
            Self::NotReady(error) | Self::Service(error) => error.into(),
        }
    }
}
