#![doc = include_str!("../README.md")]
//! ## Modules
//!
//! | question | module |
//! |---|---|
//! | What is looked up, and which pod is this? | `name`: [`Target`], [`PodName`], [`Port`] |
//! | What was the result of one lookup? | `answer`: [`Resolution`], [`Answer`], [`Failure`] |
//! | Which endpoints are members, when to ask DNS? | `refresh`: [`Refresh`] |
//! | Which endpoints are there, what changed? | `snapshot`, `diff`: [`Snapshot`], [`Diff`] |
//! | Which endpoints may take this request? | `role`, `route`: [`RoleRule`], [`Route`] |
//! | Which one takes it? | [`policy`]: [`Policy`](policy::Policy), [`Picker`](policy::Picker) |
//! | How loaded is an endpoint? | `load`: [`Load`], [`InFlight`] |
//! | May a request be sent again? | `budget`: [`RetryBudget`] |
//! | How are endpoints found and connected to? | `resolve`, `connect`: [`Resolve`], [`Connect`] |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod budget;
mod connect;
mod diff;
mod endpoint;
mod load;
mod name;
pub mod policy;
mod refresh;
mod resolve;
mod role;
mod route;
mod snapshot;
mod sync;
mod time;

pub use answer::{Answer, Failure, FailureKind, FoundBy, Negative, NegativeKind, Resolution};
pub use budget::{BudgetError, RetryBudget};
pub use connect::{AbortHandle, CapacityChanged, Connect, Multiplexing, PeerMismatch, VerifyPeer};
pub use diff::{Diff, Hunk};
pub use endpoint::{Endpoint, EndpointKey};
pub use load::{HasLoad, InFlight, Latency, Load, Outcome};
pub use name::{NameError, Ordinal, PodName, Port, ServiceName, Target};
pub use refresh::{Event, LastFailure, Refresh, RefreshConfig, RefreshState, Step};
pub use resolve::{BoxFuture, Resolve, StaticList};
pub use role::{Role, RoleFn, RoleRule};
pub use route::Route;
pub use snapshot::{Generation, Snapshot};
pub use time::Timestamp;
