//! HAProxy in front of the pods, if it is on the `PATH`. It gets the list through its runtime API,
//! and its settings avoid losses as far as possible.
//!
//! It shares the client's CPU, because it is on the client's side.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headless_benches::harness::{Program, Proxy, free_addresses};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::case::PODS;
use super::implementation::{Failure, Implementation, Kind, List};
use super::peers::{Http, failure, http_client};

/// hyper-util's client, with HAProxy on the same host.
#[derive(Clone)]
pub struct HaProxy {
    client: Http,
    address: SocketAddr,
    proxy: Arc<Proxy>,
}

impl Implementation for HaProxy {
    const NAME: &'static str = "HAProxy";

    async fn over(list: List) -> Self {
        let [address] = free_addresses();
        let proxy = Proxy::start(Program::HaProxy, |folder| settings(address, &folder.join(SOCKET)));
        let socket = proxy.folder().join(SOCKET);
        proxy.listens_on(address).await;
        while UnixStream::connect(&socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut servers = BTreeMap::new();
        follow(&socket, &mut servers, &list.borrow()).await;
        let mut list = list;
        tokio::spawn(async move {
            while list.changed().await.is_ok() {
                let now = Arc::clone(&list.borrow_and_update());
                follow(&socket, &mut servers, &now).await;
            }
        });
        Self {
            client: http_client(),
            address,
            proxy: Arc::new(proxy),
        }
    }

    async fn get(&self) -> Result<SocketAddr, Failure> {
        let uri = format!("http://{}/", self.address).parse().map_err(failure)?;
        let answer = self.client.get(uri).await.map_err(failure)?;
        let (head, body) = answer.into_parts();
        body.collect().await.map_err(failure)?;
        if head.status != 200 {
            return Err(Failure::status(head.status.as_u16()));
        }
        let pod = head.headers.get(POD).and_then(|pod| pod.to_str().ok()?.parse().ok());
        pod.ok_or_else(|| Failure::new(Kind::Other, "HAProxy did not say which pod answered"))
    }

    fn process(&self) -> Option<u32> {
        Some(self.proxy.id())
    }
}

/// Gives HAProxy the list: a pod that left goes into maintenance, and a pod that came takes a free
/// place.
async fn follow(socket: &Path, servers: &mut BTreeMap<usize, SocketAddr>, now: &[SocketAddr]) {
    let mut commands = Vec::new();
    servers.retain(|place, pod| {
        let stays = now.contains(pod);
        if !stays {
            commands.push(format!("set server pods/pod{place} state maint"));
        }
        stays
    });
    for pod in now {
        if servers.values().any(|known| known == pod) {
            continue;
        }
        let place = (1..=PLACES).find(|place| !servers.contains_key(place)).unwrap();
        servers.insert(place, *pod);
        commands.push(format!(
            "set server pods/pod{place} addr {} port {}",
            pod.ip(),
            pod.port()
        ));
        commands.push(format!("set server pods/pod{place} state ready"));
    }
    // HAProxy ends with the run.
    let Ok(mut stream) = UnixStream::connect(socket).await else {
        return;
    };
    let commands = format!("{}\n", commands.join(";"));
    if stream.write_all(commands.as_bytes()).await.is_ok() {
        let _ = stream.read_to_string(&mut String::new()).await;
    }
}

/// One thread; power of two choices; each request that can be retried is sent to another pod.
fn settings(address: SocketAddr, socket: &Path) -> String {
    let socket = socket.display();
    format!(
        "global
    nbthread 1
    stats socket {socket} level admin
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    retries 3
    option redispatch 1
    retry-on all-retryable-errors
frontend web
    bind {address}
    default_backend pods
backend pods
    balance random(2)
    http-response set-header {POD} %si:%sp
    server-template pod 1-{PLACES} 127.0.0.1:9 disabled
"
    )
}

/// The socket of the runtime API, in HAProxy's folder.
const SOCKET: &str = "socket";
/// The header of the answer that names its pod.
const POD: &str = "x-pod-address";
/// One place more than pods, because a pod may come before another has left.
const PLACES: usize = PODS + 1;
