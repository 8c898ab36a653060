//! Confirms names that were found before: an IP can pass to another pod between two lookups without
//! ever being missing from an answer.
//!
//! An SRV answer has names and addresses together. A and AAAA answers have addresses only, so the
//! name learnt for an address may have become the name of another pod. Each lookup therefore
//! confirms the names that were not confirmed for longest: at most sixteen of them, or a fiftieth
//! of the Service, and none that was confirmed within the last 30 s. With a lookup every five
//! seconds, each name of up to 96 pods is confirmed every 30 s, and each name of any number of pods
//! within about five minutes. How names are found in the first place is `naming.rs`.

use std::net::IpAddr;
use std::sync::Mutex;

use futures_util::StreamExt;
use futures_util::stream;
use headless_core::{Failure, PodName};
use tokio::time::Instant;

use crate::address::refuse_foreign;
use crate::names::Names;
use crate::params::LookupParams;
use crate::records::{Data, PARALLEL, Question, Transport, positive};
use crate::reverse::{Reverse, reverse_name};
use crate::strategy::NameSource;
use crate::sync::lock;

/// Asks whether each address of `to_confirm` still has its name, and removes from `names` those
/// that do not.
///
/// # Cancel safety
/// What was learnt before the future is dropped is kept.
pub(crate) async fn confirm(
    source: NameSource,
    transport: &dyn Transport,
    params: &LookupParams,
    to_confirm: Vec<(IpAddr, PodName)>,
    names: &Mutex<Names>,
    now: Instant,
) -> Result<(), Failure> {
    let mut checks = stream::iter(to_confirm)
        .map(|(ip, pod)| async move {
            let check = check_name(source, transport, params, ip, &pod).await;
            (ip, pod, check)
        })
        .buffered(PARALLEL);
    while let Some((ip, pod, check)) = checks.next().await {
        let mut names = lock(names);
        match check? {
            NameCheck::Confirmed => names.learn(ip, pod, now),
            NameCheck::OtherPod(other) => names.learn(ip, other, now),
            NameCheck::Moved => names.forget(ip),
            // WHY not at once: DNS sometimes denies a name that exists, and a pod without its name
            // is another endpoint.
            NameCheck::Denied => {
                if names.count_denial(ip) >= DENIALS {
                    names.forget(ip);
                }
            }
        }
    }
    Ok(())
}

/// The result of comparing a name and an address with what DNS says now.
pub(crate) enum NameCheck {
    /// The name still leads to the address.
    Confirmed,
    /// The address has the name of another pod.
    OtherPod(PodName),
    /// The name leads to another address.
    Moved,
    /// The name does not exist, for now.
    Denied,
}

/// Asks for the address of `pod`, and, if that is not conclusive and names come from PTR records,
/// for the name of `ip`.
pub(crate) async fn check_name(
    source: NameSource,
    transport: &dyn Transport,
    params: &LookupParams,
    ip: IpAddr,
    pod: &PodName,
) -> Result<NameCheck, Failure> {
    let question = Question::forward(ip, params.service.pod_fqdn(pod));
    match positive(transport.query(&question).await)? {
        Some(records) if refuse_foreign(&records, &question).is_ok() => {
            let is_listed = records.answers.iter().any(|record| record.data == Data::Ip(ip));
            if is_listed {
                return Ok(NameCheck::Confirmed);
            }
            if !records.truncated {
                return Ok(NameCheck::Moved);
            }
        }
        _ => {}
    }
    if source == NameSource::Reverse
        && let Reverse::Pod(other) = reverse_name(transport, params, ip).await?
    {
        return Ok(NameCheck::OtherPod(other));
    }
    Ok(NameCheck::Denied)
}

/// Denials of a name in a row after which it is forgotten: as many as negative answers in a row are
/// needed to empty a set.
const DENIALS: u32 = 3;
