//! Pods that outlive a command: a process that runs them, and a socket to find and change them.
//!
//! A request is a line of words; the response is a line `ok` or `error` with text below it. Must
//! not live here: arguments and output of a program; the example `mysql_pods` has them.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

use super::{MariaDb, MariaDbBuilder, error::Error};

/// Where the socket is, in the directory of a supervisor.
const SOCKET: &str = "control.sock";

/// Another process that runs pods: see [`supervise`].
#[derive(Clone, Debug)]
pub struct Supervisor {
    socket: PathBuf,
    service: String,
    dns_addr: SocketAddr,
}

impl Supervisor {
    /// Finds the supervisor of this directory, once its pods run; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Supervisor`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn find(dir: &Path) -> Result<Option<Self>, Error> {
        let socket = dir.join(SOCKET);
        let Some(stream) = connect(&socket).await? else {
            return Ok(None);
        };
        let answer = exchange(stream, &socket, "where").await?;
        let mut words = answer.split_whitespace().map(str::to_owned);
        let found = words.next().zip(words.next().and_then(|addr| addr.parse().ok()));
        match found {
            Some((service, dns_addr)) => Ok(Some(Self {
                socket,
                service,
                dns_addr,
            })),
            None => Err(Error::Supervisor {
                socket,
                message: format!("`where` was answered with {answer:?}; is it another version?"),
            }),
        }
    }

    /// Returns the Service that clients connect to: `mysql-headless.default.svc:3306`.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns the address of the pods' DNS server.
    #[must_use]
    pub fn dns_addr(&self) -> SocketAddr {
        self.dns_addr
    }

    /// Sends a request, such as `kill 1`; [`supervise`] has the list. Returns the pods' status
    /// afterwards.
    ///
    /// # Errors
    /// [`Error::Supervisor`] with the reason, if it failed or there is no supervisor any more.
    ///
    /// # Cancel safety
    /// The request may be half done.
    pub async fn ask(&self, request: &str) -> Result<String, Error> {
        match connect(&self.socket).await? {
            Some(stream) => exchange(stream, &self.socket, request).await,
            None => Err(Error::Supervisor {
                socket: self.socket.clone(),
                message: "it does not answer any more".to_owned(),
            }),
        }
    }
}

/// Starts pods, and runs them until the request `down`, or until `stop` resolves.
///
/// Their data, and the socket by which they are found, are in `dir`. `ready` is called with their
/// status once they run.
///
/// | request | |
/// |---|---|
/// | `status` | no change |
/// | `kill N`, `start N`, `pause N`, `resume N`, `wipe N`, `evict N` | see [`Pod`](super::Pod) |
/// | `lag N SECONDS` | [`Pod::delay`](super::Pod::delay) |
/// | `promote N` | [`MariaDb::promote`] |
/// | `where` | the Service and the address of its DNS |
/// | `down` | ends all pods, then answers |
///
/// # Errors
/// [`Error::Supervisor`] if there is one already, or as [`MariaDbBuilder::start`].
///
/// # Cancel safety
/// Safe: nothing is left behind but the socket's name, which the next supervisor replaces.
pub async fn supervise(
    dir: &Path,
    builder: MariaDbBuilder,
    ready: impl FnOnce(&MariaDb, String),
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let socket = dir.join(SOCKET);
    let listener = listen(dir, &socket).await?;
    let db = builder.dir(dir).start().await?;
    ready(&db, table(&db).await);
    let asked = serve(&db, &listener, stop).await;
    drop(db);
    let gone = std::fs::remove_file(&socket).map_err(Error::io(format!("remove {}", socket.display())));
    if let Some(mut stream) = asked {
        // The client may have disconnected.
        let _ = stream.write_all(b"ok\n").await;
    }
    gone
}

/// Serves requests until one is `down`, which the caller answers.
async fn serve(db: &MariaDb, listener: &UnixListener, stop: impl Future<Output = ()>) -> Option<UnixStream> {
    let mut stop = std::pin::pin!(stop);
    let mut requests = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = &mut stop => return None,
            // A connection that failed before it was accepted is its client's business.
            Ok((stream, _)) = listener.accept() => requests.push(answer(db, stream)),
            Some(down) = requests.next() => if down.is_some() {
                return down;
            },
        }
    }
}

/// Answers one request; returns the stream if it is `down`.
async fn answer(db: &MariaDb, mut stream: UnixStream) -> Option<UnixStream> {
    let mut line = String::new();
    BufReader::new(&mut stream).read_line(&mut line).await.ok()?;
    let words: Vec<&str> = line.split_whitespace().collect();
    if words == ["down"] {
        return Some(stream);
    }
    let text = match carry_out(db, &words).await {
        Ok(text) => format!("ok\n{text}"),
        Err(why) => format!("error\n{why}"),
    };
    // The client may have disconnected.
    let _ = stream.write_all(text.as_bytes()).await;
    None
}

async fn carry_out(db: &MariaDb, words: &[&str]) -> Result<String, String> {
    let said = |error: Error| error.to_string();
    let number = |word: &str| word.parse::<u32>().map_err(|_| format!("{word:?} is not a number"));
    let pod = |word| number(word).and_then(|ordinal| db.pod(ordinal).map_err(said));
    match *words {
        ["where"] => return Ok(format!("{} {}", db.service(), db.cluster().dns_addr())),
        ["status"] => {}
        ["kill", n] => pod(n)?.kill().await,
        ["evict", n] => pod(n)?.evict().await,
        ["start", n] => pod(n)?.start().await.map_err(said)?,
        ["pause", n] => pod(n)?.pause().await.map_err(said)?,
        ["resume", n] => pod(n)?.resume().map_err(said)?,
        ["wipe", n] => pod(n)?.wipe().await.map_err(said)?,
        ["lag", n, seconds] => pod(n)?.delay(number(seconds)?).await.map_err(said)?,
        ["promote", n] => db.promote(number(n)?).await.map_err(said)?,
        _ => return Err(format!("there is no request `{}`", words.join(" "))),
    }
    Ok(table(db).await)
}

async fn table(db: &MariaDb) -> String {
    let lines = db.status().await.into_iter().map(|status| format!("{status}\n"));
    lines.collect()
}

/// Takes the place of a supervisor that was killed, but not of one that lives.
async fn listen(dir: &Path, socket: &Path) -> Result<UnixListener, Error> {
    std::fs::create_dir_all(dir).map_err(Error::io(format!("make the directory {}", dir.display())))?;
    let cannot = || Error::io(format!("listen on {}", socket.display()));
    if connect(socket).await?.is_some() {
        return Err(Error::Supervisor {
            socket: socket.to_owned(),
            message: "pods are running already; `down` ends them".to_owned(),
        });
    }
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot()(error)),
        _ => {}
    }
    UnixListener::bind(socket).map_err(cannot())
}

/// `None`: there is no socket, or no process behind it.
async fn connect(socket: &Path) -> Result<Option<UnixStream>, Error> {
    match UnixStream::connect(socket).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(Error::io(format!("connect to {}", socket.display()))(error)),
    }
}

async fn exchange(mut stream: UnixStream, socket: &Path, request: &str) -> Result<String, Error> {
    let mut answer = String::new();
    let spoken = async {
        stream.write_all(format!("{request}\n").as_bytes()).await?;
        stream.read_to_string(&mut answer).await
    };
    spoken
        .await
        .map_err(Error::io(format!("talk to {}", socket.display())))?;
    match answer.split_once('\n') {
        Some(("ok", text)) => Ok(text.to_owned()),
        Some(("error", why)) => Err(Error::Supervisor {
            socket: socket.to_owned(),
            message: why.to_owned(),
        }),
        _ => Err(Error::Supervisor {
            socket: socket.to_owned(),
            message: "it ended without an answer; its own output says why".to_owned(),
        }),
    }
}
