//! Roles: the primary, its replicas, and how that changes.
//!
//! GTID replication throughout: a replica reports its position, so it can follow any server.
//! Sources: MariaDB Server documentation, "Global Transaction ID", `CHANGE MASTER TO`,
//! `MASTER_GTID_WAIT`. Must not live here: processes and addresses (`pod`, `server`).

use std::time::Duration;

use super::{error::Error, pod::Pod};

/// Name and password of the account that replicas log in with.
pub(super) const ACCOUNT: &str = "repl";

/// Added to the server id of a replica after its volume was emptied.
const STAND_IN: u32 = 100;

/// How long a replica may take to catch up.
const WAIT_LIMIT: Duration = Duration::from_secs(10);

/// The settings of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Following {
    /// `MASTER_DELAY`, in seconds.
    pub(super) delay: u32,
    /// Whether it applies what it receives.
    pub(super) applies: bool,
}

impl Default for Following {
    fn default() -> Self {
        Self {
            delay: 0,
            applies: true,
        }
    }
}

/// Makes the pod accept writes.
pub(super) async fn lead(pod: &Pod) -> Result<(), Error> {
    let id = pod.member().server_id();
    pod.sql(&format!(
        "STOP SLAVE; RESET SLAVE ALL; SET GLOBAL server_id = {id}; SET GLOBAL read_only = 0"
    ))
    .await?;
    Ok(())
}

/// Makes the pod a read-only replica of `primary`.
pub(super) async fn follow(pod: &Pod, primary: &Pod) -> Result<(), Error> {
    let Following { delay, applies } = pod.following();
    let addr = primary.server_addr();
    let threads = if applies { "" } else { "IO_THREAD" };
    // A replica skips what was written under its own server id. A pod that lost its volume needs
    // that as well.
    let renamed = match pod.member().was_wiped() {
        true => format!("SET GLOBAL server_id = {};", pod.member().server_id() + STAND_IN),
        false => String::new(),
    };
    // A former primary has written by itself: gtid_current_pos counts that in, gtid_slave_pos does
    // not. The connection is tried again each second; the 60 of the default would hide that a
    // primary is back.
    pod.sql(&format!(
        "STOP SLAVE; SET GLOBAL read_only = 1; SET GLOBAL gtid_slave_pos = @@global.gtid_current_pos; {renamed} \
         CHANGE MASTER TO MASTER_HOST = '{ip}', MASTER_PORT = {port}, \
         MASTER_USER = '{ACCOUNT}', MASTER_PASSWORD = '{ACCOUNT}', MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = slave_pos, MASTER_DELAY = {delay}; START SLAVE {threads}",
        ip = addr.ip(),
        port = addr.port(),
    ))
    .await?;
    Ok(())
}

/// Everything the pod has committed, as a GTID position.
pub(super) async fn position(pod: &Pod) -> Result<String, Error> {
    one(pod, "SELECT @@global.gtid_binlog_pos").await
}

/// Waits until the replica has applied this position.
pub(super) async fn applied(pod: &Pod, position: &str) -> Result<(), Error> {
    let seconds = WAIT_LIMIT.as_secs();
    let outcome = one(pod, &format!("SELECT MASTER_GTID_WAIT('{position}', {seconds})")).await?;
    if outcome == "0" {
        return Ok(());
    }
    let replica = pod.replica_status(WAIT_LIMIT).await?;
    let what = format!("{} to apply {position} ({replica:?})", pod.name());
    Err(crate::Error::NotSeen {
        what,
        waited: WAIT_LIMIT,
    }
    .into())
}

/// The hand-over between two living pods: the old primary refuses writes before the new one has all
/// of them.
pub(super) async fn hand_over(old: &Pod, new: &Pod) -> Result<(), Error> {
    old.sql("SET GLOBAL read_only = 1").await?;
    applied(new, &position(old).await?).await
}

/// The succession to a dead primary: what the others have received decides, and it is applied
/// first.
pub(super) async fn succeed(new: &Pod, others: &[Pod]) -> Result<(), Error> {
    let has = received(new).await?;
    for other in others {
        let more = received(other).await?;
        if sequence(&more) > sequence(&has) {
            return Err(Error::Behind {
                pod: new.name().to_owned(),
                has,
                other: other.name().to_owned(),
                more,
            });
        }
    }
    // Not by `follow`: that would throw away what was received and not yet applied, and its source
    // is dead.
    new.sql("START SLAVE SQL_THREAD").await?;
    applied(new, &has).await
}

async fn received(pod: &Pod) -> Result<String, Error> {
    let status = pod.replica_status(WAIT_LIMIT).await?;
    Ok(status.map(|status| status.received).unwrap_or_default())
}

/// The last part of `domain-server-sequence`; there is one domain here. 0 for the empty position.
fn sequence(position: &str) -> u64 {
    let last = position.rsplit('-').next();
    last.and_then(|number| number.parse().ok()).unwrap_or(0)
}

async fn one(pod: &Pod, sql: &str) -> Result<String, Error> {
    let rows = pod.sql(sql).await?;
    Ok(rows.into_iter().flatten().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_compared_by_their_sequence() {
        assert_eq!(sequence(""), 0);
        assert!(sequence("0-101-9") < sequence("0-100-10"));
    }
}
