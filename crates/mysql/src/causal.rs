//! [`Causal`]: a handle whose reads see its own writes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::conn::{Conn, Mode};
use crate::error::Error;
use crate::gtid::Token;
use crate::routing::ReadOptions;
use crate::splitter::Splitter;

/// A handle whose reads see the writes that were made through it, wherever they run: read your own
/// writes.
///
/// The token of a write is fetched when a read first needs it: a handle that only writes costs
/// nothing more. For a write of another process, [`see`](Self::see) its token.
///
/// ```no_run
/// # async fn run(db: headless_mysql::Splitter) -> Result<(), headless_mysql::Error> {
/// let mut visitor = db.causal();
/// visitor
///     .write(async |c| c.exec_drop("UPDATE stock SET n = n - 1 WHERE id = ?", (7,)).await)
///     .await?;
/// let left: Option<u32> = visitor
///     .read(async |c| c.exec_first("SELECT n FROM stock WHERE id = ?", (7,)).await)
///     .await?;
/// // For the visitor's next request, on any machine.
/// let cookie = visitor.token().await?.to_string();
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

impl Splitter {
    /// Returns a handle whose reads see its own writes.
    #[must_use]
    pub fn causal(&self) -> Causal {
        Causal {
            db: self.clone(),
            state: Mutex::default(),
        }
    }
}

impl Causal {
    /// Lets the following reads see what `token` stands for, too.
    ///
    /// # Errors
    /// [`Error::Token`] if it comes from another kind of server.
    pub fn see(&mut self, token: &Token) -> Result<(), Error> {
        let mut state = self.state();
        state.token = state.token.merge(token)?;
        Ok(())
    }

    /// Runs `f` with a connection to the primary, as [`Splitter::write`].
    ///
    /// # Errors
    /// As [`Splitter::write`].
    ///
    /// # Cancel safety
    /// As [`Splitter::write`]; what may have been written is seen by the following reads.
    pub async fn write<T, E: From<Error>>(&mut self, f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>) -> Result<T, E> {
        // Before, not after: a write that fails halfway, or whose future is dropped, may have
        // happened.
        self.state().wrote = true;
        self.db.write(f).await
    }

    /// Runs `f` in a read-write transaction, as [`Splitter::transaction`].
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
        self.state().wrote = true;
        self.db.transaction(Mode::ReadWrite, f).await
    }

    /// Runs `f` with a connection as [`Splitter::read`], to a pod that has everything written
    /// through this handle.
    ///
    /// # Errors
    /// As [`Splitter::read`]. After [`Error::WriteLost`] the token is dropped: it was reported
    /// once, and no wait would help.
    ///
    /// # Cancel safety
    /// Safe; nothing is written.
    pub async fn read<T, E: From<Error>>(&self, f: impl AsyncFnOnce(&mut Conn) -> Result<T, E>) -> Result<T, E> {
        let options = ReadOptions::new().sees(self.token().await?);
        match self.db.start_read(&options).await {
            Ok(mut conn) => f(&mut conn).await,
            Err(error) => {
                if matches!(error, Error::WriteLost { .. }) {
                    self.state().token = Token::empty();
                }
                Err(error.into())
            }
        }
    }

    /// Returns the token of everything written through this handle and given to it: to be carried
    /// to another process.
    ///
    /// # Errors
    /// As [`Splitter::write`], if the primary has to be asked and cannot be.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn token(&self) -> Result<Token, Error> {
        {
            let state = self.state();
            if !state.wrote {
                return Ok(state.token.clone());
            }
        }
        let token = self.db.token().await?;
        let mut state = self.state();
        state.token = state.token.merge(&token)?;
        state.wrote = false;
        Ok(state.token.clone())
    }

    /// A panic with the lock leaves nothing half done: each field is set in one piece.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
