//! One pod with a real server: everything a test does to it.
//!
//! Must not live here: what concerns several pods at once (`mod`, `replication`).

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{
    PORT,
    client::Login,
    error::Error,
    instance::{Instance, Member},
    replication::{self, Following},
    server::{has_stopped, until},
    status::{PodStatus, ProcessState, ReplicaStatus, ServerStatus},
};
use crate::{life, pod::Phase, workload::Address};

/// Handle to one pod, `mysql-<ordinal>`. It stays the same when the pod is restarted, also at
/// another address.
#[derive(Clone, Debug)]
pub struct Pod {
    pub(super) instance: Arc<Instance>,
    /// Below the number of members.
    pub(super) index: usize,
}

impl Pod {
    /// Returns the pod's name, such as `mysql-1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.member().name
    }

    /// Returns the number at the end of the name. The server's `server_id` is 100 more.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.member().ordinal
    }

    /// Returns the address it has, or had last.
    #[must_use]
    pub fn ip(&self) -> Ipv4Addr {
        self.member().core().ip
    }

    /// Returns the address that clients connect to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        (self.ip(), PORT).into()
    }

    /// Kills the server with SIGKILL; when this returns, its sockets are closed. DNS goes on
    /// listing the pod, until [`set_ready`](Self::set_ready) or [`evict`](Self::evict). Does
    /// nothing without a server.
    ///
    /// # Cancel safety
    /// The server dies all the same.
    pub async fn kill(&self) {
        let operation = Arc::clone(&self.member().operation).lock_owned().await;
        if let Some(mut server) = self.member().take() {
            // The turn goes along: nothing may start in the data directory before the old server is
            // gone.
            let killed = tokio::task::spawn_blocking(move || {
                server.kill();
                drop(operation);
            });
            // It cannot panic, and the runtime outlives the caller.
            let _ = killed.await;
        }
    }

    /// Starts a killed server, on the data it had; resumes a paused one; does nothing to a running
    /// one.
    ///
    /// Returns when it answers and has its role: writable if this pod is the
    /// [primary](super::MariaDb::primary), else a read-only replica of the primary. A pod that was
    /// [evicted](Self::evict) comes back at the address it had.
    ///
    /// # Errors
    /// [`Error::Ended`] with the end of its log, if it does not start; [`Error::Cluster`] after 60
    /// s, or if its address is taken; [`Error::Sql`] if it refuses its role.
    ///
    /// # Cancel safety
    /// The server may run without a role: read-only, replicating from no server. Calling again does
    /// not change that; [`promote`](super::MariaDb::promote) or a `kill` and a `start` do.
    pub async fn start(&self) -> Result<(), Error> {
        match self.member().server(|server| server.is_paused) {
            Ok(true) => return self.resume(),
            Ok(false) => return Ok(()),
            Err(_) if self.phase() == Phase::Gone => return self.start_at(Address::Same).await,
            Err(_) => {}
        }
        let _operation = self.member().operation.lock().await;
        self.instance.boot(self.member()).await?;
        self.take_role().await
    }

    /// Freezes the server with SIGSTOP: the kernel still accepts connections, and nothing is ever
    /// answered. When this returns, all its threads have stopped.
    ///
    /// # Errors
    /// [`Error::Down`].
    ///
    /// # Cancel safety
    /// The server freezes all the same.
    pub async fn pause(&self) -> Result<(), Error> {
        let pid = self.member().server(|server| server.pause(true))??;
        let what = || format!("all threads of {} to stop", self.name());
        until(what, WAIT_LIMIT, async || has_stopped(pid).then_some(Ok(()))).await
    }

    /// Ends [`pause`](Self::pause).
    ///
    /// # Errors
    /// [`Error::Down`].
    pub fn resume(&self) -> Result<(), Error> {
        self.member().server(|server| server.pause(false))?.map(|_| ())
    }

    /// Kills the server, if it runs, and empties its volume: only the accounts and the empty schema
    /// `shop` are left, as in a new database. It stays down.
    ///
    /// As a replica it has its `server_id` plus 100 from then on: under its own it would skip what
    /// it had written before.
    ///
    /// # Errors
    /// [`Error::Io`].
    ///
    /// # Cancel safety
    /// The volume is emptied all the same, once the server is dead.
    pub async fn wipe(&self) -> Result<(), Error> {
        self.kill().await;
        let operation = Arc::clone(&self.member().operation).lock_owned().await;
        let (instance, index) = (Arc::clone(&self.instance), self.index);
        let renewed = tokio::task::spawn_blocking(move || {
            let _operation = operation;
            instance.members[index].wipe(&instance.template)
        });
        renewed.await.unwrap_or_else(|_| Err(crate::Error::Stopped.into()))
    }

    /// Kills the server and removes the pod from DNS; its address is free for another one. Its
    /// volume stays.
    ///
    /// # Cancel safety
    /// The server dies; the pod may still be listed.
    pub async fn evict(&self) {
        self.kill().await;
        life::remove(&self.instance.workload.control, &self.member().core()).await;
    }

    /// Evicts the pod and starts it again, with its volume and under its name, at another address.
    ///
    /// The address is one that no pod had, or, for the reuse of an IP, that of an evicted pod. The
    /// pod is in DNS when this returns, and replicas follow the primary to its new address.
    ///
    /// # Errors
    /// As [`start`](Self::start), and [`Error::Cluster`] if the address is not free.
    ///
    /// # Cancel safety
    /// The pod may be gone, or there and not ready.
    pub async fn start_at(&self, address: Address) -> Result<(), Error> {
        self.evict().await;
        let _operation = self.member().operation.lock().await;
        let ip = match address {
            Address::New => None,
            Address::Same => Some(self.ip()),
            Address::At(ip) => Some(ip),
        };
        let workload = &self.instance.workload;
        let core = life::start(
            &workload.control,
            &workload.spec,
            self.name().to_owned(),
            Some(self.ordinal()),
            ip,
        )?;
        self.member().move_to(core);
        self.instance.boot(self.member()).await?;
        self.take_role().await?;
        self.set_ready(true)
    }

    /// Adds the pod to DNS, or removes it, at once. The server goes on.
    ///
    /// # Errors
    /// [`Error::Cluster`], if the pod was evicted.
    pub fn set_ready(&self, ready: bool) -> Result<(), Error> {
        Ok(self.instance.workload.set_ready(self.name(), ready)?)
    }

    /// Sets `read_only` without changing the pod's role: `false` on a replica makes a second
    /// writer, `true` on the primary leaves none.
    ///
    /// # Errors
    /// As [`sql`](Self::sql).
    ///
    /// # Cancel safety
    /// It may be set or not.
    pub async fn set_read_only(&self, read_only: bool) -> Result<(), Error> {
        self.sql(&format!("SET GLOBAL read_only = {}", u8::from(read_only)))
            .await?;
        Ok(())
    }

    /// Stops the replica's applier, so that its lag grows: until
    /// [`start_applier`](Self::start_applier) or its promotion, also over a restart.
    ///
    /// # Errors
    /// [`Error::IsPrimary`], or as [`sql`](Self::sql).
    ///
    /// # Cancel safety
    /// The applier may be stopped or not.
    pub async fn stop_applier(&self) -> Result<(), Error> {
        self.follow_with(|following| following.applies = false, "STOP SLAVE SQL_THREAD")
            .await
    }

    /// Ends [`stop_applier`](Self::stop_applier). Does not wait until the replica has caught up;
    /// [`replicated`](super::MariaDb::replicated) does.
    ///
    /// # Errors
    /// [`Error::IsPrimary`], or as [`sql`](Self::sql).
    ///
    /// # Cancel safety
    /// The applier may run or not.
    pub async fn start_applier(&self) -> Result<(), Error> {
        self.follow_with(|following| following.applies = true, "START SLAVE SQL_THREAD")
            .await
    }

    /// Delays the replica's applier by so many seconds (`MASTER_DELAY`); 0 ends it.
    ///
    /// # Errors
    /// [`Error::IsPrimary`], or as [`sql`](Self::sql).
    ///
    /// # Cancel safety
    /// The replica may have stopped replicating; calling again repairs that.
    pub async fn delay(&self, seconds: u32) -> Result<(), Error> {
        let threads = if self.following().applies { "" } else { "IO_THREAD" };
        let sql = format!("STOP SLAVE; CHANGE MASTER TO MASTER_DELAY = {seconds}; START SLAVE {threads}");
        self.follow_with(|following| following.delay = seconds, &sql).await
    }

    /// Drops the answer to the next request to this pod that contains this text, in any case of
    /// ASCII letters.
    ///
    /// The server has executed the request, and the client's connection ends without the answer.
    /// Meant for `COMMIT`; other connections and requests go on.
    ///
    /// # Errors
    /// [`Error::NotProxied`], unless started with
    /// [`MariaDbBuilder::proxied`](super::MariaDbBuilder::proxied).
    pub fn cut_answer_to(&self, text: &str) -> Result<(), Error> {
        if !self.instance.is_proxied {
            return Err(Error::NotProxied { addr: self.addr() });
        }
        self.member().cut.arm(text);
        Ok(())
    }

    /// Runs SQL as root, through the server's socket; one or several statements. Returns the rows
    /// of all of them, as text; NULL is `NULL`.
    ///
    /// # Errors
    /// [`Error::Sql`] with the first refusal, [`Error::Down`], [`Error::Paused`],
    /// [`Error::Cluster`] without an answer for 15 s.
    ///
    /// # Cancel safety
    /// What was sent may be executed.
    pub async fn sql(&self, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        self.query(Login::Root, sql).await
    }

    /// As [`sql`](Self::sql), as the application over TCP: account [`USER`](super::USER), schema
    /// [`DATABASE`](super::DATABASE).
    ///
    /// # Errors
    /// As [`sql`](Self::sql).
    ///
    /// # Cancel safety
    /// What was sent may be executed.
    pub async fn app_sql(&self, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        self.query(Login::App(self.addr()), sql).await
    }

    /// Returns the pod's status, without the server's part if it does not answer within a second.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn status(&self) -> PodStatus {
        let process = match self.member().server(|server| server.is_paused) {
            Ok(true) => ProcessState::Paused,
            Ok(false) => ProcessState::Running,
            Err(_) => ProcessState::Down,
        };
        PodStatus {
            name: self.name().to_owned(),
            ip: self.ip(),
            process,
            is_listed: self.phase().is_listed(),
            is_primary: self.is_primary(),
            server: self.server_status().await.ok(),
        }
    }

    async fn server_status(&self) -> Result<ServerStatus, Error> {
        const GLANCE: Duration = Duration::from_secs(1);
        self.member().must_run()?;
        let client = self.instance.client(self.member());
        let variables = client.named(
            "SELECT @@global.read_only AS read_only, @@global.gtid_binlog_pos AS position",
            GLANCE,
        );
        let variables = variables.await?;
        let value = |name: &str| {
            variables
                .iter()
                .find(|(column, _)| column == name)
                .map(|(_, value)| value.clone())
        };
        Ok(ServerStatus {
            is_read_only: value("read_only").as_deref() != Some("0"),
            position: value("position").unwrap_or_default(),
            replica: self.replica_status(GLANCE).await?,
        })
    }

    pub(super) async fn replica_status(&self, limit: Duration) -> Result<Option<ReplicaStatus>, Error> {
        let row = self
            .instance
            .client(self.member())
            .named("SHOW SLAVE STATUS", limit)
            .await?;
        Ok(ReplicaStatus::of(&row))
    }

    pub(super) fn member(&self) -> &Member {
        &self.instance.members[self.index]
    }

    pub(super) fn is_primary(&self) -> bool {
        self.instance.primary() == self.ordinal()
    }

    pub(super) fn following(&self) -> Following {
        *self.member().following()
    }

    /// Where its replicas find it.
    pub(super) fn server_addr(&self) -> SocketAddr {
        self.instance.server_addr(self.member())
    }

    /// Takes the role it should have; a primary then redirects its replicas to its address.
    async fn take_role(&self) -> Result<(), Error> {
        let _roles = self.instance.roles.lock().await;
        if !self.is_primary() {
            let primary = self.other(self.instance.primary());
            return replication::follow(self, &primary).await;
        }
        replication::lead(self).await?;
        let addr = self.server_addr().ip().to_string();
        for replica in self.others().filter(|pod| pod.member().must_run().is_ok()) {
            let follows = replica.replica_status(WAIT_LIMIT).await?.map(|status| status.follows);
            if follows.is_some_and(|follows| follows != addr) {
                replication::follow(&replica, self).await?;
            }
        }
        Ok(())
    }

    pub(super) fn others(&self) -> impl Iterator<Item = Self> + '_ {
        let indices = (0..self.instance.members.len()).filter(|index| *index != self.index);
        indices.map(|index| Self {
            instance: Arc::clone(&self.instance),
            index,
        })
    }

    fn other(&self, ordinal: u32) -> Self {
        self.others()
            .find(|pod| pod.ordinal() == ordinal)
            .unwrap_or_else(|| self.clone())
    }

    async fn follow_with(&self, change: impl FnOnce(&mut Following), sql: &str) -> Result<(), Error> {
        let _roles = self.instance.roles.lock().await;
        if self.is_primary() {
            let pod = self.name().to_owned();
            return Err(Error::IsPrimary { pod });
        }
        change(&mut self.member().following());
        self.sql(sql).await?;
        Ok(())
    }

    async fn query(&self, login: Login, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        self.member().must_run()?;
        self.instance.client(self.member()).rows(login, sql).await
    }

    fn phase(&self) -> Phase {
        self.member().core().phase()
    }
}

const WAIT_LIMIT: Duration = Duration::from_secs(10);
