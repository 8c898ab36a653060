//! [`Prepared`]: the statements that one connection has prepared, by their text. Whether a statement may run is not its business.
//!
//! WHY: not the driver's own cache. That parses and hashes the text, and allocates, each time it is sent: a quarter of what the
//! splitter added to a point select. With its cache off, the driver closes nothing by itself, so that what is kept here is open on
//! the server.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Statement};

use crate::statement::TextHasher;

/// Prepared statements, the least recently used of which makes room for a new one. They are the connection's, and must be
/// [forgotten](Self::forget) when it is reset.
pub(crate) struct Prepared {
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
    /// None yet. One is kept, whatever the capacity: to close a statement after each use takes a packet more.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            kept: HashMap::default(),
            outdated: Vec::new(),
            asked: 0,
        }
    }

    /// The statement of this text, if it is prepared.
    pub(crate) fn find(&mut self, sql: &str) -> Option<Statement> {
        self.asked += 1;
        let kept = self.kept.get_mut(sql)?;
        kept.last = self.asked;
        Some(kept.statement.clone())
    }

    /// Prepares a statement that is not yet.
    ///
    /// # Cancel safety
    /// What the server has prepared is then not known: the connection must be closed.
    pub(crate) async fn prepare(&mut self, conn: &mut Conn, sql: &str) -> Result<Statement, Error> {
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

    /// The texts may mean something else from now on. The statements would not: a server keeps the schema and the SQL mode that a
    /// statement was prepared in.
    pub(crate) fn outdate(&mut self) {
        let statements = self.kept.drain().map(|(_, kept)| kept.statement);
        self.outdated.extend(statements);
    }

    /// The server has closed them all.
    pub(crate) fn forget(&mut self) {
        self.kept.clear();
        self.outdated.clear();
    }
}
