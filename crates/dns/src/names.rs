//! [`Names`]: the name of each address, and until when it holds. Names are looked up in
//! `naming.rs`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use headless_core::PodName;
use tokio::time::Instant;

/// The names of the addresses that are in the Service now.
#[derive(Debug, Default)]
pub(crate) struct Names {
    entries: BTreeMap<IpAddr, Entry>,
    /// Until then no name is asked for, because that has just failed.
    pause: Option<Instant>,
    /// Names that were learnt before this are confirmed without delay.
    confirm_before: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Entry {
    pod: Option<PodName>,
    /// How often in a row no name was found.
    misses: u32,
    ask_again: Instant,
    /// When the name was last learnt or confirmed.
    confirmed: Instant,
    /// How often it was denied since then.
    denials: u32,
}

impl Names {
    /// Returns the pod of `ip`, if its name is known.
    pub(crate) fn pod(&self, ip: IpAddr) -> Option<&PodName> {
        self.entries.get(&ip)?.pod.as_ref()
    }

    /// Returns the number of addresses that were looked up.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether the name of each of `ips` was looked up, with whatever result.
    pub(crate) fn covers(&self, ips: &[IpAddr]) -> bool {
        ips.iter().all(|ip| self.entries.contains_key(ip))
    }

    /// Forgets the addresses that are not in `ips`: if one returns, its name is looked up again.
    pub(crate) fn keep_only(&mut self, ips: &[IpAddr]) {
        self.entries.retain(|ip, _| ips.binary_search(ip).is_ok());
    }

    /// Records that `ip` belongs to `pod`.
    pub(crate) fn learn(&mut self, ip: IpAddr, pod: PodName, now: Instant) {
        self.entries.insert(
            ip,
            Entry {
                pod: Some(pod),
                misses: 0,
                ask_again: now + REMEMBER,
                confirmed: now,
                denials: 0,
            },
        );
    }

    /// Records that `ip` has no name. It is not looked up again before `ask_again`.
    pub(crate) fn learn_unnamed(&mut self, ip: IpAddr, ask_again: Instant) {
        let misses = self.misses(ip) + 1;
        self.entries.insert(
            ip,
            Entry {
                pod: None,
                misses,
                ask_again,
                confirmed: ask_again,
                denials: 0,
            },
        );
    }

    /// Forgets the name of `ip`, so that it is looked up again.
    pub(crate) fn forget(&mut self, ip: IpAddr) {
        self.entries.remove(&ip);
    }

    /// Records that the source of the names is silent since `now`: an address may have passed to
    /// another pod.
    pub(crate) fn distrust(&mut self, now: Instant) {
        self.confirm_before = Some(now);
    }

    /// Counts a denial of the name of `ip`, and returns how many there were in a row.
    pub(crate) fn count_denial(&mut self, ip: IpAddr) -> u32 {
        self.entries.get_mut(&ip).map_or(0, |entry| {
            entry.denials += 1;
            entry.denials
        })
    }

    /// Returns the names of `ips` to confirm at `now`: a few, those first that were not confirmed
    /// for longest.
    pub(crate) fn to_confirm(&self, ips: &[IpAddr], now: Instant) -> Vec<(IpAddr, PodName)> {
        if self.pause.is_some_and(|until| now < until) {
            return Vec::new();
        }
        let mut waiting: Vec<(Instant, IpAddr, &PodName)> = ips
            .iter()
            .filter_map(|ip| {
                let entry = self.entries.get(ip)?;
                let pod = entry.pod.as_ref()?;
                let is_time = entry.denials > 0
                    || entry.confirmed + CONFIRM_AFTER <= now
                    || self.confirm_before.is_some_and(|since| entry.confirmed < since);
                (is_time && now < entry.ask_again).then_some((entry.confirmed, *ip, pod))
            })
            .collect();
        waiting.sort_unstable();
        waiting.truncate(CONFIRM_AT_ONCE.max(ips.len() / CONFIRM_WITHIN));
        waiting.into_iter().map(|(_, ip, pod)| (ip, pod.clone())).collect()
    }

    /// Returns how often in a row no name was found for `ip`.
    pub(crate) fn misses(&self, ip: IpAddr) -> u32 {
        self.entries.get(&ip).map_or(0, |entry| entry.misses)
    }

    /// Lets no name be looked up before `until`.
    pub(crate) fn pause_until(&mut self, until: Instant) {
        self.pause = Some(until);
    }

    /// Returns the addresses whose names are to be looked up at `now`.
    pub(crate) fn due(&self, ips: &[IpAddr], now: Instant) -> Vec<IpAddr> {
        if self.pause.is_some_and(|until| now < until) {
            return Vec::new();
        }
        ips.iter()
            .copied()
            .filter(|ip| self.entries.get(ip).is_none_or(|entry| entry.ask_again <= now))
            .collect()
    }
}

/// How long a name, or its absence in the reverse zone, is kept.
pub(crate) const REMEMBER: Duration = Duration::from_secs(300);
/// How long a confirmed name is not confirmed again.
const CONFIRM_AFTER: Duration = Duration::from_secs(30);
/// The number of names confirmed at one lookup, unless the Service is so large that the round would
/// take longer than [`REMEMBER`].
const CONFIRM_AT_ONCE: usize = 16;
/// The largest number of lookups for one round: 250 s with a lookup every 5 s.
const CONFIRM_WITHIN: usize = 50;
