//! [`Session`]: a connection to the primary for as long as you like; [`Causal`]: a handle whose reads see its own writes.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use crate::conn::Conn;
use crate::error::Error;
use crate::gtid::Token;
use crate::options::ReadOptions;
use crate::splitter::Splitter;

/// A connection to the primary, held until it is dropped: for temporary tables, user variables, locks, transactions of your own.
///
/// Everything is allowed on it. When it is dropped, what it left in the session is reset before anybody else gets the connection; an
/// open transaction is rolled back with it.
#[derive(Debug)]
pub struct Session(pub(crate) Conn);

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

/// A handle whose reads see the writes that were made through it, wherever they run: read-your-writes.
///
/// The token of a write is fetched when a read first needs it: a handle that only writes costs nothing more. For a write of
/// another process, [`see`](Self::see) its token.
///
/// ```no_run
/// # async fn run(db: headless_mysql::Splitter) -> Result<(), headless_mysql::Error> {
/// let mut visitor = db.causal();
/// visitor.write(async |c| c.exec_drop("UPDATE stock SET n = n - 1 WHERE id = ?", (7,)).await).await?;
/// let left: Option<u32> = visitor.read(async |c| c.exec_first("SELECT n FROM stock WHERE id = ?", (7,)).await).await?;
/// let cookie = visitor.token().await?.to_string(); // for the next request of this visitor, on whatever machine
/// # let _ = (left, cookie);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Causal {
    db: Splitter,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Token,
    /// Something was written since the token was fetched.
    wrote: bool,
}

impl Causal {
    pub(crate) fn new(db: Splitter) -> Self {
        Self {
            db,
            state: Mutex::default(),
        }
    }

    /// Lets the following reads see what `token` stands for, too.
    ///
    /// # Errors
    /// [`Error::Token`] if it comes from another kind of server.
    pub fn see(&mut self, token: &Token) -> Result<(), Error> {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.token = state.token.merge(token)?;
        Ok(())
    }

    /// As [`Splitter::write`].
    ///
    /// # Errors
    /// As [`Splitter::write`].
    ///
    /// # Cancel safety
    /// As [`Splitter::write`]; what may have been written is seen by the following reads.
    pub async fn write<T, E: From<Error>>(&mut self, f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>) -> Result<T, E> {
        // Before, not after: a write that fails halfway, or whose future is dropped, may have happened.
        self.wrote();
        self.db.write(f).await
    }

    /// As [`Splitter::transaction`].
    ///
    /// # Errors
    /// As [`Splitter::transaction`].
    ///
    /// # Cancel safety
    /// As [`Splitter::transaction`]; what may have been written is seen by the following reads.
    pub async fn transaction<T, E: From<Error>>(
        &mut self,
        f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>,
    ) -> Result<T, E> {
        self.wrote();
        self.db.transaction(crate::Mode::ReadWrite, f).await
    }

    /// As [`Splitter::read`], on a pod that has everything written through this handle.
    ///
    /// # Errors
    /// As [`Splitter::read`]. After [`Error::WriteLost`] the token is dropped: it was reported once, and no wait would help.
    ///
    /// # Cancel safety
    /// Safe; nothing is written.
    pub async fn read<T, E: From<Error>>(&self, f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>) -> Result<T, E> {
        let options = ReadOptions::new().sees(self.token().await?);
        match self.db.start_read(&options).await {
            Ok(mut conn) => f(&mut conn).await,
            Err(error) => {
                if matches!(error, Error::WriteLost { .. }) {
                    self.lock().token = Token::empty();
                }
                Err(error.into())
            }
        }
    }

    /// The token of everything written through this handle and given to it: to be carried to another process.
    ///
    /// # Errors
    /// As [`Splitter::write`], if the primary has to be asked and cannot be.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn token(&self) -> Result<Token, Error> {
        {
            let state = self.lock();
            if !state.wrote {
                return Ok(state.token.clone());
            }
        }
        let token = self.db.token().await?;
        let mut state = self.lock();
        state.token = state.token.merge(&token)?;
        state.wrote = false;
        Ok(state.token.clone())
    }

    fn wrote(&mut self) {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).wrote = true;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
