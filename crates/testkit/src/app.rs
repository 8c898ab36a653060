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

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
type Serve = dyn Fn(Pod, TcpStream) -> Running + Send + Sync;
type Run = dyn Fn(Pod) -> Running + Send + Sync;

/// The program in the pods of a workload.
#[derive(Clone)]
pub struct App(Kind);

#[derive(Clone)]
enum Kind {
    Http,
    Echo,
    None,
    Custom(Arc<Serve>),
    External(Arc<Run>),
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
    /// [`Pod::draining`]; it is dropped when the pod's grace is over. What it counts with
    /// [`Pod::begin_request`] is in the pod's [`stats`](Pod::stats).
    ///
    /// The testkit accepts the connections, and sees no requests. So [`Failure::Refuse`] and
    /// [`Failure::StallAccept`] apply as to any other program, and [`Failure::Blackhole`] applies
    /// to new connections only. [`Failure::Status`], [`Failure::CloseConnection`],
    /// [`Pod::set_latency`] and [`Pod::hold`] have no effect, and [`Pod::fail_next`] fails until
    /// [`Pod::heal`], because no request is counted down.
    ///
    /// # TLS
    /// [`App::http`] speaks plain text. To test TLS, serve its stream through an acceptor of your
    /// TLS library: `examples/small/http_tls.rs` in the repository does this with
    /// `tokio_rustls::TlsAcceptor` and a certificate made by rcgen.
    ///
    /// ```
    /// use headless_testkit::{App, Pod};
    /// use tokio::{io::AsyncWriteExt, net::TcpStream};
    ///
    /// let app = App::custom(|pod: Pod, mut stream: TcpStream| async move {
    ///     // With TLS: let Ok(mut stream) = acceptor.accept(stream).await else { return };
    ///     let _in_flight = pod.begin_request();
    ///     // An error says that the client has closed the connection.
    ///     let _ = stream.write_all(pod.name().as_bytes()).await;
    /// });
    /// # drop(app);
    /// ```
    pub fn custom<F, R>(serve: F) -> Self
    where
        F: Fn(Pod, TcpStream) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self(Kind::Custom(Arc::new(move |pod, stream| Box::pin(serve(pod, stream)))))
    }

    /// Returns a program that opens the pod's sockets itself, such as a process of a real server:
    /// called once for each pod, it lives for as long as its future does.
    ///
    /// It listens on [`Pod::ip`] and the ports of the workload. The pod is ready when each of them
    /// accepts a connection, which the testkit tries. After [`Pod::draining`] it should end by
    /// itself, and the pod is gone when it has; the future is dropped when the grace is over, and
    /// when the pod is killed or evicted. All its sockets must be closed when it is dropped: a
    /// guard has to kill the process, and wait for it. A program that ends by itself leaves a pod
    /// that has [crashed](crate::Phase::Crashed).
    ///
    /// The failures, the latency and the counters of [`Pod`] are not those of such a program, and
    /// [`Termination::stop_accepting`](crate::Termination::stop_accepting) is its own affair.
    ///
    /// ```
    /// use headless_testkit::{App, Cluster, Phase, Pod};
    /// use tokio::net::{TcpListener, TcpStream};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // A process would be started here, with the address as an argument.
    /// let app = App::external(|pod: Pod| async move {
    ///     let Ok(listener) = TcpListener::bind(pod.addr()).await else { return };
    ///     loop {
    ///         tokio::select! {
    ///             accepted = listener.accept() => drop(accepted),
    ///             () = pod.draining() => return,
    ///         }
    ///     }
    /// });
    /// let cluster = Cluster::builder().start().await?;
    /// let web = cluster.stateful_set("web").port("http", 8080).app(app).start().await?;
    /// let pod = web.pod("web-0")?;
    /// assert_eq!(pod.phase(), Phase::Ready);
    /// TcpStream::connect(pod.addr()).await?;
    /// web.delete("web-0").await?;
    /// assert!(TcpStream::connect(pod.addr()).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn external<F, R>(run: F) -> Self
    where
        F: Fn(Pod) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self(Kind::External(Arc::new(move |pod| Box::pin(run(pod)))))
    }

    /// Whether the testkit opens the pods' sockets.
    pub(crate) fn listens(&self) -> bool {
        !matches!(self.0, Kind::None | Kind::External(_))
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self.0, Kind::None)
    }

    pub(crate) fn is_external(&self) -> bool {
        matches!(self.0, Kind::External(_))
    }

    /// Runs an external program to its end. Any other has ended.
    pub(crate) async fn run(&self, pod: Arc<PodCore>) {
        if let Kind::External(run) = &self.0 {
            run(Pod { core: pod }).await;
        }
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
            Kind::None | Kind::External(_) => {}
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
            Kind::External(_) => "App::external",
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
