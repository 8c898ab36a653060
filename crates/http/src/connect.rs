//! [`Connector`]: opens an HTTP connection to one pod, and [`Connection`], the sending half of one. The other half, hyper's driver,
//! runs in a task that ends with it.
//!
//! Must not live here: which pod (`headless`), and what a failed request means (`classify`).

use std::fmt;
use std::io;
use std::time::Duration;

use headless_core::{AbortHandle, Connect, Endpoint, Sharing};
use http::Request;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tracing::Instrument;

use crate::RequestBody;
use crate::cut::{Cut, Cuttable};

/// Which HTTP is spoken to the pods. Plain text in both cases; TLS is not part of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1 with keep-alive: one request per connection at a time. The default, because every server speaks it.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge (RFC 9113 3.3): many requests share a connection. For gRPC and for servers known to speak it.
    Http2,
}

/// Opens HTTP connections: the [`Connect`] of this crate. Made by [`ClientBuilder`](crate::ClientBuilder).
#[derive(Clone, Debug)]
pub struct Connector {
    pub(crate) protocol: Protocol,
    pub(crate) max_streams: usize,
    pub(crate) keep_alive: Option<Duration>,
}

impl Connect for Connector {
    type Conn = Connection;
    type Error = ConnectError;

    async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, ConnectError> {
        let stream = TcpStream::connect(endpoint.addr()).await.map_err(ConnectError::Tcp)?;
        stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
        let (stream, cut) = Cuttable::new(stream);
        let io = TokioIo::new(stream);
        match self.protocol {
            Protocol::Http1 => {
                let (sender, driver) = http1::handshake(io).await.map_err(ConnectError::handshake)?;
                drive(driver, endpoint);
                Ok(Connection {
                    sender: Sender::Http1(sender),
                    cut: Some(cut),
                })
            }
            Protocol::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.timer(TokioTimer::new()).keep_alive_interval(self.keep_alive);
                let (sender, driver) = builder.handshake(io).await.map_err(ConnectError::handshake)?;
                drive(driver, endpoint);
                Ok(Connection {
                    sender: Sender::Http2(sender),
                    cut: Some(cut),
                })
            }
        }
    }

    fn is_reusable(&self, conn: &Connection) -> bool {
        !conn.is_closed()
    }

    fn sharing(&self) -> Sharing {
        match self.protocol {
            Protocol::Http1 => Sharing::Exclusive,
            Protocol::Http2 => Sharing::Streams(self.max_streams),
        }
    }

    fn share(&self, conn: &Connection) -> Option<Connection> {
        match &conn.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => (!sender.is_closed()).then(|| Connection {
                sender: Sender::Http2(sender.clone()),
                cut: None,
            }),
        }
    }

    fn abort_handle(&self, conn: &Connection) -> Option<Box<dyn AbortHandle>> {
        conn.cut.clone().map(|cut| Box::new(cut) as Box<dyn AbortHandle>)
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
    Http2(http2::SendRequest<RequestBody>),
}

impl Connection {
    /// Whether it is known to be closed.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Sends one request and waits for the head of its answer. An error that holds the message: it never left.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
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
                sender.try_send_request(request).await
            }
            Sender::Http2(sender) => sender.try_send_request(request).await,
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
pub enum ConnectError {
    /// TCP: refused, unreachable, reset. Refused usually means that nothing listens on this port in the pod: a numeric port
    /// must be the container's, not the Service's.
    #[error(transparent)]
    Tcp(io::Error),
    /// The connection was there, and HTTP could not begin on it.
    #[error(transparent)]
    Handshake(crate::error::BoxError),
}

impl ConnectError {
    fn handshake(error: hyper::Error) -> Self {
        Self::Handshake(error.into())
    }
}

/// How long the next request waits for a connection whose last exchange is not wound up: usually microseconds. It takes long only
/// if the pod answered before it had read the request and leaves the rest unread; such a connection is given up.
const SETTLE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    async fn connected(protocol: Protocol) -> (Connection, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connector = Connector {
            protocol,
            max_streams: 10,
            keep_alive: None,
        };
        let endpoint = Endpoint::new(listener.local_addr().unwrap());
        let connection = connector.connect(&endpoint).await.unwrap();
        (connection, listener.accept().unwrap().0)
    }

    #[tokio::test]
    async fn a_closed_connection_is_not_reused_and_gives_the_request_back() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let (mut connection, pod) = connected(protocol).await;
            drop(pod);
            while !connection.is_closed() {
                tokio::task::yield_now().await;
            }
            let request = Request::post("http://web/").body(RequestBody::from("order")).unwrap();
            let mut error = connection.send(request).await.unwrap_err();
            let request = error.take_message().expect("it never left");
            assert!(request.body().is_replayable(), "{protocol:?}");
        }
    }

    #[tokio::test]
    async fn a_dropped_connection_is_closed() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let (connection, pod) = connected(protocol).await;
            drop(connection);
            pod.set_nonblocking(true).unwrap();
            let mut pod = TcpStream::from_std(pod).unwrap();
            let mut rest = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut pod, &mut rest).await.unwrap();
        }
    }
}
