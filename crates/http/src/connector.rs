//! [`Connector`]: opens an HTTP connection to one endpoint. The half that sends requests is a
//! [`Connection`]; the other half, the driver, runs in a task that ends with it.
//!
//! Must not live here: the choice of the endpoint (`headless`), and what a failed request means
//! (`classify`).

use std::num::NonZeroUsize;

use headless::{AbortHandle, CapacityChanged, Connect, Endpoint, Multiplexing};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::abort::{self, abortable};
use crate::connection::{Connection, Half};
use crate::error::{BoxError, ConnectorError};
use crate::protocol::Protocol;
use crate::tcp::TcpOptions;
use crate::tls::Handshake;
use crate::{http1, http2};

/// Opens HTTP connections: the [`Connect`] of this crate.
///
/// [`ClientBuilder`](crate::ClientBuilder) makes it.
#[derive(Clone, Debug)]
pub struct Connector {
    pub(crate) protocol: Protocol,
    pub(crate) http2: http2::Settings,
    pub(crate) head_limits: HeadLimits,
    pub(crate) tcp: TcpOptions,
    /// `None`: plain text.
    pub(crate) tls: Option<Handshake>,
}

/// How large the head of an answer may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// The number of header fields, over HTTP/1.1.
    pub(crate) fields: usize,
    pub(crate) bytes: usize,
}

impl Connect for Connector {
    type Conn = Connection;
    type Error = ConnectorError;

    async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, ConnectorError> {
        let stream = self.tcp.connect(endpoint.addr()).await.map_err(ConnectorError::Tcp)?;
        let (stream, abort) = abortable(stream, self.tls.is_none().then_some(self.protocol));
        let Some(tls) = &self.tls else {
            return self.begin(stream, abort, endpoint).await;
        };
        let (stream, refusal) = tls.connect(endpoint, stream).await?;
        match self.begin(stream, abort, endpoint).await {
            Ok(connection) => Ok(connection.refusable(refusal)),
            Err(error) => Err(refusal.take().unwrap_or(error)),
        }
    }

    fn is_misconfiguration(&self, error: &ConnectorError) -> bool {
        error.is_misconfiguration()
    }

    fn is_reusable(&self, conn: &Connection) -> bool {
        !conn.is_closed()
    }

    fn multiplexing(&self) -> Multiplexing {
        match self.protocol {
            Protocol::Http1 => Multiplexing::Exclusive,
            Protocol::Http2 => {
                let streams = NonZeroUsize::new(self.http2.max_streams);
                Multiplexing::Streams(streams.unwrap_or(NonZeroUsize::MIN))
            }
        }
    }

    fn share(&self, conn: &Connection) -> Option<Connection> {
        conn.share()
    }

    fn stream_limit(&self, conn: &Connection) -> usize {
        conn.stream_limit()
    }

    fn watch_capacity(&self, conn: &Connection, changed: CapacityChanged) {
        conn.watch(changed);
    }

    fn abort_handle(&self, conn: &Connection) -> Option<Box<dyn AbortHandle>> {
        let handle = conn.abort_handle()?;
        Some(Box::new(handle))
    }
}

impl Connector {
    /// Begins HTTP on a stream to the endpoint.
    async fn begin<S>(
        &self,
        stream: S,
        abort: abort::AbortHandle,
        endpoint: &Endpoint,
    ) -> Result<Connection, ConnectorError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let half = match self.protocol {
            Protocol::Http1 => {
                let handshake = http1::builder(self.head_limits).handshake(TokioIo::new(stream)).await;
                let (sender, driver) = handshake.map_err(ConnectorError::handshake)?;
                let (runs, ended) = oneshot::channel();
                let until_ended = async move {
                    let _runs = runs;
                    driver.await.map_err(BoxError::from)
                };
                drive(until_ended, endpoint);
                Half::Http1(http1::Handle::new(sender, ended))
            }
            Protocol::Http2 => {
                let opened = http2::open(stream, self.http2, self.head_limits).await;
                // h2 keeps the text of an error of the stream, and not the error.
                let (handle, driver) = opened.map_err(|error| match abort.wrong_protocol() {
                    Some(wrong) => ConnectorError::handshake(wrong),
                    None => ConnectorError::handshake(error),
                })?;
                drive(driver.run(), endpoint);
                Half::Http2(handle)
            }
        };
        Ok(Connection::new(half, abort))
    }
}

/// Runs a connection until it is closed, by the pod or because its last [`Connection`] was dropped.
fn drive(driver: impl Future<Output = Result<(), BoxError>> + Send + 'static, endpoint: &Endpoint) {
    // A root of its own: it outlives the attempt to connect, and the request before it.
    let span = tracing::debug_span!(parent: None, "connection", %endpoint);
    span.follows_from(Span::current());
    let task = async move {
        match driver.await {
            Ok(()) => tracing::debug!("connection closed"),
            Err(error) => tracing::debug!(%error, "connection failed"),
        }
    };
    tokio::spawn(task.instrument(span));
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tokio::net::TcpStream;

    use super::*;
    use crate::request_body::RequestBody;

    async fn connected(protocol: Protocol) -> (Connection, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connector = Connector {
            protocol,
            http2: http2::Settings::default(),
            head_limits: HeadLimits {
                fields: 256,
                bytes: 10_000,
            },
            tcp: TcpOptions::default(),
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
    async fn a_closed_connection_is_not_reused_and_returns_the_request() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let (mut connection, pod) = connected(protocol).await;
            drop(pod);
            while !connection.is_closed() {
                tokio::task::yield_now().await;
            }
            let mut request = Request::post("http://web/").body(RequestBody::from("order")).unwrap();
            let failed = connection.send(&mut request).await.unwrap_err();
            let request = failed.returned.expect("it never left");
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
