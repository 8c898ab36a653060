//! Client-side service discovery and load balancing for Kubernetes headless Services.
//!
//! A headless Service (`clusterIP: None`) has no virtual IP: its DNS name answers with the IPs of all ready pods, and nobody
//! balances for the caller. This crate does, inside the application.
//!
//! * [`Discovery`] watches a Service: who its pods are, by name and ordinal, now and as they change.
//! * [`Balancer`] lends connections to them, from one pool per pod, chosen by a [policy].
//! * [`tower`] offers both as tower parts: a [`DiscoveryLayer`](tower::DiscoveryLayer) whose service is `Clone` without a
//!   `Buffer`, and a `Discover` stream for balancers of others.
//!
//! For HTTP there is `headless-http`, built on this.

mod acquire_slow;
mod backend;
mod balancer;
mod builder;
mod clock;
mod discovery;
mod drain;
mod driver;
mod entropy;
mod error;
mod histogram;
mod lease;
mod pick;
mod pool;
mod reconcile;
mod registry;
mod stats;
#[cfg(test)]
mod tests;
pub mod tower;
mod view;

#[doc(no_inline)]
pub use headless_core::{
    AbortHandle, Answer, AnswerBuilder, BoxFuture, Connect, Endpoint, EndpointKey, Event, Failure, FailureKind,
    FoundBy, IpFamily, Load, Multiplexing, Negative, NegativeKind, Ordinal, Outcome, PeerMismatch, PodName,
    RefreshConfig, Resolution, Resolve, Role, RoleRule, Route, Snapshot, StaticList, Target, VerifyPeer, policy,
};
#[cfg(feature = "dns")]
#[doc(no_inline)]
pub use headless_dns as dns;

pub use crate::balancer::{Acquire, Balancer};
pub use crate::builder::BalancerBuilder;
pub use crate::discovery::{Discovery, DiscoveryBuilder, Mode, OnStart, Status};
pub use crate::drain::Drained;
pub use crate::error::{AcquireError, BuildError, Closed, StartError};
pub use crate::histogram::Histogram;
pub use crate::lease::Lease;
pub use crate::pick::Pick;
pub use crate::pool::{ClosedBy, ConnectError, ConnectFault, PoolConfig, Stage};
pub use crate::stats::{EndpointStats, PoolStats, Stats};
