//! One look through a resolver, with the outcome that the scenario expects, and endpoints as lines of text.

use std::net::SocketAddr;

use headless_core::{Answer, Endpoint, Failure, FailureKind, Negative, Resolution, Resolve};
use headless_dns::{DnsResolver, DnsResolverBuilder};

/// The namespace of every scenario.
pub const NAMESPACE: &str = "shop";
/// The cluster domain of every scenario.
pub const ZONE: &str = "cluster.local";

/// A resolver for `target`, such as `web:http`, in [`NAMESPACE`]. It asks `server` and reads no file.
///
/// # Panics
/// If `target` is none.
pub fn builder(server: SocketAddr, target: &str) -> DnsResolverBuilder {
    let target = target.parse().unwrap_or_else(|error| panic!("{error}"));
    DnsResolver::builder(target)
        .nameserver(server)
        .namespace(NAMESPACE)
        .zone(ZONE)
}

/// A resolver with no other settings than [`builder`]'s.
///
/// # Panics
/// If the settings do not go together.
pub fn resolver(server: SocketAddr, target: &str) -> DnsResolver {
    built(builder(server, target))
}

/// The resolver of these settings.
///
/// # Panics
/// If they do not go together.
pub fn built(builder: DnsResolverBuilder) -> DnsResolver {
    builder.build().unwrap_or_else(|error| panic!("{error}"))
}

/// Looks once, and finds pods.
///
/// # Panics
/// If there are none, or DNS did not say.
pub async fn found(resolver: &DnsResolver) -> Answer {
    match resolver.resolve().await {
        Resolution::Found(answer) => answer,
        other => panic!("pods of {} expected, not {}", resolver.service(), told(&other)),
    }
}

/// Looks once, and there are no pods.
///
/// # Panics
/// If there are, or DNS did not say.
pub async fn nobody(resolver: &DnsResolver) -> Negative {
    match resolver.resolve().await {
        Resolution::NoEndpoints(negative) => negative,
        other => panic!("no pods of {} expected, not {}", resolver.service(), told(&other)),
    }
}

/// Looks once, and DNS does not say.
///
/// # Panics
/// If it did.
pub async fn failed(resolver: &DnsResolver) -> Failure {
    match resolver.resolve().await {
        Resolution::Failed(failure) => failure,
        other => panic!(
            "a failure to find {} expected, not {}",
            resolver.service(),
            told(&other)
        ),
    }
}

/// Checks the kind of a failure, and that its text has each of `parts`: what was asked, what was found, what to do.
///
/// # Panics
/// If not.
pub fn says(failure: &Failure, kind: FailureKind, parts: &[&str]) {
    assert_eq!(failure.kind, kind, "{failure}");
    for part in parts {
        assert!(failure.detail.contains(part), "`{part}` is missing in: {failure}");
    }
}

/// `web-0 (10.0.0.1:8080) #0`, or without the `#0` if the pod has no ordinal; ordered as a snapshot is.
pub fn lines(answer: &Answer) -> Vec<String> {
    let mut endpoints: Vec<&Endpoint> = answer.endpoints.iter().collect();
    endpoints.sort_unstable();
    endpoints.into_iter().map(line).collect()
}

/// An outcome in a few words: a thousand pods are no help in a test's output.
fn told(resolution: &Resolution) -> String {
    match resolution {
        Resolution::Found(answer) => {
            let pods = lines(answer);
            let some: Vec<&str> = pods.iter().take(5).map(String::as_str).collect();
            format!("{} pods, by {}: {} ...", pods.len(), answer.found_by, some.join(", "))
        }
        Resolution::NoEndpoints(negative) => negative.to_string(),
        Resolution::Failed(failure) => failure.to_string(),
        other => format!("{other:?}"),
    }
}

fn line(endpoint: &Endpoint) -> String {
    match endpoint.ordinal() {
        Some(ordinal) => format!("{endpoint} #{ordinal}"),
        None => endpoint.to_string(),
    }
}
