//! A scripted server of raw bytes: what no well-behaved server does, and when it does it.
//!
//! Must not live here: the pods of a cluster (`pod`), whose custom programs may use
//! [`RawConnection`] too.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::{oneshot, watch},
};

use crate::{addr, error::Error, event::with_timeout, lock::lock};

/// A server whose every byte is scripted, at an address of its own: a port of 127.0.0.1.
///
/// The script is called for each connection. It reads and writes with the methods of
/// [`RawConnection`], and ends the connection: dropped, it is closed (FIN);
/// [`RawConnection::reset`] resets it (RST); [`RawConnection::stall`] leaves it open and silent.
/// The pod counts connections and requests, and keeps what it has read.
///
/// It runs on a thread of its own, so it also serves tests without a runtime, and tests whose
/// runtime is blocked. Dropped, it closes its socket and ends all scripts.
///
/// ```
/// use headless_testkit::RawPod;
/// use tokio::{
///     io::{AsyncReadExt, AsyncWriteExt},
///     net::TcpStream,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Answers the first request of each connection, and resets the connection at the second.
/// let pod = RawPod::start(|mut connection| async move {
///     if connection.request().await.is_some() {
///         connection.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
///     }
///     if connection.head().await.is_some() {
///         connection.reset();
///     }
/// })?;
///
/// let mut stream = TcpStream::connect(pod.addr()).await?;
/// stream.write_all(b"POST /a HTTP/1.1\r\ncontent-length: 5\r\n\r\norder").await?;
/// let mut answer = [0; 40];
/// stream.read_exact(&mut answer).await?;
/// assert!(answer.ends_with(b"ok"));
/// stream.write_all(b"GET /b HTTP/1.1\r\n\r\n").await?;
/// let reset = stream.read(&mut answer).await.unwrap_err();
/// assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
///
/// let requests = pod.requests();
/// assert_eq!((requests[0].method(), requests[0].path()), ("POST", "/a"));
/// assert_eq!(requests[0].body, b"order");
/// assert_eq!(requests[1].path(), "/b");
/// assert_eq!((pod.stats().accepted, pod.stats().requests), (1, 2));
/// # Ok(())
/// # }
/// ```
pub struct RawPod {
    addr: SocketAddr,
    record: Arc<Record>,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a [`RawPod`] has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawStats {
    /// Connections accepted.
    pub accepted: usize,
    /// Connections whose script has not ended.
    pub open: usize,
    /// Requests whose head was read whole.
    pub requests: usize,
}

/// A request as a script has read it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawRequest {
    /// The connection: 0 for the first that was accepted.
    pub connection: usize,
    /// The head with its empty line. Bytes that are not UTF-8 are replaced.
    pub head: String,
    /// What [`RawConnection::request`] has read of the body; empty after [`RawConnection::head`].
    pub body: Vec<u8>,
}

impl RawRequest {
    /// Returns the first word of the request line; empty if there is none.
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    /// Returns the second word of the request line; empty if there is none.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// Returns the value of each field of this name, in any case of its letters.
    pub fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// Returns the number in `Content-Length`; 0 if there is none.
    pub fn content_length(&self) -> usize {
        let mut fields = self.fields("content-length");
        fields.next().and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

impl RawPod {
    /// Starts a pod that runs `script` for each connection.
    ///
    /// A script that panics ends its connection, as does one that returns.
    ///
    /// # Errors
    /// [`Error::Bind`] if the system has no port left, or no thread.
    pub fn start<F, R>(script: F) -> Result<Self, Error>
    where
        F: Fn(RawConnection) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let cannot = |source| Error::Bind {
            what: "a raw pod".to_owned(),
            addr: any,
            source,
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let listener = {
            let _runtime = runtime.enter();
            addr::listen(any, || "a raw pod".to_owned())?
        };
        let addr = listener.local_addr().map_err(cannot)?;
        let record = Arc::<Record>::default();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = Arc::clone(&record);
        let thread = std::thread::Builder::new().name("raw-pod".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(&listener, &served, script) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self {
            addr,
            record,
            stop: Some(stop),
            thread: Some(thread.map_err(cannot)?),
        })
    }

    /// Starts a pod that answers each request with these bytes, once its body is read to the end
    /// (by `Content-Length`), until the client closes the connection.
    ///
    /// A body in chunks is not understood: as after [`RawConnection::request`], it would be read as
    /// the beginning of the next request.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn answering(bytes: impl AsRef<[u8]>) -> Result<Self, Error> {
        let answer: Arc<[u8]> = bytes.as_ref().into();
        Self::start(move |mut connection| {
            let answer = Arc::clone(&answer);
            async move {
                while connection.request().await.is_some() {
                    connection.write(&answer).await;
                }
            }
        })
    }

    /// Returns the address that clients connect to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns what was counted so far.
    pub fn stats(&self) -> RawStats {
        *self.record.stats.borrow()
    }

    /// Returns the requests read so far, in the order in which their heads were read.
    pub fn requests(&self) -> Vec<RawRequest> {
        lock(&self.record.requests).clone()
    }

    /// Returns every byte read so far from this connection, 0 being the first; empty if there is no
    /// such connection.
    pub fn received(&self, connection: usize) -> Vec<u8> {
        lock(&self.record.received).get(connection).cloned().unwrap_or_default()
    }

    /// Waits until `wanted` accepts the counters, for example `|stats| stats.requests == 2`.
    ///
    /// # Errors
    /// [`Error::NotSeen`] after 10 s.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_stats(&self, wanted: impl FnMut(&RawStats) -> bool) -> Result<RawStats, Error> {
        let mut stats = self.record.stats.subscribe();
        let seen = async {
            let seen = stats.wait_for(wanted).await;
            seen.map(|stats| *stats).map_err(|_| Error::Stopped)
        };
        let what = || format!("the raw pod {} to count differently than {:?}", self.addr, self.stats());
        with_timeout(what, seen).await
    }
}

impl Drop for RawPod {
    /// Waits for the thread: when this returns, connections are refused.
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Scripts run in tasks of their own, so no panic of theirs ends the thread.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for RawPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RawPod");
        debug.field("addr", &self.addr).field("stats", &self.stats());
        debug.finish_non_exhaustive()
    }
}

async fn accept<F, R>(listener: &TcpListener, record: &Arc<Record>, script: F)
where
    F: Fn(RawConnection) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(script(RawConnection::recorded(stream, record)))),
            Err(error) => tracing::debug!(%error, "accepting a connection failed"),
        }
    }
}

/// What the connections of one pod add to.
#[derive(Debug, Default)]
struct Record {
    stats: watch::Sender<RawStats>,
    requests: Mutex<Vec<RawRequest>>,
    received: Mutex<Vec<Vec<u8>>>,
}

/// One connection in the hands of a script. Dropped, it is closed (FIN).
///
/// A [`RawPod`] gives it to its script. [`App::custom`](crate::App::custom) can make one of its
/// stream, to script pods that are in DNS.
///
/// The kernel resets a connection that is closed with bytes that were not read. To end it with FIN
/// all the same, [`finish`](Self::finish) it, and [read the rest](Self::rest).
#[derive(Debug)]
pub struct RawConnection {
    stream: TcpStream,
    /// Read, and not yet taken by the script.
    buffer: Vec<u8>,
    number: usize,
    /// After `stream`, because fields are dropped in this order: the socket is closed before the
    /// count goes down.
    record: Open,
}

impl RawConnection {
    /// Makes a connection of a stream, with a record that cannot be seen.
    pub fn new(stream: TcpStream) -> Self {
        Self::recorded(stream, &Arc::default())
    }

    fn recorded(stream: TcpStream, record: &Arc<Record>) -> Self {
        // Without it a small answer in two writes waits for the client's delayed ACK.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let number = {
            let mut received = lock(&record.received);
            received.push(Vec::new());
            received.len() - 1
        };
        record.stats.send_modify(|stats| {
            stats.accepted += 1;
            stats.open += 1;
        });
        Self {
            stream,
            buffer: Vec::new(),
            number,
            record: Open(Arc::clone(record)),
        }
    }

    /// Returns the socket, to speak more than bytes on it. What was read and not yet taken is lost.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Returns the number of the connection: 0 for the first that its pod has accepted.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Reads exactly so many bytes. `None`: the connection ended before.
    ///
    /// # Cancel safety
    /// Safe: bytes read so far stay for the next call.
    pub async fn read(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill().await?;
        }
        Some(self.take(count))
    }

    /// Reads the head of a request to its empty line, and no byte of the body. `None`: the
    /// connection ended before.
    ///
    /// # Cancel safety
    /// Safe: bytes read so far stay for the next call.
    pub async fn head(&mut self) -> Option<RawRequest> {
        let length = loop {
            if let Some(start) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break start + 4;
            }
            self.fill().await?;
        };
        let head = self.take(length);
        let request = RawRequest {
            connection: self.number,
            head: String::from_utf8_lossy(&head).into_owned(),
            body: Vec::new(),
        };
        lock(&self.record.0.requests).push(request.clone());
        self.record.0.stats.send_modify(|stats| stats.requests += 1);
        Some(request)
    }

    /// Reads a request with as much body as `Content-Length` says. `None`: the connection ended
    /// before.
    ///
    /// `Transfer-Encoding: chunked` is not understood. Such a request is returned with an empty
    /// body, and its chunks would be read as the beginning of the next request: read them with
    /// [`read`](Self::read) or [`rest`](Self::rest).
    ///
    /// # Cancel safety
    /// Not safe: a head that was read is recorded, and not returned again.
    pub async fn request(&mut self) -> Option<RawRequest> {
        let mut request = self.head().await?;
        // Only this connection adds requests of its number.
        let index = lock(&self.record.0.requests)
            .iter()
            .rposition(|recorded| recorded.connection == self.number)?;
        request.body = self.read(request.content_length()).await?;
        lock(&self.record.0.requests)[index].body.clone_from(&request.body);
        Some(request)
    }

    /// Reads until the client has closed or reset the connection; returns what came.
    ///
    /// # Cancel safety
    /// Safe: bytes read so far stay for the next call.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await.is_some() {}
        std::mem::take(&mut self.buffer)
    }

    /// Writes these bytes. `false`: the connection has ended, which the next read tells, too.
    ///
    /// # Cancel safety
    /// Not safe: any part of the bytes may be written.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Sends FIN: nothing is written any more, and the script may go on reading.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn finish(&mut self) {
        // The client may have reset the connection meanwhile.
        let _ = self.stream.shutdown().await;
    }

    /// Resets the connection: the client gets RST, and loses what it has not read.
    pub fn reset(self) {
        // An error says that the connection has ended already.
        let _ = self.stream.set_zero_linger();
    }

    /// Keeps the connection open for as long as the pod lives; reads and writes nothing.
    ///
    /// # Cancel safety
    /// The connection is closed.
    pub async fn stall(self) {
        std::future::pending().await
    }

    /// Reads what there is, at least one byte. `None` at the end.
    async fn fill(&mut self) -> Option<()> {
        let before = self.buffer.len();
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => None,
            Ok(_) => {
                let mut received = lock(&self.record.0.received);
                received[self.number].extend_from_slice(&self.buffer[before..]);
                Some(())
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.buffer.drain(..count).collect()
    }
}

/// Counts one open connection while it lives.
#[derive(Debug)]
struct Open(Arc<Record>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.stats.send_modify(|stats| stats.open -= 1);
    }
}
