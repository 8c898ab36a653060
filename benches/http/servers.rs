//! The servers: 8 of plain hyper for each protocol, on one thread in a process of their own, so
//! that the client's CPU time is its own. They end with their standard input.

use std::convert::Infallible;
use std::fmt;
use std::future::ready;
use std::io::{BufRead, BufReader, Read};
use std::net::{AddrParseError, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;

use bytes::Bytes;
use headless_benches::harness::one_thread;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

/// The first argument that makes this program the servers.
pub const ARGUMENT: &str = "serve-the-pods-of-http";
/// Their number for each protocol.
pub const PODS: usize = 8;
/// Their answer.
pub const ANSWER: &[u8] = b"Hello from a pod";

/// A version of HTTP, as the servers speak it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    /// Every answer is the last of its connection.
    Http1Close,
    Http2,
}

impl Protocol {
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http1Close, Self::Http2];
}

/// The addresses of the servers of one protocol; as text, with commas between.
#[derive(Clone, Debug)]
pub struct Pods(pub Vec<SocketAddr>);

impl fmt::Display for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&addresses.join(","))
    }
}

impl FromStr for Pods {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Prints the addresses, a line for each protocol, and serves until standard input ends.
pub fn serve() {
    let runtime = one_thread();
    runtime.block_on(async {
        for protocol in Protocol::ALL {
            let mut pods = Vec::new();
            for _ in 0..PODS {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                pods.push(listener.local_addr().unwrap());
                tokio::spawn(accept(listener, protocol));
            }
            println!("{}", Pods(pods));
        }
        let end = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
        end.await.unwrap().unwrap();
    });
}

async fn accept(listener: TcpListener, protocol: Protocol) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        tokio::spawn(speak(stream, protocol));
    }
}

async fn speak(stream: TcpStream, protocol: Protocol) {
    let service = service_fn(|_: Request<Incoming>| {
        let answer = Response::new(Full::new(Bytes::from_static(ANSWER)));
        ready(Ok::<_, Infallible>(answer))
    });
    let stream = TokioIo::new(stream);
    // The client may end a connection in any way.
    let _ = match protocol {
        Protocol::Http1 => http1::Builder::new().serve_connection(stream, service).await,
        Protocol::Http1Close => {
            let mut server = http1::Builder::new();
            server.keep_alive(false).serve_connection(stream, service).await
        }
        Protocol::Http2 => {
            let server = http2::Builder::new(TokioExecutor::new());
            server.serve_connection(stream, service).await
        }
    };
}

/// The process of the servers, seen from the client.
pub struct Servers {
    process: Child,
    pods: [Pods; 3],
}

impl Servers {
    /// Starts the process.
    pub fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command = command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let pods = Protocol::ALL.map(|_| lines.next().unwrap().unwrap().parse().unwrap());
        Self { process, pods }
    }

    /// Returns the servers that speak `protocol`.
    pub fn of(&self, protocol: Protocol) -> &Pods {
        &self.pods[protocol as usize]
    }

    /// Returns the id of the process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
