//! [`Refusal`]: the place for what the other side of a new connection says against it after the
//! connection was opened.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::ConnectorError;

/// Is shared by the stream, which finds it, and the connection above. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal(Arc<Mutex<Option<ConnectorError>>>);

impl Refusal {
    /// The other side has refused the connection, before it processed anything.
    #[cfg(feature = "__tls")]
    pub(crate) fn set(&self, error: ConnectorError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Takes why the other side has refused the connection, if it has.
    pub(crate) fn take(&self) -> Option<ConnectorError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
