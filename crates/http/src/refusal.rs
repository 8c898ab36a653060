//! [`Refusal`]: the place for what the other side of a new connection says against it after the
//! connection was opened.

use std::sync::{Arc, Mutex};

use crate::error::ConnectorError;
use crate::sync::lock;

/// Is shared by the stream, which finds it, and the connection above. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal(Arc<Mutex<Option<ConnectorError>>>);

impl Refusal {
    /// The other side has refused the connection, before it processed anything.
    #[cfg(feature = "__tls")]
    pub(crate) fn set(&self, error: ConnectorError) {
        *lock(&self.0) = Some(error);
    }

    /// Takes why the other side has refused the connection, if it has.
    pub(crate) fn take(&self) -> Option<ConnectorError> {
        lock(&self.0).take()
    }
}
