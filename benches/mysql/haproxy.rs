//! HAProxy between the driver and the pods, if there is one on the `PATH`: TCP, a port for writes and one for reads, as it is set up
//! for MySQL. Connections by hand, as the limit's; so the difference is the proxy.
//!
//! It shares the client's CPU, because it is the client's side of the balancing.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use headless_benches::harness;
use tokio::net::TcpStream;

use crate::by_hand::Held;
use crate::contender::{Contender, Setup};
use crate::servers::Pods;

/// A running HAProxy, and where it takes reads.
pub struct HaProxy {
    process: harness::HaProxy,
    reads: SocketAddr,
}

impl Contender for HaProxy {
    const NAME: &'static str = "HAProxy, by hand";
    type Caller = Held;

    async fn open(setup: Setup) -> Self {
        let port = || TcpListener::bind("127.0.0.1:0").unwrap();
        // Both held until both are known, so that they differ.
        let [writes, reads] = [port(), port()].map(|port| port.local_addr().unwrap());
        let process = harness::HaProxy::start(|_| settings(setup.pods, writes, reads));
        while TcpStream::connect(reads).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { process, reads }
    }

    async fn caller(&self, _: usize) -> Held {
        Held::open(self.reads).await
    }

    async fn close(self) {}

    fn process(&self) -> Option<u32> {
        Some(self.process.id())
    }
}

/// One thread; connections in turn.
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
