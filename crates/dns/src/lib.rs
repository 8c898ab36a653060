#![doc = include_str!("../README.md")]
//! # Which port
//! Write the port's *name* from the Service's `spec.ports`, if it has one: one SRV query then gives
//! names, addresses and ports of all pods, on every DNS server. A port *number* is the container's
//! port (`targetPort`), not the Service's: a headless Service has no virtual IP, so the port is not
//! translated.
//!
//! # How pods get their names
//! These are the strategies, in order ([`Naming`] forces one of them):
//!
//! | | question | used if | gives |
//! |---|---|---|---|
//! | 1 | SRV `_port._tcp.<service>` | the port has a name | names, addresses, ports |
//! | 2 | SRV `<service>` | the port is a number, or missing | names, addresses |
//! | 3 | A/AAAA, then `<set>-<k>.<service>` | the StatefulSet is given | addresses, its names |
//! | 4 | A/AAAA, then PTR with a forward check | it is not given | addresses, names |
//! | 5 | A/AAAA | no name was found | addresses |
//!
//! CoreDNS and kube-dns answer question 2, Cloud DNS does not. The answer also gives the port, if
//! the Service has only one. The StatefulSet is set by [`DnsResolverBuilder::stateful_set`].
//!
//! The resolver remembers which strategy works. It tries better ones again every five minutes, and
//! so it does with names that were not found. A strategy that fails twice in a row, while addresses
//! are answered, is not used for five minutes.
//!
//! Names that do not come from SRV records are confirmed one by one, since an IP can pass to
//! another pod between two lookups: 16 names per lookup (more beyond 800 pods), and no name twice
//! within 30 s. So a lookup costs at most 16 small questions more, and in a Service of up to 96
//! pods no name is older than about half a minute.
//!
//! # Limits
//! A DNS message holds 64 KiB: about 490 to 900 pods as SRV records, depending on the length of
//! their names, and 4,090 pods as A records. With a port number the resolver changes from SRV to A
//! records by itself. Beyond that it uses what the server sends of the answer, marks it as
//! [truncated](headless_core::Answer::truncated) (which adds endpoints and removes none) and warns
//! once. If the server sends nothing, it reports
//! [`FailureKind::TooLarge`](headless_core::FailureKind::TooLarge).
//!
//! If an answer did not fit into UDP, the next one is asked for over TCP at once, until it has
//! shrunk to half of what UDP takes. At most 8,192 records of an answer are read, and at most as
//! many endpoints are made of it.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod answer;
mod builder;
mod confirm;
mod error;
mod explain;
mod failure;
mod family;
mod lookup;
mod name_servers;
mod names;
mod naming;
mod params;
mod records;
mod resolv_conf;
mod resolver;
mod reverse;
mod srv;
mod strategy;
mod sync;
mod tcp;
#[cfg(test)]
mod tests;
mod verifier;
mod wire;

pub use builder::DnsResolverBuilder;
pub use error::ConfigError;
pub use family::IpFamily;
pub use resolver::DnsResolver;
pub use strategy::Naming;
pub use verifier::PtrVerifier;

/// What a lookup takes and returns; `headless` has them, too.
#[doc(no_inline)]
pub use headless_core::{Resolution, Resolve, Target};
