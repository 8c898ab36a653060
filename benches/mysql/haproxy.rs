//! HAProxy between the driver and the pods, if it is on the `PATH`: TCP, a port for writes and one
//! for reads, the usual setup for MySQL. Connections are those of the baseline, so the difference
//! is the proxy.
//!
//! It shares the client's CPU, because it is on the client's side.

use std::net::SocketAddr;

use headless_benches::harness::{Program, Proxy, free_addresses};

use crate::hand_written::Connection;
use crate::implementation::{Implementation, Setup};
use crate::servers::Pods;

/// A running HAProxy, and its address for reads.
pub struct HaProxy {
    proxy: Proxy,
    reads: SocketAddr,
}

impl Implementation for HaProxy {
    const NAME: &'static str = "HAProxy, hand-written";
    type Caller = Connection;

    async fn open(setup: Setup) -> Self {
        let [writes, reads] = free_addresses();
        let proxy = Proxy::start(Program::HaProxy, |_| settings(setup.pods, writes, reads));
        proxy.listens_on(reads).await;
        Self { proxy, reads }
    }

    async fn caller(&self, _: usize) -> Connection {
        Connection::open(self.reads).await
    }

    async fn close(self) {}

    fn process(&self) -> Option<u32> {
        Some(self.proxy.id())
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
