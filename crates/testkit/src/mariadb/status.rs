//! The status of pods, as values and as a table.

use std::fmt;
use std::net::Ipv4Addr;

/// One pod at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PodStatus {
    /// `mysql-1`.
    pub name: String,
    /// The address it has, or had last.
    pub ip: Ipv4Addr,
    /// Its process.
    pub process: ProcessState,
    /// Whether DNS lists it.
    pub is_listed: bool,
    /// Whether it is the appointed primary.
    pub is_primary: bool,
    /// The server's own status; `None` without a server, or without an answer.
    pub server: Option<ServerStatus>,
}

/// The state of a pod's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessState {
    /// There is none.
    Down,
    /// It runs.
    Running,
    /// It was stopped by SIGSTOP.
    Paused,
}

/// The status that a server reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStatus {
    /// `@@read_only`.
    pub is_read_only: bool,
    /// `@@gtid_binlog_pos`: all that it has committed or applied.
    pub position: String,
    /// Its status as a replica; `None` if it is none.
    pub replica: Option<ReplicaStatus>,
}

/// The result of `SHOW SLAVE STATUS`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaStatus {
    /// The address of the server it follows.
    pub follows: String,
    /// `Slave_IO_Running`: `Yes`, `No`, `Connecting`, `Preparing`.
    pub receives: String,
    /// `Slave_SQL_Running`: `Yes` or `No`.
    pub applies: String,
    /// `Seconds_Behind_Master`; `None` where it is NULL, because a thread does not run.
    pub seconds_behind: Option<u64>,
    /// `Gtid_IO_Pos`: all that it has received.
    pub received: String,
    /// `SQL_Delay`: the configured delay, in seconds.
    pub delay_seconds: u64,
    /// The last error of either thread; empty if there is none.
    pub error: String,
}

impl ReplicaStatus {
    /// `None` without a row: the server is no replica.
    pub(super) fn of(row: &[(String, String)]) -> Option<Self> {
        let value = |name: &str| {
            let found = row.iter().find(|(column, _)| column == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let errors = [value("Last_IO_Error"), value("Last_SQL_Error")];
        (!row.is_empty()).then(|| Self {
            follows: value("Master_Host"),
            receives: value("Slave_IO_Running"),
            applies: value("Slave_SQL_Running"),
            seconds_behind: value("Seconds_Behind_Master").parse().ok(),
            received: value("Gtid_IO_Pos"),
            delay_seconds: value("SQL_Delay").parse().unwrap_or(0),
            error: errors.into_iter().find(|error| !error.is_empty()).unwrap_or_default(),
        })
    }
}

/// One line, without its end.
impl fmt::Display for PodStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let process = match self.process {
            ProcessState::Down => "down",
            ProcessState::Running => "running",
            ProcessState::Paused => "paused",
        };
        let role = if self.is_primary { "primary" } else { "replica" };
        let listed = if self.is_listed { "in DNS" } else { "not in DNS" };
        let ip = self.ip.to_string();
        write!(f, "{:8} {ip:15} {process:7} {listed:10} {role}", self.name)?;
        let Some(server) = &self.server else { return Ok(()) };
        let access = if server.is_read_only { "read-only" } else { "writable" };
        write!(
            f,
            ", {access}, at {}",
            if server.position.is_empty() {
                "the beginning"
            } else {
                &server.position
            }
        )?;
        let Some(replica) = &server.replica else { return Ok(()) };
        write!(
            f,
            ", follows {} (receives: {}, applies: {}, ",
            replica.follows, replica.receives, replica.applies
        )?;
        match replica.seconds_behind {
            Some(seconds) => write!(f, "{seconds} s behind")?,
            None => f.write_str("lag unknown")?,
        }
        if replica.delay_seconds > 0 {
            write!(f, ", delayed by {} s", replica.delay_seconds)?;
        }
        f.write_str(")")?;
        if !replica.error.is_empty() {
            write!(f, ": {}", replica.error)?;
        }
        Ok(())
    }
}
