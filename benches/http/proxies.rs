//! HAProxy and nginx in front of the servers, if they are on the `PATH`. Connections are those of
//! the baseline, so the difference is the proxy. Each proxy has one thread.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use headless_benches::harness::{self, cpu};
use tokio::net::TcpStream;

use crate::hand_written::Link;
use crate::implementation::{Implementation, Setup};
use crate::servers::{Pods, Protocol};

/// A running proxy. It ends with the value.
pub trait Proxy: 'static {
    /// Its name in the report.
    const NAME: &'static str;
    const PROGRAM: &'static str;

    fn start(address: SocketAddr, pods: &Pods) -> Self;

    fn process(&self) -> u32;
}

/// hyper, pinned to a proxy.
pub struct Behind<P> {
    proxy: P,
    address: SocketAddr,
}

impl<P: Proxy> Implementation for Behind<P> {
    const NAME: &'static str = P::NAME;
    type Caller = Link;

    async fn open(setup: &Setup) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let proxy = P::start(address, &setup.pods);
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { proxy, address }
    }

    async fn caller(&self, _: usize) -> Link {
        Link::open(Protocol::Http1, self.address).await
    }

    fn process(&self) -> Option<u32> {
        Some(self.proxy.process())
    }
}

/// HAProxy: power of two choices; connections to the servers are kept.
pub struct HaProxy(harness::HaProxy);

impl Proxy for HaProxy {
    const NAME: &'static str = "HAProxy, hyper pinned to it";
    const PROGRAM: &'static str = "haproxy";

    fn start(address: SocketAddr, pods: &Pods) -> Self {
        let servers: String = lines(pods, |k, pod| format!("    server pod{k} {pod}\n"));
        Self(harness::HaProxy::start(|_| {
            format!(
                "global
    nbthread 1
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
listen web
    bind {address}
    balance random(2)
    http-reuse always
{servers}"
            )
        }))
    }

    fn process(&self) -> u32 {
        self.0.id()
    }
}

/// nginx, with the same settings.
pub struct Nginx {
    child: Child,
    folder: PathBuf,
}

impl Proxy for Nginx {
    const NAME: &'static str = "nginx, hyper pinned to it";
    const PROGRAM: &'static str = "nginx";

    fn start(address: SocketAddr, pods: &Pods) -> Self {
        let servers: String = lines(pods, |_, pod| format!("        server {pod};\n"));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {kind};\n"))
            .concat();
        let settings = format!(
            "daemon off;
master_process off;
pid nginx.pid;
error_log /dev/null;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
{temporary}    upstream pods {{
        random two least_conn;
{servers}        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://pods;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }}
    }}
}}
"
        );
        let folder = std::env::temp_dir().join(format!("bench-nginx-{}-{}", std::process::id(), address.port()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("nginx.conf"), settings).unwrap();
        let mut command = Command::new(Self::PROGRAM);
        command.arg("-p").arg(&folder).args(["-c", "nginx.conf"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, folder }
    }

    fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Errors: it has ended by itself, or the folder is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub fn is_installed(program: &str) -> bool {
    cpu::succeeds(Command::new(program).arg("-v"))
}

fn lines(pods: &Pods, line: impl Fn(usize, &SocketAddr) -> String) -> String {
    pods.0.iter().enumerate().map(|(k, pod)| line(k, pod)).collect()
}
