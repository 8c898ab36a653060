//! CPUs: which of them a process runs on, by `taskset`, and how long its threads have run, as the scheduler of Linux has counted it.
//! Where there is neither, no and `None`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Keeps the first thread of this process, and what it starts, on these CPUs.
pub fn pin(cpus: &str) -> bool {
    let this = std::process::id().to_string();
    succeeds(Command::new("taskset").args(["--pid", "--cpu-list", cpus, &this]))
}

/// Whether a program runs, and ends well.
pub fn succeeds(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// How long the thread that asks has run. It should have slept a moment before: what a thread used since it last slept is counted with the
/// next tick.
pub fn of_this_thread() -> Option<Duration> {
    run_time(Path::new("/proc/thread-self"))
}

/// How long all threads of a process have run.
pub fn of_process(process: u32) -> Option<Duration> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    threads.map(|thread| run_time(&thread.ok()?.path())).sum()
}

fn run_time(thread: &Path) -> Option<Duration> {
    let text = std::fs::read_to_string(thread.join("schedstat")).ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}
