//! [`Conn`]: a connection for a while, and the rules that hold meanwhile. Every statement passes
//! here: it is classified and run, and what its failure means is decided. [`Session`]: one that is
//! held.
//!
//! Which pod the connection is to is decided in `router/`; how a statement is run is `link.rs`.

use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use headless::EndpointKey;
use mysql_async::Params;
use mysql_async::prelude::FromRow;
use tracing::debug;

use crate::error::{DriverError, Error, ExchangeError};
use crate::link::{Exchange, Rows, Want, shaped};
use crate::router::{Place, Router};
use crate::routing::{Decision, ReadOptions, RouteReason};
use crate::statement::{Access, SessionUse};

/// A connection to one pod: borrowed by a closure, or held as a [`Session`].
///
/// Statements run one after the other, as text ([`query`](Self::query)) or prepared
/// ([`exec`](Self::exec)). Which ones may run depends on the call that gave the connection; all
/// others are [refused](Error::Refused) before anything is sent.
///
/// When it is dropped, a clean connection goes back to the pool at once, one with traces in its
/// session is reset first, and one in the middle of a statement is closed.
///
/// # Cancel safety
/// A connection must not be used on after one of its futures was dropped: every further statement
/// fails, and the connection is closed when it is dropped. What the dropped statement did is not
/// known.
pub struct Conn {
    target: Target,
    access: Access,
    router: Arc<Router>,
    /// A row was handed out, so that a read must not begin again elsewhere.
    handed_out: bool,
    /// Pods on which this read failed.
    tried: Vec<EndpointKey>,
    /// How a read that moves is placed.
    options: ReadOptions,
    /// What rolled the transaction back before its end: a deadlock (T4). Nothing more may happen in
    /// it, and no COMMIT.
    rolled_back_by: Option<Error>,
}

/// Where the statements of a [`Conn`] go.
enum Target {
    Placed(Place),
    /// The pod was lost, and the read has no other: nothing more can be sent.
    Lost(Loss),
}

/// A pod that was lost.
struct Loss {
    pod: String,
    reason: RouteReason,
    cause: DriverError,
}

impl Loss {
    fn error(&self) -> Error {
        Error::Lost {
            pod: self.pod.clone(),
            cause: self.cause.clone(),
        }
    }
}

/// Whether a transaction writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "SQL knows no third access mode")]
pub enum Mode {
    /// The transaction only reads, and may run on a replica; all its reads see one state.
    ReadOnly,
    /// The transaction may write, and runs on the primary.
    ReadWrite,
}

impl Conn {
    pub(crate) fn new(router: &Arc<Router>, place: Place, access: Access, options: ReadOptions) -> Self {
        debug!(
            target: "headless_mysql", pod = %place.lease.endpoint(), reason = %place.reason, ?access,
            "connection checked out"
        );
        Self {
            target: Target::Placed(place),
            access,
            router: Arc::clone(router),
            handed_out: false,
            tried: Vec::new(),
            options,
            rolled_back_by: None,
        }
    }

    /// Runs a statement as text, and returns its rows.
    ///
    /// ```no_run
    /// # async fn run(db: headless_mysql::Splitter) -> Result<(), headless_mysql::Error> {
    /// let items: Vec<(u32, String)> = db
    ///     .read(async |c| c.query("SELECT id, name FROM items").await)
    ///     .await?;
    /// # let _ = items;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error`]. A statement that may not run here is [refused](Error::Refused) before anything is
    /// sent.
    ///
    /// # Cancel safety
    /// Not cancel safe; see [`Conn`].
    pub async fn query<T: FromRow>(&mut self, sql: &str) -> Result<Vec<T>, Error> {
        let rows = self.run(sql, None, Want::All).await?;
        rows.all().into_iter().map(shaped).collect()
    }

    /// Runs a statement as text, and returns its first row.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Cancel safety
    /// Not cancel safe; see [`Conn`].
    pub async fn query_first<T: FromRow>(&mut self, sql: &str) -> Result<Option<T>, Error> {
        self.run(sql, None, Want::First).await?.first().map(shaped).transpose()
    }

    /// Runs a statement as text, and drops what it returns.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Cancel safety
    /// Not cancel safe; see [`Conn`].
    pub async fn query_drop(&mut self, sql: &str) -> Result<(), Error> {
        self.run(sql, None, Want::Nothing).await.map(drop)
    }

    /// Runs a prepared statement, and returns its rows.
    ///
    /// It is prepared once per connection and kept there
    /// ([`statements_per_connection`](crate::SplitterBuilder::statements_per_connection)).
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Cancel safety
    /// Not cancel safe; see [`Conn`].
    pub async fn exec<T: FromRow>(&mut self, sql: &str, params: impl Into<Params>) -> Result<Vec<T>, Error> {
        let rows = self.run(sql, Some(params.into()), Want::All).await?;
        rows.all().into_iter().map(shaped).collect()
    }

    /// Runs a prepared statement, and returns its first row.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Cancel safety
    /// Not cancel safe; see [`Conn`].
    pub async fn exec_first<T: FromRow>(&mut self, sql: &str, params: impl Into<Params>) -> Result<Option<T>, Error> {
        let rows = self.run(sql, Some(params.into()), Want::First).await?;
        rows.first().map(shaped).transpose()
    }

    /// Runs a prepared statement, and drops what it returns.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Cancel safety
    /// Not cancel safe; see [`Conn`].
    pub async fn exec_drop(&mut self, sql: &str, params: impl Into<Params>) -> Result<(), Error> {
        self.run(sql, Some(params.into()), Want::Nothing).await.map(drop)
    }

    /// Returns the number that the last statement gave to an `AUTO_INCREMENT` column, if it did.
    #[must_use]
    pub fn last_insert_id(&self) -> Option<u64> {
        match &self.target {
            Target::Placed(place) => place.lease.conn.last_insert_id(),
            Target::Lost(_) => None,
        }
    }

    /// Returns the number of rows that the last statement changed.
    #[must_use]
    pub fn affected_rows(&self) -> u64 {
        match &self.target {
            Target::Placed(place) => place.lease.conn.affected_rows(),
            Target::Lost(_) => 0,
        }
    }

    /// Returns the pod that it is connected to: the pod's name, or its address if it has none.
    #[must_use]
    pub fn pod(&self) -> String {
        match &self.target {
            Target::Placed(place) => place.pod(),
            Target::Lost(loss) => loss.pod.clone(),
        }
    }

    /// Returns why it leads to its pod: what was asked for, which pods there are, and what decided.
    ///
    /// ```no_run
    /// # async fn run(db: headless_mysql::Splitter) -> Result<(), headless_mysql::Error> {
    /// db.read(async |c| {
    ///     println!("{}", c.explain()); // mysql-1: a fresh replica; mysql-0 primary, ...
    ///     c.query_drop("SELECT 1").await
    /// })
    /// .await
    /// # }
    /// ```
    #[must_use]
    pub fn explain(&self) -> Decision {
        let overview = self.router.topology.current();
        Decision::new(self.pod(), self.reason().clone(), &self.options, &overview)
    }

    /// Classifies and runs a statement, and moves a read whose pod is lost before it gave anything.
    async fn run(&mut self, sql: &str, params: Option<Params>, want: Want) -> Result<Rows, Error> {
        let dialect = match &self.target {
            Target::Placed(place) => place.lease.dialect,
            Target::Lost(loss) => return Err(loss.error()),
        };
        let classification = self.router.classifier.classify_for(dialect, sql);
        self.access
            .permits(classification)
            .map_err(|reason| Error::Refused { reason })?;
        if let Some(error) = &self.rolled_back_by {
            return Err(error.clone());
        }
        let mut params = params;
        loop {
            let may_move = self.access == Access::Read && !self.handed_out;
            let copy = if may_move { params.clone() } else { None };
            let exchange = Exchange {
                sql,
                params: params.take(),
                want,
                session: classification.session(),
            };
            match self.exchange(exchange).await {
                Ok(rows) => {
                    self.handed_out = true;
                    return Ok(rows);
                }
                Err(ExchangeError::Lost(cause)) if may_move => {
                    self.move_on(cause).await?;
                    params = copy;
                }
                Err(error) => {
                    let writes = !self.access.is_read() && (!classification.is_read() || self.is_in_transaction());
                    let error = self.meaning_of(error, writes);
                    let in_transaction = matches!(self.access, Access::WriteTransaction | Access::ReadTransaction);
                    if in_transaction && !self.is_in_transaction() {
                        self.rolled_back_by = Some(error.clone());
                    }
                    return Err(error);
                }
            }
        }
    }

    /// One exchange on the connection as it is.
    async fn exchange(&mut self, exchange: Exchange<'_>) -> Result<Rows, ExchangeError> {
        let limit = self.router.settings.statement_timeout;
        match &mut self.target {
            Target::Placed(place) => place.run(exchange, limit, self.access.is_read()).await,
            Target::Lost(loss) => Err(ExchangeError::Lost(loss.cause.clone())),
        }
    }

    /// Goes on at another replica, which the first one's failure does not concern: nothing was
    /// handed out.
    async fn move_on(&mut self, cause: DriverError) -> Result<(), Error> {
        let (pod, reason) = (self.pod(), self.reason().clone());
        debug!(target: "headless_mysql", %pod, %cause, "read moves to another pod");
        let loss = Target::Lost(Loss { pod, reason, cause });
        // Before the next one is acquired: the pool may allow no more of them.
        if let Target::Placed(Place { lease, .. }) = mem::replace(&mut self.target, loss) {
            self.tried.push(lease.endpoint().key().clone());
            lease.broken();
        }
        let placed = self.router.place_read(&self.options, &self.tried).await;
        self.target = match (placed, &self.target) {
            (Ok(place), _) => Target::Placed(place),
            // No other pod will do: the first failure says more.
            (Err(Error::NotSent(_) | Error::TooStale { .. }), Target::Lost(loss)) => return Err(loss.error()),
            (Err(error), _) => return Err(error),
        };
        Ok(())
    }

    /// Says what a failed exchange means, and acts on what it shows of the pod. `writes`: it may
    /// have changed something.
    fn meaning_of(&self, error: ExchangeError, writes: bool) -> Error {
        match (error, &self.target) {
            (ExchangeError::Server(error), Target::Placed(place))
                if error.is_read_only() && self.may_mean_demotion(error.code) =>
            {
                self.router.demoted(place.lease.endpoint().key());
                Error::ReadOnly {
                    pod: place.pod(),
                    code: error.code,
                    message: error.message,
                }
            }
            (error, _) => error.on(self.pod(), writes),
        }
    }

    /// In a session, the caller's own read-only transaction (T3) refuses writes, and the primary is
    /// the primary none the less.
    fn may_mean_demotion(&self, code: u16) -> bool {
        !self.access.is_read() && (self.access, code) != (Access::Session, READ_ONLY_TRANSACTION)
    }

    fn is_in_transaction(&self) -> bool {
        match &self.target {
            Target::Placed(place) => place.lease.state.in_transaction(),
            Target::Lost(_) => false,
        }
    }

    fn reason(&self) -> &RouteReason {
        match &self.target {
            Target::Placed(place) => &place.reason,
            Target::Lost(loss) => &loss.reason,
        }
    }

    /// Begins the transaction that [`commit`](Self::commit) or [`rollback`](Self::rollback) ends.
    pub(crate) async fn begin(&mut self, mode: Mode) -> Result<(), Error> {
        let begun = self.control(match mode {
            Mode::ReadOnly => "START TRANSACTION READ ONLY",
            Mode::ReadWrite => "START TRANSACTION READ WRITE",
        });
        // Nothing is written by a beginning, whatever became of it.
        begun.await.map_err(|error| self.meaning_of(error, false))
    }

    /// Commits. If the answer does not come, the outcome is not known (F5).
    pub(crate) async fn commit(&mut self, mode: Mode) -> Result<(), Error> {
        // The server would say OK to an empty transaction.
        if let Some(error) = self.rolled_back_by.take() {
            return Err(error);
        }
        let committed = self.control("COMMIT").await;
        committed.map_err(|error| self.meaning_of(error, mode == Mode::ReadWrite))
    }

    /// Rolls back; what cannot be rolled back is closed, which does it too.
    pub(crate) async fn rollback(&mut self) {
        if self.is_in_transaction() {
            let _closed_then = self.control("ROLLBACK").await;
        }
    }

    /// Runs a statement of the splitter's own: not classified, since it is not the caller's.
    async fn control(&mut self, sql: &str) -> Result<(), ExchangeError> {
        let exchange = Exchange {
            sql,
            params: None,
            want: Want::Nothing,
            session: SessionUse::NONE,
        };
        self.exchange(exchange).await.map(drop)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        let returned = Target::Lost(Loss {
            pod: String::new(),
            reason: RouteReason::Primary,
            cause: DriverError::RELEASED,
        });
        if let Target::Placed(place) = mem::replace(&mut self.target, returned) {
            self.router.release(place);
        }
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("pod", &self.pod())
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// A connection to the primary, held until it is dropped: for temporary tables, user variables,
/// locks and transactions of the caller's own.
///
/// Every statement is allowed on it. When it is dropped, what it left in the session is reset
/// before another caller gets the connection; an open transaction is rolled back with it.
///
/// ```no_run
/// # async fn run(db: headless_mysql::Splitter) -> Result<(), headless_mysql::Error> {
/// let mut session = db.session().await?;
/// session.query_drop("CREATE TEMPORARY TABLE picked (id INT PRIMARY KEY)").await?;
/// session.exec_drop("INSERT INTO picked SELECT id FROM items WHERE stock < ?", (5,)).await?;
/// let picked: Vec<u32> = session.query("SELECT id FROM picked").await?;
/// # let _ = picked;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Session(Conn);

impl Session {
    pub(crate) fn new(conn: Conn) -> Self {
        Self(conn)
    }
}

impl Deref for Session {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.0
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.0
    }
}

/// ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION.
const READ_ONLY_TRANSACTION: u16 = 1792;
