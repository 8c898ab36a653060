//! [`Classification`]: what the classifier says of a statement. Values and their words only;
//! nothing is decided here.

use std::fmt;

/// What may be done with a statement, and why.
///
/// Its `Display` names the rule and the place, never the text: statements hold personal data, and
/// classifications are logged.
///
/// ```
/// use headless_mysql::statement::{Class, Dialect, Reason, SessionUse, classify};
///
/// let set = classify("SET @a = 1", Dialect::UTF8);
/// assert_eq!((set.class(), set.reason()), (Class::Session, Reason::Set));
/// assert!(set.needs_session() && set.session().contains(SessionUse::USER_VARIABLES));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classification {
    pub(super) class: Class,
    pub(super) reason: Reason,
    pub(super) offset: u32,
    pub(super) session: SessionUse,
}

impl Classification {
    /// Returns where the statement may run.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Returns the rule that gave it this class: the first of those that ask for the most care.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns where in the text that rule applied, in bytes from 0.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset as usize
    }

    /// Returns what the statement does with the session of its connection.
    #[must_use]
    pub const fn session(&self) -> SessionUse {
        self.session
    }

    /// Returns whether the statement provably changes no data: a server that is read-only would run
    /// it.
    ///
    /// Not every replica may: see [`Class::NodeRead`] and [`Class::SessionRead`].
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self.class, Class::Read | Class::NodeRead | Class::SessionRead)
    }

    /// Returns whether the statement makes sense only on a connection that the caller holds before
    /// and after it.
    #[must_use]
    pub const fn needs_session(&self) -> bool {
        matches!(self.class, Class::SessionRead | Class::Session | Class::Transaction(_)) || self.session.is_meant()
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.offset)
    }
}

/// Where a statement may run, from the least to the most care. The parts of a statement are
/// classified one by one; the most careful of them counts.
///
/// Complete on purpose: code that routes must handle each, so a new one has to break the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_enums, reason = "code that routes must handle each class")]
pub enum Class {
    /// A read that any replica answers alike, as far as it has caught up.
    Read,
    /// A read whose answer is about the server that gives it (`SHOW STATUS`, `@@server_id`,
    /// `information_schema`): the caller must say which.
    NodeRead,
    /// A read whose answer depends on what this connection did before (`LAST_INSERT_ID()`, `@v`,
    /// `SHOW WARNINGS`).
    SessionRead,
    /// Changes the session and no data (`SET`, `USE`, `SELECT ... INTO @v`): only on a connection
    /// that the caller holds.
    Session,
    /// Begins or ends a transaction, or a part of one.
    Transaction(Control),
    /// A write, or not provably a read: the primary.
    Write,
    /// More than one statement in one text: the primary, whole, or refused.
    Multi,
}

/// What a statement does to the transaction. Whether one is open afterwards, the server's status
/// flags tell; the text does not (`COMMIT AND CHAIN`, DDL, `SET autocommit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Control {
    /// `START TRANSACTION READ ONLY`: may run on a replica, with all that follows up to its end.
    StartReadOnly,
    /// `BEGIN`, `START TRANSACTION`.
    Start,
    /// `COMMIT`.
    Commit,
    /// `ROLLBACK`.
    Rollback,
    /// `SAVEPOINT`, `ROLLBACK TO`, `RELEASE SAVEPOINT`.
    Savepoint,
    /// `SET autocommit`, to whatever value.
    Autocommit,
}

/// What a statement does with the session of its connection: a set of the constants below.
///
/// Only what the text shows. Triggers, procedures and stored functions can do all of it unseen;
/// where the text calls one, the set says [`UNKNOWN`](Self::UNKNOWN).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SessionUse(u16);

impl SessionUse {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Depends on what the connection did before. The one that leaves no trace.
    pub const READS: Self = Self(1);
    /// Sets a user variable.
    pub const USER_VARIABLES: Self = Self(1 << 1);
    /// Makes or drops a temporary table.
    pub const TEMPORARY_TABLES: Self = Self(1 << 2);
    /// Sets a system variable, a role, an isolation level.
    pub const SETTINGS: Self = Self(1 << 3);
    /// Sets what decides how the next text is read (`sql_mode`, `SET NAMES`): the connection's
    /// [`Dialect`](super::Dialect) is no longer known.
    pub const DIALECT: Self = Self(1 << 4);
    /// Changes the default schema.
    pub const SCHEMA: Self = Self(1 << 5);
    /// Takes or frees locks that outlive the statement (`GET_LOCK`, `LOCK TABLES`, `HANDLER`).
    pub const LOCKS: Self = Self(1 << 6);
    /// Prepares a statement by name, or forgets one.
    pub const PREPARED: Self = Self(1 << 7);
    /// Opens or ends a transaction.
    pub const TRANSACTION: Self = Self(1 << 8);
    /// May do any of it: the text does not tell.
    pub const UNKNOWN: Self = Self(1 << 9);

    /// Returns whether all of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the same text may mean something else after the statement.
    pub(crate) const fn changes_meaning(self) -> bool {
        self.0 & (Self::DIALECT.0 | Self::SCHEMA.0 | Self::UNKNOWN.0) != 0
    }

    /// Returns whether the connection must be reset before another caller gets it, should the
    /// statement run.
    #[must_use]
    pub const fn leaves_traces(self) -> bool {
        self.0 & !Self::READS.0 != 0
    }

    /// Whether the statement uses the session on purpose, other than by what it may do unseen.
    const fn is_meant(self) -> bool {
        self.0 & !Self::UNKNOWN.0 != 0
    }
}

impl fmt::Debug for SessionUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::READS, "READS"),
            (Self::USER_VARIABLES, "USER_VARIABLES"),
            (Self::TEMPORARY_TABLES, "TEMPORARY_TABLES"),
            (Self::SETTINGS, "SETTINGS"),
            (Self::DIALECT, "DIALECT"),
            (Self::SCHEMA, "SCHEMA"),
            (Self::LOCKS, "LOCKS"),
            (Self::PREPARED, "PREPARED"),
            (Self::TRANSACTION, "TRANSACTION"),
            (Self::UNKNOWN, "UNKNOWN"),
        ];
        let held = names
            .iter()
            .filter(|(one, _)| self.contains(*one))
            .map(|(_, name)| name);
        f.debug_set().entries(held).finish()
    }
}

/// The rule behind a classification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// `SELECT`, `WITH`, `VALUES`, `TABLE`, `SHOW`, `EXPLAIN`: a query, and nothing in it objects.
    Query,
    /// `information_schema.`, `performance_schema.`, `mysql.` or `sys.`: each server has its own.
    NodeSchema,
    /// A function whose answer is about the server.
    NodeFunction(&'static str),
    /// A system variable of the server.
    NodeVariable,
    /// A `SHOW` whose answer is about the server; or its plan for another connection.
    NodeStatus,
    /// A function whose answer is about the connection.
    SessionFunction(&'static str),
    /// `@v`
    UserVariable,
    /// `@@v`, which is or may be the session's.
    SessionVariable,
    /// `SHOW WARNINGS` and its like.
    SessionStatus,
    /// `SQL_CALC_FOUND_ROWS`, which prepares an answer for the next statement.
    FoundRows,
    /// `SET`
    Set,
    /// `USE`
    Use,
    /// `:=`
    Assignment,
    /// `INTO @v`
    IntoVariable,
    /// Begins or ends a transaction.
    Transaction,
    /// A statement of this kind changes something, or is not known not to.
    Statement(&'static str),
    /// The statement begins with nothing that is known.
    UnknownStatement,
    /// Nothing but blanks and comments.
    Empty,
    /// `UPDATE`, `DELETE`, `INSERT` or `REPLACE` somewhere inside, as after `WITH` or
    /// `EXPLAIN ANALYZE`.
    Contains(&'static str),
    /// A locking read, by these words.
    LockingRead(&'static str),
    /// `INTO OUTFILE`, or into anything but a user variable.
    Into,
    /// A function that takes, frees or asks for a lock that only the primary knows.
    LockFunction(&'static str),
    /// A sequence gives its next value.
    Sequence,
    /// A call of a function that is not known to be built in and to only read.
    UnknownFunction,
    /// A built-in function with a blank before its parenthesis, which makes it a stored one.
    SpacedFunction(&'static str),
    /// A function that only the other family of servers has built in, or the family is not known.
    OtherServersFunction(&'static str),
    /// `SET GLOBAL`, `SET PERSIST`, `SET PASSWORD`, `SET DEFAULT ROLE`: not the session's.
    SetGlobal,
    /// `SET STATEMENT ... FOR`: another statement inside.
    SetStatement,
    /// With the isolation level SERIALIZABLE, reads lock.
    Serializable,
    /// A semicolon, and more behind it.
    MultipleStatements,
    /// `/*! ... */`, `/*M! ... */`: code, depending on the server's version.
    ExecutableComment,
    /// A comment within a comment.
    NestedComment,
    /// An optimiser hint with quotes in it, which may hide its end.
    DoubtfulHint,
    /// A string, identifier or comment without end.
    Unterminated,
    /// A backslash before a quote, and `sql_mode` is not known.
    DoubtfulQuoting,
    /// A number that runs into a word.
    DoubtfulNumber,
    /// A byte that no statement that is known here has in such a place.
    StrangeByte,
    /// The character set of the connection or of a string: any byte may be part of a letter.
    UnknownCharset,
    /// `sql_mode` makes the server speak another language.
    ForeignSqlMode,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Query => "query",
            Self::NodeSchema => "schema that each server has for itself",
            Self::NodeFunction(name) => return write!(f, "{name}(), which answers for this server only"),
            Self::NodeVariable => "variable of the server",
            Self::NodeStatus => "status of the server",
            Self::SessionFunction(name) => return write!(f, "{name}(), which answers for this connection only"),
            Self::UserVariable => "user variable, which this connection only knows",
            Self::SessionVariable => "system variable, which may be this session's",
            Self::SessionStatus => "status of the session",
            Self::FoundRows => "SQL_CALC_FOUND_ROWS, for the next statement on this connection",
            Self::Set => "SET, which changes the session",
            Self::Use => "USE, which changes the session",
            Self::Assignment => "assignment to a user variable",
            Self::IntoVariable => "INTO a user variable",
            Self::Transaction => "transaction control",
            Self::Statement(name) => return write!(f, "{name}, which is not a query"),
            Self::UnknownStatement => "statement of an unknown kind",
            Self::Empty => "no statement",
            Self::Contains(name) => return write!(f, "{name} inside the statement"),
            Self::LockingRead(words) => return write!(f, "locking read ({words})"),
            Self::Into => "INTO something other than a user variable",
            Self::LockFunction(name) => return write!(f, "{name}(), a lock that only the primary knows"),
            Self::Sequence => "next value of a sequence",
            Self::UnknownFunction => "call of a function that is not known to only read",
            Self::SpacedFunction(name) => return write!(f, "{name} with a blank before its parenthesis"),
            Self::OtherServersFunction(name) => return write!(f, "{name}(), which may not be built in here"),
            Self::SetGlobal => "SET of something beyond the session",
            Self::SetStatement => "SET STATEMENT with another statement inside",
            Self::Serializable => "isolation level SERIALIZABLE, in which reads lock",
            Self::MultipleStatements => "another statement behind the semicolon",
            Self::ExecutableComment => "executable comment",
            Self::NestedComment => "comment within a comment",
            Self::DoubtfulHint => "optimiser hint with quotes",
            Self::Unterminated => "quote or comment without end",
            Self::DoubtfulQuoting => "backslash before a quote, with unknown sql_mode",
            Self::DoubtfulNumber => "number that runs into a word",
            Self::StrangeByte => "unexpected byte",
            Self::UnknownCharset => "character set in which bytes are not certain",
            Self::ForeignSqlMode => "sql_mode of another language",
        };
        f.write_str(words)
    }
}
