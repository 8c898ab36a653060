//! The sockets of the DNS server: one UDP socket and one TCP listener on the same port.
//!
//! hickory-proto reads the queries, and `wire` writes the replies; it says why hickory does not.

use std::{net::Ipv4Addr, net::SocketAddr, sync::Arc};

use hickory_proto::op::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket, tcp::OwnedReadHalf},
    sync::Mutex,
    task::JoinSet,
    time::{Duration, sleep, timeout},
};

use super::{
    log::Transport,
    responder::{Outcome, Responder},
};
use crate::{addr, error::Error};

/// CoreDNS closes a TCP connection that is idle for this long (`core/dnsserver/server.go`).
const TCP_IDLE: Duration = Duration::from_secs(10);

/// Both sockets, bound to the same address.
#[derive(Debug)]
pub(crate) struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
    pub(crate) addr: SocketAddr,
}

impl Sockets {
    /// Port 0 looks for a port that is free for both.
    pub(crate) fn bind(ip: Ipv4Addr, port: u16) -> Result<Self, Error> {
        const ATTEMPTS: usize = 16;
        let mut attempt = Self::bind_once(ip, port);
        for _ in 1..ATTEMPTS {
            if attempt.is_ok() || port != 0 {
                break;
            }
            attempt = Self::bind_once(ip, port);
        }
        attempt
    }

    fn bind_once(ip: Ipv4Addr, port: u16) -> Result<Self, Error> {
        let asked = SocketAddr::from((ip, port));
        let udp = || {
            let socket = std::net::UdpSocket::bind(asked)?;
            socket.set_nonblocking(true)?;
            let socket = UdpSocket::from_std(socket)?;
            let addr = socket.local_addr()?;
            Ok((socket, addr))
        };
        let (udp, addr) = udp().map_err(|source| Error::Bind {
            what: "DNS over UDP".to_owned(),
            addr: asked,
            source,
        })?;
        let tcp = addr::listen(addr, || "DNS over TCP".to_owned())?;
        Ok(Self { udp, tcp, addr })
    }

    /// Serves until the task is dropped.
    pub(crate) async fn serve(self, responder: Arc<Responder>) {
        tokio::join!(serve_udp(self.udp, &responder), serve_tcp(self.tcp, &responder),);
    }
}

async fn serve_udp(socket: UdpSocket, responder: &Responder) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let mut delayed = JoinSet::new();
    loop {
        let (length, peer) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "receiving a query over UDP failed");
                continue;
            }
        };
        let Some((delay, reply)) = answer(&buffer[..length], peer, Transport::Udp, responder) else {
            continue;
        };
        let socket = Arc::clone(&socket);
        let send = async move {
            if let Err(error) = socket.send_to(&reply, peer).await {
                tracing::debug!(%peer, %error, "a reply could not be sent");
            }
        };
        after(delay, send, &mut delayed).await;
    }
}

async fn serve_tcp(listener: TcpListener, responder: &Arc<Responder>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                connections.spawn(connection(stream, peer, Arc::clone(responder)));
            }
            Err(error) => tracing::debug!(%error, "accepting a DNS connection failed"),
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, responder: Arc<Responder>) {
    let (mut read, write) = stream.into_split();
    let write = Arc::new(Mutex::new(write));
    let mut delayed = JoinSet::new();
    while let Ok(Ok(query)) = timeout(TCP_IDLE, read_message(&mut read)).await {
        let Some((delay, reply)) = answer(&query, peer, Transport::Tcp, &responder) else {
            continue;
        };
        let Ok(length) = u16::try_from(reply.len()) else {
            continue;
        };
        let framed = [&length.to_be_bytes()[..], &reply].concat();
        let write = Arc::clone(&write);
        let send = async move {
            if let Err(error) = write.lock().await.write_all(&framed).await {
                tracing::debug!(%peer, %error, "a reply could not be sent");
            }
        };
        after(delay, send, &mut delayed).await;
    }
}

/// A message with its length before it (RFC 1035 section 4.2.2).
async fn read_message(stream: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// The reply to the query in `bytes`, and its delay. `None`: it is not answered.
fn answer(bytes: &[u8], peer: SocketAddr, transport: Transport, responder: &Responder) -> Option<(Duration, Vec<u8>)> {
    match Message::from_vec(bytes) {
        Ok(request) => {
            let Outcome { delay, reply } = responder.respond(&request, bytes, transport);
            Some((delay, reply?))
        }
        Err(error) => {
            tracing::debug!(%peer, %error, "not a DNS query");
            None
        }
    }
}

/// Sends at once, or from a task of its own after the delay, so that later queries do not wait.
async fn after(delay: Duration, send: impl Future<Output = ()> + Send + 'static, delayed: &mut JoinSet<()>) {
    while delayed.try_join_next().is_some() {}
    if delay.is_zero() {
        send.await;
    } else {
        delayed.spawn(async move {
            sleep(delay).await;
            send.await;
        });
    }
}
