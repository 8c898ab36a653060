//! HAProxy between the driver and the pods, if it is on the `PATH`: TCP, a port for writes and one
//! for reads, the usual setup for MySQL. Connections are those of the baseline, so the difference
//! is the proxy.
//!
//! It shares the client's CPU, because it is on the client's side.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use headless_benches::harness;
use tokio::net::TcpStream;

use crate::hand_written::Connection;
use crate::implementation::{Implementation, Setup};
use crate::servers::Pods;

/// A running HAProxy, and its address for reads.
pub struct HaProxy {
    process: harness::HaProxy,
    reads: SocketAddr,
}

impl Implementation for HaProxy {
    const NAME: &'static str = "HAProxy, hand-written";
    type Caller = Connection;

    async fn open(setup: Setup) -> Self {
        let port = || TcpListener::bind("127.0.0.1:0").unwrap();
        // Both stay open until both are known, so that they differ.
        let [writes, reads] = [port(), port()].map(|port| port.local_addr().unwrap());
        let process = harness::HaProxy::start(|_| settings(setup.pods, writes, reads));
        while TcpStream::connect(reads).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { process, reads }
    }

    async fn caller(&self, _: usize) -> Connection {
        Connection::open(self.reads).await
    }

    async fn close(self) {}

    fn process(&self) -> Option<u32> {
        Some(self.process.id())
    }
}

/// One thread; connections round robin.
fn settings(pods: Pods, writes: SocketAddr, reads: SocketAddr) -> String {
    let [primary, first, second] = pods.all();
    format!(
        "global
    nbthread 1
defaults
    mode tcp
    timeout connect 2s
    timeout client 30s
    timeout server 30s
listen writes
    bind {writes}
    server mysql-0 {primary}
listen reads
    bind {reads}
    balance roundrobin
    server mysql-1 {first}
    server mysql-2 {second}
"
    )
}
