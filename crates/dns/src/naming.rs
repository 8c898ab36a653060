//! Names for addresses that came without: from `<set>-<k>` below the Service, or from PTR records
//! with a forward check.
//!
//! Each name is stored in `names.rs` as it arrives, so a lookup that is dropped halfway keeps its
//! results. IPs are reused, so names are confirmed (`confirm.rs`), and a name that was never
//! confirmed is looked up again after five minutes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use headless_core::{Failure, Ordinal, PodName};
use tokio::time::Instant;

use crate::address::{Addresses, addresses};
use crate::confirm::confirm;
use crate::names::{Names, REMEMBER};
use crate::params::LookupParams;
use crate::records::{LookupError, MAX_RECORDS, PARALLEL, Transport};
use crate::reverse::{Reverse, reverse_name};
use crate::strategy::NameSource;
use crate::sync::lock;

/// Finds names for those addresses of `found` (sorted) that need one, and stores them in `names`.
///
/// # Cancel safety
/// What was learnt before the future is dropped is kept.
pub(crate) async fn find_names(
    source: NameSource,
    transport: &dyn Transport,
    params: &LookupParams,
    found: &Addresses,
    names: &Mutex<Names>,
) {
    let now = Instant::now();
    let ips = &found.ips;
    let to_confirm = {
        let mut names = lock(names);
        // A truncated answer has a random part of the addresses: the others may be in the next one.
        if !found.truncated || names.len() > MAX_RECORDS {
            names.keep_only(ips);
        }
        names.to_confirm(ips, now)
    };
    let asked = async {
        if source != NameSource::None {
            confirm(source, transport, params, to_confirm, names, now).await?;
        }
        let due = lock(names).due(ips, now);
        match source {
            _ if due.is_empty() => Ok(()),
            NameSource::PodNames => by_pod_names(transport, params, ips, due, names, now).await,
            NameSource::Reverse => by_reverse(transport, params, due, names, now).await,
            NameSource::None => Ok(()),
        }
    };
    // INVARIANT(I8): thousands of pods are named in waves, over several lookups if necessary.
    let failure = match tokio::time::timeout(BUDGET, asked).await {
        Ok(Ok(())) | Err(_) => return,
        Ok(Err(failure)) => failure,
    };
    // WHY: a server that does not answer one of these questions would not answer the next thousand,
    // each for seconds.
    tracing::debug!(service = %params.service, %failure, "pod names not found this time");
    lock(names).pause_until(now + PAUSE);
}

/// Asks for `<set>-<k>`: first for the ordinals without an address, then for those with one, until
/// each address in `due` has a name.
async fn by_pod_names(
    transport: &dyn Transport,
    params: &LookupParams,
    ips: &[IpAddr],
    due: Vec<IpAddr>,
    names: &Mutex<Names>,
    now: Instant,
) -> Result<(), Failure> {
    let Some(set) = &params.set else { return Ok(()) };
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
    let candidates = params.last_ordinal(ips.len());
    let free = (params.first_ordinal..=candidates).filter(|k| !held.contains(k));
    let pods = free
        .chain(held.iter().copied())
        .filter_map(|k| format!("{set}-{k}").parse::<PodName>().ok());
    // Few questions are wasted if a single pod is new, and many are sent at once if all are.
    let parallel = due.len().clamp(4, PARALLEL);
    let mut replies = stream::iter(pods)
        .map(|pod| async {
            let reply = addresses(transport, &params.service.pod_fqdn(&pod), params).await;
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
            Err(LookupError::Negative(_) | LookupError::Truncated) => {}
            Err(LookupError::Failed(failure)) => return Err(failure),
        }
        if due.is_empty() {
            return Ok(());
        }
    }
    let mut names = lock(names);
    for ip in due {
        // The pod of another set, perhaps for ever; or a name that a cache still denies, for half a
        // minute.
        let pause = FIRST_RETRY * 2_u32.pow(names.misses(ip).min(5));
        names.learn_unnamed(ip, now + pause.min(REMEMBER));
    }
    Ok(())
}

async fn by_reverse(
    transport: &dyn Transport,
    params: &LookupParams,
    due: Vec<IpAddr>,
    names: &Mutex<Names>,
    now: Instant,
) -> Result<(), Failure> {
    let mut replies = stream::iter(due)
        .map(|ip| async move {
            let name = reverse_name(transport, params, ip).await;
            (ip, name)
        })
        .buffered(PARALLEL);
    while let Some((ip, name)) = replies.next().await {
        let mut names = lock(names);
        match name? {
            Reverse::Pod(pod) => names.learn(ip, pod, now),
            Reverse::Unconfirmed => names.learn_unnamed(ip, now + STALE_PTR),
            Reverse::Unknown => names.learn_unnamed(ip, now + REMEMBER),
        }
    }
    Ok(())
}

/// NodeLocal DNSCache keeps the reverse zone for 30 s.
const STALE_PTR: Duration = Duration::from_secs(30);
/// Doubled each time that no `<set>-<k>` had the address.
const FIRST_RETRY: Duration = Duration::from_secs(15);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(30);
/// The time for all names of one lookup.
const BUDGET: Duration = Duration::from_secs(5);
