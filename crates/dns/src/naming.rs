//! Names for addresses that came without: from `<set>-<k>` below the Service, or from PTR with a forward check.
//!
//! What is learnt is kept per address in `names.rs` as it arrives, so a lookup that is dropped half-way has not worked
//! in vain. IPs are reused, so names are confirmed (`confirm.rs`), and what was never confirmed is asked again after five
//! minutes. Which addresses exist is not decided here.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use headless_core::{Failure, Ordinal, PodName};
use tokio::time::Instant;

use crate::address::{Addresses, Wanted, addresses, refuse_foreign};
use crate::confirm::confirm;
use crate::ladder::NameBy;
use crate::names::{Names, REMEMBER, lock};
use crate::records::{Ask, Data, MAX_RECORDS, Miss, PARALLEL, Question, Records, Reply};

/// Finds names for those of the addresses `found` (sorted) that need one, and keeps them in `names`.
///
/// # Cancel safety
/// What was learnt until then is kept.
pub(crate) async fn find_names(by: NameBy, ask: &dyn Ask, wanted: &Wanted, found: &Addresses, names: &Mutex<Names>) {
    let now = Instant::now();
    let ips = &found.ips;
    let known = {
        let mut names = lock(names);
        // An answer that is cut off has a random part of the addresses: those it lacks may be in the next one.
        if !found.truncated || names.len() > MAX_RECORDS {
            names.keep_only(ips);
        }
        names.to_confirm(ips, now)
    };
    let asked = async {
        if by != NameBy::Nothing {
            confirm(by, ask, wanted, known, names, now).await?;
        }
        let due = lock(names).due(ips, now);
        match by {
            _ if due.is_empty() => Ok(()),
            NameBy::PodNames => by_pod_names(ask, wanted, ips, due, names, now).await,
            NameBy::Reverse => by_reverse(ask, wanted, due, names, now).await,
            NameBy::Nothing => Ok(()),
        }
    };
    // INVARIANT(I8): thousands of pods are named in waves, over several lookups if need be.
    let failure = match tokio::time::timeout(BUDGET, asked).await {
        Ok(Ok(())) | Err(_) => return,
        Ok(Err(failure)) => failure,
    };
    // WHY: a server that does not answer one of these questions would not answer the next thousand, each for seconds.
    tracing::debug!(service = %wanted.service, %failure, "pod names not found this time");
    lock(names).pause_until(now + PAUSE);
}

/// `<set>-<k>` for each ordinal without an address, then for those with one, until each address in `due` has a name.
async fn by_pod_names(
    ask: &dyn Ask,
    wanted: &Wanted,
    ips: &[IpAddr],
    due: Vec<IpAddr>,
    names: &Mutex<Names>,
    now: Instant,
) -> Result<(), Failure> {
    let Some(set) = &wanted.set else { return Ok(()) };
    let mut due: BTreeSet<IpAddr> = due.into_iter().collect();
    let held: BTreeSet<u32> = {
        let names = lock(names);
        let fresh = ips
            .iter()
            .filter(|ip| !due.contains(ip))
            .filter_map(|ip| names.pod(*ip));
        fresh
            .filter(|pod| pod.set() == Some(set))
            .filter_map(|pod| pod.ordinal().map(Ordinal::get))
            .collect()
    };
    let candidates = last_ordinal(wanted, ips.len());
    let free = (wanted.first_ordinal..=candidates).filter(|k| !held.contains(k));
    let pods = free
        .chain(held.iter().copied())
        .filter_map(|k| format!("{set}-{k}").parse::<PodName>().ok());
    // Little is asked in vain when a single pod is new, many at once when all are.
    let parallel = due.len().clamp(4, PARALLEL);
    let mut replies = stream::iter(pods)
        .map(|pod| async {
            let reply = addresses(ask, &wanted.service.pod_fqdn(&pod), wanted).await;
            (pod, reply)
        })
        .buffered(parallel);
    while let Some((pod, reply)) = replies.next().await {
        match reply {
            Ok(found) => {
                for ip in found.ips.into_iter().filter(|ip| ips.binary_search(ip).is_ok()) {
                    lock(names).learn(ip, pod.clone(), now);
                    due.remove(&ip);
                }
            }
            Err(Miss::Negative(_) | Miss::Truncated) => {}
            Err(Miss::Failed(failure)) => return Err(failure),
        }
        if due.is_empty() {
            return Ok(());
        }
    }
    let mut names = lock(names);
    for ip in due {
        // Another set's pod, perhaps for ever; or a name that a cache still denies, for half a minute.
        let pause = FIRST_RETRY * 2_u32.pow(names.misses(ip).min(5));
        names.learn_nothing(ip, now + pause.min(REMEMBER));
    }
    Ok(())
}

/// The highest ordinal worth asking for when the Service has `count` addresses.
///
/// Pods that are not ready have no record, so the ordinals may have gaps; DNS does not tell how many.
pub(crate) fn last_ordinal(wanted: &Wanted, count: usize) -> u32 {
    wanted
        .first_ordinal
        .saturating_add(u32::try_from(count).unwrap_or(u32::MAX))
        .saturating_add(GAPS)
}

async fn by_reverse(
    ask: &dyn Ask,
    wanted: &Wanted,
    due: Vec<IpAddr>,
    names: &Mutex<Names>,
    now: Instant,
) -> Result<(), Failure> {
    let mut replies = stream::iter(due)
        .map(|ip| async move {
            let name = reverse_name(ask, wanted, ip).await;
            (ip, name)
        })
        .buffered(PARALLEL);
    while let Some((ip, name)) = replies.next().await {
        let mut names = lock(names);
        match name? {
            Reverse::Pod(pod) => names.learn(ip, pod, now),
            Reverse::Unconfirmed => names.learn_nothing(ip, now + STALE_PTR),
            Reverse::Nobody => names.learn_nothing(ip, now + REMEMBER),
        }
    }
    Ok(())
}

/// Whom PTR names.
pub(crate) enum Reverse {
    Pod(PodName),
    /// A name below our Service, but it leads elsewhere: the reverse zone is cached longer than the rest.
    Unconfirmed,
    /// No name below our Service.
    Nobody,
}

/// The name of `ip` below the Service. A pod has one PTR for each Service that selects it.
pub(crate) async fn reverse_name(ask: &dyn Ask, wanted: &Wanted, ip: IpAddr) -> Result<Reverse, Failure> {
    let Some(records) = positive(ask.ask(&Question::reverse(ip)).await)? else {
        return Ok(Reverse::Nobody);
    };
    let pods: BTreeSet<PodName> = records
        .answers
        .iter()
        .take(MAX_RECORDS)
        .filter_map(|record| match &record.data {
            Data::Name(name) => wanted.service.pod_of(name),
            Data::Ip(_) | Data::Srv { .. } | Data::Alias(_) => None,
        })
        .collect();
    if pods.is_empty() {
        return Ok(Reverse::Nobody);
    }
    for pod in pods.into_iter().take(MAX_NAMES) {
        let forward = Question::forward(ip, wanted.service.pod_fqdn(&pod));
        let Some(records) = positive(ask.ask(&forward).await)? else {
            continue;
        };
        if refuse_foreign(&records, &forward).is_ok()
            && records.answers.iter().any(|record| record.data == Data::Ip(ip))
        {
            return Ok(Reverse::Pod(pod));
        }
    }
    Ok(Reverse::Unconfirmed)
}

pub(crate) fn positive(reply: Reply) -> Result<Option<Records>, Failure> {
    match reply {
        Ok(records) => Ok(Some(records)),
        Err(Miss::Negative(_) | Miss::Truncated) => Ok(None),
        Err(Miss::Failed(failure)) => Err(failure),
    }
}

/// Names below one Service that one address is checked for. A pod has one.
const MAX_NAMES: usize = 4;
/// NodeLocal DNSCache keeps the reverse zone for 30 s.
const STALE_PTR: Duration = Duration::from_secs(30);
/// Doubled with each time that no `<set>-<k>` had the address.
const FIRST_RETRY: Duration = Duration::from_secs(15);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(30);
/// For all names of one lookup.
const BUDGET: Duration = Duration::from_secs(5);
/// Ordinals asked for beyond the number of addresses.
const GAPS: u32 = 64;
