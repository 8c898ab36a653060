//! Resolvers and how often they are asked, one resolution with its expected outcome, and endpoints
//! as lines of text.

use std::net::SocketAddr;
use std::time::Duration;

use headless::dns::{DnsResolver, DnsResolverBuilder};
use headless::{Answer, Endpoint, Failure, FailureKind, FoundBy, Negative, RefreshConfig, Resolution, Resolve};

/// The namespace of every test.
pub const NAMESPACE: &str = "shop";
/// The cluster domain of every test.
pub const ZONE: &str = "cluster.local";

/// Returns the settings of a resolver for `target`, such as `web:http`, in [`NAMESPACE`]. It
/// queries `server` and reads no file.
///
/// # Panics
/// If `target` cannot be parsed.
pub fn builder(server: SocketAddr, target: &str) -> DnsResolverBuilder {
    let target = target.parse().unwrap_or_else(|error| panic!("{error}"));
    DnsResolver::builder(target)
        .nameserver(server)
        .namespace(NAMESPACE)
        .zone(ZONE)
}

/// Returns a resolver with the settings of [`builder`].
///
/// # Panics
/// As [`builder`] and [`built`].
pub fn resolver(server: SocketAddr, target: &str) -> DnsResolver {
    built(builder(server, target))
}

/// Returns the resolver of these settings.
///
/// # Panics
/// If they contradict each other.
pub fn built(builder: DnsResolverBuilder) -> DnsResolver {
    builder.build().unwrap_or_else(|error| panic!("{error}"))
}

/// The four strategies that find ordinals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    NamedPort,
    ServiceSrv,
    PodNames,
    Reverse,
}

impl Strategy {
    pub const ALL: [Self; 4] = [Self::NamedPort, Self::ServiceSrv, Self::PodNames, Self::Reverse];

    /// Returns settings that allow this strategy, for the StatefulSet and Service `web` with the
    /// port `http`, 8080. Which records the server has decides between `ServiceSrv` and `Reverse`.
    pub fn settings(self, server: SocketAddr) -> DnsResolverBuilder {
        match self {
            Self::NamedPort => builder(server, "web:http"),
            Self::ServiceSrv | Self::Reverse => builder(server, "web:8080"),
            Self::PodNames => builder(server, "web:8080").stateful_set("web"),
        }
    }

    /// Returns the resolver of [`settings`](Self::settings).
    pub fn resolver(self, server: SocketAddr) -> DnsResolver {
        built(self.settings(server))
    }

    /// Returns what an answer of this strategy says of itself.
    pub fn found_by(self) -> FoundBy {
        match self {
            Self::NamedPort => FoundBy::NamedPort,
            Self::ServiceSrv => FoundBy::ServiceSrv,
            Self::PodNames => FoundBy::PodNames,
            Self::Reverse => FoundBy::Reverse,
        }
    }
}

/// Resolves once; returns the answer with pods.
///
/// # Panics
/// On any other outcome.
pub async fn found(resolver: &DnsResolver) -> Answer {
    match resolver.resolve().await {
        Resolution::Found(answer) => answer,
        other => panic!("pods of {} expected, not {}", resolver.service(), told(&other)),
    }
}

/// Resolves once; returns the negative answer.
///
/// # Panics
/// On any other outcome.
pub async fn no_endpoints(resolver: &DnsResolver) -> Negative {
    match resolver.resolve().await {
        Resolution::NoEndpoints(negative) => negative,
        other => panic!("no pods of {} expected, not {}", resolver.service(), told(&other)),
    }
}

/// Resolves once; returns the failure.
///
/// # Panics
/// On any other outcome.
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

/// Checks the kind of a failure, and that its text has each of `parts`: the question, the answer,
/// what to do.
///
/// # Panics
/// Otherwise.
pub fn says(failure: &Failure, kind: FailureKind, parts: &[&str]) {
    assert_eq!(failure.kind, kind, "{failure}");
    for part in parts {
        assert!(failure.detail.contains(part), "`{part}` is missing in: {failure}");
    }
}

/// Returns a line for each endpoint, in the order of a snapshot: `web-0 (10.0.0.1:8080) #0`,
/// without the `#0` if the pod has no ordinal.
pub fn lines(answer: &Answer) -> Vec<String> {
    let mut endpoints: Vec<&Endpoint> = answer.endpoints.iter().collect();
    endpoints.sort_unstable();
    endpoints.into_iter().map(line).collect()
}

/// An outcome in a few words: a thousand pods do not help in a test's output.
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

/// Returns the client's defaults, where a second of them takes `second`.
pub fn refresh_at(second: Duration) -> RefreshConfig {
    let mut config = RefreshConfig::default();
    for time in [
        &mut config.min_poll,
        &mut config.max_poll,
        &mut config.retry_first,
        &mut config.retry_max,
        &mut config.negative_hold,
        &mut config.replace_hold,
        &mut config.min_reresolve_interval,
    ] {
        *time = time.mul_f64(second.as_secs_f64());
    }
    config
}
