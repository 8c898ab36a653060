//! Why a pool gave no connection: [`Refusal`], [`ConnectError`], and [`Stage`], what was waited
//! for.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless_core::{Connect, Endpoint, PeerMismatch};

/// Why a pool gave no connection.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// The endpoint is no longer in the set.
    Removed,
    /// The queue is full.
    Full,
    /// The endpoint allows no stream on its connections at the moment.
    NoStreams,
    /// The endpoint could not be connected to.
    Connect(ConnectError),
}

/// A connection could not be opened: to which endpoint, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectError {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// What happened.
    pub fault: ConnectFault,
}

/// What happened to an attempt to connect.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectFault {
    /// The connector returned this error.
    Failed(Arc<dyn Error + Send + Sync>),
    /// The connector returned this error, which comes again until a setting is changed
    /// ([`is_misconfiguration`](crate::Connect::is_misconfiguration)).
    Misconfigured(Arc<dyn Error + Send + Sync>),
    /// It took longer than [`connect_timeout`](crate::PoolConfig::connect_timeout), which was this.
    TimedOut(Duration),
    /// Another peer has the address ([`verify_peer`](crate::BalancerBuilder::verify_peer)).
    PeerMismatch(PeerMismatch),
    /// The connection had ended before its first use: something accepts connections and closes
    /// them.
    Dead,
    /// So many connections in a row were opened and ended before an answer, the last one with this
    /// error ([`Lease::unanswered`](crate::Lease::unanswered)).
    Unanswered {
        /// How many in a row.
        connections: u32,
        /// How the last one ended.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The endpoint left the set meanwhile.
    Removed,
    /// The connector panicked.
    Panicked,
    /// The runtime on which the balancer was made has shut down.
    RuntimeShutDown,
    /// The runtime on which the balancer was made did not even begin the attempt, for this long.
    RuntimeStalled(Duration),
}

impl ConnectFault {
    /// What `error` of the connector is.
    pub(crate) fn of<C: Connect>(connector: &C, error: C::Error) -> Self {
        match connector.is_misconfiguration(&error) {
            true => Self::Misconfigured(Arc::new(error)),
            false => Self::Failed(Arc::new(error)),
        }
    }

    /// Whether it seldom passes by itself, so that frequent probes only cost.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, Self::Misconfigured(_) | Self::Unanswered { .. })
    }

    /// Whether no other attempt can succeed soon.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Misconfigured(_) | Self::RuntimeShutDown | Self::RuntimeStalled(_)
        )
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: ", self.endpoint)?;
        match &self.fault {
            ConnectFault::Failed(error) | ConnectFault::Misconfigured(error) => error.fmt(f),
            ConnectFault::TimedOut(after) => write!(f, "no connection within {after:?}"),
            ConnectFault::PeerMismatch(mismatch) => mismatch.fmt(f),
            ConnectFault::Dead => f.write_str("the connection was closed as soon as it was open"),
            ConnectFault::Unanswered { connections, source } => write!(
                f,
                "it accepts connections and closes them before an answer ({connections} in a row); last: {source}"
            ),
            ConnectFault::Removed => f.write_str("the endpoint left the set"),
            ConnectFault::Panicked => f.write_str("the connector panicked"),
            ConnectFault::RuntimeShutDown => f.write_str(
                "the tokio runtime on which the balancer was made has shut down; make it on a runtime that lives as \
                 long as its requests",
            ),
            ConnectFault::RuntimeStalled(waited) => write!(
                f,
                "the tokio runtime on which the balancer was made has not begun the attempt for {waited:?}; is the \
                 runtime driven (a current-thread runtime runs only inside `block_on`), or do its tasks block?"
            ),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.fault {
            // Its own text is part of ours already; its cause is not.
            ConnectFault::Failed(error) | ConnectFault::Misconfigured(error) => error.source(),
            ConnectFault::Unanswered { source, .. } => source.source(),
            ConnectFault::TimedOut(_)
            | ConnectFault::PeerMismatch(_)
            | ConnectFault::Dead
            | ConnectFault::Removed
            | ConnectFault::Panicked
            | ConnectFault::RuntimeShutDown
            | ConnectFault::RuntimeStalled(_) => None,
        }
    }
}

/// What a caller that is still without a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Stage {
    /// For a connection in use to be returned: all that the endpoint may have are checked out.
    #[default]
    Queued,
    /// For a connection to be opened.
    Connecting,
    /// For an idle connection to prove that it is alive.
    Validating,
    /// For another endpoint to close a connection: all together have as many as
    /// [`max_connections_total`](crate::PoolConfig::max_connections_total) allows, and none is
    /// idle.
    AwaitingPermit,
    /// For the endpoint to allow a request on the connections there are: at the moment it allows
    /// none (HTTP/2: `SETTINGS_MAX_CONCURRENT_STREAMS` is 0).
    NoStreams,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "waiting for one in use to come back",
            Self::Connecting => "waiting for one to be opened",
            Self::Validating => "checking an idle one",
            Self::AwaitingPermit => "waiting for another pod to give up one",
            Self::NoStreams => "it allows no request on its connections (HTTP/2: MAX_CONCURRENT_STREAMS is 0)",
        })
    }
}
