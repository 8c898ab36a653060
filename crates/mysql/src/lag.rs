//! [`LagMeter`]: how far a replica is behind the primary, in time, without a privilege, a table or
//! a clock on the servers. [`Gate`]: whether that is near enough, without flapping. Pure: `now` is
//! an argument.
//!
//! The primary's position is sampled by the client's own clock. A replica that has everything the
//! primary had at its sample of time `t` is no older than `t`: its lag is the time since the latest
//! sample that it covers. So
//!
//! * the lag of a replica that is known to lack something is never underestimated, and
//!   overestimated by one interval of the samples at most,
//! * a replica that is known to lack nothing has caught up, for three intervals after the sample
//!   that says so,
//! * it grows by itself while the primary does not answer (L6) or replication is stopped (L1),
//! * it has the resolution of the samples, not of whole seconds (L3).

use std::collections::VecDeque;
use std::time::Duration;

use headless::Timestamp;

use crate::gtid::Position;

/// What the primary had executed, and when.
#[derive(Debug, Default)]
pub(crate) struct LagMeter {
    /// Positions in the order of time, each with the last time at which the primary was seen there,
    /// and no further.
    samples: VecDeque<(Timestamp, Position)>,
}

impl LagMeter {
    /// The primary was at `position` when it was asked, at `at`.
    pub(crate) fn primary_at(&mut self, at: Timestamp, position: Position) {
        // WHY: a primary that crashed may be back without its last transactions, and no pod will
        // ever have those. It also keeps each position in the one after it, which `lag` relies on.
        while self.samples.back().is_some_and(|(_, known)| !position.covers(known)) {
            self.samples.pop_back();
        }
        match self.samples.back_mut() {
            Some((last, known)) if *known == position => *last = at,
            _ => self.samples.push_back((at, position)),
        }
        if self.samples.len() > MOST_SAMPLES {
            self.thin_out();
        }
    }

    /// Another pod is the primary: what the former one had says nothing of it.
    pub(crate) fn restart(&mut self) {
        self.samples.clear();
    }

    /// How far a replica at `position` is behind, at `now`. `None` if it has not even what the
    /// primary had first.
    pub(crate) fn lag(&self, position: &Position, now: Timestamp, interval: Duration) -> Option<Duration> {
        let covered = self.samples.partition_point(|(_, sample)| position.covers(sample));
        let (at, _) = self.samples.get(covered.checked_sub(1)?)?;
        let age = now.since(*at);
        // With everything of the last sample, and that one as new as they come: nothing is known to
        // be missing.
        let caught_up = covered == self.samples.len() && age <= interval * 3;
        Some(if caught_up { Duration::ZERO } else { age })
    }

    /// Forgets every other one of the older half: a lag that falls between is taken for the longer
    /// one.
    fn thin_out(&mut self) {
        let half = self.samples.len() / 2;
        let mut index = 0;
        self.samples.retain(|_| {
            index += 1;
            index > half || index % 2 == 1
        });
    }
}

/// Whether a replica takes reads: not above the limit; and once it has left, only after a while
/// well below it (L5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Gate {
    open: bool,
    /// It was open before, so its lag has been around the limit.
    has_left: bool,
    /// Samples in a row that were well below the limit, and within it.
    near: u8,
    within: u8,
}

impl Gate {
    /// The replica's lag is `lag`. Whether it takes reads now.
    pub(crate) fn pass(&mut self, lag: Option<Duration>, limit: Duration) -> bool {
        let below = |bound: Duration| lag.is_some_and(|lag| lag <= bound);
        let in_a_row = |before: u8, good: bool| if good { before.saturating_add(1) } else { 0 };
        self.near = in_a_row(self.near, below(limit.mul_f64(COMES_BACK)));
        self.within = in_a_row(self.within, below(limit));
        let was_open = self.open;
        self.open = match (was_open, self.has_left) {
            (true, _) => self.within > 0,
            (false, false) => self.near > 0,
            (false, true) => self.near >= NEAR_IN_A_ROW || self.within >= WITHIN_IN_A_ROW,
        };
        self.has_left |= was_open && !self.open;
        self.open
    }
}

/// The part of the limit below which a replica comes back.
const COMES_BACK: f64 = 0.8;
/// So many samples well below the limit, or within it, and a replica that has left is back: 0.3 and
/// 1 s at the default pace.
const NEAR_IN_A_ROW: u8 = 3;
const WITHIN_IN_A_ROW: u8 = 10;
/// At a busy primary, about seven minutes at ten samples a second; then the older half gets
/// coarser, without end.
const MOST_SAMPLES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_millis(millis)
    }

    fn gtid(sequence: u64) -> Position {
        format!("0-1-{sequence}").parse().unwrap()
    }

    fn busy(samples: u64) -> LagMeter {
        let mut meter = LagMeter::default();
        for sample in 0..samples {
            meter.primary_at(at(sample * 100), gtid(sample + 1));
        }
        meter
    }

    #[test]
    fn l1_a_stopped_applier_shows_as_growing_lag() {
        let mut meter = busy(1);
        for sample in 1..50 {
            meter.primary_at(at(sample * 100), gtid(sample + 1));
            let lag = meter.lag(&gtid(1), at(sample * 100), INTERVAL);
            assert_eq!(lag, Some(Duration::from_millis(sample * 100)));
        }
    }

    #[test]
    fn l3_lag_is_measured_to_the_interval_of_the_samples() {
        let meter = busy(50);
        assert_eq!(meter.lag(&gtid(50), at(4900), INTERVAL), Some(Duration::ZERO));
        assert_eq!(
            meter.lag(&gtid(47), at(4900), INTERVAL),
            Some(Duration::from_millis(300))
        );
        assert_eq!(
            meter.lag(&gtid(1), at(4900), INTERVAL),
            Some(Duration::from_millis(4900))
        );
    }

    #[test]
    fn an_idle_primary_leaves_no_replica_behind() {
        let mut meter = busy(1);
        meter.primary_at(at(60_000), gtid(1));
        assert_eq!(meter.lag(&gtid(1), at(60_000), INTERVAL), Some(Duration::ZERO));
        meter.primary_at(at(60_100), gtid(2));
        assert_eq!(
            meter.lag(&gtid(1), at(60_100), INTERVAL),
            Some(Duration::from_millis(100))
        );
    }

    /// It crashed before its last transactions were on disk, and no replica had them either.
    #[test]
    fn what_the_primary_has_lost_leaves_no_replica_behind() {
        let mut meter = busy(100);
        meter.primary_at(at(10_000), gtid(90));
        assert_eq!(meter.lag(&gtid(90), at(10_000), INTERVAL), Some(Duration::ZERO));
        assert_eq!(
            meter.lag(&gtid(85), at(10_000), INTERVAL),
            Some(Duration::from_millis(10_000 - 8400))
        );
    }

    #[test]
    fn l6_a_silent_primary_makes_lag_grow_instead_of_freezing_it_at_zero() {
        let meter = busy(10);
        assert_eq!(meter.lag(&gtid(10), at(1000), INTERVAL), Some(Duration::ZERO));
        assert_eq!(meter.lag(&gtid(10), at(5900), INTERVAL), Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_replica_without_the_first_sample_has_no_known_lag() {
        assert_eq!(busy(3).lag(&Position::Empty, at(300), INTERVAL), None);
        let mut meter = busy(3);
        meter.restart();
        assert_eq!(meter.lag(&gtid(3), at(300), INTERVAL), None);
    }

    fn passes(gate: &mut Gate, millis: &[u64]) -> Vec<bool> {
        let sample = |millis| gate.pass(Some(Duration::from_millis(millis)), Duration::from_secs(1));
        millis.iter().copied().map(sample).collect()
    }

    #[test]
    fn l5_a_replica_leaves_at_the_limit_and_comes_back_well_below() {
        let gate = &mut Gate::default();
        assert_eq!(passes(gate, &[900, 800]), [false, true], "let in at 80 %");
        assert_eq!(passes(gate, &[1000, 1001]), [true, false], "at the limit it stays");
        assert_eq!(
            passes(gate, &[0, 0, 0]),
            [false, false, true],
            "and is back when it is steady"
        );
        assert!(!gate.pass(None, Duration::from_secs(1)), "unknown is not near");
    }

    #[test]
    fn l5_a_replica_around_the_limit_does_not_flap() {
        let gate = &mut Gate::default();
        passes(gate, &[0, 1001]);
        let flapping: Vec<u64> = [700, 1050].into_iter().cycle().take(100).collect();
        assert_eq!(passes(gate, &flapping), [false; 100]);
        let steady = passes(gate, &[950; 10]);
        assert_eq!(
            steady.iter().position(|open| *open),
            Some(9),
            "within the limit for long is good enough"
        );
    }

    proptest! {
        /// However long it runs: never less than the truth, and the memory bounded.
        #[test]
        fn lag_is_never_underestimated(samples in 10_u64..20_000, behind in 0_u64..20_000) {
            let meter = busy(samples);
            prop_assert!(meter.samples.len() <= MOST_SAMPLES);
            let now = at((samples - 1) * 100);
            let replica = samples.saturating_sub(behind).max(1);
            let truth = Duration::from_millis((samples - replica) * 100);
            let lag = meter.lag(&gtid(replica), now, INTERVAL).unwrap();
            prop_assert!(lag >= truth, "{lag:?} for {truth:?}");
            prop_assert!(lag <= truth * 2 + INTERVAL, "{lag:?} for {truth:?}");
        }
    }
}
