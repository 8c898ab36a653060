//! Finds the pods of a Kubernetes headless Service over DNS, with their StatefulSet ordinals wherever DNS can tell
//! them.
//!
//! [`DnsResolver`] implements [`headless_core::Resolve`] for one Service. It asks once per call; when to ask again and
//! what to believe meanwhile is decided by [`headless_core::Refresh`]. This is the only crate that knows a DNS library,
//! and none of its types are public.
//!
//! ```no_run
//! use headless_core::{Resolution, Resolve};
//! use headless_dns::DnsResolver;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let resolver = DnsResolver::builder("web.shop.svc:http".parse()?).build()?;
//! match resolver.resolve().await {
//!     Resolution::Found(answer) => {
//!         for pod in &answer.endpoints {
//!             println!("{pod}"); // web-0 (10.1.4.7:8080)
//!         }
//!     }
//!     Resolution::NoEndpoints(negative) => println!("no ready pods: {negative}"),
//!     Resolution::Failed(failure) => println!("DNS did not say: {failure}"),
//!     _ => {}
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Which port
//! Write the port's *name* from the Service's `spec.ports` if it has one: one SRV query then tells names, addresses and
//! ports of all pods, on every DNS server. A port *number* is the container's port (`targetPort`), not the Service's: a
//! headless Service has no virtual IP, so nobody translates the one into the other.
//!
//! # How pods get their names
//! The ladder, best rung first ([`Naming`] forces one):
//!
//! | asked | when | gives |
//! |---|---|---|
//! | SRV `_port._tcp.<service>` | the port has a name | names, addresses, ports |
//! | SRV `<service>` | a port number, or none; CoreDNS and kube-dns answer it, Cloud DNS does not | names, addresses (and the port, if there is one only) |
//! | A/AAAA, then `<set>-<k>.<service>` | the StatefulSet is known ([`DnsResolverBuilder::stateful_set`]) | addresses, names of that set |
//! | A/AAAA, then PTR with a forward check | else | addresses, names |
//! | A/AAAA | no name was found | addresses |
//!
//! What was learnt is remembered. Better rungs are tried again every five minutes; so are names that were not found.
//! Where SRV does not tell them, names are confirmed one by one, since an IP can go to another pod between two looks: 16
//! at a look (more beyond 800 pods), none twice within 30 s. So a look costs at most 16 small questions more, and in a
//! Service of up to 96 pods no name is older than about half a minute.
//!
//! A rung that fails twice in a row, while the addresses are answered, is left for five minutes.
//!
//! # Limits
//! A DNS message holds 64 KiB: about 490 to 900 pods as SRV, depending on the length of their names, and 4,090 as A
//! records. With a port number the resolver goes from SRV to A by itself. Beyond that it takes what the server sends of
//! the answer, marks it as [truncated](headless_core::Answer::truncated) (which adds pods and removes none) and warns
//! once; where nothing is sent, it reports [`FailureKind::TooLarge`](headless_core::FailureKind::TooLarge).
//!
//! An answer that did not fit into UDP is asked for over TCP at once the next time, until it has shrunk to half of what
//! UDP takes. Of an answer, at most 8,192 records are read, and at most as many endpoints are made of it.

mod address;
mod config;
mod confirm;
mod error;
mod explain;
mod failure;
mod identity;
mod ladder;
mod lookup;
mod names;
mod naming;
mod records;
mod resolv_conf;
mod resolver;
mod srv;
mod tcp;
#[cfg(test)]
mod tests;
mod transport;
mod wire;

pub use config::DnsResolverBuilder;
pub use error::ConfigError;
pub use identity::PtrVerifier;
pub use ladder::Naming;
pub use resolver::DnsResolver;
