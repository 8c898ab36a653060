//! The interface of what is measured: [`Implementation`]s and their [`Caller`]s, in a [`Setup`].

use crate::servers::{Pods, Protocol};

/// One table of the report.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub protocol: Protocol,
    pub callers: usize,
    /// The threads of the client's runtime.
    pub workers: usize,
}

impl Case {
    /// Returns its name in the report.
    pub fn name(self) -> String {
        let protocol = match self.protocol {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http1Close => "HTTP/1.1 without keep-alive",
            Protocol::Http2 => "HTTP/2",
        };
        let s = if self.callers == 1 { "" } else { "s" };
        let callers = format!("{protocol}, {} caller{s}", self.callers);
        match self.workers {
            1 => callers,
            workers => format!("{callers}, {workers} workers"),
        }
    }
}

/// The case, and the servers.
#[derive(Clone, Debug)]
pub struct Setup {
    pub case: Case,
    pub pods: Pods,
}

/// A client of the servers.
pub trait Implementation: Sized + 'static {
    /// Its name in the report.
    const NAME: &'static str;
    /// The part of one caller.
    type Caller: Caller;

    fn open(setup: &Setup) -> impl Future<Output = Self>;

    /// Returns the part of the caller with this number.
    fn caller(&self, number: usize) -> impl Future<Output = Self::Caller>;

    /// Returns the id of the additional process that it needs, if any.
    fn process(&self) -> Option<u32> {
        None
    }
}

/// Sends a GET for [`PATH`], reads the answer to its end, and checks it.
pub trait Caller: Send + 'static {
    fn get(&mut self) -> impl Future<Output = ()> + Send;
}

/// A client whose clones share all state: each caller has a clone.
pub trait ClonedClient: Clone + Send + 'static {
    const NAME: &'static str;

    fn open(setup: &Setup) -> impl Future<Output = Self>;

    fn get(&mut self) -> impl Future<Output = ()> + Send;
}

impl<S: ClonedClient> Implementation for S {
    const NAME: &'static str = S::NAME;
    type Caller = Self;

    fn open(setup: &Setup) -> impl Future<Output = Self> {
        S::open(setup)
    }

    async fn caller(&self, _: usize) -> Self {
        self.clone()
    }
}

impl<S: ClonedClient> Caller for S {
    fn get(&mut self) -> impl Future<Output = ()> + Send {
        ClonedClient::get(self)
    }
}

/// The path of all requests. It is known when the request is made, as paths usually are.
pub const PATH: &str = "/cart/42";
/// The host of requests that do not name a server.
pub const HOST: &str = "web.bench.svc.cluster.local";
