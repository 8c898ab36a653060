//! [`Roles`]: which role each candidate has, by the rule in force.

use headless_core::policy::Candidate;
use headless_core::{Endpoint, Role, RoleRule};

/// The rule of roles, if there is one.
pub(super) struct Roles(Option<RoleRule>);

impl Roles {
    pub(super) const fn new(rule: Option<RoleRule>) -> Self {
        Self(rule)
    }

    /// The role of a new endpoint.
    pub(super) fn of(&self, endpoint: &Endpoint) -> Option<Role> {
        self.0.as_ref().and_then(|rule| rule.role_of(endpoint))
    }

    /// Asks the rule again for all, if its answers may change while the endpoints stay.
    pub(super) fn refresh(&self, candidates: &mut [Candidate]) {
        if let Some(rule @ RoleRule::External(_)) = &self.0 {
            assign(rule, candidates);
        }
    }

    /// Replaces the rule, once it has given each candidate its role: a rule that panics is not
    /// kept.
    pub(super) fn replace(&mut self, rule: RoleRule, candidates: &mut [Candidate]) {
        assign(&rule, candidates);
        self.0 = Some(rule);
    }
}

fn assign(rule: &RoleRule, candidates: &mut [Candidate]) {
    for candidate in candidates {
        candidate.role = rule.role_of(&candidate.endpoint);
    }
}
