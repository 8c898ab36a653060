//! [`ConfigError`]: settings that cannot work, found when the resolver is built. The failures of
//! lookups are in `explain.rs` and `failure.rs`.

use std::io;

use headless_core::NameError;

/// Settings that cannot work. The message says what was given, what was found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A name cannot be parsed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No name server was given, and the file that names them cannot be read.
    #[error(
        "no name server was given, and {path} cannot be read; call `nameserver(..)`, or `resolv_conf(..)` with another \
         path"
    )]
    ResolvConf {
        /// The path of the file.
        path: String,
        /// The reason why it cannot be read.
        source: io::Error,
    },
    /// No name server was given, and the file names none.
    #[error("no name server was given, and {path} has no `nameserver` line; call `nameserver(..)`")]
    NoNameServer {
        /// The path of the file.
        path: String,
    },
    /// The namespace was not given, and cannot be found.
    #[error(
        "the namespace of `{target}` is not known: neither {namespace_file} nor a search entry `NAMESPACE.svc.ZONE` in \
         {resolv_conf} was found; write `NAME.NAMESPACE`, or set the namespace"
    )]
    NoNamespace {
        /// The target as it was given.
        target: String,
        /// The path of the file with the namespace of a pod.
        namespace_file: String,
        /// The path of the file with the search list.
        resolv_conf: String,
    },
    /// The port and the naming do not fit together.
    #[error("cannot look up `{target}`: {problem}")]
    Port {
        /// The target as it was given.
        target: String,
        /// The problem, and what to do.
        problem: String,
    },
    /// [`Naming::PodNames`](crate::Naming::PodNames) was chosen without a StatefulSet.
    #[error(
        "cannot look up `{target}`: Naming::PodNames asks for `<set>-<k>`; call `stateful_set(..)` with the \
         StatefulSet's .metadata.name"
    )]
    NoStatefulSet {
        /// The target as it was given.
        target: String,
    },
    /// The DNS library cannot be set up.
    #[error("the DNS client cannot be set up: {problem}")]
    Transport {
        /// The message of the library.
        problem: String,
    },
}
