//! [`Names`]: what is known of who is behind an address, and until when. No lookup here; those are in `naming.rs`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headless_core::PodName;
use tokio::time::Instant;

/// The names of the addresses that are in the Service now.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: BTreeMap<IpAddr, Known>,
    /// No name is asked for before: asking has just failed.
    pause: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Known {
    pod: Option<PodName>,
    /// How often no name was found.
    misses: u32,
    ask_again: Instant,
}

impl Names {
    /// The pod behind `ip`, as far as it is known.
    pub(crate) fn pod(&self, ip: IpAddr) -> Option<&PodName> {
        self.known.get(&ip)?.pod.as_ref()
    }

    /// Whether a name was looked for, and an answer (of whatever kind) came, for each of `ips`.
    pub(crate) fn covers(&self, ips: &[IpAddr]) -> bool {
        ips.iter().all(|ip| self.known.contains_key(ip))
    }

    /// Forgets the addresses that are no longer in the Service: whoever comes back under one is asked for anew.
    pub(crate) fn keep_only(&mut self, ips: &[IpAddr]) {
        self.known.retain(|ip, _| ips.binary_search(ip).is_ok());
    }

    /// `ip` is `pod`.
    pub(crate) fn learn(&mut self, ip: IpAddr, pod: PodName, now: Instant) {
        self.known.insert(
            ip,
            Known {
                pod: Some(pod),
                misses: 0,
                ask_again: now + REMEMBER,
            },
        );
    }

    /// `ip` has no name, and need not be asked for before `ask_again`.
    pub(crate) fn learn_nothing(&mut self, ip: IpAddr, ask_again: Instant) {
        let misses = self.misses(ip) + 1;
        self.known.insert(
            ip,
            Known {
                pod: None,
                misses,
                ask_again,
            },
        );
    }

    /// How often in a row no name was found for `ip`.
    pub(crate) fn misses(&self, ip: IpAddr) -> u32 {
        self.known.get(&ip).map_or(0, |known| known.misses)
    }

    /// Nothing is due before `until`.
    pub(crate) fn pause_until(&mut self, until: Instant) {
        self.pause = Some(until);
    }

    /// The addresses to ask names for, at `now`.
    pub(crate) fn due(&self, ips: &[IpAddr], now: Instant) -> Vec<IpAddr> {
        if self.pause.is_some_and(|until| now < until) {
            return Vec::new();
        }
        ips.iter()
            .copied()
            .filter(|ip| self.known.get(ip).is_none_or(|known| known.ask_again <= now))
            .collect()
    }
}

/// A poisoned lock is taken all the same: each change here is a single insertion.
pub(crate) fn lock(names: &Mutex<Names>) -> MutexGuard<'_, Names> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a name, or its absence in the reverse zone, is believed.
pub(crate) const REMEMBER: Duration = Duration::from_secs(300);
