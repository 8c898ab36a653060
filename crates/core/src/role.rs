//! [`Role`]: what an endpoint is in a replicated set. [`RoleRule`]: how roles are assigned. Which
//! endpoint takes a request is decided in `policy/role_aware.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{Endpoint, Ordinal, PodName};

/// What an endpoint is in a replicated set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(
    clippy::exhaustive_enums,
    reason = "callers match on the two roles of a replicated set"
)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It takes reads.
    Replica,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        })
    }
}

/// Assigns roles to endpoints.
///
/// An endpoint without a role takes no request that asks for one.
///
/// ```
/// # use headless_core as headless;
/// use headless::{Endpoint, Ordinal, Role, RoleRule};
///
/// let pod = |k| {
///     let endpoint = Endpoint::new(([10, 0, 0, 1], 3306).into());
///     endpoint.with_pod(format!("mysql-{k}").parse().unwrap())
/// };
/// let rule = RoleRule::by_ordinal(); // ordinal 0 takes writes, the others take reads
/// assert_eq!(rule.role_of(&pod(0)), Some(Role::Primary));
/// assert_eq!(rule.role_of(&pod(2)), Some(Role::Replica));
/// let promoted = RoleRule::primary_is(Ordinal::new(2));
/// assert_eq!(promoted.role_of(&pod(2)), Some(Role::Primary));
/// let nameless = Endpoint::new(([10, 0, 0, 9], 3306).into());
/// assert_eq!(rule.role_of(&nameless), None, "no ordinal, no role");
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum RoleRule {
    /// The pod with this ordinal is the primary, and every other ordinal is a replica.
    ByOrdinal {
        /// The primary's ordinal: 0, `spec.ordinals.start`, or the pod that was promoted.
        primary: Ordinal,
    },
    /// Exactly these pods have these roles.
    Explicit(BTreeMap<PodName, Role>),
    /// Asked for each endpoint, each time the membership changes. For roles that are verified
    /// elsewhere, such as those of a database.
    External(RoleFn),
}

/// The function of a [`RoleRule::External`].
pub type RoleFn = Arc<dyn Fn(&Endpoint) -> Option<Role> + Send + Sync>;

impl RoleRule {
    /// Returns the rule that ordinal 0 is the primary and the other ordinals are replicas.
    #[must_use]
    pub const fn by_ordinal() -> Self {
        Self::primary_is(Ordinal::ZERO)
    }

    /// Returns the rule that `primary` is the primary and the other ordinals are replicas.
    #[must_use]
    pub const fn primary_is(primary: Ordinal) -> Self {
        Self::ByOrdinal { primary }
    }

    /// Returns a rule that asks the function `rule`.
    pub fn external(rule: impl Fn(&Endpoint) -> Option<Role> + Send + Sync + 'static) -> Self {
        Self::External(Arc::new(rule))
    }

    /// Returns the role of `endpoint`, if it has one.
    #[must_use]
    pub fn role_of(&self, endpoint: &Endpoint) -> Option<Role> {
        match self {
            Self::ByOrdinal { primary } => {
                let ordinal = endpoint.ordinal()?;
                Some(if ordinal == *primary {
                    Role::Primary
                } else {
                    Role::Replica
                })
            }
            Self::Explicit(roles) => roles.get(endpoint.pod()?).copied(),
            Self::External(rule) => rule(endpoint),
        }
    }

    /// Returns whether the rule needs endpoints that have ordinals.
    #[must_use]
    pub const fn needs_ordinals(&self) -> bool {
        matches!(self, Self::ByOrdinal { .. })
    }
}

impl Default for RoleRule {
    fn default() -> Self {
        Self::by_ordinal()
    }
}

impl fmt::Debug for RoleRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByOrdinal { primary } => write!(f, "ByOrdinal(primary = {primary})"),
            Self::Explicit(roles) => f.debug_tuple("Explicit").field(roles).finish(),
            Self::External(_) => f.write_str("External(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explicit_map_names_every_pod_it_means() {
        let pod = |name: &str| Endpoint::new(([10, 0, 0, 1], 80).into()).with_pod(name.parse().unwrap());
        let rule = RoleRule::Explicit(BTreeMap::from([("db-1".parse().unwrap(), Role::Primary)]));
        assert_eq!(rule.role_of(&pod("db-1")), Some(Role::Primary));
        assert_eq!(
            rule.role_of(&pod("db-0")),
            None,
            "not in the map: no role, whatever its ordinal"
        );
    }

    #[test]
    fn an_external_rule_is_asked() {
        let rule = RoleRule::external(|e| (e.addr().port() == 80).then_some(Role::Replica));
        assert_eq!(
            rule.role_of(&Endpoint::new(([10, 0, 0, 1], 80).into())),
            Some(Role::Replica)
        );
        assert_eq!(rule.role_of(&Endpoint::new(([10, 0, 0, 1], 81).into())), None);
    }
}
