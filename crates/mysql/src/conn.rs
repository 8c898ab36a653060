//! [`Conn`]: a connection for a while, and the rules that hold meanwhile. Every statement passes here: judged by the guard, run,
//! and what it did to the session noted.
//!
//! Which pod the connection is to was decided by `reads.rs` and `writes.rs`. When the connection comes back, its state decides:
//! clean, it goes to the pool at once, with its prepared statements; dirty, it is reset first, off the caller's path; in the
//! middle of anything, it is closed.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use headless::{EndpointKey, Lease, Outcome};
use mysql_async::prelude::FromRow;
use mysql_async::{Params, Row};
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use crate::connector::{Connector, Link};
use crate::error::{Error, Refusal};
use crate::exchange::{Rows, Want, exchange, shaped};
use crate::explain::{Decision, Why};
use crate::faults::Fault;
use crate::options::ReadOptions;
use crate::session_state::Disposal;
use crate::splitter::Shared;
use crate::statement::{Class, Classification, Dialect, SessionUse};
use crate::topology::Health;

/// A connection to one pod, lent to a closure or held as a [`Session`](crate::Session).
///
/// # Cancel safety
/// None of its futures may be dropped and the connection used on: after a dropped statement every other one fails, and the
/// connection is closed when it comes back. What the statement did is then not known.
pub struct Conn {
    /// `None` only while a read moves to another pod.
    place: Option<Place>,
    access: Access,
    shared: Arc<Shared>,
    /// A row of this scope was handed out, so that a read must not begin again elsewhere.
    handed_out: bool,
    /// Pods on which this read failed.
    tried: Vec<EndpointKey>,
    /// How a read that moves is placed.
    options: ReadOptions,
    /// What rolled the transaction back before its end: a deadlock (T4). Nothing more may happen in it, and no COMMIT.
    pub(crate) undone: Option<Error>,
}

/// Where a connection leads, and what comes with it.
pub(crate) struct Place {
    pub(crate) lease: Lease<Connector>,
    pub(crate) why: Why,
    pub(crate) health: Option<Arc<Health>>,
    /// One of the few reads that the primary takes.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// What may be done on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads only, each for itself.
    Read,
    /// Reads only, in one transaction.
    ReadTransaction,
    /// Reads of one pod about itself.
    Pod,
    /// Anything that leaves no trace in the session.
    Write,
    /// Anything that does not end the transaction.
    WriteTransaction,
    /// Anything.
    Session,
}

impl Access {
    /// Judges a verdict: whether such a statement may run here.
    fn permits(self, verdict: Classification) -> Result<(), Refusal> {
        let class = verdict.class();
        match (self, class) {
            (Self::Session, _) => Ok(()),
            (_, Class::Multi) => Err(Refusal::Multi(verdict)),
            (_, Class::Transaction(_)) => Err(Refusal::Transaction(verdict)),
            (Self::Read | Self::ReadTransaction | Self::Pod, Class::Write) => Err(Refusal::NotARead(verdict)),
            (Self::Read | Self::ReadTransaction, Class::NodeRead) => Err(Refusal::NeedsPod(verdict)),
            (Self::Write | Self::WriteTransaction, Class::SessionRead) => Ok(()),
            (_, Class::SessionRead | Class::Session) => Err(Refusal::NeedsSession(verdict)),
            (Self::Write | Self::Read | Self::ReadTransaction | Self::Pod, _) if verdict.needs_session() => {
                Err(Refusal::NeedsSession(verdict))
            }
            (_, Class::Read | Class::NodeRead | Class::Write) => Ok(()),
        }
    }

    /// Whether nothing can be written, so that a statement whose connection is lost did nothing.
    pub(crate) const fn is_read(self) -> bool {
        matches!(self, Self::Read | Self::ReadTransaction | Self::Pod)
    }
}

impl Conn {
    pub(crate) fn new(shared: &Arc<Shared>, place: Place, access: Access, options: ReadOptions) -> Self {
        debug!(target: "headless_mysql", pod = %place.lease.endpoint(), why = %place.why, ?access, "connection lent");
        Self {
            place: Some(place),
            access,
            shared: Arc::clone(shared),
            handed_out: false,
            tried: Vec::new(),
            options,
            undone: None,
        }
    }

    /// Runs a statement as text, and returns its rows.
    ///
    /// # Errors
    /// [`Error`]. A statement that may not run here is [refused](Error::Refused) before anything is sent.
    pub async fn query<T: FromRow>(&mut self, sql: &str) -> Result<Vec<T>, Error> {
        let rows = self.run(sql, None, Want::All).await?;
        rows.all().into_iter().map(shaped).collect()
    }

    /// Runs a statement as text, and returns its first row.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn query_first<T: FromRow>(&mut self, sql: &str) -> Result<Option<T>, Error> {
        self.run(sql, None, Want::First).await?.first().map(shaped).transpose()
    }

    /// Runs a statement as text, and drops what it returns.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn query_drop(&mut self, sql: &str) -> Result<(), Error> {
        self.run(sql, None, Want::Nothing).await.map(drop)
    }

    /// Runs a prepared statement, and returns its rows. It is prepared once per connection and kept there.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn exec<T: FromRow>(&mut self, sql: &str, params: impl Into<Params>) -> Result<Vec<T>, Error> {
        let rows = self.run(sql, Some(params.into()), Want::All).await?;
        rows.all().into_iter().map(shaped).collect()
    }

    /// Runs a prepared statement, and returns its first row.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn exec_first<T: FromRow>(&mut self, sql: &str, params: impl Into<Params>) -> Result<Option<T>, Error> {
        let rows = self.run(sql, Some(params.into()), Want::First).await?;
        rows.first().map(shaped).transpose()
    }

    /// Runs a prepared statement, and drops what it returns.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn exec_drop(&mut self, sql: &str, params: impl Into<Params>) -> Result<(), Error> {
        self.run(sql, Some(params.into()), Want::Nothing).await.map(drop)
    }

    /// The number that the last statement gave to `AUTO_INCREMENT`, if it did.
    #[must_use]
    pub fn last_insert_id(&self) -> Option<u64> {
        self.link().conn.last_insert_id()
    }

    /// How many rows the last statement changed.
    #[must_use]
    pub fn affected_rows(&self) -> u64 {
        self.link().conn.affected_rows()
    }

    /// The pod it is connected to: its name, or its address if it has none.
    #[must_use]
    pub fn pod(&self) -> String {
        name_of(self.place().lease.endpoint())
    }

    /// Why it leads there: what was asked, who could have taken it, and what decided.
    #[must_use]
    pub fn explain(&self) -> Decision {
        let place = self.place();
        Decision::new(
            self.pod(),
            place.why.clone(),
            &self.options,
            &self.shared.topology.current(),
        )
    }

    /// Judges, runs, and moves a read whose pod is lost before it gave anything.
    async fn run(&mut self, sql: &str, params: Option<Params>, want: Want) -> Result<Rows, Error> {
        let verdict = self.shared.guard.judge(self.link().dialect, sql);
        self.access
            .permits(verdict)
            .map_err(|reason| Error::Refused { reason })?;
        if let Some(undone) = &self.undone {
            return Err(undone.clone());
        }
        let mut params = params;
        loop {
            let may_move = self.access == Access::Read && !self.handed_out;
            let copy = if may_move { params.clone() } else { None };
            match self.attempt(sql, params.take(), want, verdict.session()).await {
                Ok(rows) => {
                    self.handed_out = true;
                    return Ok(rows);
                }
                Err(Fault::Lost(cause)) if may_move => {
                    self.move_on(cause).await?;
                    params = copy;
                }
                Err(fault) => {
                    let writes = !self.access.is_read() && (!verdict.is_read() || self.is_in_transaction());
                    let error = self.meaning_of(fault, writes);
                    let in_transaction = matches!(self.access, Access::WriteTransaction | Access::ReadTransaction);
                    if in_transaction && !self.is_in_transaction() {
                        self.undone = Some(error.clone());
                    }
                    return Err(error);
                }
            }
        }
    }

    /// One exchange on the connection as it is.
    async fn attempt(
        &mut self,
        sql: &str,
        params: Option<Params>,
        want: Want,
        session: SessionUse,
    ) -> Result<Rows, Fault> {
        let limit = self.shared.settings.statement_timeout;
        let Place { lease, health, .. } = held(&mut self.place);
        // Whose silence ends a statement early: that of a pod that is read from. What is written there may yet be answered.
        let watched = health.as_ref().filter(|_| self.access.is_read());
        let link: &mut Link = lease;
        link.state.begin(session);
        if session.contains(SessionUse::DIALECT) {
            link.dialect = Dialect::UNKNOWN;
        }
        if session.changes_meaning() {
            link.prepared.outdate();
        }
        let Link {
            conn,
            prepared,
            patience,
            ..
        } = link;
        let result = patience
            .wait_for(pin!(exchange(conn, prepared, sql, params, want)), limit, watched)
            .await;
        match &result {
            Ok(_) => link
                .state
                .ok(link.conn.last_ok_packet().map(|ok| ok.status_flags().bits())),
            Err(Fault::Server(error)) => link.state.refused(error.code),
            Err(Fault::Lost(_)) => link.state.lost(),
            Err(Fault::Data(_)) => {}
        }
        result
    }

    /// Goes on at another replica, which the first one's failure does not concern: nothing was handed out.
    async fn move_on(&mut self, cause: Arc<mysql_async::Error>) -> Result<(), Error> {
        let pod = self.pod();
        if let Some(place) = self.place.take() {
            self.tried.push(place.lease.endpoint().key().clone());
            place.lease.broken();
        }
        debug!(target: "headless_mysql", %pod, %cause, "read moves to another pod");
        let elsewhere = self.shared.place_read(&self.options, &self.tried).await;
        self.place = Some(elsewhere.map_err(|error| match error {
            // Nobody else will do: the first failure says more.
            Error::NotSent(_) | Error::TooStale { .. } => Error::Lost { pod, cause },
            other => other,
        })?);
        Ok(())
    }

    /// Says what a failed exchange means, and acts on what it shows of the pod. `writes`: it may have changed something.
    pub(crate) fn meaning_of(&self, fault: Fault, writes: bool) -> Error {
        let pod = self.pod();
        match fault {
            Fault::Data(problem) => Error::Data { problem },
            Fault::Server(error) if error.is_read_only() && self.may_mean_demotion(error.code) => {
                self.shared.demoted(self.place().lease.endpoint().key());
                Error::ReadOnly {
                    pod,
                    code: error.code,
                    message: error.message,
                }
            }
            Fault::Server(error) => Error::Server {
                pod,
                code: error.code,
                state: error.state,
                message: error.message,
            },
            Fault::Lost(cause) if writes => Error::MaybeCommitted { pod, cause },
            Fault::Lost(cause) => Error::Lost { pod, cause },
        }
    }

    /// Who began a read-only transaction in a session of their own (T3) is told so, and the primary is none the less.
    fn may_mean_demotion(&self, code: u16) -> bool {
        !self.access.is_read() && (self.access, code) != (Access::Session, READ_ONLY_TRANSACTION)
    }

    pub(crate) fn is_in_transaction(&self) -> bool {
        self.link().state.in_transaction()
    }

    /// Statements of the splitter's own: not judged, since they are not the caller's.
    pub(crate) async fn own(&mut self, sql: &str) -> Result<Option<Row>, Fault> {
        let rows = self.attempt(sql, None, Want::First, SessionUse::NONE).await;
        rows.map(Rows::first)
    }

    /// The connection, to be used by somebody else; `None` if it is not as good as before.
    pub(crate) fn into_place(mut self) -> Option<Place> {
        match self.link().state.disposal() {
            Disposal::Keep => self.place.take(),
            Disposal::Reset | Disposal::Close => None,
        }
    }

    fn place(&self) -> &Place {
        match &self.place {
            Some(place) => place,
            None => unreachable!("a connection is without a place only while it moves, and then it is borrowed"),
        }
    }

    fn link(&self) -> &Link {
        &self.place().lease
    }
}

fn held(place: &mut Option<Place>) -> &mut Place {
    match place {
        Some(place) => place,
        None => unreachable!("a connection is without a place only while it moves, and then it is borrowed"),
    }
}

impl Drop for Conn {
    /// Gives the connection back: at once, after a reset, or not at all.
    fn drop(&mut self) {
        let Some(Place { lease, permit, .. }) = self.place.take() else {
            return;
        };
        drop(permit);
        match lease.state.disposal() {
            Disposal::Keep => lease.finish(Outcome::Success),
            Disposal::Reset => self.shared.reset(lease),
            Disposal::Close => drop(lease),
        }
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("pod", &self.place.as_ref().map(|place| place.lease.endpoint()))
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// How messages call a pod.
pub(crate) fn name_of(endpoint: &headless::Endpoint) -> String {
    match endpoint.pod() {
        Some(pod) => pod.to_string(),
        None => endpoint.addr().to_string(),
    }
}

/// ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION.
const READ_ONLY_TRANSACTION: u16 = 1792;
