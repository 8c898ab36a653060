//! [`Link`]: a connection to one pod as the pool keeps it, and one exchange on it ([`Link::run`]).
//! Whether a statement may run, and what its failure means for the caller, is `conn.rs`.
//!
//! [`SessionState`] decides what must happen before another caller gets the connection. It is a
//! state machine over the server's status flags, and reads no SQL (T5):
//!
//! | event | then |
//! |---|---|
//! | a statement begins | in the middle of it, until the server has answered |
//! | an OK or the end of rows | the flags say whether a transaction is open and autocommit is on |
//! | an error | no flags: an open transaction stays open (T4), but a deadlock (1213) ends it |
//! | a statement that leaves something in the session | dirty, until a reset (T7) |
//! | the connection is lost, or a future was dropped (T6) | closed |

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, FromRowError, Params, Row, Statement};

use crate::error::{Error, ExchangeError, exchange_error};
use crate::exchange_timeout::ExchangeTimeout;
use crate::statement::{Dialect, SessionUse, TextHasher};
use crate::topology::Health;

/// A connection to one pod, as a pool keeps it. Opaque: statements run through a
/// [`Conn`](crate::Conn).
pub struct Link {
    pub(crate) conn: Conn,
    /// How the server reads statements on it, as far as is known.
    pub(crate) dialect: Dialect,
    /// The same after a reset.
    first_dialect: Dialect,
    pub(crate) state: SessionState,
    // Boxed, because a pool moves its connections.
    prepared: Box<Prepared>,
    timeout: Box<ExchangeTimeout>,
}

/// One statement to be sent.
pub(crate) struct Exchange<'a> {
    pub(crate) sql: &'a str,
    /// `None`: as text, not prepared.
    pub(crate) params: Option<Params>,
    pub(crate) want: Want,
    /// What the statement does with the session.
    pub(crate) session: SessionUse,
}

/// How many rows are wanted.
#[derive(Clone, Copy)]
pub(crate) enum Want {
    All,
    First,
    Nothing,
}

/// The rows that were wanted. One alone is not put into a list, which would be allocated for it.
pub(crate) enum Rows {
    All(Vec<Row>),
    First(Option<Row>),
}

impl Rows {
    pub(crate) fn all(self) -> Vec<Row> {
        match self {
            Self::All(rows) => rows,
            Self::First(row) => Vec::from_iter(row),
        }
    }

    pub(crate) fn first(self) -> Option<Row> {
        match self {
            Self::All(rows) => rows.into_iter().next(),
            Self::First(row) => row,
        }
    }
}

impl Link {
    /// A connection just opened.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(conn: Conn, dialect: Dialect, statements_per_connection: usize) -> Self {
        Self {
            conn,
            dialect,
            first_dialect: dialect,
            state: SessionState::default(),
            prepared: Box::new(Prepared::new(statements_per_connection)),
            timeout: Box::new(ExchangeTimeout::new()),
        }
    }

    /// Runs one statement within `limit`, and notes what it did to the session. It ends early when
    /// `watched` no longer answers.
    pub(crate) async fn run(
        &mut self,
        exchange: Exchange<'_>,
        limit: Duration,
        watched: Option<&Arc<Health>>,
    ) -> Result<Rows, ExchangeError> {
        let session = exchange.session;
        self.state.begin(session);
        if session.contains(SessionUse::DIALECT) {
            self.dialect = Dialect::UNKNOWN;
        }
        if session.changes_meaning() {
            self.prepared.outdate();
        }
        let result = self
            .timeout
            .with_timeout(pin!(exchange.send(&mut self.conn, &mut self.prepared)), limit, watched)
            .await;
        match &result {
            Ok(_) => self
                .state
                .ok(self.conn.last_ok_packet().map(|ok| ok.status_flags().bits())),
            Err(ExchangeError::Server(error)) => self.state.refused(error.code),
            Err(ExchangeError::Lost(_)) => self.state.lost(),
            Err(ExchangeError::Data(_)) => {}
        }
        result
    }

    /// Makes the session as it was when it was opened. Returns false if that cannot be done.
    ///
    /// WHY the question: a reset leaves the default schema as it is (T7), and that has ways to
    /// change that no text shows (`EXECUTE IMMEDIATE 'USE ...'`).
    pub(crate) async fn reset(&mut self) -> Result<bool, mysql_async::Error> {
        if !self.conn.reset().await? {
            return Ok(false);
        }
        let schema: Option<Option<String>> = self.conn.query_first("SELECT DATABASE()").await?;
        if schema.flatten().as_deref() != self.conn.opts().db_name() {
            return Ok(false);
        }
        self.dialect = self.first_dialect;
        self.state = SessionState::default();
        self.prepared.forget();
        Ok(true)
    }
}

impl Exchange<'_> {
    /// Sends it, and reads all results to their end, so that the connection is ready for the next.
    async fn send(self, conn: &mut Conn, prepared: &mut Prepared) -> Result<Rows, ExchangeError> {
        let Self { sql, params, want, .. } = self;
        let result = match params {
            Some(params) => {
                let statement = match prepared.find(sql) {
                    Some(statement) => statement,
                    None => prepared.prepare(conn, sql).await.map_err(exchange_error)?,
                };
                match want {
                    Want::All => conn.exec(statement, params).await.map(Rows::All),
                    Want::First => conn.exec_first(statement, params).await.map(Rows::First),
                    Want::Nothing => conn.exec_drop(statement, params).await.map(|()| Rows::First(None)),
                }
            }
            None => match want {
                Want::All => conn.query(sql).await.map(Rows::All),
                Want::First => conn.query_first(sql).await.map(Rows::First),
                Want::Nothing => conn.query_drop(sql).await.map(|()| Rows::First(None)),
            },
        };
        result.map_err(exchange_error)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("id", &self.conn.id())
            .finish_non_exhaustive()
    }
}

/// A row as what the caller asked for.
pub(crate) fn shaped<T: FromRow>(row: Row) -> Result<T, Error> {
    T::from_row_opt(row).map_err(|FromRowError(row)| {
        let columns: Vec<_> = row
            .columns_ref()
            .iter()
            .map(|column| column.name_str().into_owned())
            .collect();
        Error::Data {
            problem: format!(
                "the row has {} columns ({}), which do not fit `{}`",
                columns.len(),
                columns.join(", "),
                std::any::type_name::<T>()
            ),
        }
    })
}

/// The statements that a connection has prepared, by their text. The least recently used one makes
/// room for a new one.
///
/// WHY not the driver's own cache: it parses and hashes the text, and allocates, each time it is
/// sent, which was a quarter of what the splitter added to a point select. With that cache off, the
/// driver closes nothing by itself, so that what is kept here is open on the server.
struct Prepared {
    capacity: usize,
    kept: HashMap<Box<str>, Kept, BuildHasherDefault<TextHasher>>,
    /// Open on the server, and not used any more.
    outdated: Vec<Statement>,
    /// How often a statement was asked for.
    asked: u64,
}

struct Kept {
    statement: Statement,
    /// When it was asked for last, as a count of [`Prepared::asked`].
    last: u64,
}

impl Prepared {
    /// None yet. One is kept, whatever the capacity: to close a statement after each use takes a
    /// packet more.
    fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            kept: HashMap::default(),
            outdated: Vec::new(),
            asked: 0,
        }
    }

    /// The statement of this text, if it is prepared.
    fn find(&mut self, sql: &str) -> Option<Statement> {
        self.asked += 1;
        let kept = self.kept.get_mut(sql)?;
        kept.last = self.asked;
        Some(kept.statement.clone())
    }

    /// Prepares a statement that is not yet.
    ///
    /// # Cancel safety
    /// What the server has prepared is then not known: the connection must be closed.
    async fn prepare(&mut self, conn: &mut Conn, sql: &str) -> Result<Statement, mysql_async::Error> {
        if self.kept.len() >= self.capacity {
            let oldest = self.take_oldest();
            self.outdated.extend(oldest);
        }
        // Before, not after: the server allows only so many, of all its connections together.
        while let Some(statement) = self.outdated.pop() {
            conn.close(statement).await?;
        }
        let statement = conn.prep(sql).await?;
        let kept = Kept {
            statement: statement.clone(),
            last: self.asked,
        };
        self.kept.insert(sql.into(), kept);
        Ok(statement)
    }

    fn take_oldest(&mut self) -> Option<Statement> {
        let (text, _) = self.kept.iter().min_by_key(|(_, kept)| kept.last)?;
        let text = text.clone();
        self.kept.remove(&text).map(|kept| kept.statement)
    }

    /// The texts may mean something else from now on. The statements would not: a server keeps the
    /// schema and the SQL mode that a statement was prepared in.
    fn outdate(&mut self) {
        let statements = self.kept.drain().map(|(_, kept)| kept.statement);
        self.outdated.extend(statements);
    }

    /// The server has closed them all.
    fn forget(&mut self) {
        self.kept.clear();
        self.outdated.clear();
    }
}

/// What a connection carries from one statement to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionState {
    running: bool,
    lost: bool,
    dirty: bool,
    transaction: bool,
    autocommit: bool,
}

/// What becomes of a connection that is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposal {
    /// As it is: the next caller cannot tell that it was used.
    Keep,
    /// After COM_RESET_CONNECTION, which rolls back, unlocks and forgets.
    Reset,
    /// Not at all.
    Close,
}

impl Default for SessionState {
    /// A connection just opened.
    fn default() -> Self {
        Self {
            running: false,
            lost: false,
            dirty: false,
            transaction: false,
            autocommit: true,
        }
    }
}

impl SessionState {
    /// A statement is sent that uses the session in this way.
    pub(crate) fn begin(&mut self, session: SessionUse) {
        self.running = true;
        self.dirty |= session.leaves_traces();
    }

    /// The server has done it. `flags`: SERVER_STATUS of its last packet, if there was one.
    pub(crate) fn ok(&mut self, flags: Option<u16>) {
        self.running = false;
        if let Some(flags) = flags {
            self.transaction = flags & IN_TRANS != 0;
            self.autocommit = flags & AUTOCOMMIT != 0;
            self.dirty |= flags & SESSION_STATE_CHANGED != 0;
        }
    }

    /// The server has refused it with this error.
    pub(crate) fn refused(&mut self, code: u16) {
        self.running = false;
        if code == DEADLOCK {
            self.transaction = false;
        }
    }

    /// The connection is lost.
    pub(crate) fn lost(&mut self) {
        self.lost = true;
    }

    /// Whether the next statement belongs to a transaction that is open already, or that it opens
    /// (T2).
    pub(crate) const fn in_transaction(self) -> bool {
        self.transaction || !self.autocommit
    }

    pub(crate) const fn disposal(self) -> Disposal {
        if self.lost || self.running {
            Disposal::Close
        } else if self.dirty || self.in_transaction() {
            Disposal::Reset
        } else {
            Disposal::Keep
        }
    }
}

/// SPEC(MySQL protocol, "Server Status"): the flags used here.
const IN_TRANS: u16 = 0x0001;
const AUTOCOMMIT: u16 = 0x0002;
const SESSION_STATE_CHANGED: u16 = 0x4000;
/// ER_LOCK_DEADLOCK: the one error that ends the whole transaction.
const DEADLOCK: u16 = 1213;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(events: impl FnOnce(&mut SessionState)) -> SessionState {
        let mut state = SessionState::default();
        events(&mut state);
        state
    }

    #[test]
    fn t2_without_autocommit_every_statement_is_in_a_transaction() {
        let state = after(|state| {
            state.begin(SessionUse::SETTINGS);
            state.ok(Some(0));
        });
        assert!(state.in_transaction());
        assert_eq!(state.disposal(), Disposal::Reset);
    }

    #[test]
    fn t4_an_error_does_not_end_the_transaction_but_a_deadlock_does() {
        for (code, open) in [(1062, true), (1205, true), (1213, false)] {
            let state = after(|state| {
                state.begin(SessionUse::NONE);
                state.ok(Some(IN_TRANS | AUTOCOMMIT));
                state.begin(SessionUse::NONE);
                state.refused(code);
            });
            assert_eq!(state.in_transaction(), open, "{code}");
        }
    }

    #[test]
    fn t5_the_flags_count_and_not_the_text() {
        let state = after(|state| {
            state.begin(SessionUse::TRANSACTION);
            state.ok(Some(IN_TRANS | AUTOCOMMIT));
            // DDL in a transaction commits it; the server says so.
            state.begin(SessionUse::NONE);
            state.ok(Some(AUTOCOMMIT));
        });
        assert!(!state.in_transaction());
    }

    #[test]
    fn t6_a_statement_that_was_not_answered_closes_the_connection() {
        let state = after(|state| state.begin(SessionUse::NONE));
        assert_eq!(state.disposal(), Disposal::Close);
        let state = after(SessionState::lost);
        assert_eq!(state.disposal(), Disposal::Close);
    }

    #[test]
    fn t7_what_stays_in_the_session_is_reset_and_a_clean_one_is_kept() {
        let used = |session| {
            after(|state| {
                state.begin(session);
                state.ok(Some(AUTOCOMMIT));
            })
        };
        assert_eq!(used(SessionUse::NONE).disposal(), Disposal::Keep);
        assert_eq!(used(SessionUse::READS).disposal(), Disposal::Keep);
        for session in [
            SessionUse::USER_VARIABLES,
            SessionUse::TEMPORARY_TABLES,
            SessionUse::SETTINGS,
            SessionUse::DIALECT,
            SessionUse::SCHEMA,
            SessionUse::LOCKS,
            SessionUse::PREPARED,
            SessionUse::UNKNOWN,
        ] {
            assert_eq!(used(session).disposal(), Disposal::Reset, "{session:?}");
        }
        let told = after(|state| {
            state.begin(SessionUse::NONE);
            state.ok(Some(AUTOCOMMIT | SESSION_STATE_CHANGED));
        });
        assert_eq!(told.disposal(), Disposal::Reset);
    }
}
