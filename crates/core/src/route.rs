//! [`Route`]: what one request asks of the balancer. A small value, made per request.

use crate::Role;

/// What one request asks for: any pod, or a pod of one role.
///
/// ```
/// use headless_core::{Role, Route};
///
/// assert_eq!(Route::write().role(), Some(Role::Primary));
/// assert_eq!(Route::any().role(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Route {
    role: Option<Role>,
}

impl Route {
    /// Any pod will do.
    #[must_use]
    pub const fn any() -> Self {
        Self { role: None }
    }

    /// A replica. Whether the primary stands in when there is none is the policy's fallback rule.
    #[must_use]
    pub const fn read() -> Self {
        Self {
            role: Some(Role::Replica),
        }
    }

    /// The primary, and nothing else, ever (invariant I9).
    #[must_use]
    pub const fn write() -> Self {
        Self {
            role: Some(Role::Primary),
        }
    }

    /// The role asked for.
    #[must_use]
    pub const fn role(self) -> Option<Role> {
        self.role
    }
}
