//! [`Resolve`]: the trait through which a Service's endpoints are looked up. `headless-dns`
//! implements it; tests, files and APIs can, too.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::{Answer, Endpoint, FoundBy, Resolution};

/// A boxed future, for traits that are used as objects. It is not on the request path.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Looks up the endpoints of *one* Service, once per call.
///
/// When to ask and what to keep is decided by [`Refresh`](crate::Refresh). An implementation
/// neither caches nor retries across calls, and it tells a failure from a negative answer
/// ([`Resolution`]).
///
/// # Cancel safety
/// The caller may drop the future at any time (a deadline passed); the next call must work.
pub trait Resolve: Send + Sync + 'static {
    /// Looks the endpoints up once.
    fn resolve(&self) -> BoxFuture<'_, Resolution>;

    /// Returns what is looked up, for display: `web.shop.svc.cluster.local:http`.
    fn service(&self) -> String;

    /// Returns what the last lookup noticed that may explain why the endpoints cannot be connected
    /// to, as the end of a sentence: `its pods publish the port 8080, not 80`. Default: nothing.
    ///
    /// It is asked for when an error is made, and must not wait.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// A fixed list of endpoints, for tests and for programs outside a cluster.
///
/// ```
/// # use headless_core as headless;
/// use headless::{Endpoint, Resolve, StaticList};
///
/// let list = StaticList::new("web", vec![Endpoint::new("127.0.0.1:8080".parse().unwrap())]);
/// assert_eq!(list.service(), "web");
/// ```
#[derive(Clone)]
pub struct StaticList {
    service: String,
    endpoints: Vec<Endpoint>,
}

impl StaticList {
    /// Returns the list `endpoints`, displayed as `service`.
    pub fn new(service: impl Into<String>, endpoints: Vec<Endpoint>) -> Self {
        Self {
            service: service.into(),
            endpoints,
        }
    }
}

impl Resolve for StaticList {
    fn resolve(&self) -> BoxFuture<'_, Resolution> {
        let answer = Answer::new(self.endpoints.clone(), std::time::Duration::MAX, FoundBy::Static);
        Box::pin(std::future::ready(Resolution::Found(answer)))
    }

    fn service(&self) -> String {
        self.service.clone()
    }
}

impl fmt::Debug for StaticList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticList({}, {} endpoints)", self.service, self.endpoints.len())
    }
}
