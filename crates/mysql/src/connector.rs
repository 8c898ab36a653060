//! [`Connector`]: opens a connection to one pod, and [`Link`], the connection as the pool keeps it. Not which pod, and nothing about
//! roles: those are verified by `probe.rs`.
//!
//! The first exchange on each connection asks who answers (an address may have passed to another pod) and what its SQL mode and
//! character set are, since both decide how a statement is read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless::{Connect, Endpoint, Multiplexing, Role};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tokio::sync::Notify;

use crate::account::Account;
use crate::patience::Patience;
use crate::prepared::Prepared;
use crate::server::Greeting;
use crate::session_state::SessionState;
use crate::statement::Dialect;
use crate::topology::Topology;

/// Opens connections for a [`Splitter`](crate::Splitter).
#[derive(Clone)]
pub struct Connector {
    account: Account,
    statements_per_connection: usize,
    /// The DNS domain of the pods, for their certificates.
    #[cfg_attr(
        not(any(feature = "tls-ring", feature = "tls-aws-lc")),
        expect(dead_code, reason = "certificates only")
    )]
    domain: Arc<str>,
    /// Who each pod was when it was last looked at.
    topology: Arc<Topology>,
    /// Roles have to be looked at now.
    look_again: Arc<Notify>,
}

impl Connector {
    pub(crate) fn new(
        account: Account,
        statements_per_connection: usize,
        domain: Arc<str>,
        topology: Arc<Topology>,
        look_again: Arc<Notify>,
    ) -> Self {
        Self {
            account,
            statements_per_connection,
            domain,
            topology,
            look_again,
        }
    }

    /// A connection, with nothing asked on it yet.
    pub(crate) async fn dial(&self, endpoint: &Endpoint) -> Result<Conn, ConnectorError> {
        let addr = endpoint.addr();
        let options = OptsBuilder::default()
            .ip_or_hostname(addr.ip().to_string())
            .resolved_ips(Some(vec![addr.ip()]))
            .tcp_port(addr.port())
            .user(Some(&self.account.user))
            .pass(Some(&self.account.password))
            .db_name(self.account.database.as_ref())
            // The driver would leave for the Unix socket, and so for whatever pod shares this machine.
            .prefer_socket(false)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(KEEPALIVE))
            // What is prepared is kept by `Prepared`.
            .stmt_cache_size(0);
        #[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
        let options = options.ssl_opts(self.account.tls.as_ref().map(|tls| self.ssl(tls, endpoint)));
        Ok(Conn::new(options).await?)
    }

    #[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
    fn ssl(&self, tls: &crate::Tls, endpoint: &Endpoint) -> mysql_async::SslOpts {
        let pod_name = || match endpoint.pod() {
            Some(pod) => format!("{pod}.{}", self.domain),
            None => endpoint.addr().ip().to_string(),
        };
        let name = tls.server_name.clone().unwrap_or_else(pod_name);
        let authorities: Vec<_> = tls.authorities.iter().cloned().map(Into::into).collect();
        let identity = tls.identity.clone();
        mysql_async::SslOpts::default()
            // It is not dangerous to ask for the pod's name: the driver knows the address only, which no certificate is for.
            .with_danger_tls_hostname_override(Some(name))
            .with_disable_built_in_roots(!authorities.is_empty())
            .with_root_certs(authorities)
            .with_client_identity(
                identity.map(|(chain, key)| mysql_async::ClientIdentity::new(chain.into(), key.into())),
            )
    }
}

impl Connect for Connector {
    type Conn = Link;
    type Error = ConnectorError;

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectorError> {
        let mut conn = self.dial(endpoint).await?;
        let greeting = Greeting::ask(&mut conn).await?;
        let overview = self.topology.current();
        let pod = overview.pod(endpoint.key());
        if let Some(known) = pod.and_then(|pod| pod.identity.as_ref())
            && !greeting.identity.is_same_server(known)
        {
            return Err(ConnectorError::Stranger {
                expected: known.to_string(),
                found: greeting.identity.to_string(),
            });
        }
        // F1: a new connection to the primary shows at once whether it still is one. To anybody else it may be as it likes.
        if let Err(problem) = &greeting.writable
            && pod.and_then(|pod| pod.role) == Some(Role::Primary)
        {
            self.look_again.notify_waiters();
            return Err(ConnectorError::Demoted {
                problem: problem.clone(),
            });
        }
        Ok(Link {
            conn,
            dialect: greeting.dialect(),
            first_dialect: greeting.dialect(),
            state: SessionState::default(),
            prepared: Box::new(Prepared::new(self.statements_per_connection)),
            patience: Box::new(Patience::new()),
        })
    }

    fn multiplexing(&self) -> Multiplexing {
        Multiplexing::Exclusive
    }

    fn is_reusable(&self, link: &Link) -> bool {
        // Set by the driver while an exchange is under way: a cancelled one leaves it set.
        !link.conn.is_disconnected()
    }

    async fn validate(&self, link: &mut Link) -> Result<(), ConnectorError> {
        Ok(link.conn.ping().await?)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// A connection to one pod, as a pool keeps it.
pub struct Link {
    pub(crate) conn: Conn,
    /// How the server reads statements on it, as far as is known.
    pub(crate) dialect: Dialect,
    /// The same after a reset.
    first_dialect: Dialect,
    pub(crate) state: SessionState,
    // Boxed, because a pool moves its connections.
    pub(crate) prepared: Box<Prepared>,
    pub(crate) patience: Box<Patience>,
}

impl Link {
    /// It was reset: the session is as when it was opened.
    pub(crate) fn forget(&mut self) {
        self.dialect = self.first_dialect;
        self.state = SessionState::default();
        self.prepared.forget();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("id", &self.conn.id())
            .finish_non_exhaustive()
    }
}

/// Why a pod could not be connected to. Which pod it was is said by the error around it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// The network, or something that does not speak the protocol.
    #[error("{}", described(.0))]
    Network(#[source] Arc<mysql_async::Error>),
    /// The server refused the account or the database.
    #[error("the server refused: {message} (error {code}){}", advice(*code))]
    Refused {
        /// The server's error number.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// The pod was the primary when it was last looked at, and is none any more. Roles are looked at again.
    #[error("it was the primary and is none any more: {problem}")]
    Demoted {
        /// What it says.
        problem: String,
    },
    /// Another server answers at the address than before.
    #[error(
        "another server answers at this address: expected {expected}, found {found}; the address has passed to another pod"
    )]
    Stranger {
        /// Who was there.
        expected: String,
        /// Who is there now.
        found: String,
    },
}

impl From<mysql_async::Error> for ConnectorError {
    fn from(error: mysql_async::Error) -> Self {
        match error {
            mysql_async::Error::Server(server) => Self::Refused {
                code: server.code,
                message: server.message,
            },
            other => Self::Network(Arc::new(other)),
        }
    }
}

/// The driver's words, once, and what to check if it did not understand the other side.
fn described(error: &mysql_async::Error) -> String {
    match error {
        mysql_async::Error::Io(mysql_async::IoError::Io(error)) => error.to_string(),
        mysql_async::Error::Driver(error) => {
            format!("{error} Check that MySQL or MariaDB listens on this port in the pod, and not something else.")
        }
        other => other.to_string(),
    }
}

const fn advice(code: u16) -> &'static str {
    match code {
        1044 | 1045 | 1698 => "; check MYSQL_USER and MYSQL_PASSWORD, and from which hosts the account may connect",
        1049 => "; check MYSQL_DATABASE",
        1040 => {
            "; the server has all the connections it allows: lower `max_connections_per_endpoint`, or raise max_connections"
        }
        1129 => "; the server blocks this host after too many failures: FLUSH HOSTS",
        _ => "",
    }
}

/// Finds peers that vanished without a word, on connections nobody uses.
const KEEPALIVE: Duration = Duration::from_secs(10);
