//! Who is measured, and what each has to do: [`Contender`]s and their [`Caller`]s, in a [`Setup`].

use crate::load::{Measured, Open};
use crate::proxies::{Behind, HaProxy, Nginx, Proxy, is_installed};
use crate::servers::Pods;
use crate::{by_hand, ours};

#[cfg(feature = "peers")]
use crate::peers;

/// A connection by hand, to one server.
pub const LIMIT: &str = by_hand::Pinned::NAME;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];
}

/// One table of the report.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub protocol: Protocol,
    pub callers: usize,
}

impl Case {
    /// In the report.
    pub fn name(self) -> String {
        let protocol = match self.protocol {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        };
        let s = if self.callers == 1 { "" } else { "s" };
        format!("{protocol}, {} caller{s}", self.callers)
    }
}

/// For whom, and whom to ask.
#[derive(Clone, Debug)]
pub struct Setup {
    pub case: Case,
    pub pods: Pods,
}

/// A client of the servers.
pub trait Contender: Sized + 'static {
    /// In the report.
    const NAME: &'static str;
    /// What one caller uses.
    type Caller: Caller;

    fn open(setup: &Setup) -> impl Future<Output = Self>;

    /// For the caller of this number.
    fn caller(&self, number: usize) -> impl Future<Output = Self::Caller>;

    /// The process that it needs besides this one.
    fn process(&self) -> Option<u32> {
        None
    }
}

/// Sends a GET for [`PATH`], reads the answer to its end, and checks that it is what the servers say.
pub trait Caller: Send + 'static {
    fn get(&mut self) -> impl Future<Output = ()> + Send;
}

/// A client whose clones share everything: each caller has one.
pub trait Shared: Clone + Send + 'static {
    const NAME: &'static str;

    fn open(setup: &Setup) -> impl Future<Output = Self>;

    fn get(&mut self) -> impl Future<Output = ()> + Send;
}

impl<S: Shared> Contender for S {
    const NAME: &'static str = S::NAME;
    type Caller = Self;

    fn open(setup: &Setup) -> impl Future<Output = Self> {
        S::open(setup)
    }

    async fn caller(&self, _: usize) -> Self {
        self.clone()
    }
}

impl<S: Shared> Caller for S {
    fn get(&mut self) -> impl Future<Output = ()> + Send {
        Shared::get(self)
    }
}

/// What is asked for: known when the request is made, as paths usually are, so all have to read it.
pub const PATH: &str = "/cart/42";
/// Where, in the words of those who do not name the server.
pub const HOST: &str = "web.bench.svc.cluster.local";

/// One of them, with its type forgotten.
#[derive(Clone, Copy)]
pub struct Known {
    pub name: &'static str,
    protocols: &'static [Protocol],
    pub open: fn(&Setup) -> Box<dyn Measured>,
}

impl Known {
    fn new<C: Contender>(protocols: &'static [Protocol]) -> Self {
        Self {
            name: C::NAME,
            protocols,
            open: |setup| Box::new(Open::<C>::new(setup)),
        }
    }

    fn speaks(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }
}

/// All that speak `protocol`, the limit first; the proxies are apart.
pub fn known(protocol: Protocol) -> Vec<Known> {
    let both = &Protocol::ALL;
    let mut all = vec![
        Known::new::<by_hand::Pinned>(both),
        Known::new::<by_hand::PowerOfTwo>(both),
        Known::new::<ours::Headless>(both),
        #[cfg(feature = "peers")]
        Known::new::<peers::HyperUtil>(both),
        #[cfg(feature = "peers")]
        Known::new::<peers::Tower>(both),
        #[cfg(feature = "peers")]
        Known::new::<peers::Reqwest>(both),
        #[cfg(feature = "peers")]
        Known::new::<peers::Tonic>(&[Protocol::Http2]),
    ];
    all.retain(|known| known.speaks(protocol));
    all
}

/// Those that are on the `PATH`. WHY apart: to find out starts a process, and their instructions would say nothing.
pub fn proxies(protocol: Protocol) -> Vec<Known> {
    const HTTP1: &[Protocol] = &[Protocol::Http1];
    let all = [
        (HaProxy::PROGRAM, Known::new::<Behind<HaProxy>>(HTTP1)),
        (Nginx::PROGRAM, Known::new::<Behind<Nginx>>(HTTP1)),
    ];
    let there = all
        .into_iter()
        .filter(|(program, known)| known.speaks(protocol) && is_installed(program));
    there.map(|(_, known)| known).collect()
}
