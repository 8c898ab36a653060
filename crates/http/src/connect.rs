//! [`Connector`]: opens an HTTP connection to one pod, and [`Connection`], the sending half of one. The other half, hyper's driver,
//! runs in a task that ends with it.
//!
//! Must not live here: which pod (`headless`), and what a failed request means (`classify`).

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use headless_core::{AbortHandle, Connect, Endpoint, Multiplexing};
use http::Request;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tracing::Instrument;

use crate::RequestBody;
use crate::cut::{Cut, Cuttable};
use crate::http2;
use crate::request_body::take;
use crate::tls::Handshake;

/// Which HTTP is spoken to the pods: over TCP as it is, or over TLS, where the pod has to agree to it (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1 with keep-alive: one request per connection at a time. The default, because every server speaks it.
    #[default]
    Http1,
    /// HTTP/2, without TLS by prior knowledge (RFC 9113 3.3): many requests share a connection. For gRPC and for servers known to
    /// speak it.
    Http2,
}

/// Opens HTTP connections: the [`Connect`] of this crate. Made by [`ClientBuilder`](crate::ClientBuilder).
#[derive(Clone, Debug)]
pub struct Connector {
    pub(crate) protocol: Protocol,
    pub(crate) max_streams: usize,
    pub(crate) keep_alive: Option<Duration>,
    /// `None`: plain text.
    pub(crate) tls: Option<Handshake>,
}

impl Connect for Connector {
    type Conn = Connection;
    type Error = ConnectorError;

    async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, ConnectorError> {
        let stream = TcpStream::connect(endpoint.addr()).await.map_err(ConnectorError::Tcp)?;
        stream.set_nodelay(true).map_err(ConnectorError::Tcp)?;
        let (stream, cut) = Cuttable::new(stream, self.tls.is_none());
        match &self.tls {
            Some(tls) => self.speak(tls.with(endpoint, stream).await?, cut, endpoint).await,
            None => self.speak(stream, cut, endpoint).await,
        }
    }

    fn is_reusable(&self, conn: &Connection) -> bool {
        !conn.is_closed()
    }

    fn multiplexing(&self) -> Multiplexing {
        match self.protocol {
            Protocol::Http1 => Multiplexing::Exclusive,
            Protocol::Http2 => Multiplexing::Streams(self.max_streams),
        }
    }

    fn share(&self, conn: &Connection) -> Option<Connection> {
        match &conn.sender {
            Sender::Http1(_) => None,
            Sender::Http2(handle) => (!conn.is_closed()).then(|| Connection {
                sender: Sender::Http2(handle.clone()),
                cut: None,
            }),
        }
    }

    fn stream_limit(&self, conn: &Connection) -> usize {
        match &conn.sender {
            Sender::Http1(_) => 1,
            Sender::Http2(handle) => handle.stream_limit(),
        }
    }

    fn abort_handle(&self, conn: &Connection) -> Option<Box<dyn AbortHandle>> {
        conn.cut.clone().map(|cut| Box::new(cut) as Box<dyn AbortHandle>)
    }
}

impl Connector {
    /// Begins HTTP on a stream that leads to the pod and nowhere else.
    async fn speak<S>(&self, stream: S, cut: Cut, endpoint: &Endpoint) -> Result<Connection, ConnectorError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match self.protocol {
            Protocol::Http1 => {
                let handshake = http1::handshake(TokioIo::new(stream)).await;
                let (sender, driver) = handshake.map_err(ConnectorError::handshake)?;
                drive(driver, endpoint);
                Ok(Connection {
                    sender: Sender::Http1(sender),
                    cut: Some(cut),
                })
            }
            Protocol::Http2 => {
                let opened = http2::open(stream, self.keep_alive).await;
                let (handle, driver) = opened
                    .map_err(ConnectorError::handshake)?
                    .ok_or_else(|| ConnectorError::Handshake(NO_SETTINGS.into()))?;
                drive(driver.run(), endpoint);
                Ok(Connection {
                    sender: Sender::Http2(handle),
                    cut: Some(cut),
                })
            }
        }
    }
}

/// Runs a connection until it is closed, by the pod or because its last [`Connection`] was dropped.
fn drive(driver: impl Future<Output = hyper::Result<()>> + Send + 'static, endpoint: &Endpoint) {
    let endpoint = endpoint.clone();
    let task = async move {
        match driver.await {
            Ok(()) => tracing::debug!(%endpoint, "connection closed"),
            Err(error) => tracing::debug!(%endpoint, %error, "connection failed"),
        }
    };
    tokio::spawn(task.in_current_span());
}

/// An open HTTP connection to one pod, or a handle to a shared one. Dropping the last handle closes it.
pub struct Connection {
    sender: Sender,
    /// The pool takes a copy when the connection is opened; further handles to a shared connection have none.
    cut: Option<Cut>,
}

enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::Handle),
}

impl Connection {
    /// Whether it is known to be closed.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(handle) => handle.sender.is_closed(),
        }
    }

    /// Takes one request and sends it, and waits for the head of its answer. An error that holds the message: it never left.
    pub(crate) async fn send(
        &mut self,
        request: &mut Request<RequestBody>,
    ) -> Result<http::Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                // WHY: hyper hands out the last bytes of an answer a moment before its driver is ready for the next request. A
                // connection therefore goes back to the pool at once, and whoever takes it next waits for that moment, if it is
                // not over: no task per request, and no connection lost for being quick.
                if !sender.is_ready() {
                    // What went wrong is found by sending: the request then comes back.
                    let _ = tokio::time::timeout(SETTLE, sender.ready()).await;
                }
                sender.try_send_request(take(request)).await
            }
            Sender::Http2(handle) => handle.sender.try_send_request(take(request)).await,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match &self.sender {
            Sender::Http1(_) => Protocol::Http1,
            Sender::Http2(_) => Protocol::Http2,
        };
        f.debug_struct("Connection")
            .field("protocol", &protocol)
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// Why a connection could not be opened. Which pod it was is said by the error around it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// TCP: refused, unreachable, reset. Refused usually means that nothing listens on this port in the pod: a numeric port
    /// must be the container's, not the Service's.
    #[error(transparent)]
    Tcp(io::Error),
    /// The connection was there, and HTTP could not begin on it.
    #[error("HTTP cannot begin: {}", root(&**.0))]
    Handshake(#[source] crate::error::BoxError),
    /// TLS could not begin: the pod did not prove the name, does not speak TLS, or does not agree to the protocol.
    #[cfg(feature = "__tls")]
    #[error("TLS to `{server_name}` failed: {problem}")]
    Tls {
        /// The name that the pod's certificate must carry ([`Verify`](crate::Verify)).
        server_name: Box<str>,
        /// What was found, and what to do.
        problem: Box<str>,
        /// What the TLS library said, if it was the one to refuse.
        source: Option<crate::BoxError>,
    },
    /// With [`Verify::Pod`](crate::Verify::Pod): there is no name that the pod could prove. Nothing was sent.
    #[cfg(feature = "__tls")]
    #[error(
        "`Verify::Pod`: DNS did not tell this pod's name, so no certificate can prove it; give the Service's port by its name, which \
         brings the pods' names, or use `Verify::Service`"
    )]
    NoPodName,
}

impl ConnectorError {
    fn handshake(error: hyper::Error) -> Self {
        Self::Handshake(error.into())
    }
}

/// WHY not the error itself: hyper's says `connection error`, whatever the cause.
fn root<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error
}

/// How long the next request waits for a connection whose last exchange is not wound up: usually microseconds. It takes long only
/// if the pod answered before it had read the request and leaves the rest unread; such a connection is given up.
const SETTLE: Duration = Duration::from_millis(100);

const NO_SETTINGS: &str =
    "the pod closed the connection before it said what it allows (SETTINGS); does it speak HTTP/2 on this port?";

#[cfg(test)]
mod tests {
    use super::*;

    async fn connected(protocol: Protocol) -> (Connection, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connector = Connector {
            protocol,
            max_streams: 10,
            keep_alive: None,
            tls: None,
        };
        let endpoint = Endpoint::new(listener.local_addr().unwrap());
        let accept = async {
            let (mut pod, _) = listener.accept().await.unwrap();
            if protocol == Protocol::Http2 {
                let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
                tokio::io::AsyncWriteExt::write_all(&mut pod, &settings).await.unwrap();
            }
            pod
        };
        let (connection, pod) = tokio::join!(connector.connect(&endpoint), accept);
        (connection.unwrap(), pod)
    }

    #[tokio::test]
    async fn a_closed_connection_is_not_reused_and_gives_the_request_back() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let (mut connection, pod) = connected(protocol).await;
            drop(pod);
            while !connection.is_closed() {
                tokio::task::yield_now().await;
            }
            let mut request = Request::post("http://web/").body(RequestBody::from("order")).unwrap();
            let mut error = connection.send(&mut request).await.unwrap_err();
            let request = error.take_message().expect("it never left");
            assert!(request.body().is_replayable(), "{protocol:?}");
        }
    }

    #[tokio::test]
    async fn a_dropped_connection_is_closed() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let (connection, mut pod) = connected(protocol).await;
            drop(connection);
            let mut rest = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut pod, &mut rest).await.unwrap();
        }
    }
}
