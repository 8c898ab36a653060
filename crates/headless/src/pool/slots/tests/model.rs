//! A million random operations, and after each the question whether a model that knows only the
//! rules allows what happened.
//!
//! The model is a list of connections and a queue. It does not decide: it follows what [`Slots`]
//! did, and refuses what no rule allows. `steps.rs` says what can happen, `oracle.rs` what may come
//! of it. `HEADLESS_MODEL_SEED` repeats one world by its seed.

mod oracle;
mod steps;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fastrand::Rng;

use super::*;

const WORLDS: u64 = 500;
const STEPS: usize = 2_000;

#[test]
fn a_million_random_operations_break_no_rule() {
    let seed = std::env::var("HEADLESS_MODEL_SEED").ok();
    let seeds = match seed {
        Some(seed) => {
            let seed = seed.parse().expect("HEADLESS_MODEL_SEED is a number");
            seed..seed + 1
        }
        None => 0..WORLDS,
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| World::new(seed).run())) {
            eprintln!("to repeat it alone: HEADLESS_MODEL_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// One of the pods that share the permits, if there are any.
struct World {
    dice: Rng,
    now: Timestamp,
    permits: Option<Arc<Permits>>,
    pods: Vec<Pod>,
    awaiting: VecDeque<usize>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed);
        let connections = 1 + dice.usize(..6);
        let streams = [1, 1, 2, 4][dice.usize(..4)];
        let limits = Limits {
            connections,
            multiplexed: streams > 1,
            streams,
            waiters: 1 + dice.usize(..8),
            dials: 1 + dice.usize(..4),
            min_idle: [0, 0, 1, 2][dice.usize(..4)],
            validate_after_idle: dice.bool().then(|| Duration::from_nanos(10)),
        };
        let lifetime = dice.bool().then(|| 20 + dice.usize(..100));
        let pods = 1 + dice.usize(..3);
        let permits = dice
            .bool()
            .then(|| Arc::new(Permits::new(1 + dice.usize(..limits.connections * pods))));
        Self {
            pods: (0..pods).map(|_| Pod::new(limits, lifetime, permits.clone())).collect(),
            now: Timestamp::ZERO,
            awaiting: VecDeque::new(),
            permits,
            dice,
        }
    }

    fn run(mut self) {
        let mut steps = 0;
        while steps < STEPS {
            // Always later, so that no two connections are equally old.
            self.now = self.now + Duration::from_nanos(1 + self.dice.usize(..4) as u64);
            let pod = self.dice.usize(..self.pods.len());
            let Some(needs_permit) = self.pods[pod].step(self.now, &mut self.dice) else {
                continue;
            };
            steps += 1;
            self.carry_out(pod, needs_permit);
            self.check();
        }
        self.end();
    }

    /// As `cap.rs` does.
    fn carry_out(&mut self, pod: usize, needs_permit: bool) {
        let Some(permits) = self.permits.clone() else {
            assert!(!needs_permit);
            return;
        };
        if needs_permit {
            if !self.awaiting.contains(&pod) {
                self.awaiting.push_back(pod);
            }
            permits.set_awaited(self.awaiting.len());
            if !permits.any_left() {
                let mut others = (0..self.pods.len()).filter(|other| *other != pod);
                let _gave_way = others.any(|other| self.pods[other].evict_idle());
            }
        }
        while permits.is_awaited() && permits.any_left() {
            let pod = self.awaiting.pop_front().expect("a pod waits");
            permits.set_awaited(self.awaiting.len());
            if self.pods[pod].grant() {
                assert!(!permits.any_left(), "there was one left");
                self.awaiting.push_back(pod);
                permits.set_awaited(self.awaiting.len());
            }
        }
    }

    fn check(&self) {
        for (index, pod) in self.pods.iter().enumerate() {
            pod.check(self.awaiting.contains(&index));
        }
        if let Some(permits) = &self.permits {
            let used: usize = self.pods.iter().map(Pod::size).sum();
            assert_eq!(permits.used(), used, "permits used");
            assert!(used <= permits.limit);
        }
    }

    /// All pods go: nothing is left, and no caller waits.
    fn end(mut self) {
        for pod in 0..self.pods.len() {
            self.pods[pod].close();
            self.pods[pod].run_out(self.now, &mut self.dice);
            self.carry_out(pod, false);
            assert_eq!(self.pods[pod].size(), 0);
        }
        self.check();
    }
}

struct Conn {
    id: u32,
    users: usize,
    since: Timestamp,
    proven: Timestamp,
    retire_at: Timestamp,
    /// Takes no more callers.
    closing: Option<CloseReason>,
    known_old: bool,
}

struct InUse {
    conn: u32,
    slot: Slot,
    /// For a validation in the background: last used then.
    resting: Option<Timestamp>,
}

/// One pool, and what the model knows of it.
struct Pod {
    slots: Slots<u32, u32>,
    limits: Limits,
    lifetime: Option<usize>,
    permits: Option<Arc<Permits>>,
    peers: Peers,
    conns: Vec<Conn>,
    in_use: Vec<InUse>,
    queue: VecDeque<(Ticket, u32)>,
    connecting: usize,
    names: u32,
    opened: u64,
    closed_by: ClosedBy,
    closed: bool,
    /// Connections that grew too old, dials that replace one of these, and dials that failed.
    too_old: usize,
    replacements: usize,
    failures: usize,
}

impl Pod {
    fn new(limits: Limits, lifetime: Option<usize>, permits: Option<Arc<Permits>>) -> Self {
        let limits = Limits {
            min_idle: limits.min_idle.min(limits.connections),
            ..limits
        };
        Self {
            slots: Slots::new(limits, permits.clone()),
            limits,
            lifetime,
            permits,
            peers: Peers::default(),
            conns: Vec::new(),
            in_use: Vec::new(),
            queue: VecDeque::new(),
            connecting: 0,
            names: 0,
            opened: 0,
            closed_by: ClosedBy::default(),
            closed: false,
            too_old: 0,
            replacements: 0,
            failures: 0,
        }
    }
}
