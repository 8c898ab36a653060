//! The load: writers and readers through the splitter, each operation entered in the ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use headless_mysql::{Conn, Error, Mode, Splitter};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::ledger::{Ledger, Outcome, Read};

/// Writers of one row and of two rows, readers with and without a token: so many of each.
pub const EACH: usize = 2;
/// Each worker's pause: what is left of the time is for the servers, which share the machine.
const PACE: Duration = Duration::from_millis(5);

/// Each row says which server carried it out: `identity` is the one table that is not replicated.
const WRITE: &str = "INSERT INTO ledger (id, pod) SELECT ?, name FROM identity";
/// Each answer says which server gave it.
const READ: &str = "SELECT name, EXISTS(SELECT 1 FROM ledger WHERE id = ?) FROM identity";

/// The workers at work.
pub struct Load {
    workers: JoinSet<()>,
    work: Arc<Work>,
}

struct Work {
    db: Splitter,
    ledger: Arc<Ledger>,
    ids: Arc<Ids>,
    stop: AtomicBool,
}

/// What to write next, and what to search for.
#[derive(Debug, Default)]
pub struct Ids {
    last: AtomicU64,
    acknowledged: AtomicU64,
}

impl Ids {
    fn next(&self) -> u64 {
        self.last.fetch_add(1, Relaxed) + 1
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Autocommit,
    Transaction,
    Plain,
    Causal,
}

impl Load {
    pub fn start(db: &Splitter, ledger: &Arc<Ledger>, ids: &Arc<Ids>) -> Self {
        let work = Arc::new(Work {
            db: db.clone(),
            ledger: Arc::clone(ledger),
            ids: Arc::clone(ids),
            stop: AtomicBool::new(false),
        });
        let mut workers = JoinSet::new();
        for kind in [Kind::Autocommit, Kind::Transaction, Kind::Plain, Kind::Causal] {
            for number in 0..EACH {
                let work = Arc::clone(&work);
                workers.spawn(async move { work.work(kind, number).await });
            }
        }
        Self { workers, work }
    }

    /// Returns when each worker has finished what it did.
    pub async fn stop(self) {
        self.work.stop.store(true, Relaxed);
        self.workers.join_all().await;
    }
}

impl Work {
    async fn work(&self, kind: Kind, number: usize) {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.stop.load(Relaxed) {
            pace.tick().await;
            match kind {
                Kind::Autocommit => self.write().await,
                Kind::Transaction => self.write_two().await,
                Kind::Plain => self.read(number).await,
                Kind::Causal => self.write_and_read(number).await,
            }
        }
    }

    async fn write(&self) {
        let id = self.ids.next();
        let done = self.db.write(async |c| insert(c, &[id]).await).await;
        self.wrote(vec![id], &done);
    }

    async fn write_two(&self) {
        let ids = [self.ids.next(), self.ids.next()];
        let write = async |c: &mut Conn| insert(c, &ids).await;
        let done = self.db.transaction(Mode::ReadWrite, write).await;
        self.wrote(ids.to_vec(), &done);
    }

    async fn read(&self, reader: usize) {
        let id = self.ids.acknowledged.load(Relaxed);
        let begin = Instant::now();
        let read = self.db.read(async |c| find(c, id, begin).await).await;
        self.ledger.read(reader, false, read);
    }

    async fn write_and_read(&self, reader: usize) {
        let mut visitor = self.db.causal();
        let id = self.ids.next();
        let done = visitor.write(async |c| insert(c, &[id]).await).await;
        if self.wrote(vec![id], &done) == Outcome::Acknowledged {
            let begin = Instant::now();
            let read = visitor.read(async |c| find(c, id, begin).await).await;
            self.ledger.read(reader, true, read);
        }
    }

    fn wrote(&self, ids: Vec<u64>, done: &Result<String, Error>) -> Outcome {
        let last = ids.last().copied();
        let outcome = self.ledger.wrote(ids, done);
        if let (Outcome::Acknowledged, Some(last)) = (outcome, last) {
            self.ids.acknowledged.store(last, Relaxed);
        }
        outcome
    }
}

async fn insert(c: &mut Conn, ids: &[u64]) -> Result<String, Error> {
    for id in ids {
        c.exec_drop(WRITE, (*id,)).await?;
    }
    Ok(c.pod())
}

async fn find(c: &mut Conn, id: u64, begin: Instant) -> Result<Read, Error> {
    let row: Option<(String, bool)> = c.exec_first(READ, (id,)).await?;
    let (server, found) = row.unwrap_or_default();
    Ok(Read {
        pod: c.pod(),
        server,
        found,
        took: begin.elapsed(),
    })
}
