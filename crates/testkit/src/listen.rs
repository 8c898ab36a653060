//! A pod's sockets: accepts connections, counts them, and closes them when the pod drains, fails or
//! dies.
//!
//! Must not live here: what is spoken on a connection (`app`).

use std::{net::UdpSocket, sync::Arc};

use futures_util::future::join_all;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    addr,
    app::App,
    error::Error,
    fault::Failure,
    pod::Termination,
    pod_core::{PodCore, SocketStage},
};

/// The bound sockets of a pod that has not begun to serve.
#[derive(Debug)]
pub(crate) struct Listening {
    listeners: Vec<Listener>,
    /// Keeps the address block until the sockets are closed.
    _reservation: Arc<UdpSocket>,
}

impl Listening {
    pub(crate) fn bind(pod: &Arc<PodCore>, app: &App, reservation: Arc<UdpSocket>) -> Result<Self, Error> {
        let ports = pod.ports.iter().filter(|_| app.listens());
        Ok(Self {
            listeners: ports.map(|port| Listener::open(pod, *port)).collect::<Result<_, _>>()?,
            _reservation: reservation,
        })
    }

    /// Serves until the pod's stage is closed, or it drains and the last connection ended; an
    /// external program, until it has ended.
    pub(crate) async fn serve(self, pod: Arc<PodCore>, app: App, termination: Termination) {
        let _closed = Closed(Arc::clone(&pod));
        if app.is_external() {
            tokio::select! {
                () = app.run(Arc::clone(&pod)) => {}
                () = pod.reaches(SocketStage::Closed) => {}
            }
            return;
        }
        let keep_accepting = !termination.stop_accepting;
        let listeners = self.listeners.into_iter();
        join_all(listeners.map(|listener| serve_port(&pod, &app, listener, keep_accepting))).await;
    }
}

/// Reports that the pod's sockets are closed, also when the task is aborted.
struct Closed(Arc<PodCore>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.closed.send_replace(true);
    }
}

/// One listening socket.
#[derive(Debug)]
struct Listener {
    port: u16,
    socket: TcpListener,
    /// After `socket`, because fields are dropped in this order: the socket is closed before the
    /// count goes down.
    _counted: Counted,
}

impl Listener {
    fn open(pod: &Arc<PodCore>, port: u16) -> Result<Self, Error> {
        let socket = addr::listen((pod.ip, port).into(), || format!("pod {}", pod.name))?;
        pod.stats.send_modify(|stats| stats.listening += 1);
        Ok(Self {
            port,
            socket,
            _counted: Counted(Arc::clone(pod)),
        })
    }

    async fn accept(&self) -> Option<TcpStream> {
        match self.socket.accept().await {
            Ok((stream, _)) => Some(stream),
            Err(error) => {
                tracing::debug!(%error, "accepting a connection failed");
                None
            }
        }
    }

    /// Closes the socket, and returns the connections that are not accepted yet: the kernel would
    /// reset them, with the requests that are in them already.
    fn close(self) -> Vec<TcpStream> {
        let Ok(socket) = self.socket.into_std() else {
            return Vec::new();
        };
        // WHY not tokio's: it sees only the connections that its reactor was notified of.
        let waiting = std::iter::from_fn(|| socket.accept().ok());
        waiting
            .filter_map(|(stream, _)| {
                stream.set_nonblocking(true).ok()?;
                TcpStream::from_std(stream).ok()
            })
            .collect()
    }
}

/// Counts one listening socket while it lives.
#[derive(Debug)]
struct Counted(Arc<PodCore>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.stats.send_modify(|stats| stats.listening -= 1);
    }
}

async fn serve_port(pod: &Arc<PodCore>, app: &App, listener: Listener, keep_accepting: bool) {
    let port = listener.port;
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut stage = pod.stage.subscribe();
    let mut knobs = pod.knobs.subscribe();
    loop {
        knobs.mark_unchanged();
        let failure = pod.failure();
        let accepting = match *stage.borrow_and_update() {
            SocketStage::Serving => true,
            SocketStage::Draining => keep_accepting,
            SocketStage::Closed => break,
        };
        if !accepting || failure == Some(Failure::Refuse) {
            for stream in listener.take().into_iter().flat_map(Listener::close) {
                connections.spawn(connection(Arc::clone(pod), app.clone(), stream));
            }
        } else if listener.is_none() {
            // WHY no error: the address is this pod's alone, so binding again fails only if the
            // process is out of sockets.
            listener = Listener::open(pod, port).ok();
        }
        if !accepting && connections.is_empty() {
            break;
        }
        let open = listener.as_ref().filter(|_| failure != Some(Failure::StallAccept));
        tokio::select! {
            // A change by the test comes before a connection of a client.
            biased;
            _ = stage.changed() => {}
            _ = knobs.changed() => {}
            Some(_) = connections.join_next() => {}
            Some(stream) = accept(open) => {
                connections.spawn(connection(Arc::clone(pod), app.clone(), stream));
            }
        }
    }
    drop(listener);
    // Waits until the tasks have ended: their sockets are closed when this returns.
    connections.shutdown().await;
}

/// The next connection. Pending without a listener.
async fn accept(listener: Option<&Listener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn connection(pod: Arc<PodCore>, app: App, stream: TcpStream) {
    let _open = Open::begin(&pod);
    // Without it a small answer in two writes waits for the client's delayed ACK.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    app.serve(pod, stream).await;
}

/// Counts one open connection while it lives.
struct Open(Arc<PodCore>);

impl Open {
    fn begin(pod: &Arc<PodCore>) -> Self {
        pod.stats.send_modify(|stats| {
            stats.accepted += 1;
            stats.open += 1;
        });
        Self(Arc::clone(pod))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.stats.send_modify(|stats| stats.open -= 1);
    }
}
