//! [`NameServers`]: the name servers of one resolver, which of them is asked, and when the
//! connections are renewed.
//!
//! The failover is not the library's, which takes a SERVFAIL or REFUSED of the first server for the
//! answer. NXDOMAIN and NODATA *are* answers, and are not sent to the next server. How a question
//! is sent is in `wire.rs`; what the answer means for the pods is decided in `lookup.rs`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headless_core::{BoxFuture, Failure, FailureKind};

use crate::records::{LookupError, Question, Reply, Transport};
use crate::resolv_conf::ResolvConf;
use crate::sync::lock;
use crate::wire::NameServer;

/// The source of the name servers, at the start and when they are read again.
#[derive(Clone, Debug)]
pub(crate) enum ServerSource {
    Fixed,
    File(PathBuf),
}

/// The name servers of one resolver.
pub(crate) struct NameServers {
    source: ServerSource,
    timeout: Duration,
    servers: Mutex<Arc<Servers>>,
}

impl NameServers {
    /// Returns a client for `addrs` with `timeout` for each attempt. It opens no socket yet.
    pub(crate) fn new(source: ServerSource, addrs: &[SocketAddr], timeout: Duration) -> Result<Self, String> {
        let servers = Servers::new(addrs, timeout)?;
        Ok(Self {
            source,
            timeout,
            servers: Mutex::new(Arc::new(servers)),
        })
    }

    async fn ask_all(&self, question: &Question) -> Reply {
        let servers = Arc::clone(&lock(&self.servers));
        let reply = servers.query(question).await;
        if servers.needs_renewal(&reply) {
            self.rebuild(&servers);
        }
        reply
    }

    /// Replaces the connections and counters, with the name servers that the file names now.
    ///
    /// WHY: the library slows its retransmission down with each negative answer, until a lost
    /// packet costs a whole attempt. And three timeouts may mean that the cluster's DNS has another
    /// address.
    fn rebuild(&self, old: &Arc<Servers>) {
        let addrs = match &self.source {
            ServerSource::Fixed => old.addrs(),
            // A file of a few lines in memory-backed storage is not worth a blocking thread.
            ServerSource::File(path) => nameservers(path).unwrap_or_else(|| old.addrs()),
        };
        let mut current = lock(&self.servers);
        if let (true, Ok(fresh)) = (Arc::ptr_eq(&current, old), Servers::new(&addrs, self.timeout)) {
            tracing::debug!(nameservers = ?addrs, "DNS connections renewed");
            *current = Arc::new(fresh);
        }
    }
}

impl Transport for NameServers {
    fn query<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Reply> {
        Box::pin(self.ask_all(question))
    }
}

/// The name servers that were found at one time, and counts of their replies.
struct Servers {
    servers: Vec<NameServer>,
    /// The server that answered last. So a dead first server costs its timeout once, and not at
    /// each lookup.
    first: AtomicUsize,
    negatives: AtomicU32,
    timeouts: AtomicU32,
}

impl Servers {
    fn new(addrs: &[SocketAddr], timeout: Duration) -> Result<Self, String> {
        Ok(Self {
            servers: addrs
                .iter()
                .map(|addr| NameServer::new(*addr, timeout))
                .collect::<Result<_, _>>()?,
            first: AtomicUsize::new(0),
            negatives: AtomicU32::new(0),
            timeouts: AtomicU32::new(0),
        })
    }

    fn addrs(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(NameServer::addr).collect()
    }

    /// ORDERING: all counters here are Relaxed; they are hints, and nothing is published through
    /// them.
    async fn query(&self, question: &Question) -> Reply {
        let first = self.first.load(Ordering::Relaxed);
        let mut so_far: Option<Failure> = None;
        for index in (0..self.servers.len()).map(|step| (first + step) % self.servers.len()) {
            match self.servers[index].query(question).await {
                Err(LookupError::Failed(failure)) if may_differ_elsewhere(failure.kind) => {
                    so_far = Some(match so_far {
                        Some(before) => Failure::new(failure.kind, format!("{}; {}", before.detail, failure.detail)),
                        None => failure,
                    });
                }
                reply => {
                    self.first.store(index, Ordering::Relaxed);
                    return reply;
                }
            }
        }
        let failure = so_far.unwrap_or_else(|| Failure::new(FailureKind::Io, "there is no name server"));
        Err(LookupError::Failed(failure))
    }

    /// Counts `reply`; returns true exactly once, when the connections should be renewed.
    fn needs_renewal(&self, reply: &Reply) -> bool {
        let reset = |counter: &AtomicU32| counter.store(0, Ordering::Relaxed);
        let count = |counter: &AtomicU32| counter.fetch_add(1, Ordering::Relaxed) + 1;
        match reply {
            Err(LookupError::Negative(_)) => {
                reset(&self.timeouts);
                count(&self.negatives) == NEGATIVES_IN_A_ROW
            }
            Err(LookupError::Failed(failure)) if failure.kind == FailureKind::Timeout => {
                count(&self.timeouts) == TIMEOUTS_IN_A_ROW
            }
            Ok(_) | Err(LookupError::Truncated | LookupError::Failed(_)) => {
                reset(&self.negatives);
                reset(&self.timeouts);
                false
            }
        }
    }
}

/// Returns whether another name server may have an answer.
fn may_differ_elsewhere(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::ServFail | FailureKind::Refused | FailureKind::Timeout | FailureKind::Io
    )
}

/// Returns the name servers in a file, or `None` if it cannot be read or has none.
fn nameservers(path: &Path) -> Option<Vec<SocketAddr>> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(ResolvConf::parse(&text).nameservers).filter(|servers| !servers.is_empty())
}

/// About here the library's retransmission within an attempt ends (measured: 35 to 40).
const NEGATIVES_IN_A_ROW: u32 = 30;
const TIMEOUTS_IN_A_ROW: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Records;
    use headless_core::{Negative, NegativeKind};

    fn servers() -> Servers {
        Servers::new(&["127.0.0.1:5353".parse().unwrap()], Duration::from_secs(1)).unwrap()
    }

    fn negative() -> Reply {
        Err(LookupError::Negative(Negative::new(
            NegativeKind::NoSuchName,
            None,
            "A web.",
        )))
    }

    fn timeout() -> Reply {
        Err(LookupError::failed(FailureKind::Timeout, "no answer in time"))
    }

    #[test]
    fn thirty_negatives_in_a_row_renew_the_connections_once() {
        let servers = servers();
        let old: Vec<bool> = (0..40).map(|_| servers.needs_renewal(&negative())).collect();
        assert_eq!(old.iter().position(|old| *old), Some(29));
        assert_eq!(old.iter().filter(|old| **old).count(), 1);
    }

    #[test]
    fn three_timeouts_in_a_row_renew_the_connections() {
        let servers = servers();
        assert!(!servers.needs_renewal(&timeout()));
        assert!(!servers.needs_renewal(&timeout()));
        assert!(
            !servers.needs_renewal(&Ok(Records::default())),
            "an answer in between begins a new row"
        );
        let old: Vec<bool> = (0..3).map(|_| servers.needs_renewal(&timeout())).collect();
        assert_eq!(old, [false, false, true]);
    }

    #[test]
    fn a_renewal_reads_the_file_again_and_keeps_the_servers_if_it_is_gone() {
        let path = std::env::temp_dir().join(format!("headless-dns-transport-{}", std::process::id()));
        let first = "10.0.0.1:53".parse().unwrap();
        let transport = NameServers::new(ServerSource::File(path.clone()), &[first], Duration::from_secs(1)).unwrap();
        let current = || Arc::clone(&transport.servers.lock().unwrap());
        std::fs::write(&path, "nameserver 10.0.0.2").unwrap();
        transport.rebuild(&current());
        assert_eq!(current().addrs(), ["10.0.0.2:53".parse().unwrap()]);
        std::fs::remove_file(&path).unwrap();
        transport.rebuild(&current());
        assert_eq!(current().addrs(), ["10.0.0.2:53".parse().unwrap()]);
    }

    #[test]
    fn failover_is_for_failures_that_another_server_may_not_share() {
        let kinds: Vec<FailureKind> = FailureKind::ALL
            .iter()
            .copied()
            .filter(|kind| may_differ_elsewhere(*kind))
            .collect();
        assert_eq!(
            kinds,
            [
                FailureKind::ServFail,
                FailureKind::Refused,
                FailureKind::Timeout,
                FailureKind::Io
            ]
        );
    }
}
