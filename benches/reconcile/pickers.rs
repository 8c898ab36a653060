//! What somebody sees who picks without a pause while pods are replaced: whether a pick ever allocates or frees, and how long it
//! took at worst.
//!
//! WHY: both. Time is what counts, but the scheduler takes a thread away for longer than any pick lasts; so a gap does not count if the
//! thread was scheduled anew in it (Linux tells). Interrupts and the hypervisor remain, and that is what the quiet run is for. Who frees
//! an old set while picking frees it in every replacement that finds a pick under way, and that is counted without a clock.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use headless_benches::harness::{frees_so_far, so_far};

/// What one thread saw.
#[derive(Debug)]
pub struct Seen {
    pub picks: usize,
    pub allocations: usize,
    pub frees: usize,
    /// The longest pick.
    pub longest: Duration,
}

/// Picks on a thread of its own as long as `work` takes.
pub fn during(mut pick: Box<dyn FnMut() + Send>, work: impl FnOnce()) -> Seen {
    let (begun, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let picker = scope.spawn(|| {
            // Whatever is set up at a first pick.
            pick();
            begun.store(true, Relaxed);
            look(pick, &stop)
        });
        while !begun.load(Relaxed) {
            thread::yield_now();
        }
        work();
        stop.store(true, Relaxed);
        picker.join().unwrap()
    })
}

fn look(mut pick: impl FnMut(), stop: &AtomicBool) -> Seen {
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
    Seen {
        picks,
        allocations: so_far() - allocations,
        frees: frees_so_far() - frees,
        longest,
    }
}

/// Any longer, and the thread may have been away: being scheduled takes longer than this.
const SUSPICIOUS: Duration = Duration::from_nanos(1500);

/// How often the scheduler has given this thread a turn.
struct Turns(Option<File>);

impl Turns {
    fn of_this_thread() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    /// The third of three numbers; always 0 where nobody tells.
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
