//! The reverse lookup of one address: its PTR records, each confirmed by a forward lookup.

use std::collections::BTreeSet;
use std::net::IpAddr;

use headless_core::{Failure, PodName};

use crate::address::refuse_foreign;
use crate::params::LookupParams;
use crate::records::{Data, MAX_RECORDS, Question, Transport, positive};

/// The result of a reverse lookup.
pub(crate) enum Reverse {
    Pod(PodName),
    /// A name below the Service that leads to another address: a cache may keep the reverse zone
    /// for longer than the rest.
    Unconfirmed,
    /// No name below the Service.
    Unknown,
}

/// Returns the name of `ip` below the Service. A pod has one PTR record for each Service that
/// selects it.
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

/// The number of names below the Service for which one address is checked. A pod has one.
const MAX_NAMES: usize = 4;
