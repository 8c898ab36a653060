//! The reverse lookup of one address: its PTR records, each confirmed by a forward lookup.

use std::collections::BTreeSet;
use std::net::IpAddr;

use headless_core::{Failure, PodName};

use crate::address::refuse_foreign;
use crate::params::LookupParams;
use crate::records::{Data, MAX_RECORDS, Question, Transport, positive};

/// Whom PTR names.
pub(crate) enum Reverse {
    Pod(PodName),
    /// A name below our Service, but it leads elsewhere: the reverse zone is cached longer than the rest.
    Unconfirmed,
    /// No name below our Service.
    Unknown,
}

/// The name of `ip` below the Service. A pod has one PTR for each Service that selects it.
pub(crate) async fn reverse_name(
    transport: &dyn Transport,
    params: &LookupParams,
    ip: IpAddr,
) -> Result<Reverse, Failure> {
    let Some(records) = positive(transport.query(&Question::reverse(ip)).await)? else {
        return Ok(Reverse::Unknown);
    };
    let pods: BTreeSet<PodName> = records
        .answers
        .iter()
        .take(MAX_RECORDS)
        .filter_map(|record| match &record.data {
            Data::Name(name) => params.service.pod_of(name),
            Data::Ip(_) | Data::Srv { .. } | Data::Alias(_) => None,
        })
        .collect();
    if pods.is_empty() {
        return Ok(Reverse::Unknown);
    }
    for pod in pods.into_iter().take(MAX_NAMES) {
        let forward = Question::forward(ip, params.service.pod_fqdn(&pod));
        let Some(records) = positive(transport.query(&forward).await)? else {
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

/// Names below one Service that one address is checked for. A pod has one.
const MAX_NAMES: usize = 4;
