//! DNS over TCP to one name server, for answers that do not fit into a datagram: bytes in, bytes
//! out.
//!
//! The DNS library is not used, because it drops the records of an answer that is truncated over
//! TCP, too, and hides the transport of an answer. There is no background task: a connection is
//! used by one exchange at a time and is idle in between. The bytes are parsed in `wire.rs`.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::sync::lock;

/// The connections to one name server.
#[derive(Debug)]
pub(crate) struct Tcp {
    addr: SocketAddr,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    opened: Instant,
}

impl Tcp {
    /// Returns a client without connections. It opens no socket yet.
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            idle: Mutex::default(),
        }
    }

    /// Sends `query` and returns the message that comes back. The caller limits the time.
    ///
    /// # Cancel safety
    /// If the future is dropped, the connection that it used is closed, so that a late answer
    /// cannot be taken for that of another question.
    pub(crate) async fn exchange(&self, query: &[u8]) -> io::Result<Vec<u8>> {
        if let Some(connection) = self.take() {
            // WHY: a server may close an idle connection at any time. Only a new connection tells
            // whether the server is there.
            if let Ok(answer) = self.on(connection, query).await {
                return Ok(answer);
            }
        }
        let stream = TcpStream::connect(self.addr).await?;
        stream.set_nodelay(true)?;
        let opened = Instant::now();
        self.on(Connection { stream, opened }, query).await
    }

    /// SPEC(RFC 1035 4.2.2): each message is preceded by its length, in two bytes.
    async fn on(&self, mut connection: Connection, query: &[u8]) -> io::Result<Vec<u8>> {
        let length = u16::try_from(query.len()).map_err(io::Error::other)?;
        // One write: some servers take the first segment for the whole message (RFC 7766 8).
        let message = [&length.to_be_bytes(), query].concat();
        let stream = &mut connection.stream;
        stream.write_all(&message).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        self.keep(connection);
        Ok(answer)
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = lock(&self.idle);
        let now = Instant::now();
        idle.retain(|idle| {
            now.duration_since(idle.since) < KEEP && now.duration_since(idle.connection.opened) < MAX_AGE
        });
        idle.pop().map(|idle| idle.connection)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        // The other connections of a burst are closed; A and AAAA of one name need two.
        if idle.len() < MAX_IDLE {
            idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }
}

const MAX_IDLE: usize = 2;
/// CoreDNS closes an idle connection after 10 s.
const KEEP: Duration = Duration::from_secs(9);
/// WHY: dnsmasq answers each connection from a process of its own, whose data is as old as the
/// connection. This bounds the age; other servers lose a handshake at every sixth lookup.
const MAX_AGE: Duration = Duration::from_secs(30);
