//! [`Route`]: what one request asks of the balancer. A small value, made per request.

use crate::Role;

/// What one request asks for: any endpoint, or an endpoint of one role.
///
/// ```
/// # use headless_core as headless;
/// use headless::{Role, Route};
///
/// assert_eq!(Route::write().role(), Some(Role::Primary));
/// assert_eq!(Route::any().role(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Route {
    role: Option<Role>,
}

impl Route {
    /// Returns the route to any endpoint. This is the default.
    #[must_use]
    pub const fn any() -> Self {
        Self { role: None }
    }

    /// Returns the route to a replica. Whether a primary takes the request if there is no replica
    /// is decided by the policy's [`Fallback`](crate::policy::Fallback).
    #[must_use]
    pub const fn read() -> Self {
        Self {
            role: Some(Role::Replica),
        }
    }

    /// Returns the route to a primary, and never to another endpoint (invariant I9).
    #[must_use]
    pub const fn write() -> Self {
        Self {
            role: Some(Role::Primary),
        }
    }

    /// Returns the role that is asked for, if any.
    #[must_use]
    pub const fn role(self) -> Option<Role> {
        self.role
    }
}
