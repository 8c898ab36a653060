//! SRV answers: targets are joined with their addresses, and ports are read.
//!
//! [`AnswerBuilder`] joins by owner name; addresses that the server left out are looked up here.
//! What the ports *mean* for the target is decided in `lookup.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use headless_core::{Answer, Failure, FailureKind, FoundBy, Negative, NegativeKind};

use crate::address::addresses;
use crate::answer::AnswerBuilder;
use crate::explain;
use crate::params::LookupParams;
use crate::records::{Data, LookupError, MAX_RECORDS, PARALLEL, Question, Records, Transport};

/// Returns the ports of the SRV records, each once, sorted. kube-dns uses `0` if it does not know
/// the port.
pub(crate) fn ports(records: &Records) -> BTreeSet<u16> {
    let port = |data: &Data| {
        if let Data::Srv { port, .. } = data {
            Some(*port)
        } else {
            None
        }
    };
    records.answers.iter().filter_map(|record| port(&record.data)).collect()
}

/// Returns whether the answer has SRV records: an answer with an alias only has none.
pub(crate) fn has_targets(records: &Records) -> bool {
    records
        .answers
        .iter()
        .any(|record| matches!(record.data, Data::Srv { .. }))
}

/// An SRV answer, and how it is read.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    pub(crate) question: &'a Question,
    pub(crate) records: &'a Records,
    /// The port of each pod, if it does not depend on the records.
    pub(crate) number: Option<u16>,
    pub(crate) found_by: FoundBy,
    /// The number of SRV answers so far. A truncated answer has many more targets than addresses;
    /// this chooses which of them are looked up.
    pub(crate) turn: usize,
}

/// Returns the pods of an SRV answer.
pub(crate) async fn pods(
    transport: &dyn Transport,
    params: &LookupParams,
    listing: Listing<'_>,
) -> Result<Answer, LookupError> {
    let Listing {
        question,
        records,
        number,
        found_by,
        turn,
    } = listing;
    refuse_too_many_endpoints(&listing)?;
    let mut pods = AnswerBuilder::new(&params.service, params.family).only_set(params.set.as_deref());
    let mut ttl = Duration::MAX;
    let mut targets = BTreeSet::new();
    for record in &records.answers {
        if let Data::Srv { target, port } = &record.data {
            pods.srv(target, number.unwrap_or(*port));
            targets.insert(target.as_str());
            ttl = ttl.min(record.ttl);
        }
    }
    for record in records
        .answers
        .iter()
        .chain(&records.additionals)
        .filter(|r| targets.contains(r.owner.as_str()))
    {
        if let Data::Ip(ip) = record.data {
            pods.address(&record.owner, ip);
            ttl = ttl.min(record.ttl);
        }
    }
    let mut failure = None;
    let mut missing = pods.targets_without_address();
    if records.truncated && missing.len() > MAX_OF_PART {
        // The targets that are left out now are looked up by later lookups: such an answer only
        // adds.
        let first = turn.wrapping_mul(MAX_OF_PART) % missing.len();
        missing.rotate_left(first);
        missing.truncate(MAX_OF_PART);
    }
    let mut incomplete = records.truncated;
    let mut replies = stream::iter(missing)
        .map(|target| async move {
            let owner = format!("{target}.");
            let reply = addresses(transport, &owner, params).await;
            (owner, reply)
        })
        .buffered(PARALLEL);
    while let Some((owner, reply)) = replies.next().await {
        match reply {
            Ok(found) => {
                found.ips.into_iter().for_each(|ip| pods.address(&owner, ip));
                ttl = ttl.min(found.ttl);
                incomplete |= found.truncated;
            }
            Err(LookupError::Negative(_)) => {}
            Err(LookupError::Truncated) => {
                failure = Some(Failure::new(FailureKind::TooLarge, format!("the addresses of {owner}")))
            }
            Err(LookupError::Failed(failed)) => failure = Some(failed),
        }
        // A server that does not answer one question would not answer the others.
        if failure.is_some() {
            break;
        }
    }
    drop(replies);
    let refused = pods.refused();
    if refused > 0 {
        let service = &params.service;
        tracing::debug!(%service, %question, refused, "records refused: names, addresses or ports that no pod has");
    }
    let answer = pods.finish(ttl, found_by);
    match (failure, answer.endpoints.is_empty()) {
        (None, false) if !incomplete => Ok(answer),
        // INVARIANT(I5): a pod whose address could not be looked up must not be removed for that.
        (_, false) => Ok(answer.truncated()),
        (Some(failure), true) => Err(LookupError::Failed(failure)),
        (None, true) if incomplete => Err(LookupError::Truncated),
        (None, true) if refused > 0 => Err(foreign(params, question, &targets)),
        (None, true) => {
            let asked = format!(
                "{question} has {} targets, each of which, asked for its address,",
                targets.len()
            );
            Err(LookupError::Negative(Negative::new(NegativeKind::NoData, None, asked)))
        }
    }
}

/// Refuses an answer whose ports and addresses multiply to more endpoints than DNS can list pods.
///
/// WHY: a few hundred ports and a few thousand addresses of one name fit into a message, and make a
/// million endpoints.
fn refuse_too_many_endpoints(listing: &Listing<'_>) -> Result<(), LookupError> {
    let mut targets: BTreeMap<&str, (BTreeSet<u16>, BTreeSet<IpAddr>)> = BTreeMap::new();
    for record in listing.records.answers.iter().chain(&listing.records.additionals) {
        match &record.data {
            Data::Srv { target, port } => {
                let (ports, _) = targets.entry(target).or_default();
                ports.insert(listing.number.unwrap_or(*port));
            }
            Data::Ip(ip) => {
                targets.entry(&record.owner).or_default().1.insert(*ip);
            }
            Data::Name(_) | Data::Alias(_) => {}
        }
    }
    let endpoints: usize = targets.values().map(|(ports, ips)| ports.len() * ips.len()).sum();
    if endpoints <= MAX_RECORDS {
        return Ok(());
    }
    let detail = format!(
        "{} was answered with {endpoints} endpoints, at most {MAX_RECORDS} are read",
        listing.question
    );
    Err(LookupError::failed(FailureKind::Malformed, detail))
}

fn foreign(params: &LookupParams, question: &Question, targets: &BTreeSet<&str>) -> LookupError {
    if targets.contains(params.service.fqdn().as_str()) {
        return LookupError::Failed(explain::not_headless(params));
    }
    let example = targets.first().copied().unwrap_or_default();
    let detail = format!(
        "{question} lists {} targets, none of them a usable pod of {}: `{example}`",
        targets.len(),
        params.service
    );
    LookupError::failed(FailureKind::Foreign, detail)
}

/// The number of addresses looked up at once for a truncated SRV answer: eight waves.
const MAX_OF_PART: usize = 8 * PARALLEL;
