//! Picks without a pause while pods are replaced: whether a pick allocates or frees, and the
//! longest time.
//!
//! WHY both: time matters, but the scheduler takes a thread away for longer than any pick lasts. A
//! gap is not counted if the thread was scheduled again in it (Linux tells). Interrupts and the
//! hypervisor remain; the quiet run shows them. A pick that frees an old set does so in every
//! replacement during a pick, and that is counted without a clock.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use headless_benches::harness::{frees_so_far, so_far};

/// The picks of one thread.
#[derive(Debug)]
pub struct Picks {
    pub picks: usize,
    pub allocations: usize,
    pub frees: usize,
    /// The longest pick.
    pub longest: Duration,
}

/// Picks on another thread as long as `work` takes.
pub fn during(mut pick: Box<dyn FnMut() + Send>, work: impl FnOnce()) -> Picks {
    let (begun, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let picker = scope.spawn(|| {
            // The first pick may initialise something.
            pick();
            begun.store(true, Relaxed);
            repeat(pick, &stop)
        });
        while !begun.load(Relaxed) {
            thread::yield_now();
        }
        work();
        stop.store(true, Relaxed);
        picker.join().unwrap()
    })
}

fn repeat(mut pick: impl FnMut(), stop: &AtomicBool) -> Picks {
    let turns = Turns::of_this_thread();
    let (mut picks, mut longest, mut turn) = (0, Duration::ZERO, turns.taken());
    let (allocations, frees) = (so_far(), frees_so_far());
    let mut before = Instant::now();
    while !stop.load(Relaxed) {
        pick();
        let now = Instant::now();
        let took = now - before;
        picks += 1;
        before = now;
        if took > SUSPICIOUS {
            let taken = turns.taken();
            if taken == turn {
                longest = longest.max(took);
            }
            turn = taken;
            before = Instant::now();
        }
    }
    Picks {
        picks,
        allocations: so_far() - allocations,
        frees: frees_so_far() - frees,
        longest,
    }
}

/// A longer pick may contain a pause of the thread, because scheduling takes longer than this.
const SUSPICIOUS: Duration = Duration::from_nanos(1500);

/// The number of times that the scheduler has run this thread.
struct Turns(Option<File>);

impl Turns {
    fn of_this_thread() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    /// Returns the third of three numbers; always 0 where the kernel does not count.
    fn taken(&self) -> u64 {
        let mut text = [0; 64];
        let read = self
            .0
            .as_ref()
            .and_then(|file| file.read_at(&mut text, 0).ok())
            .unwrap_or(0);
        let text = str::from_utf8(&text[..read]).unwrap_or_default();
        text.split_whitespace()
            .nth(2)
            .and_then(|turns| turns.parse().ok())
            .unwrap_or(0)
    }
}
