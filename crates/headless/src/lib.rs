//! Client-side service discovery and load balancing for Kubernetes headless Services.

mod acquire;
mod acquire_slow;
mod backend;
mod balancer;
mod builder;
mod clock;
mod discovery;
mod drain;
mod entropy;
mod error;
mod evidence;
mod histogram;
mod lease;
mod pick;
mod pool;
mod reconcile;
mod shutdown;
mod state;
mod stats;
#[cfg(test)]
mod tests;
pub mod tower;
mod view;

#[doc(no_inline)]
pub use headless_core::{
    AbortHandle, Answer, BoxFuture, Connect, Endpoint, EndpointKey, Event, Failure, FailureKind, FoundBy, Multiplexing,
    Negative, NegativeKind, Ordinal, Outcome, PeerMismatch, PodName, RefreshConfig, Resolution, Resolve, Role,
    RoleRule, Route, Snapshot, StaticList, Target, VerifyPeer, policy,
};
#[cfg(feature = "dns")]
#[doc(no_inline)]
pub use headless_dns as dns;

pub use crate::acquire::Acquire;
pub use crate::balancer::Balancer;
pub use crate::builder::BalancerBuilder;
pub use crate::discovery::{Discovery, DiscoveryBuilder, Mode, OnStart, PastFailure, Status};
pub use crate::drain::DrainingEndpoint;
pub use crate::error::{AcquireError, BuildError, Closed, StartError};
pub use crate::histogram::Histogram;
pub use crate::lease::Lease;
pub use crate::pick::Pick;
pub use crate::pool::{ClosedBy, ConnectError, ConnectFault, PoolConfig, Stage};
pub use crate::shutdown::Drained;
pub use crate::stats::{EndpointStats, PoolStats, Stats};
