//! [`Trial`]: what the connections to one endpoint have shown that ended before an answer.
//!
//! Something may accept connections and close them: a proxy without its application, an application
//! that crashes, a peer that refuses the client after the handshake. For a request this is worse
//! than a refused connection, because it may have been processed. So a few such connections in a
//! row put the endpoint on trial, and only an answer ends that: a new connection proves nothing.
//!
//! Must not live here: what follows for the endpoint's health (`backend.rs`).

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

/// Counts the connections in a row that ended before an answer.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// Something is held against the endpoint, which an answer clears. ORDERING: Relaxed; what it
    /// stands for is under the lock.
    is_open: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Connections in a row that ended before an answer.
    unanswered: u32,
    /// The multiplexed connection that was counted last. Their numbers grow.
    last_counted: Option<u64>,
    is_on: bool,
    /// Probes in a row.
    probes: u32,
}

impl Trial {
    /// Whether an answer would clear the endpoint of something.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    /// Whether only an answer shows that the endpoint works.
    pub(super) fn is_on(&self) -> bool {
        self.state.lock().is_on
    }

    /// Begins it at once.
    pub(super) fn begin(&self) {
        self.state.lock().is_on = true;
        self.is_open.store(true, Relaxed);
    }

    /// A connection has ended unanswered; `number` is that of a multiplexed one, whose end may be
    /// reported several times. Returns how many in a row, if the endpoint is on trial.
    pub(super) fn ended_unanswered(&self, number: Option<u64>) -> Option<u32> {
        let mut state = self.state.lock();
        if number.is_none() || number > state.last_counted {
            state.last_counted = number.max(state.last_counted);
            state.unanswered = state.unanswered.saturating_add(1);
        }
        state.is_on |= state.unanswered >= LIMIT;
        self.is_open.store(true, Relaxed);
        state.is_on.then_some(state.unanswered)
    }

    /// A request was answered.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        *state = State {
            last_counted: state.last_counted,
            ..State::default()
        };
        self.is_open.store(false, Relaxed);
    }

    /// Counts a probe, and returns how many in a row came before it.
    pub(super) fn next_probe(&self) -> u32 {
        let mut state = self.state.lock();
        state.probes = state.probes.saturating_add(1);
        state.probes - 1
    }

    /// The endpoint was connected to. On trial, that does not end the row of probes.
    pub(super) fn connected(&self) {
        let mut state = self.state.lock();
        if !state.is_on {
            state.probes = 0;
        }
    }
}

/// So many connections in a row put an endpoint on trial. One or two may end so by chance, while it
/// restarts.
const LIMIT: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_a_row_begin_it_and_an_answer_ends_it() {
        let trial = Trial::default();
        assert_eq!(
            [trial.ended_unanswered(None), trial.ended_unanswered(None)],
            [None, None]
        );
        assert!(trial.is_open() && !trial.is_on());
        trial.end();
        assert!(!trial.is_open());
        assert_eq!([(); 3].map(|()| trial.ended_unanswered(None)), [None, None, Some(3)]);
        assert!(trial.is_on());
        trial.end();
        assert!(!trial.is_on());
        trial.begin();
        assert_eq!(trial.ended_unanswered(None), Some(1), "on trial, one is enough");
    }

    #[test]
    fn the_streams_of_one_connection_count_once() {
        let trial = Trial::default();
        for number in [4, 4, 4, 5, 4, 5] {
            assert_eq!(trial.ended_unanswered(Some(number)), None);
        }
        assert_eq!(trial.ended_unanswered(Some(6)), Some(3));
        assert_eq!(trial.ended_unanswered(Some(6)), Some(3));
        trial.end();
        assert_eq!(trial.ended_unanswered(Some(6)), None);
    }

    #[test]
    fn on_trial_only_an_answer_ends_the_row_of_probes() {
        let trial = Trial::default();
        assert_eq!([trial.next_probe(), trial.next_probe()], [0, 1]);
        trial.connected();
        assert_eq!(trial.next_probe(), 0);
        trial.begin();
        trial.connected();
        assert_eq!(trial.next_probe(), 1);
        trial.end();
        assert_eq!(trial.next_probe(), 0);
    }
}
