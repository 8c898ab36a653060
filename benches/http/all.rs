//! The list of all implementations, with their types erased.

use crate::implementation::{Implementation, Setup};
use crate::load::{Measured, Open};
use crate::proxies::{Behind, HaProxy, Nginx, Settings};
use crate::servers::Protocol;
use crate::{hand_written, ours};

#[cfg(feature = "peers")]
use crate::peers;

/// A hand-written connection to one server.
pub const BASELINE: &str = hand_written::Pinned::NAME;

/// One implementation.
#[derive(Clone, Copy)]
pub struct Entry {
    pub name: &'static str,
    protocols: &'static [Protocol],
    pub open: fn(&Setup) -> Box<dyn Measured>,
}

impl Entry {
    fn new<C: Implementation>(protocols: &'static [Protocol]) -> Self {
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

/// Returns all that speak `protocol`, except the proxies; the baseline first.
pub fn implementations(protocol: Protocol) -> Vec<Entry> {
    let both = &Protocol::ALL;
    let mut all = vec![
        Entry::new::<hand_written::Pinned>(both),
        Entry::new::<hand_written::PowerOfTwo>(both),
        Entry::new::<ours::Headless>(both),
        #[cfg(feature = "peers")]
        Entry::new::<peers::HyperUtil>(both),
        #[cfg(feature = "peers")]
        Entry::new::<peers::Tower>(both),
        #[cfg(feature = "peers")]
        Entry::new::<peers::Reqwest>(both),
        #[cfg(feature = "peers")]
        Entry::new::<peers::Tonic>(&[Protocol::Http2]),
    ];
    all.retain(|entry| entry.speaks(protocol));
    all
}

/// Returns the proxies that are on the `PATH`.
///
/// WHY apart: looking for them starts a process, and their instructions would say nothing.
pub fn proxies(protocol: Protocol) -> Vec<Entry> {
    const HTTP1: &[Protocol] = &[Protocol::Http1];
    let all = [
        (HaProxy::PROGRAM, Entry::new::<Behind<HaProxy>>(HTTP1)),
        (Nginx::PROGRAM, Entry::new::<Behind<Nginx>>(HTTP1)),
    ];
    let installed = all
        .into_iter()
        .filter(|(program, entry)| entry.speaks(protocol) && program.is_installed());
    installed.map(|(_, entry)| entry).collect()
}
