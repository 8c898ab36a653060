//! [`SessionState`]: what a connection carries from one statement to the next, and what must happen before somebody else gets it.
//! A state machine over the server's status flags; it reads no SQL (T5).
//!
//! | event | then |
//! |---|---|
//! | a statement begins | in the middle of it, until the server has answered |
//! | an OK or the end of rows | the flags say whether a transaction is open and autocommit is on |
//! | an error | no flags: an open transaction stays open (T4), except that a deadlock (1213) rolls it back |
//! | a statement that leaves something in the session | dirty, until a reset (T7) |
//! | the connection is lost, or a future was dropped (T6) | closed |

use crate::statement::SessionUse;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionState {
    running: bool,
    lost: bool,
    dirty: bool,
    transaction: bool,
    autocommit: bool,
}

/// What becomes of a connection that is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposal {
    /// As it is: nobody will notice who had it before.
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

    /// Whether the next statement belongs to a transaction that is open already, or that it opens (T2).
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
