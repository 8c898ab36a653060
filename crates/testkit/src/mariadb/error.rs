//! What can go wrong with real servers: a missing program, a server that ended, SQL that was
//! refused.

use std::{io, net::SocketAddr, path::PathBuf};

/// An operation on the MariaDB pods that could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program of MariaDB is not on this machine.
    #[error(
        "{program} is neither on the search path nor in an sbin directory; install MariaDB \
         (Debian, Ubuntu: sudo apt-get install --no-install-recommends mariadb-server-core mariadb-client-core)"
    )]
    NotInstalled {
        /// The program looked for.
        program: &'static str,
    },
    /// The cluster around the servers refused, or something waited for did not happen.
    #[error(transparent)]
    Cluster(#[from] crate::Error),
    /// The system refused.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ended that should not have, or not so.
    #[error("{what} ended ({status}); its last words:\n{log}")]
    Ended {
        /// The program, or the pod of the server.
        what: String,
        /// How it ended.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// The server, or the client program before it reached one, refused.
    #[error("{pod} answered {sql:?} with error {code}: {message}")]
    Sql {
        /// The pod asked.
        pod: String,
        /// What it was asked.
        sql: String,
        /// MariaDB's number: below 2000 and from 3000 on it is the server's, else the client's.
        code: u16,
        /// MariaDB's text.
        message: String,
    },
    /// What was asked needs a server that runs.
    #[error("the server of {pod} is not running; `start` it first")]
    Down {
        /// The pod.
        pod: String,
    },
    /// What was asked needs a server that is not frozen.
    #[error("the server of {pod} is paused: it may wake up as a second writer; `resume` or `kill` it first")]
    Paused {
        /// The pod.
        pod: String,
    },
    /// What was asked makes sense for a replica only.
    #[error("{pod} is the primary; ask a replica, or `promote` another pod first")]
    IsPrimary {
        /// The pod.
        pod: String,
    },
    /// The pod to be promoted lacks what another pod has: writes would be lost.
    #[error("{pod} cannot be promoted: it has {has:?}, and {other} has {more:?}; promote {other} instead")]
    Behind {
        /// The pod to be promoted.
        pod: String,
        /// What it has received, as a GTID position.
        has: String,
        /// The pod that is ahead.
        other: String,
        /// What that one has received.
        more: String,
    },
    /// There is no pod of that ordinal.
    #[error("there is no pod mysql-{ordinal}; there are mysql-0 to mysql-{last}")]
    NoPod {
        /// The ordinal asked for.
        ordinal: u32,
        /// The largest one.
        last: u32,
    },
    /// Answers can be cut by a proxy only.
    #[error("{addr} is the server's own socket, so nothing can be cut; start with `MariaDbBuilder::proxied`")]
    NotProxied {
        /// Where clients connect.
        addr: SocketAddr,
    },
    /// A supervisor's socket did not answer, or refused.
    #[error("{message} (asked through {})", socket.display())]
    Supervisor {
        /// The socket.
        socket: PathBuf,
        /// What was answered, or found.
        message: String,
    },
}

impl Error {
    /// MariaDB's error number, when this is a refusal of SQL: 1290 for a write to a read-only
    /// server.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match *self {
            Self::Sql { code, .. } => Some(code),
            _ => None,
        }
    }

    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
