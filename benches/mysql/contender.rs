//! Who is measured, and what each has to do: [`Contender`]s and their [`Caller`]s.

use std::pin::Pin;
use std::time::Duration;

use crate::load::{self, Protocol, Run};
use crate::servers::Pods;
use crate::{by_hand, haproxy, ours};

#[cfg(feature = "peers")]
use crate::peers;

/// The driver by hand, on one replica.
pub const LIMIT: &str = by_hand::Pinned::NAME;

/// For whom.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub pods: Pods,
    pub callers: usize,
    /// Instructions are counted: nothing is to be done but what callers ask for.
    pub is_counted: bool,
}

impl Setup {
    /// One caller.
    pub const fn of(pods: Pods) -> Self {
        Self {
            pods,
            callers: 1,
            is_counted: false,
        }
    }

    /// Under callgrind.
    pub const fn counted(mut self) -> Self {
        self.is_counted = true;
        self
    }
}

/// A client of the pods.
pub trait Contender: Sized {
    /// In the report.
    const NAME: &'static str;
    /// What one caller uses.
    type Caller: Caller;

    /// Its pools, if it has any.
    fn open(setup: Setup) -> impl Future<Output = Self>;

    /// For the caller of this number.
    fn caller(&self, number: usize) -> impl Future<Output = Self::Caller>;

    /// Closes all connections. Its callers are gone.
    fn close(self) -> impl Future<Output = ()>;

    /// The process that it needs besides this one.
    fn process(&self) -> Option<u32> {
        None
    }
}

/// Selects one row of [`item`](crate::servers::SELECT).
pub trait Caller: Send + 'static {
    /// As text, with the number in it.
    fn text(&mut self, id: u32) -> impl Future<Output = String> + Send;

    /// By a prepared statement.
    fn prepared(&mut self, id: u32) -> impl Future<Output = String> + Send;
}

/// The statement as text.
pub fn text(id: u32) -> String {
    format!("SELECT c FROM item WHERE id = {id}")
}

/// Stays on this thread.
type Local<T> = Pin<Box<dyn Future<Output = T>>>;

/// One of them, with its type forgotten.
#[derive(Clone, Copy)]
pub struct Runner {
    pub name: &'static str,
    /// Measures one round.
    pub round: fn(Setup, Duration) -> Local<[Run; 2]>,
    /// Selects so many times, and measures nothing.
    pub select: fn(Setup, Protocol, usize) -> Local<()>,
}

const fn runner<C: Contender + 'static>() -> Runner {
    Runner {
        name: C::NAME,
        round: |setup, time| Box::pin(load::round::<C>(setup, time)),
        select: |setup, protocol, times| Box::pin(load::select::<C>(setup, protocol, times)),
    }
}

/// All of them, the limit first.
pub fn runners() -> Vec<Runner> {
    let mut all = in_this_process();
    if headless_benches::harness::HaProxy::is_installed() {
        all.push(runner::<haproxy::HaProxy>());
    }
    all
}

/// Those that need no other process, and so start none to see whether it is there: callgrind would count that one, too.
pub fn in_this_process() -> Vec<Runner> {
    vec![
        runner::<by_hand::Pinned>(),
        runner::<by_hand::InTurn>(),
        runner::<ours::Headless>(),
        runner::<by_hand::Pools<true>>(),
        runner::<by_hand::Pools<false>>(),
        #[cfg(feature = "peers")]
        runner::<peers::Sqlx<true>>(),
        #[cfg(feature = "peers")]
        runner::<peers::Sqlx<false>>(),
    ]
}
