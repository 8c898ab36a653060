//! Names that are known, confirmed from time to time: an IP can go to another pod between two looks and never be missing.
//!
//! SRV tells names and addresses in one breath; addresses alone do not, so the name learnt for one may have become
//! another pod's. At each look the names that were not confirmed for longest are asked for: at most sixteen, or a
//! fiftieth of the Service, and none that was confirmed within the last half minute. At a look every five seconds that
//! is each name of up to 96 pods every 30 s, and each of any number within about five minutes. How names are found in
//! the first place is `naming.rs`.

use std::net::IpAddr;
use std::sync::Mutex;

use futures_util::StreamExt;
use futures_util::stream;
use headless_core::{Failure, PodName};
use tokio::time::Instant;

use crate::address::{Wanted, refuse_foreign};
use crate::ladder::NameBy;
use crate::names::{Names, lock};
use crate::naming::{Reverse, positive, reverse_name};
use crate::records::{Ask, Data, PARALLEL, Question};

/// Asks whether `known` are still the names of these addresses; forgets in `names` those that are not.
///
/// # Cancel safety
/// What was learnt until then is kept.
pub(crate) async fn confirm(
    by: NameBy,
    ask: &dyn Ask,
    wanted: &Wanted,
    known: Vec<(IpAddr, PodName)>,
    names: &Mutex<Names>,
    now: Instant,
) -> Result<(), Failure> {
    let mut verdicts = stream::iter(known)
        .map(|(ip, pod)| async move {
            let verdict = verdict(by, ask, wanted, ip, &pod).await;
            (ip, pod, verdict)
        })
        .buffered(PARALLEL);
    while let Some((ip, pod, verdict)) = verdicts.next().await {
        let mut names = lock(names);
        match verdict? {
            Verdict::Still => names.learn(ip, pod, now),
            Verdict::Now(other) => names.learn(ip, other, now),
            Verdict::Moved => names.forget(ip),
            // WHY not at once: a name that is denied now and then is common, and without its name a pod is another
            // endpoint.
            Verdict::Denied => {
                if names.doubt(ip) >= DENIALS {
                    names.forget(ip);
                }
            }
        }
    }
    Ok(())
}

/// What became of a name and an address that belonged together.
pub(crate) enum Verdict {
    Still,
    /// Another pod has the address.
    Now(PodName),
    /// The pod has another address.
    Moved,
    /// The name does not exist, for now.
    Denied,
}

/// Asks forwards, and if that does not tell and `by` is the way names are found, backwards.
pub(crate) async fn verdict(
    by: NameBy,
    ask: &dyn Ask,
    wanted: &Wanted,
    ip: IpAddr,
    pod: &PodName,
) -> Result<Verdict, Failure> {
    let question = Question::forward(ip, wanted.service.pod_fqdn(pod));
    match positive(ask.ask(&question).await)? {
        Some(records) if refuse_foreign(&records, &question).is_ok() => {
            let is_still = records.answers.iter().any(|record| record.data == Data::Ip(ip));
            if is_still {
                return Ok(Verdict::Still);
            }
            if !records.truncated {
                return Ok(Verdict::Moved);
            }
        }
        _ => {}
    }
    if by == NameBy::Reverse
        && let Reverse::Pod(other) = reverse_name(ask, wanted, ip).await?
    {
        return Ok(Verdict::Now(other));
    }
    Ok(Verdict::Denied)
}

/// Denials of a name in a row after which it is forgotten, as many as it takes to believe that a Service has no pods.
const DENIALS: u32 = 3;
