//! [`Names`]: what is known of who is behind an address, and until when. No lookup here; those are in `naming.rs`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use headless_core::PodName;
use tokio::time::Instant;

/// The names of the addresses that are in the Service now.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: BTreeMap<IpAddr, Entry>,
    /// No name is asked for before: asking has just failed.
    pause: Option<Instant>,
    /// What was learnt before this is confirmed without delay.
    distrusted: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Entry {
    pod: Option<PodName>,
    /// How often no name was found.
    misses: u32,
    ask_again: Instant,
    /// When the name was last learnt or confirmed.
    confirmed: Instant,
    /// How often since then it was denied.
    denials: u32,
}

impl Names {
    /// The pod behind `ip`, as far as it is known.
    pub(crate) fn pod(&self, ip: IpAddr) -> Option<&PodName> {
        self.known.get(&ip)?.pod.as_ref()
    }

    /// Of how many addresses something is known.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
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
            Entry {
                pod: Some(pod),
                misses: 0,
                ask_again: now + REMEMBER,
                confirmed: now,
                denials: 0,
            },
        );
    }

    /// `ip` has no name, and need not be asked for before `ask_again`.
    pub(crate) fn learn_nothing(&mut self, ip: IpAddr, ask_again: Instant) {
        let misses = self.misses(ip) + 1;
        self.known.insert(
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

    /// The name of `ip` is not true any more: it is asked for anew.
    pub(crate) fn forget(&mut self, ip: IpAddr) {
        self.known.remove(&ip);
    }

    /// What is known comes from a source that has gone silent at `now`: since its last word an address may have passed on.
    pub(crate) fn distrust(&mut self, now: Instant) {
        self.distrusted = Some(now);
    }

    /// The name of `ip` was denied; how often in a row by now.
    pub(crate) fn count_denial(&mut self, ip: IpAddr) -> u32 {
        self.known.get_mut(&ip).map_or(0, |known| {
            known.denials += 1;
            known.denials
        })
    }

    /// The names of `ips` to confirm, at `now`: few at a time, those first that have waited for longest.
    pub(crate) fn to_confirm(&self, ips: &[IpAddr], now: Instant) -> Vec<(IpAddr, PodName)> {
        if self.pause.is_some_and(|until| now < until) {
            return Vec::new();
        }
        let mut waiting: Vec<(Instant, IpAddr, &PodName)> = ips
            .iter()
            .filter_map(|ip| {
                let known = self.known.get(ip)?;
                let pod = known.pod.as_ref()?;
                let is_time = known.denials > 0
                    || known.confirmed + CONFIRM_AFTER <= now
                    || self.distrusted.is_some_and(|since| known.confirmed < since);
                (is_time && now < known.ask_again).then_some((known.confirmed, *ip, pod))
            })
            .collect();
        waiting.sort_unstable();
        waiting.truncate(CONFIRM_AT_ONCE.max(ips.len() / CONFIRM_WITHIN));
        waiting.into_iter().map(|(_, ip, pod)| (ip, pod.clone())).collect()
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

/// How long a name, or its absence in the reverse zone, is believed.
pub(crate) const REMEMBER: Duration = Duration::from_secs(300);
/// How long a name is not asked for once it has been confirmed.
const CONFIRM_AFTER: Duration = Duration::from_secs(30);
/// Names confirmed at one look, unless the Service is so large that the round would take longer than [`REMEMBER`].
const CONFIRM_AT_ONCE: usize = 16;
/// Looks for one round, at most: 250 s at a look every 5 s.
const CONFIRM_WITHIN: usize = 50;
