//! [`Topology`]: what is known of the pods, published by `monitor.rs` for whoever routes. [`Overview`]: one state of it, whole.
//!
//! One writer, many readers; a reader sees one overview or the next, never a mixture. Nothing is decided here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headless::{EndpointKey, Role};
use tokio::sync::{Semaphore, watch};

use crate::gtid::Position;
use crate::roles::Identity;

/// What is known of the pods.
#[derive(Debug)]
pub(crate) struct Topology {
    overview: watch::Sender<Arc<Overview>>,
}

impl Topology {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            overview: watch::Sender::new(Arc::default()),
        })
    }

    pub(crate) fn current(&self) -> Arc<Overview> {
        Arc::clone(&self.overview.borrow())
    }

    /// The current overview, for a moment: nothing is published meanwhile.
    pub(crate) fn look(&self) -> watch::Ref<'_, Arc<Overview>> {
        self.overview.borrow()
    }

    /// Wakes with each new overview.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Overview>> {
        self.overview.subscribe()
    }

    pub(crate) fn publish(&self, overview: Overview) {
        self.overview.send_replace(Arc::new(overview));
    }
}

/// The pods of a [`Splitter`](crate::Splitter) as they were last seen: who writes, who reads, and how far behind each is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Overview {
    /// The pods, in the order of their names.
    pub pods: Vec<PodStatus>,
    /// Which of them takes the writes, or why none does.
    pub writer: Writer,
    /// What the account may do that lets it write to a read-only server, if anything.
    pub privileged: Option<String>,
}

impl Overview {
    /// The pod that takes the writes.
    #[must_use]
    pub fn primary(&self) -> Option<&PodStatus> {
        self.pods.iter().find(|pod| pod.role == Some(Role::Primary))
    }

    /// The pods that take reads by the splitter's own settings: replicas that are fresh enough.
    pub fn replicas(&self) -> impl Iterator<Item = &PodStatus> {
        self.pods.iter().filter(|pod| pod.role == Some(Role::Replica))
    }

    /// The pods that replicate, fresh enough or not.
    pub(crate) fn followers(&self) -> impl Iterator<Item = &PodStatus> {
        self.pods.iter().filter(|pod| pod.follows)
    }

    /// The pod at this endpoint.
    #[must_use]
    pub fn pod(&self, key: &EndpointKey) -> Option<&PodStatus> {
        self.pods.iter().find(|pod| pod.key == *key)
    }

    /// The role of the pod at this endpoint.
    pub(crate) fn role_of(&self, key: &EndpointKey) -> Option<Role> {
        self.pod(key)?.role
    }
}

/// One pod as it was last seen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PodStatus {
    /// Its name, or its address if it has none.
    pub name: String,
    /// Which endpoint it is.
    pub key: EndpointKey,
    /// What it takes: writes, reads, or nothing.
    pub role: Option<Role>,
    /// Whether it is read-only and answers, so that a read may go there if its lag allows.
    pub follows: bool,
    /// How far it is behind the primary, in time; `None` if that is not known.
    pub lag: Option<Duration>,
    /// What it has executed.
    pub position: Position,
    /// Why it takes nothing, if so.
    pub problem: Option<String>,
    /// Which server it was when it was last looked at; for connections that are being opened.
    pub(crate) identity: Option<Identity>,
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

/// What reads need to know of a pod beside its status: whether it still answers, and how many wait there for a token.
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

/// Which pod takes the writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Writer {
    /// This one, and it was verified.
    Pod(String),
    /// None.
    Unavailable(WriterProblem),
    /// More than one would.
    Ambiguous(Vec<String>),
}

impl Default for Writer {
    fn default() -> Self {
        Self::Unavailable(WriterProblem::NotLookedAtYet)
    }
}

/// Why no pod takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriterProblem {
    /// The pods have not been looked at yet.
    NotLookedAtYet,
    /// None of them is writable; what each said.
    NoneWritable(Vec<(String, String)>),
    /// The only writable pod lacks what others have executed: it lost its data, or they have another history.
    Diverged {
        /// The writable pod.
        pod: String,
        /// What it lacks, and a pod that has it.
        missing: String,
    },
}

impl fmt::Display for WriterProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLookedAtYet => f.write_str("they have not been looked at yet"),
            Self::NoneWritable(pods) if pods.is_empty() => f.write_str("there is none"),
            Self::NoneWritable(pods) => {
                f.write_str("none is writable (")?;
                for (index, (pod, why)) in pods.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{pod}: {why}")?;
                }
                f.write_str("); promote one, or bring the primary back")
            }
            Self::Diverged { pod, missing } => write!(
                f,
                "{pod} is writable, but lacks what others have ({missing}): its data was lost, or theirs has another history; restore \
                 it, or promote a pod that has everything"
            ),
        }
    }
}

/// How many reads may wait for a token on one replica at a time; the others go to the primary.
const TOKEN_WAITS: usize = 4;
