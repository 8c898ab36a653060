//! SRV answers: targets joined with their addresses, and what they say about ports.
//!
//! [`AnswerBuilder`] does the joining, by owner name; addresses that the server left out are looked up here. What the
//! ports *mean* for the user's question is decided in `lookup.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use headless_core::{Answer, AnswerBuilder, Failure, FailureKind, FoundBy, Negative, NegativeKind};

use crate::address::{Wanted, addresses};
use crate::explain;
use crate::records::{Ask, Data, Miss, PARALLEL, Question, Records};

/// The ports that SRV records name, each once, sorted; `0` is kube-dns's way to say that it does not know.
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

/// Whether the answer has SRV records at all: one that is merely an alias has none.
pub(crate) fn has_targets(records: &Records) -> bool {
    records
        .answers
        .iter()
        .any(|record| matches!(record.data, Data::Srv { .. }))
}

/// The pods of an SRV answer. With `number`, each has this port, whatever the records say.
pub(crate) async fn pods(
    ask: &dyn Ask,
    wanted: &Wanted,
    question: &Question,
    records: &Records,
    number: Option<u16>,
    found_by: FoundBy,
) -> Result<Answer, Miss> {
    let mut pods = AnswerBuilder::new(&wanted.service, wanted.family).only_set(wanted.set.as_deref());
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
    let missing = pods.targets_without_address();
    let mut replies = stream::iter(missing)
        .map(|target| async move {
            let owner = format!("{target}.");
            let reply = addresses(ask, &owner, wanted).await;
            (owner, reply)
        })
        .buffered(PARALLEL);
    while let Some((owner, reply)) = replies.next().await {
        match reply {
            Ok(found) => {
                found.ips.into_iter().for_each(|ip| pods.address(&owner, ip));
                ttl = ttl.min(found.ttl);
            }
            Err(Miss::Negative(_)) => {}
            Err(Miss::Truncated) => {
                failure = Some(Failure::new(FailureKind::TooLarge, format!("the addresses of {owner}")))
            }
            Err(Miss::Failed(failed)) => failure = Some(failed),
        }
        // One that does not answer would not answer the others.
        if failure.is_some() {
            break;
        }
    }
    drop(replies);
    let refused = pods.refused();
    let answer = pods.finish(ttl, found_by);
    match (failure, answer.endpoints.is_empty()) {
        (None, false) => Ok(answer),
        // INVARIANT(I5): a pod whose address could not be asked for must not be missed for that.
        (Some(_), false) => Ok(answer.truncated()),
        (Some(failure), true) => Err(Miss::Failed(failure)),
        (None, true) if refused > 0 => Err(foreign(wanted, question, &targets)),
        (None, true) => {
            let asked = format!(
                "{question} has {} targets, each of which, asked for its address,",
                targets.len()
            );
            Err(Miss::Negative(Negative::new(NegativeKind::NoData, None, asked)))
        }
    }
}

fn foreign(wanted: &Wanted, question: &Question, targets: &BTreeSet<&str>) -> Miss {
    if targets.contains(wanted.service.fqdn().as_str()) {
        return Miss::Failed(explain::not_headless(wanted));
    }
    let example = targets.first().copied().unwrap_or_default();
    let detail = format!(
        "{question} lists {} targets, none of them a usable pod of {}: `{example}`",
        targets.len(),
        wanted.service
    );
    Miss::failed(FailureKind::Foreign, detail)
}
