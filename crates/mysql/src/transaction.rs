//! The beginning and the end of a transaction on a [`Conn`], and what their failures mean.

use crate::conn::Conn;
use crate::error::Error;
use crate::splitter::Mode;

impl Conn {
    pub(crate) async fn begin(&mut self, mode: Mode) -> Result<(), Error> {
        let sql = match mode {
            Mode::ReadOnly => "START TRANSACTION READ ONLY",
            Mode::ReadWrite => "START TRANSACTION READ WRITE",
        };
        // Nothing is written by a beginning, whatever became of it.
        let begun = self.own(sql).await;
        begun.map(drop).map_err(|fault| self.meaning_of(fault, false))
    }

    /// Commits. If the answer does not come, nobody knows (F5).
    pub(crate) async fn commit(&mut self, mode: Mode) -> Result<(), Error> {
        // The server would say OK to an empty transaction.
        if let Some(undone) = self.undone.take() {
            return Err(undone);
        }
        let committed = self.own("COMMIT").await;
        committed
            .map(drop)
            .map_err(|fault| self.meaning_of(fault, mode == Mode::ReadWrite))
    }

    /// Rolls back; what cannot be rolled back is closed, which does it too.
    pub(crate) async fn rollback(&mut self) {
        if self.is_in_transaction() {
            let _closed_then = self.own("ROLLBACK").await;
        }
    }
}
