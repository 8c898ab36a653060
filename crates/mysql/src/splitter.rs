//! [`Splitter`]: the face of the crate. Where a read goes is `reads.rs`, a write `writes.rs`; who the pods are is `monitor.rs`.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use headless::{Balancer, EndpointKey, Route};
use mysql_async::Params;
use mysql_async::prelude::FromRow;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;

use crate::account::Account;
use crate::builder::{Settings, SplitterBuilder, StartError};
use crate::conn::{Access, Conn, Place, name_of};
use crate::connector::Connector;
use crate::error::{Error, Refusal};
use crate::explain::Why;
use crate::gtid::{Flavor, Token};
use crate::monitor::Known;
use crate::options::ReadOptions;
use crate::session::{Causal, Session};
use crate::statement::{Class, Classification, Dialect, StatementCache, classify};
use crate::topology::{Overview, Topology};

/// Reads and writes over the pods of a replicated database: writes on the verified primary, reads on replicas that are fresh enough.
///
/// A clone is one reference count. There is no proxy and no channel between the caller and the pod.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use headless_mysql::{Account, Splitter};
///
/// let db = Splitter::connect("mysql-headless.default.svc:3306", Account::from_env()?).await?;
/// db.write(async |c| c.exec_drop("UPDATE stock SET n = n - 1 WHERE id = ?", (7,)).await).await?;
/// let left: Option<u32> = db.read(async |c| c.exec_first("SELECT n FROM stock WHERE id = ?", (7,)).await).await?;
/// # let _ = left;
/// # Ok(())
/// # }
/// ```
///
/// # Say what you mean
/// [`read`](Self::read), [`write`](Self::write) and [`transaction`](Self::transaction) say it; the statement guard then only refuses
/// what contradicts it. With [`query`](Self::query) and [`exec`](Self::exec) the guard decides: what is provably a read goes to a
/// replica, anything else to the primary. A read may be stale; who must see a write reads through [`causal`](Self::causal) or with a
/// [`Token`].
///
/// # What happens to errors
/// A read whose pod is lost goes on at another, unless a row was handed out. A write is never sent twice: if its connection is lost,
/// that is [`Error::MaybeCommitted`].
#[derive(Clone)]
pub struct Splitter {
    pub(crate) shared: Arc<Shared>,
}

/// What the clones of a splitter, and its connections, share.
pub(crate) struct Shared {
    pub(crate) service: Arc<str>,
    pub(crate) balancer: Balancer<Connector>,
    pub(crate) topology: Arc<Topology>,
    pub(crate) guard: Guard,
    pub(crate) settings: Settings,
    pub(crate) runtime: Handle,
    /// Reads that the primary takes because no replica will do.
    pub(crate) primary_reads: Arc<Semaphore>,
    /// Callers that wait for a primary.
    pub(crate) writer_waits: Semaphore,
    /// Roles have to be looked at now.
    pub(crate) look_again: Arc<Notify>,
    pub(crate) lost_writes: AtomicU64,
    /// Whose turn it is to be waited on. ORDERING: Relaxed, here and above; counts that nothing hangs on.
    pub(crate) turn: AtomicUsize,
    pub(crate) monitor: AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.monitor.abort();
    }
}

impl Shared {
    /// Which kind of server this is: known since the start.
    pub(crate) fn flavor(&self) -> Flavor {
        self.guard.known.get().map_or(Flavor::MySql, |known| known.flavor)
    }
}

/// The statement guard, with its memory for the dialect that all pods speak.
pub(crate) struct Guard {
    known: Arc<OnceLock<Known>>,
    cache: OnceLock<StatementCache>,
}

impl Guard {
    pub(crate) fn new(known: Arc<OnceLock<Known>>) -> Self {
        Self {
            known,
            cache: OnceLock::new(),
        }
    }

    /// How the pods read statements, unless a connection says otherwise.
    fn dialect(&self) -> Dialect {
        self.known.get().map_or(Dialect::UNKNOWN, |known| known.dialect)
    }

    /// Judges a statement for a connection of this dialect.
    pub(crate) fn judge(&self, dialect: Dialect, sql: &str) -> Classification {
        if dialect != self.dialect() {
            return classify(sql, dialect);
        }
        self.cache.get_or_init(|| StatementCache::new(dialect)).classify(sql)
    }
}

/// Whether a transaction writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It only reads, and may run on a replica; all its reads see one state.
    ReadOnly,
    /// It writes: the primary.
    ReadWrite,
}

impl Splitter {
    /// Discovers the pods behind `service`, looks at each of them, and returns when it is known who they are; with the default
    /// settings.
    ///
    /// `service` is the headless Service's name and port: `mysql-headless.default.svc:3306`. Its pods must belong to a StatefulSet.
    ///
    /// # Errors
    /// [`StartError`]: DNS, a wrong account or database, something that is not MySQL, pods without ordinals.
    ///
    /// # Cancel safety
    /// Safe: everything that was started ends.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(service: &str, account: Account) -> Result<Self, StartError> {
        SplitterBuilder::new(account).connect(service).await
    }

    /// A splitter with settings of your own.
    pub fn builder(account: Account) -> SplitterBuilder {
        SplitterBuilder::new(account)
    }

    /// Runs `f` with a connection to a replica that is fresh enough, on which only reads are allowed, each for itself.
    ///
    /// # Errors
    /// Those of `f`, and as [`Error`] those of finding a replica.
    ///
    /// # Cancel safety
    /// Safe; nothing is written. The connection is closed if a statement was under way.
    pub async fn read<T, E: From<Error>>(&self, f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>) -> Result<T, E> {
        self.read_with(&ReadOptions::default(), f).await
    }

    /// As [`read`](Self::read), with more to ask for: a token, a limit of lag.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::WriteLost`] if no pod will ever have the token.
    ///
    /// # Cancel safety
    /// As [`read`](Self::read).
    pub async fn read_with<T, E: From<Error>>(
        &self,
        options: &ReadOptions,
        f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conn = self.start_read(options).await?;
        f(&mut conn).await
    }

    pub(crate) async fn start_read(&self, options: &ReadOptions) -> Result<Conn, Error> {
        let place = self.shared.place_read(options, &[]).await?;
        Ok(self.conn(place, Access::Read, options.clone()))
    }

    /// Runs `f` with a connection to the verified primary, each statement for itself.
    ///
    /// `f` runs once. If it fails halfway, what it wrote before stays written: use [`transaction`](Self::transaction) where that
    /// matters.
    ///
    /// # Errors
    /// Those of `f`, and as [`Error`] those of finding the primary. [`Error::is_not_sent`] tells whether anything may have happened.
    ///
    /// # Cancel safety
    /// A statement under way may happen or not. Its connection is closed.
    pub async fn write<T, E: From<Error>>(&self, f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>) -> Result<T, E> {
        let mut conn = self.start_write(Access::Write).await?;
        f(&mut conn).await
    }

    async fn start_write(&self, access: Access) -> Result<Conn, Error> {
        let place = self.shared.place_write(Why::Primary).await?;
        Ok(self.conn(place, access, ReadOptions::default()))
    }

    /// Runs `f` in a transaction, and commits if it succeeds; otherwise everything is rolled back. But for what the server commits by
    /// itself: DDL (`CREATE`, `ALTER`, ...) ends a transaction, on MySQL as on MariaDB.
    ///
    /// # Errors
    /// Those of `f`, and as [`Error`] those of beginning and committing. An interrupted COMMIT is always
    /// [`Error::MaybeCommitted`]. After a deadlock (1213) the server has rolled everything back: what `f` sends then, and the COMMIT,
    /// fail with the same error.
    ///
    /// # Cancel safety
    /// Dropped before the COMMIT, nothing is written; during it, the outcome is open. The connection is closed.
    pub async fn transaction<T, E: From<Error>>(
        &self,
        mode: Mode,
        f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction_with(mode, &ReadOptions::default(), f).await
    }

    /// As [`transaction`](Self::transaction), with more to ask of the pod; for [`Mode::ReadOnly`]. The pod is chosen, and a token
    /// waited for, before the transaction begins, so that its snapshot has it.
    ///
    /// # Errors
    /// As [`transaction`](Self::transaction).
    ///
    /// # Cancel safety
    /// As [`transaction`](Self::transaction).
    pub async fn transaction_with<T, E: From<Error>>(
        &self,
        mode: Mode,
        options: &ReadOptions,
        f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conn = match mode {
            Mode::ReadWrite => self.start_write(Access::WriteTransaction).await?,
            Mode::ReadOnly => {
                let place = self.shared.place_read(options, &[]).await?;
                self.conn(place, Access::ReadTransaction, options.clone())
            }
        };
        conn.begin(mode).await?;
        match f(&mut conn).await {
            Ok(value) => {
                conn.commit(mode).await?;
                Ok(value)
            }
            Err(error) => {
                conn.rollback().await;
                Err(error)
            }
        }
    }

    /// A connection to the primary that is yours until you drop it.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    ///
    /// # Cancel safety
    /// Safe: nothing was sent.
    pub async fn session(&self) -> Result<Session, Error> {
        Ok(Session(self.start_write(Access::Session).await?))
    }

    /// A handle whose reads see its own writes.
    #[must_use]
    pub fn causal(&self) -> Causal {
        Causal::new(self.clone())
    }

    /// Runs `f` with a connection to the pod of this name (`mysql-1`), on which only reads are allowed: for what a pod says of itself.
    ///
    /// # Errors
    /// [`Error::NotSent`] if there is no such pod or it cannot be reached; those of `f`.
    ///
    /// # Cancel safety
    /// As [`read`](Self::read).
    pub async fn on_pod<T, E: From<Error>>(
        &self,
        pod: &str,
        f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conn = self.start_on_pod(pod).await?;
        f(&mut conn).await
    }

    async fn start_on_pod(&self, pod: &str) -> Result<Conn, Error> {
        let snapshot = self.shared.balancer.discovery().snapshot();
        let keys: Vec<EndpointKey> = snapshot
            .iter()
            .filter(|endpoint| name_of(endpoint) == pod)
            .map(|endpoint| endpoint.key().clone())
            .collect();
        let lease = self.shared.balancer.acquire_from(Route::any(), &keys).await;
        let place = Place {
            lease: lease.map_err(Error::NotSent)?,
            why: Why::Asked,
            health: None,
            permit: None,
        };
        Ok(self.conn(place, Access::Pod, ReadOptions::default()))
    }

    /// Runs one statement as text where the guard sends it: a provable read to a replica, anything else to the primary.
    ///
    /// # Errors
    /// As [`read`](Self::read) and [`write`](Self::write). What needs a session, a transaction or a certain pod is
    /// [refused](Error::Refused).
    ///
    /// # Cancel safety
    /// As [`write`](Self::write).
    pub async fn query<T: FromRow>(&self, sql: &str) -> Result<Vec<T>, Error> {
        self.route(sql).await?.query(sql).await
    }

    /// Runs one prepared statement where the guard sends it.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Cancel safety
    /// As [`query`](Self::query).
    pub async fn exec<T: FromRow>(&self, sql: &str, params: impl Into<Params>) -> Result<Vec<T>, Error> {
        self.route(sql).await?.exec(sql, params).await
    }

    /// A connection for a statement of unknown kind.
    async fn route(&self, sql: &str) -> Result<Conn, Error> {
        let verdict = self.shared.guard.judge(self.shared.guard.dialect(), sql);
        match verdict.class() {
            Class::Read => self.start_read(&ReadOptions::default()).await,
            Class::NodeRead => Err(Error::Refused {
                reason: Refusal::NeedsPod(verdict),
            }),
            // What may not run on a connection lent for one statement is refused there.
            Class::SessionRead | Class::Session | Class::Transaction(_) | Class::Write | Class::Multi => {
                self.start_write(Access::Write).await
            }
        }
    }

    /// Proof of everything committed so far: what a read with this token sees, wherever it runs. Asks the primary.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn token(&self) -> Result<Token, Error> {
        let place = self.shared.place_write(Why::Primary).await?;
        let mut conn = self.conn(place, Access::Pod, ReadOptions::default());
        self.shared.position_of(&mut conn).await.map(Token::from)
    }

    /// The pods as they were last seen.
    #[must_use]
    pub fn overview(&self) -> Arc<Overview> {
        self.shared.topology.current()
    }

    /// Waits for the next change of the pods' roles or lags.
    ///
    /// # Cancel safety
    /// Safe: what changed is seen by the next call.
    pub async fn changed(&self, since: &Arc<Overview>) -> Arc<Overview> {
        let mut overviews = self.shared.topology.subscribe();
        match overviews.wait_for(|overview| !Arc::ptr_eq(overview, since)).await {
            Ok(overview) => Arc::clone(&overview),
            Err(_) => Arc::clone(since),
        }
    }

    /// How many writes were found lost in a failover.
    #[must_use]
    pub fn lost_writes(&self) -> u64 {
        self.shared.lost_writes.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The balancer below: its statistics, its discovery, its shutdown.
    #[must_use]
    pub fn balancer(&self) -> &Balancer<Connector> {
        &self.shared.balancer
    }

    /// Stops lending connections and waits for those lent, `limit` at most.
    ///
    /// # Cancel safety
    /// As [`Balancer::shutdown`].
    pub async fn shutdown(&self, limit: Duration) -> headless::Drained {
        self.shared.monitor.abort();
        self.shared.balancer.shutdown(limit).await
    }

    fn conn(&self, place: Place, access: Access, options: ReadOptions) -> Conn {
        Conn::new(&self.shared, place, access, options)
    }
}

impl fmt::Debug for Splitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splitter")
            .field("service", &self.shared.service)
            .field("writer", &self.shared.topology.current().writer)
            .finish_non_exhaustive()
    }
}
