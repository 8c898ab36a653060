//! [`Resolve`]: the port through which a Service's pods are looked up. `headless-dns` implements it; so can a test, a file, an API.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::{Answer, Endpoint, FoundBy, Resolution};

/// A boxed future, for traits that are used as objects. Not on the request path.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Looks up the pods of *one* Service, once per call.
///
/// When to ask, and what to believe, is [`Refresh`](crate::Refresh)'s business: an implementation neither caches nor retries
/// across calls, and tells failure and absence apart ([`Resolution`]).
///
/// # Cancel safety
/// The caller may drop the future at any time (a deadline passed); the next call must work.
pub trait Resolve: Send + Sync + 'static {
    /// Asks once.
    fn resolve(&self) -> BoxFuture<'_, Resolution>;

    /// What is looked up, for people: `web.shop.svc.cluster.local:http`.
    fn service(&self) -> String;
}

/// A fixed list of endpoints: for tests, and for running outside a cluster.
///
/// ```
/// use headless_core::{Endpoint, Resolve, StaticList};
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
    /// The list `endpoints`, shown to people as `service`.
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
