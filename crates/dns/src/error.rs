//! [`ConfigError`]: settings that cannot work, found when the resolver is built. Failures of lookups are `explain.rs`
//! and `failure.rs`.

use std::io;

use headless_core::NameError;

/// Settings that cannot work: what was asked, what was found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A name is not one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No name server was given and the file that names them cannot be read.
    #[error(
        "no name server was given, and {path} cannot be read; call `nameserver(..)`, or `resolv_conf(..)` with another \
         path"
    )]
    ResolvConf {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// No name server was given and the file names none.
    #[error("no name server was given, and {path} has no `nameserver` line; call `nameserver(..)`")]
    NoNameServer {
        /// The file.
        path: String,
    },
    /// The namespace is neither given nor to be found.
    #[error(
        "the namespace of `{target}` is not known: neither {namespace_file} nor a search entry `NAMESPACE.svc.ZONE` in \
         {resolv_conf} was found; write `NAME.NAMESPACE`, or set the namespace"
    )]
    NoNamespace {
        /// The target as it was given.
        target: String,
        /// The file that a pod finds its namespace in.
        namespace_file: String,
        /// The file whose search list was looked at.
        resolv_conf: String,
    },
    /// Port and naming do not go together.
    #[error("cannot look up `{target}`: {problem}")]
    Port {
        /// The target as it was given.
        target: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// [`Naming::PodNames`](crate::Naming::PodNames) without a StatefulSet.
    #[error(
        "cannot look up `{target}`: Naming::PodNames asks for `<set>-<k>`; call `stateful_set(..)` with the \
         StatefulSet's .metadata.name"
    )]
    NoStatefulSet {
        /// The target as it was given.
        target: String,
    },
    /// The DNS library could not be set up.
    #[error("the DNS client cannot be set up: {problem}")]
    Transport {
        /// What it said.
        problem: String,
    },
}
