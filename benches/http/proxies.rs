//! HAProxy and nginx in front of the servers, if they are on the `PATH`. Connections are those of
//! the baseline, so the difference is the proxy. Each proxy has one thread.

use std::marker::PhantomData;
use std::net::SocketAddr;

use headless_benches::harness::{Program, Proxy, free_addresses};

use crate::hand_written::PinnedCaller;
use crate::implementation::{Implementation, Setup};
use crate::servers::{Pods, Protocol};

/// The settings of a program.
pub trait Settings: 'static {
    /// Its name in the report.
    const NAME: &'static str;
    const PROGRAM: Program;

    fn settings(address: SocketAddr, pods: &Pods) -> String;
}

/// hyper, pinned to a proxy.
pub struct Behind<S> {
    proxy: Proxy,
    address: SocketAddr,
    settings: PhantomData<S>,
}

impl<S: Settings> Implementation for Behind<S> {
    const NAME: &'static str = S::NAME;
    type Caller = PinnedCaller;

    async fn open(setup: &Setup) -> Self {
        let [address] = free_addresses();
        let proxy = Proxy::start(S::PROGRAM, |_| S::settings(address, &setup.pods));
        proxy.listens_on(address).await;
        let settings = PhantomData;
        Self {
            proxy,
            address,
            settings,
        }
    }

    async fn caller(&self, _: usize) -> PinnedCaller {
        PinnedCaller::open(Protocol::Http1, self.address).await
    }

    fn process(&self) -> Option<u32> {
        Some(self.proxy.id())
    }
}

/// Power of two choices; connections to the servers are kept.
pub struct HaProxy;

impl Settings for HaProxy {
    const NAME: &'static str = "HAProxy, hyper pinned to it";
    const PROGRAM: Program = Program::HaProxy;

    fn settings(address: SocketAddr, pods: &Pods) -> String {
        let servers = lines(pods, |k, pod| format!("    server pod{k} {pod}\n"));
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
    }
}

/// The same settings.
pub struct Nginx;

impl Settings for Nginx {
    const NAME: &'static str = "nginx, hyper pinned to it";
    const PROGRAM: Program = Program::Nginx;

    fn settings(address: SocketAddr, pods: &Pods) -> String {
        let servers = lines(pods, |_, pod| format!("        server {pod};\n"));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {kind};\n"))
            .concat();
        format!(
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
        )
    }
}

fn lines(pods: &Pods, line: impl Fn(usize, &SocketAddr) -> String) -> String {
    pods.0.iter().enumerate().map(|(k, pod)| line(k, pod)).collect()
}
