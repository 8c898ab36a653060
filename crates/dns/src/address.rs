//! A and AAAA of one name: two questions, each with its own outcome, and the rule for putting them together.
//!
//! Also the watch for answers about other names. Nothing here knows of SRV, PTR or ordinals.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::{OptionFuture, join};
use headless_core::{FailureKind, IpFamily, Negative, NegativeKind, ServiceName};

use crate::records::{Ask, Data, Kind, MAX_RECORDS, Miss, Question, Records};

/// What is looked up, and what counts: fixed when the resolver is built.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) service: ServiceName,
    pub(crate) family: IpFamily,
    pub(crate) set: Option<Box<str>>,
    pub(crate) first_ordinal: u32,
    pub(crate) external_name: bool,
}

/// The addresses of one name, of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) ttl: Duration,
    /// Not all of them.
    pub(crate) truncated: bool,
}

/// Asks A and AAAA of `name` at the same time, as far as the family is wanted.
///
/// The preferred family decides: its records are the answer; if asking for it failed, so did the whole. WHY: with the
/// other family's records in its place, one lost packet would replace every endpoint.
pub(crate) async fn addresses(ask: &dyn Ask, name: &str, wanted: &Wanted) -> Result<Addresses, Miss> {
    let one = |kind, is_wanted: bool| OptionFuture::from(is_wanted.then(|| addresses_of_kind(ask, kind, name, wanted)));
    let (v4, v6) = join(
        one(Kind::A, wanted.family.wants_v4()),
        one(Kind::Aaaa, wanted.family.wants_v6()),
    )
    .await;
    let prefers_v6 = matches!(wanted.family, IpFamily::PreferV6 | IpFamily::V6Only);
    let (preferred, other) = if prefers_v6 { (v6, v4) } else { (v4, v6) };
    match (preferred, other) {
        (Some(Err(Miss::Negative(first))), Some(Err(Miss::Negative(second)))) => {
            Err(Miss::Negative(both(first, second)))
        }
        (Some(Err(Miss::Negative(_))), Some(other)) => other,
        (Some(preferred), _) => preferred,
        (None, Some(only)) => only,
        (None, None) => Err(Miss::failed(
            FailureKind::Misconfigured,
            "neither IPv4 nor IPv6 is wanted",
        )),
    }
}

async fn addresses_of_kind(ask: &dyn Ask, kind: Kind, name: &str, wanted: &Wanted) -> Result<Addresses, Miss> {
    let question = Question::new(kind, name);
    let records = ask.ask(&question).await?;
    refuse_too_many(&records, &question)?;
    if !wanted.external_name {
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
        // None of those that fit is of use; others may be.
        None if records.truncated => Err(Miss::Truncated),
        None => Err(Miss::Negative(Negative::new(
            NegativeKind::NoData,
            None,
            question.to_string(),
        ))),
    }
}

/// Refuses answers of more records than any DNS message holds: the work that an answer causes is bounded.
pub(crate) fn refuse_too_many(records: &Records, question: &Question) -> Result<(), Miss> {
    let count = records.answers.len() + records.additionals.len();
    if count <= MAX_RECORDS {
        return Ok(());
    }
    let detail = format!("{question} was answered with {count} records, at most {MAX_RECORDS} are read");
    Err(Miss::failed(FailureKind::Malformed, detail))
}

/// Refuses answers that speak of another name than was asked.
///
/// WHY: with CoreDNS's `autopath`, a Service scaled to zero can be answered by whatever its name means on the Internet.
pub(crate) fn refuse_foreign(records: &Records, question: &Question) -> Result<(), Miss> {
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
    Err(Miss::failed(
        FailureKind::Foreign,
        format!(
            "{question} was answered with {what}: an ExternalName Service, or CoreDNS `autopath` that found the name \
             elsewhere; if it is meant to be so, set `allow_external_name(true)`"
        ),
    ))
}

/// Two negative answers as one: the name exists if one of them says so.
fn both(first: Negative, second: Negative) -> Negative {
    let kind = match (first.kind, second.kind) {
        (NegativeKind::NoSuchName, NegativeKind::NoSuchName) => NegativeKind::NoSuchName,
        _ => NegativeKind::NoData,
    };
    let ttl = [first.ttl, second.ttl].into_iter().flatten().min();
    Negative::new(kind, ttl, format!("{}, {}", first.question, second.question))
}
