//! The processes of the servers: each pod one process group in a directory of its own. Must not
//! live here: which program it is (`program`).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headless_testkit::Pod;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::interval;

/// The directory of one test. It is removed with the value, and the processes in it are killed,
/// also when the test itself is killed.
#[derive(Debug)]
pub struct Home {
    pub path: PathBuf,
    cleaner: Child,
}

impl Home {
    /// Makes a new directory.
    pub fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // ORDERING: Relaxed: a counter and nothing else.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("foreign-{}-{number}", std::process::id());
        // WHY there: some servers change their user, and must still read it.
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        let cleaner = cleaner(&path).unwrap();
        Self { path, cleaner }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The cleaner's `read` ends, and it removes the directory.
        self.cleaner.stdin.take();
        let _ = self.cleaner.wait();
    }
}

/// A shell that waits for the owner's end of a pipe to close, then kills what is left.
///
/// WHY: the kernel closes the pipe even when the owner is killed with SIGKILL, where no `Drop`
/// runs.
fn cleaner(home: &Path) -> io::Result<Child> {
    const SCRIPT: &str = r#"
        read -r _
        for group in "$1"/*/group; do
            [ -e "$group" ] && kill -KILL "-$(cat "$group")" 2>/dev/null
        done
        # A server that is being killed may add a last file.
        for _ in 1 2 3; do rm -rf -- "$1" 2>/dev/null && break; done
    "#;
    Command::new("sh")
        .args(["-c", SCRIPT, "foreign-cleaner"])
        .arg(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// The running processes of a test, by the names of their pods.
#[derive(Clone, Debug, Default)]
pub struct Processes(Arc<Mutex<HashMap<String, Pid>>>);

impl Processes {
    /// Sends a signal to all processes of a pod.
    pub fn signal(&self, pod: &Pod, signal: Signal) {
        let group = self.0.lock().unwrap()[pod.name()];
        kill_process_group(group, signal).unwrap();
    }

    /// Runs `command` in `dir` until it ends, which `graceful` asks it for when the pod drains.
    /// Dropped, all its processes are killed.
    pub async fn run(self, pod: Pod, mut command: Command, dir: PathBuf, graceful: Signal) {
        let out = File::create(dir.join("out")).unwrap();
        command
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .process_group(0);
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let group = Pid::from_child(&child);
        fs::write(dir.join("group"), group.to_string()).unwrap();
        self.0.lock().unwrap().insert(pod.name().to_owned(), group);
        let mut process = Process { child, dir };
        tokio::select! {
            () = process.ended() => return,
            () = pod.draining() => {}
        }
        // The leader alone: it tells its children.
        let _ = rustix::process::kill_process(group, graceful);
        process.ended().await;
    }
}

/// One process and its children.
struct Process {
    child: Child,
    dir: PathBuf,
}

impl Process {
    async fn ended(&mut self) {
        let mut ticks = interval(Duration::from_millis(5));
        while matches!(self.child.try_wait(), Ok(None)) {
            ticks.tick().await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A leader that has ended has no children left, if it is not killed.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        let _ = fs::remove_file(self.dir.join("group"));
    }
}
