//! The vocabulary and the pure logic of `headless`: client-side balancing for Kubernetes headless Services.
//!
//! Only the standard library: no async runtime, no clock, no randomness, no sockets (invariant I7). Time is a
//! [`Timestamp`] that the caller passes, randomness is 64 bits that the caller passes; every decision can be replayed.
//!
//! | question | module |
//! |---|---|
//! | what did the user ask for, which pod is this? | `name`: [`Target`], [`ServiceName`], [`PodName`], [`Ordinal`], [`Port`] |
//! | what did one lookup say? | `answer`: [`Resolution`], [`Answer`], [`Negative`], [`Failure`] |
//! | what do we believe, and when do we ask again? | `refresh`: [`Refresh`] |
//! | who is there, and what changed? | `endpoint`, `snapshot`, `diff`: [`Endpoint`], [`Snapshot`], [`Diff`] |
//! | who may take this request? | `role`, `route`: [`Role`], [`RoleRule`], [`Route`] |
//! | who takes it? | [`policy`]: [`Policy`](policy::Policy), [`Picker`](policy::Picker) |
//! | what does it cost? | `load`: [`Load`], [`InFlight`] |
//! | may it be sent again? | `budget`: [`RetryBudget`] |
//! | how is the world reached? | `resolve`, `connect`: the traits [`Resolve`] and [`Connect`] |
//!
//! Applications use the `headless` crate, which drives all this on tokio and re-exports what they need.

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

pub use answer::{
    Answer, AnswerBuilder, Failure, FailureKind, FoundBy, IpFamily, Negative, NegativeKind, Resolution, can_be_a_pod,
    named_endpoint, nameless_addresses,
};
pub use budget::{BudgetError, RetryBudget};
pub use connect::{AbortHandle, Connect, Multiplexing, PeerMismatch, VerifyPeer};
pub use diff::Diff;
pub use endpoint::{Endpoint, EndpointKey};
pub use load::{HasLoad, InFlight, Latency, Load, Outcome};
pub use name::{NameError, Ordinal, PodName, Port, ServiceName, Target};
pub use refresh::{Event, Refresh, RefreshConfig, RefreshState, Step};
pub use resolve::{BoxFuture, Resolve, StaticList};
pub use role::{Role, RoleFn, RoleRule};
pub use route::Route;
pub use snapshot::{Generation, Snapshot};
pub use time::Timestamp;
