//! The failures that only a person can resolve: what was asked, what was found, and what to do
//! about it. There are only messages here.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use headless_core::{Endpoint, Failure, FailureKind};

use crate::params::LookupParams;

pub(crate) fn no_such_port(params: &LookupParams, name: &str, pods: usize, listed: &BTreeSet<u16>) -> Failure {
    let published = if listed.iter().all(|port| *port == 0) {
        format!("DNS lists {pods} addresses for it")
    } else {
        format!("its pods publish ports {}", ports(listed))
    };
    misconfigured(format!(
        "Service {} has no port named `{name}`: {published}; name the port in the Service's spec.ports, or give the \
         container's port number (a Service that has just come up may be denied by a DNS cache for some seconds)",
        params.service
    ))
}

pub(crate) fn port_unknown(params: &LookupParams, listed: &BTreeSet<u16>) -> Failure {
    let found = if listed.iter().all(|port| *port == 0) {
        "DNS does not tell the port of its pods".to_owned()
    } else {
        format!("its pods publish ports {}", ports(listed))
    };
    misconfigured(format!(
        "no port was given for Service {}, and {found}; add :PORT, the name of the port in spec.ports or the \
         container's port number",
        params.service
    ))
}

/// The end of a sentence about connections that fail. `named` is one of the ports, and its name.
pub(crate) fn other_ports(
    params: &LookupParams,
    given: NonZeroU16,
    listed: &BTreeSet<u16>,
    named: Option<(u16, &str)>,
) -> String {
    let named = match named {
        Some((_, name)) if listed.len() == 1 => format!(" (as `{name}`)"),
        Some((port, name)) => format!(" ({port} as `{name}`)"),
        None => String::new(),
    };
    format!(
        "the pods of Service {} publish the port{} {}{named}, not {given}: a number must be the container's port \
         (targetPort), because a headless Service translates none",
        params.service,
        if listed.len() == 1 { "" } else { "s" },
        ports(listed)
    )
}

pub(crate) fn no_service_srv(params: &LookupParams) -> Failure {
    misconfigured(format!(
        "Service {} has addresses but no SRV records at its own name: it has no ports, or the DNS server does not \
         offer them (Cloud DNS); use a named port, or Naming::Auto",
        params.service
    ))
}

/// SPEC(k8s-dns 2.3.2): the SRV records of a Service with a cluster IP lead to the Service's own
/// name.
pub(crate) fn not_headless(params: &LookupParams) -> Failure {
    misconfigured(format!(
        "Service {} is not headless: DNS gives its cluster IP, not its pods; set .spec.clusterIP to None, or use a \
         headless Service beside it",
        params.service
    ))
}

pub(crate) fn no_such_set_asked(params: &LookupParams, pods: usize) -> Failure {
    let (set, first) = (params.set.as_deref().unwrap_or_default(), params.first_ordinal);
    misconfigured(format!(
        "no pod of StatefulSet `{set}` found under Service {}: DNS lists {pods} addresses, `{set}-{first}` to \
         `{set}-{}` do not exist; check the StatefulSet's .metadata.name and .spec.serviceName (and \
         .spec.ordinals.start)",
        params.service,
        params.last_ordinal(pods)
    ))
}

pub(crate) fn no_such_set_listed(params: &LookupParams, set: &str, endpoints: &[Endpoint]) -> Failure {
    let pods: BTreeSet<_> = endpoints.iter().filter_map(Endpoint::pod).collect();
    let examples: Vec<&str> = pods.iter().take(3).map(|pod| pod.as_str()).collect();
    let more = if pods.len() > examples.len() { ", …" } else { "" };
    misconfigured(format!(
        "no pod of StatefulSet `{set}` found under Service {}: DNS lists {} pods ({}{more}), none of that set; check \
         the StatefulSet's .metadata.name and .spec.serviceName",
        params.service,
        pods.len(),
        examples.join(", ")
    ))
}

pub(crate) fn srv_too_large(params: &LookupParams) -> Failure {
    too_large_because(
        params,
        "its SRV records do not fit (about 490 to 900 pods do); give the container's port number, then A records are \
         used (4,090 pods)",
    )
}

pub(crate) fn too_large(params: &LookupParams) -> Failure {
    too_large_because(
        params,
        "its addresses do not fit (4,090 A or 2,340 AAAA records do; SRV: about 490 to 900 pods); shard the Service, \
         or take its pods from another source, such as the Kubernetes API",
    )
}

fn too_large_because(params: &LookupParams, why: &str) -> Failure {
    Failure::new(
        FailureKind::TooLarge,
        format!(
            "Service {} has more pods than a DNS message of 64 KiB can list: {why}",
            params.service
        ),
    )
}

fn misconfigured(detail: String) -> Failure {
    Failure::new(FailureKind::Misconfigured, detail)
}

fn ports(ports: &BTreeSet<u16>) -> String {
    let ports: Vec<String> = ports
        .iter()
        .filter(|port| **port != 0)
        .map(ToString::to_string)
        .collect();
    ports.join(", ")
}
