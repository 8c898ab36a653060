//! What the story does with the embedded cluster: which pod is slow, what DNS says, and how the
//! pods are discovered.

use std::error::Error;
use std::time::Duration;

use demo_support::Embedded;
use headless::Discovery;
use hickory_proto::rr::RecordType;

use crate::dig::{Dig, dig};

/// How long a pod needs for an answer.
const FAST: Duration = Duration::from_millis(2);
/// How long the slow one needs.
const SLOW: Duration = Duration::from_millis(25);
/// Which one is slow. Not the primary: then only reads have a choice to make.
pub(crate) const SLOW_POD: &str = "web-2";

pub(crate) async fn start() -> Result<Embedded, headless_testkit::Error> {
    let embedded = Embedded::start().await?;
    for pod in embedded.web.pods() {
        pod.set_latency(if pod.name() == SLOW_POD { SLOW } else { FAST });
    }
    Ok(embedded)
}

/// What any client can ask the cluster's DNS.
pub(crate) async fn records(embedded: &Embedded) -> Result<Vec<Dig>, Box<dyn Error>> {
    let (server, web) = (embedded.cluster.dns_addr(), embedded.cluster.fqdn("web"));
    Ok(vec![
        dig(server, &format!("_http._tcp.{web}"), RecordType::SRV).await?,
        dig(server, &web, RecordType::A).await?,
    ])
}

/// Discovers the Service.
///
/// In a pod this is `Discovery::start("web:http")`: name server, namespace and domain are known
/// there.
pub(crate) async fn discover(embedded: &Embedded) -> Result<Discovery, Box<dyn Error>> {
    let resolver = embedded.service().resolver()?;
    Ok(Discovery::builder(resolver).start().await?)
}

/// A new pod is as fast as the others.
pub(crate) fn pod_started(embedded: &Embedded, name: &str) {
    embedded.set_latency(name, FAST);
}
