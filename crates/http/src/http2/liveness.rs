//! [`Liveness`]: when a PING is sent on a connection, and when its peer is taken for dead. A state
//! machine: it has no clock, no socket and no timer.

use std::time::Duration;

use tokio::time::Instant;

/// When an HTTP/2 connection is checked with a PING.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive {
    /// After so long without a byte from the peer. `None`: only if the connection is suspect.
    pub(crate) interval: Option<Duration>,
    /// How long the peer may take to answer.
    pub(crate) timeout: Duration,
    /// Also while no request is under way.
    pub(crate) while_idle: bool,
}

/// The PINGs of one connection. There is one at a time.
#[derive(Debug)]
pub(super) struct Liveness {
    settings: KeepAlive,
    /// The last byte from the peer, or the begin of the current requests, which is later.
    quiet_since: Instant,
    is_busy: bool,
    /// When the PING under way has to be answered.
    deadline: Option<Instant>,
}

/// What the driver does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send a PING.
    Ping,
    /// Close the connection: the PING was not answered.
    Dead,
    /// Ask again then. `None`: only after an event.
    Wait(Option<Instant>),
}

impl Liveness {
    pub(super) const fn new(settings: KeepAlive, now: Instant) -> Self {
        Self {
            settings,
            quiet_since: now,
            is_busy: false,
            deadline: None,
        }
    }

    /// Whether the time of each read matters.
    pub(super) const fn has_interval(&self) -> bool {
        self.settings.interval.is_some()
    }

    /// Whether there is anything to do for a connection that is not suspect.
    pub(super) const fn is_active(&self) -> bool {
        self.has_interval() || self.deadline.is_some()
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Something was read.
    pub(super) const fn was_read(&mut self, now: Instant) {
        self.quiet_since = now;
    }

    /// A PING was sent.
    pub(super) fn pinged(&mut self, now: Instant) {
        self.deadline = Some(now + self.settings.timeout);
    }

    /// The PING was answered.
    pub(super) const fn ponged(&mut self) {
        self.deadline = None;
    }

    /// Decides. `is_busy` says whether requests are under way, and `is_suspect` whether one was
    /// given up in silence.
    pub(super) fn step(&mut self, now: Instant, is_busy: bool, is_suspect: bool) -> Step {
        if is_busy && !self.is_busy && !self.settings.while_idle {
            // The silence before was nothing unusual.
            self.quiet_since = now;
        }
        self.is_busy = is_busy;
        if let Some(deadline) = self.deadline {
            return match now >= deadline {
                true => Step::Dead,
                false => Step::Wait(Some(deadline)),
            };
        }
        let due = match self.settings.interval {
            Some(interval) if is_busy || self.settings.while_idle => Some(self.quiet_since + interval),
            _ => None,
        };
        match is_suspect || due.is_some_and(|due| now >= due) {
            true => Step::Ping,
            false => Step::Wait(due),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn liveness(interval: Option<Duration>, while_idle: bool) -> (Liveness, Instant) {
        let now = Instant::now();
        let settings = KeepAlive {
            interval,
            timeout: 5 * SECOND,
            while_idle,
        };
        (Liveness::new(settings, now), now)
    }

    #[test]
    fn without_an_interval_only_a_suspect_is_pinged() {
        let (mut liveness, start) = liveness(None, true);
        assert_eq!(liveness.step(start + 1000 * SECOND, true, false), Step::Wait(None));
        let now = start + 2000 * SECOND;
        assert_eq!(liveness.step(now, true, true), Step::Ping);
        liveness.pinged(now);
        assert_eq!(liveness.step(now, true, true), Step::Wait(Some(now + 5 * SECOND)));
        // Other bytes are no answer.
        liveness.was_read(now + SECOND);
        assert_eq!(liveness.step(now + 5 * SECOND, true, true), Step::Dead);
    }

    #[test]
    fn an_answered_ping_proves_it() {
        let (mut liveness, start) = liveness(None, false);
        assert_eq!(liveness.step(start, false, true), Step::Ping);
        liveness.pinged(start);
        liveness.ponged();
        assert_eq!(liveness.step(start + 100 * SECOND, false, false), Step::Wait(None));
    }

    #[test]
    fn silence_is_measured_from_the_last_byte_and_from_the_first_request() {
        let (mut liveness, start) = liveness(Some(10 * SECOND), false);
        assert_eq!(liveness.step(start + 30 * SECOND, false, false), Step::Wait(None));
        let busy = start + 40 * SECOND;
        assert_eq!(liveness.step(busy, true, false), Step::Wait(Some(busy + 10 * SECOND)));
        liveness.was_read(busy + 9 * SECOND);
        let due = busy + 19 * SECOND;
        assert_eq!(liveness.step(busy + 10 * SECOND, true, false), Step::Wait(Some(due)));
        assert_eq!(liveness.step(due, true, false), Step::Ping);
    }

    #[test]
    fn an_idle_connection_is_pinged_if_wanted() {
        let (mut liveness, start) = liveness(Some(10 * SECOND), true);
        let due = start + 10 * SECOND;
        assert_eq!(liveness.step(start, false, false), Step::Wait(Some(due)));
        assert_eq!(liveness.step(due, false, false), Step::Ping);
    }
}
