//! A Kubernetes-like cluster in one process, for tests of whatever talks to headless Services.
//!
//! StatefulSets and Deployments whose pods listen on loopback addresses of their own (`127.a.b.c`, the same port for each), an
//! authoritative DNS server that answers as CoreDNS does for headless Services, and the life of pods between them: readiness,
//! scaling, rolling updates, crashes, reused addresses, and a name server that fails in every way a client has to survive.
//!
//! ```
//! use headless_testkit::{App, Cluster, RecordType, Roll};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), headless_testkit::Error> {
//! let cluster = Cluster::builder().namespace("shop").ttl(1).start().await?;
//! let web = cluster
//!     .stateful_set("web")
//!     .service("web")
//!     .port("http", 8080)
//!     .replicas(3)
//!     .app(App::http())
//!     .start()
//!     .await?;
//!
//! // A client under test asks cluster.dns_addr() for SRV _http._tcp.web.shop.svc.cluster.local.
//! assert_eq!(cluster.fqdn("web"), "web.shop.svc.cluster.local.");
//! assert_eq!(cluster.dns().count_of(&cluster.fqdn("web"), RecordType::A), 0);
//!
//! let before = web.pod("web-1")?;
//! web.set_ready("web-2", false)?; // leaves DNS at once
//! web.roll(Roll::default()).await?; // same names, new addresses
//! assert_ne!(web.pod("web-1")?.ip(), before.ip());
//! assert_eq!(before.requests(), 0);
//! # Ok(()) }
//! ```
//!
//! Nothing in a test has to sleep: operations return when they are done, [`Cluster::events`] tells what happened, and each waiting
//! helper gives up after 10 s with an error that says what did not happen. A seed makes shuffles and generated names repeat.
//!
//! Several clusters can live at once, in threads and processes: each reserves a /16 of 127.0.0.0/8 for itself. Linux only, because
//! other systems do not answer on all of 127.0.0.0/8.
//!
//! With the feature `mariadb`, the module of that name has pods that are real database servers, with replication between them.
//!
//! What is not simulated: ClusterIP Services, network policies, several namespaces, probes, and IPv6 sockets.

mod addr;
mod app;
mod cluster;
mod cluster_builder;
mod dns;
mod error;
mod event;
mod fault;
mod http;
mod life;
mod listen;
#[cfg(feature = "mariadb")]
pub mod mariadb;
mod names;
mod pod;
mod pod_core;
mod registry;
mod rng;
mod rollout;
mod service;
mod spec;
mod workload;

pub use self::{
    app::App,
    cluster::Cluster,
    cluster_builder::ClusterBuilder,
    dns::{BareSrv, Dns, FaultId, Query, RecordType, Transport},
    error::Error,
    event::{Event, Events, PodRef},
    fault::{Failure, Fault, FaultRule, Lie},
    pod::{EndpointStats, Phase, Pod, Termination},
    service::ServiceBuilder,
    spec::WorkloadBuilder,
    workload::{Address, Roll, Workload},
};
