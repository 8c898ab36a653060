//! [`Connector`]: opens a connection to one pod. Which pod, and its role, are not known here: roles
//! are verified by `probe.rs`.
//!
//! The first exchange on each connection asks which server answers (an address may have passed to
//! another pod) and what its SQL mode and character set are, since both decide how a statement is
//! read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless::{Connect, Endpoint, Multiplexing, Role};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tokio::sync::Notify;

use crate::account::Account;
use crate::error::{DriverError, driver_error};
use crate::link::Link;
use crate::server::Greeting;
use crate::tls::TlsOptions;
use crate::topology::Topology;

/// Opens connections for a [`Splitter`](crate::Splitter). Opaque: named in the type of
/// [`Splitter::balancer`](crate::Splitter::balancer).
#[derive(Clone)]
pub struct Connector {
    account: Account,
    statements_per_connection: usize,
    /// `None`: plain text.
    tls: Option<TlsOptions>,
    /// Which server each pod was when it was last probed.
    topology: Arc<Topology>,
    /// The pods have to be probed now.
    probe_now: Arc<Notify>,
}

impl Connector {
    pub(crate) fn new(
        account: Account,
        statements_per_connection: usize,
        tls: Option<TlsOptions>,
        topology: Arc<Topology>,
        probe_now: Arc<Notify>,
    ) -> Self {
        Self {
            account,
            statements_per_connection,
            tls,
            topology,
            probe_now,
        }
    }

    /// A connection, with nothing asked on it yet.
    pub(crate) async fn open(&self, endpoint: &Endpoint) -> Result<Conn, ConnectorError> {
        let addr = endpoint.addr();
        let options = OptsBuilder::default()
            .ip_or_hostname(addr.ip().to_string())
            .resolved_ips(Some(vec![addr.ip()]))
            .tcp_port(addr.port())
            .user(Some(&self.account.user))
            .pass(Some(&self.account.password))
            .db_name(self.account.database.as_ref())
            // The driver would leave for the Unix socket, and so for any pod that shares this
            // machine.
            .prefer_socket(false)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(KEEPALIVE))
            // What is prepared is kept by the `Link`.
            .stmt_cache_size(0);
        let options = match &self.tls {
            Some(tls) => tls.apply(options, endpoint),
            None => options,
        };
        Conn::new(options).await.map_err(ConnectorError::from_driver)
    }
}

impl Connect for Connector {
    type Conn = Link;
    type Error = ConnectorError;

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectorError> {
        let mut conn = self.open(endpoint).await?;
        let greeting = Greeting::ask(&mut conn).await.map_err(ConnectorError::from_driver)?;
        let overview = self.topology.current();
        let pod = overview.pod(endpoint.key());
        if let Some(known) = pod.and_then(|pod| pod.identity.as_ref())
            && !greeting.identity.is_same_server(known)
        {
            return Err(ConnectorError::PeerMismatch {
                expected: known.to_string(),
                found: greeting.identity.to_string(),
            });
        }
        // F1: a new connection to the primary shows at once whether it still is one. Any other pod
        // may be writable or not.
        if let Err(problem) = &greeting.writable
            && pod.and_then(|pod| pod.role) == Some(Role::Primary)
        {
            self.probe_now.notify_waiters();
            return Err(ConnectorError::Demoted {
                problem: problem.clone(),
            });
        }
        Ok(Link::new(conn, greeting.dialect(), self.statements_per_connection))
    }

    fn multiplexing(&self) -> Multiplexing {
        Multiplexing::Exclusive
    }

    fn is_reusable(&self, link: &Link) -> bool {
        // Set by the driver while an exchange is under way: a cancelled one leaves it set.
        !link.conn.is_disconnected()
    }

    async fn validate(&self, link: &mut Link) -> Result<(), ConnectorError> {
        link.conn.ping().await.map_err(ConnectorError::from_driver)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// Why a pod could not be connected to. The error around it names the pod.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// The network failed, or something answered that does not speak the protocol.
    #[error("{}", .0.advice())]
    Network(#[source] DriverError),
    /// The server refused the account or the database.
    #[error("the server refused: {message} (error {code}){}", advice(*code))]
    Refused {
        /// The server's error number.
        code: u16,
        /// The server's message.
        message: String,
    },
    /// The pod was the primary when it was last probed, and is none any more. The roles are probed
    /// again at once.
    #[error("it was the primary and is none any more: {problem}")]
    Demoted {
        /// What the pod answers.
        problem: String,
    },
    /// Another server answers at the address than before.
    #[error(
        "another server answers at this address: expected {expected}, found {found}; the address has passed to \
         another pod"
    )]
    PeerMismatch {
        /// The server that answered before.
        expected: String,
        /// The server that answers now.
        found: String,
    },
}

impl ConnectorError {
    pub(crate) fn from_driver(error: mysql_async::Error) -> Self {
        match error {
            mysql_async::Error::Server(server) => Self::Refused {
                code: server.code,
                message: server.message,
            },
            other => Self::Network(driver_error(other)),
        }
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

/// Finds peers that vanished without a word, on idle connections.
const KEEPALIVE: Duration = Duration::from_secs(10);
