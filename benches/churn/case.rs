//! How pods come and go: the [`Case`]s, and one [`step`](Churn::step) of each. Who calls the pods meanwhile is `load`'s business.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use super::contender::List;
use super::server::{Ending, Servers};

/// How many pods there are.
pub const PODS: usize = 8;
/// Every so often one pod goes and another comes.
pub const STEP: Duration = Duration::from_millis(100);
/// How long the list goes on naming a pod that died.
const UNNOTICED: Duration = Duration::from_millis(50);

/// What happens to the pod that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// The list changes, and the pod closes: at once, but for the requests it has.
    Clean,
    /// The list changes; the pod goes on for 100 ms, one request per connection, and then closes.
    Drained,
    /// The pod dies, and the list changes 50 ms later.
    Died,
    /// The list changes, and the pod dies with the requests it has.
    Crash,
    /// The pod leaves the list and closes; 50 ms later its successor comes. Pod after pod, until all are new.
    Rolling,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Clean, Self::Drained, Self::Died, Self::Crash, Self::Rolling];

    /// In the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Drained => "drained",
            Self::Died => "died",
            Self::Crash => "crash",
            Self::Rolling => "rolling restart",
        }
    }

    /// Whether the pods still answer when the list lets go of them.
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

/// The list has changed.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// When.
    pub at: Instant,
    /// For whom.
    pub pod: SocketAddr,
    /// Whether it came or went.
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

    /// What everybody is told.
    pub fn list(&self) -> List {
        self.list.subscribe()
    }

    /// Where the pods live.
    pub fn servers_process(&self) -> Option<u32> {
        self.servers.process()
    }

    /// How many connections were opened so far.
    pub async fn opened(&mut self) -> u64 {
        self.servers.opened().await
    }

    /// The oldest pod goes, and another comes.
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

    /// Ends all pods; returns what happened to the list.
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
