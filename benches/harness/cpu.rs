//! CPUs: which of them a process runs on, by `taskset`, and how long its threads have run, as
//! counted by the scheduler of Linux. Elsewhere the answers are `false` and `None`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Keeps the first thread of this process, and what it starts, on these CPUs.
pub fn pin(cpus: &str) -> bool {
    let this = std::process::id().to_string();
    succeeds(Command::new("taskset").args(["--pid", "--cpu-list", cpus, &this]))
}

/// Returns whether a program runs and succeeds.
pub fn succeeds(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Returns how long the calling thread has run. It should have slept a moment before: the time
/// since a thread last slept is counted with the next tick.
pub fn of_this_thread() -> Option<Duration> {
    run_time(Path::new("/proc/thread-self"))
}

/// Returns how long all threads of a process have run.
pub fn of_process(process: u32) -> Option<Duration> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    threads.map(|thread| run_time(&thread.ok()?.path())).sum()
}

fn run_time(thread: &Path) -> Option<Duration> {
    let text = std::fs::read_to_string(thread.join("schedstat")).ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}
