//! The list of all implementations, with their types erased.

use std::pin::Pin;
use std::time::Duration;

use headless_benches::harness::{Operations, Program, one_thread};

use crate::implementation::{Implementation, Setup};
use crate::load::{self, Protocol, Run};
use crate::{hand_written, haproxy, ours};

#[cfg(feature = "peers")]
use crate::peers;

/// The driver on one replica.
pub const BASELINE: &str = hand_written::Pinned::NAME;

/// A future that stays on this thread.
type Local<T> = Pin<Box<dyn Future<Output = T>>>;

/// One implementation.
#[derive(Clone, Copy)]
pub struct Runner {
    pub name: &'static str,
    /// Measures one round.
    pub round: fn(Setup, Duration) -> Local<[Run; 2]>,
    /// Selects this number of times, and measures nothing.
    pub select: fn(Setup, Protocol, usize) -> Local<()>,
}

const fn runner<C: Implementation + 'static>() -> Runner {
    Runner {
        name: C::NAME,
        round: |setup, time| Box::pin(load::round::<C>(setup, time)),
        select: |setup, protocol, times| Box::pin(load::select::<C>(setup, protocol, times)),
    }
}

/// Returns all of them, the baseline first.
pub fn runners() -> Vec<Runner> {
    let mut all = in_this_process();
    if Program::HaProxy.is_installed() {
        all.push(runner::<haproxy::HaProxy>());
    }
    all
}

/// Returns those that need no other process. Under callgrind none may be started, because it would
/// be counted, too.
pub fn in_this_process() -> Vec<Runner> {
    vec![
        runner::<hand_written::Pinned>(),
        runner::<hand_written::RoundRobin>(),
        runner::<ours::Headless>(),
        runner::<hand_written::Pools<true>>(),
        runner::<hand_written::Pools<false>>(),
        #[cfg(feature = "peers")]
        runner::<peers::Sqlx<true>>(),
        #[cfg(feature = "peers")]
        runner::<peers::Sqlx<false>>(),
    ]
}

/// Runs selects under callgrind, on the pods that the case names. Returns `false` for another case.
pub fn run(operations: &Operations) -> bool {
    let asked = Protocol::ALL.into_iter().find_map(|protocol| {
        let pods = operations.case.strip_prefix(&protocol.case(1))?;
        Some((protocol, pods.trim().parse().ok()?))
    });
    let runner = in_this_process()
        .into_iter()
        .find(|it| it.name == operations.implementation);
    let Some(((protocol, pods), runner)) = asked.zip(runner) else {
        return false;
    };
    let setup = Setup::of(pods).counted();
    one_thread().block_on((runner.select)(setup, protocol, operations.count));
    true
}
