//! HAProxy between the driver and the pods, if there is one on the `PATH`: TCP, a port for writes and one for reads, as it is set up
//! for MySQL. Connections by hand, as the limit's; so the difference is the proxy.
//!
//! It shares the client's CPU, because it is the client's side of the balancing.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::by_hand::Held;
use crate::contender::{Contender, Setup};
use crate::servers::Pods;

/// Whether there is a `haproxy` to run.
pub fn is_installed() -> bool {
    let version = Command::new("haproxy")
        .arg("-v")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// A running HAProxy with its configuration.
pub struct HaProxy {
    child: Child,
    config: PathBuf,
    reads: SocketAddr,
}

impl Contender for HaProxy {
    const NAME: &'static str = "HAProxy, by hand";
    type Caller = Held;

    async fn open(setup: Setup) -> Self {
        let port = || TcpListener::bind("127.0.0.1:0").unwrap();
        // Both held until both are known, so that they differ.
        let [writes, reads] = [port(), port()].map(|port| port.local_addr().unwrap());
        let config = std::env::temp_dir().join(format!("mysql-haproxy-{}.cfg", std::process::id()));
        std::fs::write(&config, settings(setup.pods, writes, reads)).unwrap();
        let mut command = Command::new("haproxy");
        let command = command
            .arg("-f")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        while TcpStream::connect(reads).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { child, config, reads }
    }

    async fn caller(&self, _: usize) -> Held {
        Held::open(self.reads).await
    }

    async fn close(self) {}

    fn process(&self) -> Option<u32> {
        Some(self.child.id())
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        // Errors: it has ended by itself, or somebody tidied up before.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.config);
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
