//! The sockets of the DNS server: one UDP socket and one TCP listener on the same port.
//!
//! Built on hickory-server: its streams do the framing and the idle time-out, its `Request` does
//! the parsing. WHY not its `Server` loop as well: that loop sends only what hickory's own encoder
//! made, and `wire` says why that will not do.

use std::{net::Ipv4Addr, net::SocketAddr, sync::Arc};

use futures_util::StreamExt;
use hickory_server::{
    net::{
        BufDnsStreamHandle, DnsStreamHandle,
        runtime::{TokioRuntimeProvider, iocompat::AsyncIoTokioAsStd},
        tcp::TcpStream,
        udp::UdpStream,
        xfer::Protocol,
    },
    proto::op::SerialMessage,
    server::{Request, TimeoutStream},
};
use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinSet,
    time::Duration,
};

use super::responder::Responder;
use crate::{addr, error::Error};

/// CoreDNS closes a TCP connection that is idle for this long (`core/dnsserver/server.go`).
const TCP_IDLE: Duration = Duration::from_secs(10);
const TCP_QUEUE: usize = 64;

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
        tokio::join!(
            serve_udp(self.udp, self.addr, &responder),
            serve_tcp(self.tcp, &responder),
        );
    }
}

async fn serve_udp(socket: UdpSocket, addr: SocketAddr, responder: &Arc<Responder>) {
    let (mut stream, sender) = UdpStream::<TokioRuntimeProvider>::with_bound(socket, addr);
    let mut delayed = JoinSet::new();
    while let Some(message) = stream.next().await {
        match message {
            Ok(message) => {
                let sender = sender.with_remote_addr(message.addr());
                handle(message, Protocol::Udp, sender, responder, &mut delayed);
            }
            Err(error) => tracing::debug!(%error, "receiving a query over UDP failed"),
        }
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

async fn connection(stream: tokio::net::TcpStream, peer: SocketAddr, responder: Arc<Responder>) {
    let (stream, sender) = TcpStream::from_stream_with_buffer_size(AsyncIoTokioAsStd(stream), peer, TCP_QUEUE);
    let mut stream = TimeoutStream::new(stream, TCP_IDLE);
    let mut delayed = JoinSet::new();
    while let Some(Ok(message)) = stream.next().await {
        let sender = sender.clone();
        handle(message, Protocol::Tcp, sender, &responder, &mut delayed);
    }
}

/// Answers at once, or from a task of its own if the answer is to be late, so that later queries do
/// not wait behind it.
fn handle(
    message: SerialMessage,
    protocol: Protocol,
    mut sender: BufDnsStreamHandle,
    responder: &Responder,
    delayed: &mut JoinSet<()>,
) {
    while delayed.try_join_next().is_some() {}
    let (bytes, peer) = message.into_parts();
    let request = match Request::from_bytes(bytes, peer, protocol) {
        Ok(request) => request,
        Err(error) => return tracing::debug!(%peer, %error, "not a DNS query"),
    };
    let outcome = responder.respond(&request);
    let Some(reply) = outcome.reply else { return };
    let send = move || {
        if let Err(error) = sender.send(SerialMessage::new(reply, peer)) {
            tracing::debug!(%peer, %error, "a reply could not be queued");
        }
    };
    if outcome.delay.is_zero() {
        send();
    } else {
        delayed.spawn(async move {
            tokio::time::sleep(outcome.delay).await;
            send();
        });
    }
}
