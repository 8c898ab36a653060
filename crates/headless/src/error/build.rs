//! [`BuildError`]: a balancer cannot be built as configured.

use headless_core::FoundBy;
use thiserror::Error as ThisError;

use crate::pool::InvalidSetting;

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
    /// A setting of a client that is built on a balancer cannot work.
    #[error("the client of `{service}` cannot be built: {problem}")]
    Client {
        /// The Service that the client is for.
        service: Box<str>,
        /// The setting, its value, and the rule that it breaks.
        problem: Box<str>,
    },
    /// A policy by ordinal, on pods without ordinals.
    #[error(
        "role-aware routing of {service} needs pods with ordinals, and none of its {pods} pods has one \
         (found by {}); the pods must belong to a StatefulSet whose serviceName is this Service; give \
         the Service's port a name and use it here, or pin the StatefulSet's name on the resolver",
        found_by.map_or_else(|| "nothing yet".to_owned(), |by| by.to_string())
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

impl BuildError {
    /// Returns an error about a setting of a client, for crates that build one on a balancer.
    pub fn of_client(service: &str, problem: impl Into<Box<str>>) -> Self {
        Self::Client {
            service: service.into(),
            problem: problem.into(),
        }
    }
}

impl From<InvalidSetting> for BuildError {
    fn from(InvalidSetting { field, rule }: InvalidSetting) -> Self {
        Self::Config { field, rule }
    }
}
