//! Who is measured: [`Contender`], its failures, and `headless` itself. The others are in `peers`.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use headless::{AcquireError, BoxFuture, Discovery, Endpoint, RefreshConfig, Resolve};
use headless_core::{Answer, FoundBy, Resolution};
use headless_http::Client;
use tokio::sync::watch;

/// The pods there are, as everybody is told: the same list for all, so that only the handling differs.
pub type List = watch::Receiver<Arc<Vec<SocketAddr>>>;

/// A balanced HTTP client.
pub trait Contender: Clone + Send + Sync + 'static {
    /// In the report.
    const NAME: &'static str;

    /// A client with no connections.
    fn over(list: List) -> impl Future<Output = Self>;

    /// A GET, up to the end of the body. Says which pod answered.
    fn get(&self) -> impl Future<Output = Result<SocketAddr, Failure>> + Send;

    /// The process that it needs besides this one.
    fn process(&self) -> Option<u32> {
        None
    }
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No connection: the pod refused it.
    Connect,
    /// The connection ended before the answer did.
    Closed,
    /// An answer that was not 200.
    Status,
    /// Nothing came.
    Timeout,
    /// Anything else.
    Other,
}

impl Kind {
    /// In the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Closed => "closed",
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }
}

/// A request that failed.
#[derive(Debug)]
pub struct Failure {
    /// How.
    pub kind: Kind,
    error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// With the error that the client returned.
    pub fn new(kind: Kind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self { kind, error }
    }

    /// An answer that was not 200.
    pub fn status(status: u16) -> Self {
        Self::new(Kind::Status, format!("the answer was {status}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for Failure {}

/// `headless_http::Client` as it comes: HTTP/1.1, power of two choices, three retries.
#[derive(Clone)]
pub struct Headless(Client);

impl Contender for Headless {
    const NAME: &'static str = "headless";

    async fn over(list: List) -> Self {
        // WHY: the list says when it has changed, and the others see that at once. So does `headless` if it looks when told to, and
        // not, as DNS wants it, at most once a second.
        let mut refresh = RefreshConfig::default();
        refresh.min_reresolve_interval = Duration::ZERO;
        let discovery = Discovery::builder(Listed(list.clone()))
            .refresh(refresh)
            .start()
            .await
            .unwrap();
        let client = Client::builder(discovery.clone()).build().unwrap();
        tokio::spawn(async move {
            let mut list = list;
            while list.changed().await.is_ok() {
                discovery.request_reresolution();
            }
        });
        Self(client)
    }

    async fn get(&self) -> Result<SocketAddr, Failure> {
        let answer = self.0.get("/").await.map_err(headless_failure)?;
        let (status, pod) = (answer.status(), answer.endpoint().addr());
        let body = answer.bytes().await.map_err(headless_failure)?;
        drop(body);
        if status == 200 {
            Ok(pod)
        } else {
            Err(Failure::status(status.as_u16()))
        }
    }
}

fn headless_failure(error: headless_http::Error) -> Failure {
    let kind = match &error {
        headless_http::Error::Acquire(AcquireError::Unreachable { .. }) => Kind::Connect,
        headless_http::Error::Acquire(_) | headless_http::Error::Timeout { .. } => Kind::Timeout,
        headless_http::Error::Send { .. } | headless_http::Error::Body { .. } => Kind::Closed,
        _ => Kind::Other,
    };
    Failure::new(kind, error)
}

/// The list, as what `headless` looks up.
struct Listed(List);

impl Resolve for Listed {
    fn resolve(&self) -> BoxFuture<'_, Resolution> {
        let endpoints = self.0.borrow().iter().map(|pod| Endpoint::new(*pod)).collect();
        let answer = Answer::new(endpoints, Duration::MAX, FoundBy::Static);
        Box::pin(std::future::ready(Resolution::Found(answer)))
    }

    fn service(&self) -> String {
        "web.bench.svc:http".to_owned()
    }
}
