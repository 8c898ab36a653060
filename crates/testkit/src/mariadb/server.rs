//! One mariadbd process: started, waited for, stopped by signals. Must not live here: what its role
//! is (`replication`).

use std::{
    fs,
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal};

use super::{error::Error, install};

/// What runs in a pod.
#[derive(Debug)]
pub(super) enum Slot {
    Down,
    Up(Server),
    /// The owner is gone: nothing may be started any more.
    Closed,
}

impl Slot {
    /// The server, unless it has ended by itself meanwhile.
    pub(super) fn server(&mut self) -> Option<&mut Server> {
        if let Self::Up(server) = self
            && server.status().is_some()
        {
            *self = Self::Down;
        }
        match self {
            Self::Up(server) => Some(server),
            Self::Down | Self::Closed => None,
        }
    }
}

/// A running process.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pub(super) is_paused: bool,
}

/// What a server is started with.
#[derive(Debug)]
pub(super) struct Boot<'a> {
    pub(super) program: &'a Path,
    pub(super) data: &'a Path,
    pub(super) log: &'a Path,
    pub(super) addr: SocketAddr,
    pub(super) server_id: u32,
}

impl Boot<'_> {
    /// Starts the process. It is read-only and replicates from no server until it gets its role:
    /// a dead primary that comes back must not become a second writer.
    pub(super) fn spawn(&self) -> Result<Server, Error> {
        let cannot = || Error::io(format!("start {}", self.program.display()));
        // Appended, so that what a server said before it was killed stays.
        let log = fs::File::options().create(true).append(true).open(self.log);
        let child = Command::new(self.program)
            .arg("--no-defaults")
            .arg(install::option("datadir", &slashed(self.data)))
            // Not the system's: a server that starts removes the temporary tables of all others
            // there.
            .arg(install::option("tmpdir", self.data))
            .args(install::as_user())
            .args(install::STORAGE)
            .arg(format!("--socket={}", super::client::SOCKET))
            .args(["--pid-file=mysqld.pid", "--log-bin=binlog", "--relay-log=relay"])
            .arg(format!("--bind-address={}", self.addr.ip()))
            .arg(format!("--port={}", self.addr.port()))
            .arg(format!("--server-id={}", self.server_id))
            .args(["--read-only=1", "--skip-slave-start", "--log-slave-updates=1"])
            .args(["--gtid-strict-mode=1", "--binlog-format=ROW", "--skip-name-resolve"])
            // With each commit it is handed to the system, so that kill -9 loses nothing: 0 would
            // lose the replica's position.
            .arg("--innodb-flush-log-at-trx-commit=2")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.map_err(cannot())?)
            .process_group(0)
            .spawn()
            .map_err(cannot())?;
        Ok(Server {
            child,
            is_paused: false,
        })
    }
}

impl Server {
    /// How it ended, if it has.
    pub(super) fn status(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(status) => status.map(|status| status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Kills the process (SIGKILL) and waits until the kernel has freed its sockets and files:
    /// blocks for some milliseconds.
    pub(super) fn kill(&mut self) {
        // It may have ended by itself; there is nothing to be done about that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops (SIGSTOP) or continues (SIGCONT) the process; to be waited for with [`has_stopped`].
    pub(super) fn pause(&mut self, pause: bool) -> Result<Pid, Error> {
        let cannot = Error::io("signal mariadbd");
        let signal = if pause { Signal::STOP } else { Signal::CONT };
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).map_err(|error| cannot(error.into()))?;
        self.is_paused = pause;
        Ok(pid)
    }
}

/// All threads of the process are stopped. WHY all: each stops at its own next return from the
/// kernel.
pub(super) fn has_stopped(pid: Pid) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())) else {
        return false;
    };
    let stopped = |stat: PathBuf| {
        // The state follows the name, which is in brackets and may contain anything.
        let stat = fs::read_to_string(stat).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    };
    threads.flatten().all(|thread| stopped(thread.path().join("stat")))
}

/// Repeats the attempt every few milliseconds until it has an outcome.
pub(super) async fn until<T>(
    what: impl FnOnce() -> String,
    limit: Duration,
    mut attempt: impl AsyncFnMut() -> Option<Result<T, Error>>,
) -> Result<T, Error> {
    const PERIOD: Duration = Duration::from_millis(5);
    let attempts = async {
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Some(outcome) = attempt().await {
                return outcome;
            }
        }
    };
    match tokio::time::timeout(limit, attempts).await {
        Ok(outcome) => outcome,
        Err(_) => Err(crate::Error::NotSeen {
            what: what(),
            waited: limit,
        }
        .into()),
    }
}

/// With a slash at the end: the cleaner of `install` finds the servers of its directory by it.
fn slashed(path: &Path) -> PathBuf {
    path.join("")
}
