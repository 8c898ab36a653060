//! [`Topology`]: what is known of the pods, published by `monitor.rs` for the router. [`Overview`]:
//! one state of it, whole.
//!
//! One writer, many readers; a reader sees one overview or the next, never a mixture. Nothing is
//! decided here.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use headless::{Endpoint, EndpointKey, Role};
use tokio::sync::{Semaphore, watch};

use crate::gtid::{Flavor, Position};

/// What is known of the pods.
#[derive(Debug)]
pub(crate) struct Topology {
    overview: watch::Sender<Arc<Overview>>,
    flavor: OnceLock<Flavor>,
}

impl Topology {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            overview: watch::Sender::new(Arc::default()),
            flavor: OnceLock::new(),
        })
    }

    pub(crate) fn current(&self) -> Arc<Overview> {
        Arc::clone(&self.overview.borrow())
    }

    /// The current overview, for a moment: nothing is published meanwhile.
    pub(crate) fn borrow(&self) -> watch::Ref<'_, Arc<Overview>> {
        self.overview.borrow()
    }

    /// Wakes with each new overview.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Overview>> {
        self.overview.subscribe()
    }

    pub(crate) fn publish(&self, overview: Overview) {
        self.overview.send_replace(Arc::new(overview));
    }

    /// Which kind of server the pods are: known as soon as one of them has answered.
    pub(crate) fn flavor(&self) -> Flavor {
        self.flavor.get().copied().unwrap_or(Flavor::MySql)
    }

    /// The first pod that answers shows the kind of all.
    pub(crate) fn set_flavor(&self, flavor: Flavor) {
        self.flavor.get_or_init(|| flavor);
    }
}

/// The pods of a [`Splitter`](crate::Splitter) as they were last probed: which one takes the
/// writes, which ones take reads, and how far behind each is.
///
/// It is one consistent state, and never changes; [`Splitter::overview`](crate::Splitter::overview)
/// returns the current one.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Overview {
    /// The pods, sorted by name.
    pub pods: Vec<PodStatus>,
    /// The pod that takes the writes, or why none does.
    pub writer: Writer,
    /// The privilege with which the account can write to a read-only server, if it has one.
    pub privileged: Option<String>,
}

impl Overview {
    /// Returns the pod that takes the writes.
    #[must_use]
    pub fn primary(&self) -> Option<&PodStatus> {
        self.pods.iter().find(|pod| pod.role == Some(Role::Primary))
    }

    /// Returns the replicas that are fresh enough by the splitter's own settings, and so take
    /// reads.
    pub fn replicas(&self) -> impl Iterator<Item = &PodStatus> {
        self.pods.iter().filter(|pod| pod.role == Some(Role::Replica))
    }

    /// The pods that replicate, fresh enough or not.
    pub(crate) fn followers(&self) -> impl Iterator<Item = &PodStatus> {
        self.pods.iter().filter(|pod| pod.follows)
    }

    /// Returns the pod at this endpoint.
    #[must_use]
    pub fn pod(&self, key: &EndpointKey) -> Option<&PodStatus> {
        self.pods.iter().find(|pod| pod.key == *key)
    }

    /// The role of the pod at this endpoint.
    pub(crate) fn role_of(&self, key: &EndpointKey) -> Option<Role> {
        self.pod(key)?.role
    }
}

/// One pod as it was last probed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PodStatus {
    /// The pod's name (`mysql-1`), or its address if DNS gave no name.
    pub name: String,
    /// The endpoint's key in the balancer.
    pub key: EndpointKey,
    /// What the pod takes: writes, reads, or nothing.
    pub role: Option<Role>,
    /// Whether the pod answers and is read-only, so that it takes reads if its lag allows it.
    pub follows: bool,
    /// How far the pod is behind the primary, in time; `None` if that is not known. It is measured
    /// to [`probe_interval`](crate::SplitterBuilder::probe_interval).
    pub lag: Option<Duration>,
    /// The transactions that the pod has executed.
    pub position: Position,
    /// Why the pod takes nothing, if so.
    pub problem: Option<String>,
    /// Which server it was when it was last probed; for connections that are being opened.
    pub(crate) identity: Option<ServerIdentity>,
    pub(crate) health: Arc<Health>,
}

impl PodStatus {
    /// What it takes, in a word.
    pub(crate) const fn role_word(&self) -> &'static str {
        match self.role {
            Some(Role::Primary) => "primary",
            Some(Role::Replica) => "replica",
            None => "out",
        }
    }
}

/// How messages call a pod.
pub(crate) fn pod_name(endpoint: &Endpoint) -> String {
    match endpoint.pod() {
        Some(pod) => pod.to_string(),
        None => endpoint.addr().to_string(),
    }
}

/// Which server it is (F10): by the numbers that it was given, not by where it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerIdentity {
    pub(crate) server_id: u64,
    pub(crate) hostname: String,
    /// MySQL: made with the data directory.
    pub(crate) uuid: Option<String>,
}

impl ServerIdentity {
    /// Whether it is the same server, perhaps with another data directory.
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        self.server_id == other.server_id && self.hostname == other.hostname
    }
}

impl fmt::Display for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {} on {}", self.server_id, self.hostname)
    }
}

/// What reads need beside a pod's status: whether it still answers, and how many wait there for a
/// token.
#[derive(Debug)]
pub(crate) struct Health {
    /// False while the pod does not answer.
    answers: watch::Sender<bool>,
    /// Waits for a token may not take all of a pod's connections (R4).
    pub(crate) token_waits: Arc<Semaphore>,
}

impl Health {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            answers: watch::Sender::new(true),
            token_waits: Arc::new(Semaphore::new(TOKEN_WAITS)),
        })
    }

    pub(crate) fn set_answers(&self, answers: bool) {
        self.answers
            .send_if_modified(|was| std::mem::replace(was, answers) != answers);
    }

    /// Returns when the pod no longer answers.
    pub(crate) async fn lost(&self) {
        let mut answers = self.answers.subscribe();
        // The sender lives as long as `self`.
        let _gone = answers.wait_for(|answers| !answers).await;
    }
}

/// The pod that takes the writes, or why none does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Writer {
    /// The pod of this name, which was verified to be the primary.
    Pod(String),
    /// No pod.
    Unavailable(WriterProblem),
    /// The pods of these names all accept writes, so none of them gets any.
    Ambiguous(Vec<String>),
}

impl Default for Writer {
    fn default() -> Self {
        Self::Unavailable(WriterProblem::NotProbedYet)
    }
}

/// Why no pod takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriterProblem {
    /// The pods have not been probed yet, or not since one of them changed.
    NotProbedYet,
    /// No pod is writable.
    NoneWritable {
        /// What is known of each pod instead.
        pods: Vec<PodProblem>,
    },
    /// The only writable pod lacks transactions that others have executed: it has lost its data, or
    /// the others have another history.
    Diverged {
        /// The writable pod.
        pod: String,
        /// The transactions that it lacks, and a pod that has them.
        missing: String,
    },
}

/// Why one pod does not take writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PodProblem {
    /// The pod's name, or its address if it has none.
    pub pod: String,
    /// What the pod answered, or why it did not answer.
    pub problem: String,
}

impl fmt::Display for WriterProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotProbedYet => f.write_str("they have not been probed yet"),
            Self::NoneWritable { pods } if pods.is_empty() => f.write_str("there is none"),
            Self::NoneWritable { pods } => {
                f.write_str("none is writable (")?;
                for (index, PodProblem { pod, problem }) in pods.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{pod}: {problem}")?;
                }
                f.write_str("); promote one, or bring the primary back")
            }
            Self::Diverged { pod, missing } => write!(
                f,
                "{pod} is writable, but lacks what others have ({missing}): its data was lost, or theirs has another \
                 history; restore it, or promote a pod that has everything"
            ),
        }
    }
}

/// How many reads may wait for a token on one replica at a time; the others go to the primary.
const TOKEN_WAITS: usize = 4;
