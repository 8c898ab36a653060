//! [`Splitter`]: the face of the crate. Where a read or a write goes is decided in `router/`; which
//! pod is the primary, in `monitor.rs`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use headless::{Balancer, EndpointKey, Route};
use mysql_async::Params;
use mysql_async::prelude::FromRow;

use crate::conn::{Conn, Mode, Session};
use crate::connector::Connector;
use crate::error::Error;
use crate::gtid::Token;
use crate::router::{Place, Router};
use crate::routing::{ReadOptions, RouteReason};
use crate::statement::{Access, Class, Refusal};
use crate::topology::{Overview, pod_name};

/// Reads and writes over the pods of a replicated database: writes on the verified primary, reads
/// on replicas that are fresh enough.
///
/// A clone is one reference count. There is no proxy and no channel between the caller and the pod.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use headless_mysql::{Account, Splitter};
///
/// let db = Splitter::connect("mysql-headless.default.svc:3306", Account::from_env()?).await?;
/// db.write(async |c| c.exec_drop("UPDATE stock SET n = n - 1 WHERE id = ?", (7,)).await).await?;
/// let left: Option<u32> = db
///     .read(async |c| c.exec_first("SELECT n FROM stock WHERE id = ?", (7,)).await)
///     .await?;
/// # let _ = left;
/// # Ok(())
/// # }
/// ```
///
/// # The call says what is meant
/// With [`read`](Self::read), [`write`](Self::write) and [`transaction`](Self::transaction) the
/// caller says it, and the [statement classifier](crate::statement) only refuses what contradicts
/// it. With [`query`](Self::query) and [`exec`](Self::exec) the classifier decides: what is
/// provably a read goes to a replica, anything else to the primary. A read may be stale; a reader
/// that must see a write reads through [`causal`](Self::causal) or with a [`Token`].
///
/// # What happens to errors
/// A read whose pod is lost goes on at another, unless a row was handed out. A write is never sent
/// twice: if its connection is lost, that is [`Error::MaybeCommitted`].
#[derive(Clone)]
pub struct Splitter {
    pub(crate) router: Arc<Router>,
}

impl Splitter {
    /// Runs `f` with a connection to a replica that is fresh enough, on which only reads are
    /// allowed, each for itself.
    ///
    /// ```no_run
    /// # async fn run(db: headless_mysql::Splitter) -> Result<(), headless_mysql::Error> {
    /// let names: Vec<String> = db.read(async |c| c.query("SELECT name FROM items").await).await?;
    /// # let _ = names;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of `f`, and as [`Error`] those of finding a replica.
    ///
    /// # Cancel safety
    /// Safe; nothing is written. The connection is closed if a statement was under way.
    pub async fn read<T, E: From<Error>>(&self, f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>) -> Result<T, E> {
        self.read_with(&ReadOptions::default(), f).await
    }

    /// Runs `f` as [`read`](Self::read), with options: a token, a limit of lag.
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
        let place = self.router.place_read(options, &[]).await?;
        Ok(self.conn(place, Access::Read, options.clone()))
    }

    /// Runs `f` with a connection to the verified primary, each statement for itself.
    ///
    /// `f` runs once. If it fails halfway, what it wrote before stays written: use
    /// [`transaction`](Self::transaction) where that matters.
    ///
    /// # Errors
    /// Those of `f`, and as [`Error`] those of finding the primary. [`Error::is_not_sent`] tells
    /// whether anything may have happened.
    ///
    /// # Cancel safety
    /// A statement under way may happen or not. Its connection is closed.
    pub async fn write<T, E: From<Error>>(&self, f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>) -> Result<T, E> {
        let mut conn = self.start_write(Access::Write).await?;
        f(&mut conn).await
    }

    async fn start_write(&self, access: Access) -> Result<Conn, Error> {
        let place = self.router.place_write(RouteReason::Primary).await?;
        Ok(self.conn(place, access, ReadOptions::default()))
    }

    /// Runs `f` in a transaction, and commits if it succeeds; otherwise everything is rolled back.
    ///
    /// The exception is what the server commits by itself: DDL (`CREATE`, `ALTER`, ...) ends a
    /// transaction, on MySQL as on MariaDB.
    ///
    /// ```no_run
    /// # async fn run(db: headless_mysql::Splitter) -> Result<(), headless_mysql::Error> {
    /// use headless_mysql::Mode;
    ///
    /// db.transaction(Mode::ReadWrite, async |c| {
    ///     c.exec_drop("UPDATE accounts SET balance = balance - ? WHERE id = ?", (10, 1)).await?;
    ///     c.exec_drop("UPDATE accounts SET balance = balance + ? WHERE id = ?", (10, 2)).await
    /// })
    /// .await
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of `f`, and as [`Error`] those of beginning and committing. An interrupted COMMIT is
    /// always [`Error::MaybeCommitted`]. After a deadlock (1213) the server has rolled everything
    /// back: what `f` sends then, and the COMMIT, fail with the same error.
    ///
    /// # Cancel safety
    /// Dropped before the COMMIT, nothing is written; during it, the outcome is open. The
    /// connection is closed.
    pub async fn transaction<T, E: From<Error>>(
        &self,
        mode: Mode,
        f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction_with(mode, &ReadOptions::default(), f).await
    }

    /// Runs `f` as [`transaction`](Self::transaction), with options for [`Mode::ReadOnly`].
    ///
    /// The pod is chosen, and a token waited for, before the transaction begins, so that its
    /// snapshot has it.
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
                let place = self.router.place_read(options, &[]).await?;
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

    /// Returns a connection to the primary that is the caller's until it is dropped.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    ///
    /// # Cancel safety
    /// Safe: nothing was sent.
    pub async fn session(&self) -> Result<Session, Error> {
        Ok(Session::new(self.start_write(Access::Session).await?))
    }

    /// Runs `f` with a connection to the pod of this name (`mysql-1`), on which only reads are
    /// allowed: for what a pod says of itself.
    ///
    /// ```no_run
    /// # async fn run(db: headless_mysql::Splitter) -> Result<(), headless_mysql::Error> {
    /// let id: Option<u32> = db
    ///     .on_pod("mysql-1", async |c| c.query_first("SELECT @@server_id").await)
    ///     .await?;
    /// # let _ = id;
    /// # Ok(())
    /// # }
    /// ```
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
        let snapshot = self.router.balancer.discovery().snapshot();
        let keys: Vec<EndpointKey> = snapshot
            .iter()
            .filter(|endpoint| pod_name(endpoint) == pod)
            .map(|endpoint| endpoint.key().clone())
            .collect();
        let lease = self.router.balancer.acquire_from(Route::any(), &keys).await;
        let place = Place {
            lease: lease.map_err(Error::NotSent)?,
            reason: RouteReason::Requested,
            health: None,
            permit: None,
        };
        Ok(self.conn(place, Access::Pod, ReadOptions::default()))
    }

    /// Runs one statement as text where the statement classifier sends it: a provable read to a
    /// replica, anything else to the primary. Returns its rows.
    ///
    /// # Errors
    /// As [`read`](Self::read) and [`write`](Self::write). What needs a session, a transaction or a
    /// certain pod is [refused](Error::Refused).
    ///
    /// # Cancel safety
    /// As [`write`](Self::write).
    pub async fn query<T: FromRow>(&self, sql: &str) -> Result<Vec<T>, Error> {
        self.route(sql).await?.query(sql).await
    }

    /// Runs one prepared statement where the statement classifier sends it, as
    /// [`query`](Self::query). Returns its rows.
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
        let classification = self.router.classifier.classify(sql);
        match classification.class() {
            Class::Read => self.start_read(&ReadOptions::default()).await,
            Class::NodeRead => Err(Error::Refused {
                reason: Refusal::NeedsPod(classification),
            }),
            // What may not run on a connection for one statement is refused there.
            Class::SessionRead | Class::Session | Class::Transaction(_) | Class::Write | Class::Multi => {
                self.start_write(Access::Write).await
            }
        }
    }

    /// Returns the proof of everything committed so far: what a read with this token sees, wherever
    /// it runs. Asks the primary.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn token(&self) -> Result<Token, Error> {
        let mut place = self.router.place_write(RouteReason::Primary).await?;
        let position = self.router.position_of(&mut place).await;
        self.router.release(place);
        position.map(Token::from)
    }

    /// Returns the pods as they were last probed.
    #[must_use]
    pub fn overview(&self) -> Arc<Overview> {
        self.router.topology.current()
    }

    /// Waits until the pods' roles or lags are others than in `since`, and returns the new
    /// overview.
    ///
    /// ```no_run
    /// # async fn run(db: headless_mysql::Splitter) {
    /// // Wait for the end of a failover.
    /// let mut overview = db.overview();
    /// while overview.primary().is_none() {
    ///     overview = db.changed(&overview).await;
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Safe: a change is seen by the next call.
    pub async fn changed(&self, since: &Arc<Overview>) -> Arc<Overview> {
        let mut overviews = self.router.topology.subscribe();
        match overviews.wait_for(|overview| !Arc::ptr_eq(overview, since)).await {
            Ok(overview) => Arc::clone(&overview),
            Err(_) => Arc::clone(since),
        }
    }

    /// Returns how many writes were found lost in a failover.
    #[must_use]
    pub fn lost_writes(&self) -> u64 {
        self.router.lost_writes.load(Relaxed)
    }

    /// Returns the balancer below: its statistics, its discovery, its shutdown.
    #[must_use]
    pub fn balancer(&self) -> &Balancer<Connector> {
        &self.router.balancer
    }

    /// Checks out no more connections, and waits for those in use to end, for at most `limit`.
    ///
    /// # Cancel safety
    /// As [`Balancer::shutdown`].
    pub async fn shutdown(&self, limit: Duration) -> headless::Drained {
        self.router.monitor.abort();
        self.router.balancer.shutdown(limit).await
    }

    fn conn(&self, place: Place, access: Access, options: ReadOptions) -> Conn {
        Conn::new(&self.router, place, access, options)
    }
}

impl fmt::Debug for Splitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splitter")
            .field("service", &self.router.service)
            .field("writer", &self.router.topology.current().writer)
            .finish_non_exhaustive()
    }
}
