//! The program inside a pod: the choice, the line echo, and users' own applications; `http` has the
//! HTTP server.

use std::{fmt, pin::Pin, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{
    fault::Failure,
    http,
    pod::Pod,
    pod_core::{InFlight, PodCore, SocketStage},
};

type Serve = dyn Fn(Pod, TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// The program in the pods of a workload.
#[derive(Clone)]
pub struct App(Kind);

#[derive(Clone)]
enum Kind {
    Http,
    Echo,
    None,
    Custom(Arc<Serve>),
}

impl App {
    /// Returns an HTTP server: HTTP/1.1 and HTTP/2 (with prior knowledge) on the same port.
    ///
    /// Every answer has the headers `x-pod` and, in a StatefulSet, `x-ordinal`.
    ///
    /// | path | answer |
    /// |---|---|
    /// | `/echo` | lines `method:`, `host:`, `path:`, `version:`, `body:` (its length) |
    /// | `/stream?chunks=3&bytes=10` | a body of so many chunks of so many bytes |
    /// | `/stream?chunks=3&bytes=10&step` | the same, by [`Pod::release_chunks`] |
    /// | other | the pod's name and a line feed |
    pub fn http() -> Self {
        Self(Kind::Http)
    }

    /// Returns a plain TCP server that answers each line with the pod's name, a space and the line.
    pub fn echo() -> Self {
        Self(Kind::Echo)
    }

    /// Returns no program: the pod is in DNS, and connections to it are refused. Thousands of such
    /// pods are cheap.
    pub fn none() -> Self {
        Self(Kind::None)
    }

    /// Returns a program of your own, called for each connection. It should end after
    /// [`Pod::draining`]; it is dropped when the pod's grace is over.
    pub fn custom<F, R>(serve: F) -> Self
    where
        F: Fn(Pod, TcpStream) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self(Kind::Custom(Arc::new(move |pod, stream| Box::pin(serve(pod, stream)))))
    }

    pub(crate) fn listens(&self) -> bool {
        !matches!(self.0, Kind::None)
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(&self, pod: Arc<PodCore>, mut stream: TcpStream) {
        if pod.failure() == Some(Failure::Blackhole) {
            return swallow(&mut stream).await;
        }
        match &self.0 {
            Kind::Http => http::serve(pod, stream).await,
            Kind::Echo => echo(&pod, stream).await,
            Kind::Custom(serve) => serve(Pod { core: pod }, stream).await,
            Kind::None => {}
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Http => "App::http",
            Kind::Echo => "App::echo",
            Kind::None => "App::none",
            Kind::Custom(_) => "App::custom",
        })
    }
}

async fn echo(pod: &Arc<PodCore>, stream: TcpStream) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    loop {
        let line = tokio::select! {
            biased;
            line = lines.next_line() => line,
            () = pod.reaches(SocketStage::Draining) => return,
        };
        let Ok(Some(line)) = line else { return };
        let _in_flight = InFlight::begin(pod);
        match pod.take_failure() {
            Some(Failure::Blackhole) => return std::future::pending().await,
            Some(Failure::CloseConnection) => return,
            _ => {}
        }
        pod.admit().await;
        let reply = format!("{} {line}\n", pod.name);
        if write.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads until the client closes the connection.
async fn swallow(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
}
