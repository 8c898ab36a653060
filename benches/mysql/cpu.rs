//! CPU time, as the scheduler of Linux has counted it; `None` elsewhere.

use std::path::Path;
use std::time::Duration;

/// Of the thread that asks. It should have slept a moment before: what a thread used since it last slept is counted with the next tick.
pub fn of_this_thread() -> Option<Duration> {
    run_time(Path::new("/proc/thread-self"))
}

/// Of all threads of another process.
pub fn of_process(process: u32) -> Option<Duration> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    threads.map(|thread| run_time(&thread.ok()?.path())).sum()
}

fn run_time(thread: &Path) -> Option<Duration> {
    let text = std::fs::read_to_string(thread.join("schedstat")).ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}
