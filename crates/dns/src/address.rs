//! The A and AAAA records of one name: two questions, each with its own result, and the rule that
//! combines the two.
//!
//! Answers about other names are detected here, too. SRV, PTR and ordinals do not belong here.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::{OptionFuture, join};
use headless_core::{FailureKind, Negative, NegativeKind};

use crate::family::IpFamily;
use crate::params::LookupParams;
use crate::records::{Data, Kind, LookupError, MAX_RECORDS, Question, Records, Transport};

/// The addresses of one name, of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) ttl: Duration,
    /// Whether some addresses did not fit into the answer.
    pub(crate) truncated: bool,
}

/// Asks for the A and AAAA records of `name` at the same time, for the families in use.
///
/// The preferred family decides: its records are the answer, and its failure is the failure of the
/// whole. WHY: with the other family's records in its place, one lost packet would replace each
/// endpoint.
pub(crate) async fn addresses(
    transport: &dyn Transport,
    name: &str,
    params: &LookupParams,
) -> Result<Addresses, LookupError> {
    let one =
        |kind, is_wanted: bool| OptionFuture::from(is_wanted.then(|| addresses_of_kind(transport, kind, name, params)));
    let (v4, v6) = join(
        one(Kind::A, params.family.wants_v4()),
        one(Kind::Aaaa, params.family.wants_v6()),
    )
    .await;
    let prefers_v6 = matches!(params.family, IpFamily::PreferV6 | IpFamily::V6Only);
    let (preferred, other) = if prefers_v6 { (v6, v4) } else { (v4, v6) };
    match (preferred, other) {
        (Some(Err(LookupError::Negative(first))), Some(Err(LookupError::Negative(second)))) => {
            Err(LookupError::Negative(both(first, second)))
        }
        (Some(Err(LookupError::Negative(_))), Some(other)) => other,
        (Some(preferred), _) => preferred,
        (None, Some(only)) => only,
        (None, None) => Err(LookupError::failed(
            FailureKind::Misconfigured,
            "neither IPv4 nor IPv6 is wanted",
        )),
    }
}

async fn addresses_of_kind(
    transport: &dyn Transport,
    kind: Kind,
    name: &str,
    params: &LookupParams,
) -> Result<Addresses, LookupError> {
    let question = Question::new(kind, name);
    let records = transport.query(&question).await?;
    refuse_too_many(&records, &question)?;
    if !params.external_name {
        refuse_foreign(&records, &question)?;
    }
    let found = records.answers.iter().filter_map(|record| match record.data {
        Data::Ip(ip) if ip.is_ipv4() == (kind == Kind::A) => Some((ip, record.ttl)),
        _ => None,
    });
    let (ips, ttls): (Vec<IpAddr>, Vec<Duration>) = found.unzip();
    match ttls.into_iter().min() {
        Some(ttl) => Ok(Addresses {
            ips,
            ttl,
            truncated: records.truncated,
        }),
        // None of the records that fit is of use; others may be.
        None if records.truncated => Err(LookupError::Truncated),
        None => Err(LookupError::Negative(Negative::new(
            NegativeKind::NoData,
            None,
            question.to_string(),
        ))),
    }
}

/// Refuses answers with more records than any DNS message holds, so that the work per answer is
/// bounded.
pub(crate) fn refuse_too_many(records: &Records, question: &Question) -> Result<(), LookupError> {
    let count = records.answers.len() + records.additionals.len();
    if count <= MAX_RECORDS {
        return Ok(());
    }
    let detail = format!("{question} was answered with {count} records, at most {MAX_RECORDS} are read");
    Err(LookupError::failed(FailureKind::Malformed, detail))
}

/// Refuses answers about another name than the question.
///
/// WHY: with CoreDNS's `autopath`, the name of a Service without pods may be answered by whatever
/// it means on the Internet.
pub(crate) fn refuse_foreign(records: &Records, question: &Question) -> Result<(), LookupError> {
    let Some(foreign) = records
        .answers
        .iter()
        .find(|r| matches!(r.data, Data::Alias(_)) || r.owner != question.name)
    else {
        return Ok(());
    };
    let what = match &foreign.data {
        Data::Alias(target) => format!("an alias (CNAME) for {target}"),
        Data::Ip(_) | Data::Srv { .. } | Data::Name(_) => format!("records of {}", foreign.owner),
    };
    Err(LookupError::failed(
        FailureKind::Foreign,
        format!(
            "{question} was answered with {what}: an ExternalName Service, or CoreDNS `autopath` that found the name \
             elsewhere; if it is meant to be so, set `allow_external_name(true)`"
        ),
    ))
}

/// Combines two negative answers: the name exists if one of them says so.
fn both(first: Negative, second: Negative) -> Negative {
    let kind = match (first.kind, second.kind) {
        (NegativeKind::NoSuchName, NegativeKind::NoSuchName) => NegativeKind::NoSuchName,
        _ => NegativeKind::NoData,
    };
    let ttl = [first.ttl, second.ttl].into_iter().flatten().min();
    Negative::new(kind, ttl, format!("{}, {}", first.question, second.question))
}
