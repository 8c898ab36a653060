//! How pods come and go: the [`Case`]s, and one [`step`](Churn::step) of each. The callers are in
//! `load`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use super::implementation::List;
use super::server::{Ending, Servers};

/// The number of pods.
pub const PODS: usize = 8;
/// The time between two replacements of a pod.
pub const STEP: Duration = Duration::from_millis(100);
/// The time for which the list still names a pod that died.
const UNNOTICED: Duration = Duration::from_millis(50);

/// The end of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// The list changes, and the pod closes: at once, except for the requests it has.
    Clean,
    /// The list changes; the pod serves for another 100 ms, one request per connection, and then
    /// closes.
    Drained,
    /// The pod dies, and the list changes 50 ms later.
    Died,
    /// The list changes, and the pod dies with the requests it has.
    Crash,
    /// The pod leaves the list and closes; 50 ms later its successor comes. Pod after pod, until
    /// all are new.
    Rolling,
}

impl Case {
    /// All cases.
    pub const ALL: [Self; 5] = [Self::Clean, Self::Drained, Self::Died, Self::Crash, Self::Rolling];

    /// Returns its name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Drained => "drained",
            Self::Died => "died",
            Self::Crash => "crash",
            Self::Rolling => "rolling restart",
        }
    }

    /// Returns whether a pod still answers when it leaves the list.
    pub const fn outlives_its_name(self) -> bool {
        !matches!(self, Self::Died)
    }

    const fn ending(self) -> Ending {
        match self {
            Self::Drained => Ending::Drained,
            _ => Ending::Clean,
        }
    }
}

/// A change of the list.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Its time.
    pub at: Instant,
    /// The pod that came or went.
    pub pod: SocketAddr,
    /// Whether it came.
    pub came: bool,
}

/// The pods, and the list that names them.
pub struct Churn<'a> {
    case: Case,
    servers: &'a mut Servers,
    list: watch::Sender<Arc<Vec<SocketAddr>>>,
    changes: Vec<Change>,
}

impl<'a> Churn<'a> {
    /// Starts the pods.
    pub async fn begin(case: Case, servers: &'a mut Servers) -> Self {
        let mut pods = Vec::new();
        for _ in 0..PODS {
            pods.push(servers.start_pod(case.ending()).await);
        }
        Self {
            case,
            servers,
            list: watch::Sender::new(Arc::new(pods)),
            changes: Vec::new(),
        }
    }

    /// Returns the list for the clients.
    pub fn list(&self) -> List {
        self.list.subscribe()
    }

    /// Returns the id of the process of the pods.
    pub fn servers_process(&self) -> Option<u32> {
        self.servers.process()
    }

    /// Returns the number of connections opened so far.
    pub async fn opened(&mut self) -> u64 {
        self.servers.opened().await
    }

    /// Replaces the oldest pod.
    pub async fn step(&mut self) {
        let old = self.list.borrow()[0];
        match self.case {
            Case::Clean | Case::Drained => {
                let new = self.start().await;
                self.replace(Some(old), Some(new));
                self.servers.stop(old).await;
            }
            Case::Crash => {
                let new = self.start().await;
                self.replace(Some(old), Some(new));
                self.servers.kill(old).await;
            }
            Case::Died => {
                let new = self.start().await;
                self.servers.kill(old).await;
                sleep(UNNOTICED).await;
                self.replace(Some(old), Some(new));
            }
            Case::Rolling => {
                self.replace(Some(old), None);
                self.servers.stop(old).await;
                sleep(UNNOTICED).await;
                let new = self.start().await;
                self.replace(None, Some(new));
            }
        }
    }

    /// Ends all pods, and returns the changes of the list.
    pub async fn end(self) -> Vec<Change> {
        self.servers.clear().await;
        self.changes
    }

    async fn start(&mut self) -> SocketAddr {
        self.servers.start_pod(self.case.ending()).await
    }

    fn replace(&mut self, old: Option<SocketAddr>, new: Option<SocketAddr>) {
        self.list.send_modify(|list| {
            let stay = list.iter().filter(|pod| Some(**pod) != old);
            *list = Arc::new(stay.copied().chain(new).collect());
        });
        let at = Instant::now();
        let change = |came| move |pod| Change { at, pod, came };
        self.changes.extend(old.map(change(false)));
        self.changes.extend(new.map(change(true)));
    }
}
