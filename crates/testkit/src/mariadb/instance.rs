//! One running StatefulSet, shared by its handles: per pod its process, its files and its place in
//! the cluster. Must not live here: operations on them (`pod`, `replication`).

use std::{
    fmt, mem,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{
    PORT,
    client::{Client, Login},
    error::Error,
    install::{self, Programs},
    proxy::CutAnswer,
    replication::Following,
    server::{Boot, Server, Slot, until},
};
use crate::{lock::lock, pod_core::PodCore, workload::Workload};

/// Where a server listens when a proxy has its port.
pub(super) const BEHIND: u16 = 3307;

/// Servers recover after a kill, on a machine that may be busy.
const START_UP: Duration = Duration::from_secs(60);

/// The state of one MariaDB StatefulSet.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) programs: Programs,
    pub(super) template: PathBuf,
    pub(super) workload: Workload,
    pub(super) members: Vec<Member>,
    pub(super) is_proxied: bool,
    /// The ordinal appointed. Written under `roles`.
    primary: AtomicU32,
    /// Held while roles change.
    pub(super) roles: tokio::sync::Mutex<()>,
}

/// One pod.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) ordinal: u32,
    pub(super) data: PathBuf,
    log: PathBuf,
    slot: Mutex<Slot>,
    /// Held while the process starts or ends, or its files are replaced.
    pub(super) operation: Arc<tokio::sync::Mutex<()>>,
    core: Mutex<Arc<PodCore>>,
    pub(super) following: Mutex<Following>,
    pub(super) cut: Arc<CutAnswer>,
    was_wiped: AtomicBool,
}

impl Instance {
    pub(super) fn new(
        programs: Programs,
        template: PathBuf,
        workload: Workload,
        members: Vec<Member>,
        is_proxied: bool,
    ) -> Self {
        Self {
            programs,
            template,
            workload,
            members,
            is_proxied,
            primary: AtomicU32::new(0),
            roles: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn primary(&self) -> u32 {
        // ORDERING: Relaxed: the number alone; code that decides by it holds `roles`.
        self.primary.load(Ordering::Relaxed)
    }

    pub(super) fn appoint(&self, ordinal: u32) {
        // ORDERING: Relaxed: as in `primary`.
        self.primary.store(ordinal, Ordering::Relaxed);
    }

    /// Where the server itself listens; clients reach it there, or through the proxy at [`PORT`].
    pub(super) fn server_addr(&self, member: &Member) -> SocketAddr {
        let port = if self.is_proxied { BEHIND } else { PORT };
        (member.core().ip, port).into()
    }

    /// Starts the server, unless it runs; returns when it answers. The caller holds `operation`.
    pub(super) async fn boot(&self, member: &Member) -> Result<(), Error> {
        member.spawn(&self.programs.server, self.server_addr(member))?;
        let client = self.client(member);
        let ready = async || {
            if let Some(status) = member.ended() {
                return Some(Err(Error::Ended {
                    what: format!("the server of {}", member.name),
                    status,
                    log: member.log_tail(),
                }));
            }
            let answer = client.rows(Login::Root, "SELECT 1").await;
            answer.is_ok().then_some(Ok(()))
        };
        let what = || {
            format!(
                "the server of {} to answer; it says:\n{}",
                member.name,
                member.log_tail()
            )
        };
        until(what, START_UP, ready).await
    }

    pub(super) fn client<'a>(&'a self, member: &'a Member) -> Client<'a> {
        Client {
            program: &self.programs.client,
            pod: &member.name,
            data: &member.data,
        }
    }
}

impl Member {
    pub(super) fn new(core: Arc<PodCore>, ordinal: u32, home: &Path, cut: Arc<CutAnswer>) -> Self {
        Self {
            name: core.name.clone(),
            ordinal,
            data: home.join(&core.name),
            log: home.join(format!("{}.log", core.name)),
            slot: Mutex::new(Slot::Down),
            operation: Arc::default(),
            core: Mutex::new(core),
            following: Mutex::default(),
            cut,
            was_wiped: AtomicBool::new(false),
        }
    }

    pub(super) fn core(&self) -> Arc<PodCore> {
        Arc::clone(&lock(&self.core))
    }

    /// The pod has begun a new life, at an address that may be another.
    pub(super) fn move_to(&self, core: Arc<PodCore>) {
        *lock(&self.core) = core;
    }

    pub(super) fn following(&self) -> MutexGuard<'_, Following> {
        lock(&self.following)
    }

    /// What the server is started with.
    pub(super) fn server_id(&self) -> u32 {
        FIRST_SERVER_ID + self.ordinal
    }

    /// The volume was emptied once.
    pub(super) fn was_wiped(&self) -> bool {
        // ORDERING: Relaxed: written by `wipe`, before the server is started whose role reads it;
        // `operation` orders the two.
        self.was_wiped.load(Ordering::Relaxed)
    }

    /// Empties the volume. Blocks.
    pub(super) fn wipe(&self, template: &Path) -> Result<(), Error> {
        // ORDERING: Relaxed: as in `was_wiped`.
        self.was_wiped.store(true, Ordering::Relaxed);
        self.renew(template)
    }

    /// Calls `action` with the running server.
    pub(super) fn server<T>(&self, action: impl FnOnce(&mut Server) -> T) -> Result<T, Error> {
        match self.slot().server() {
            Some(server) => Ok(action(server)),
            None => Err(Error::Down { pod: self.name.clone() }),
        }
    }

    /// An error unless the server runs and is not frozen.
    pub(super) fn must_run(&self) -> Result<(), Error> {
        let pod = || self.name.clone();
        match self.server(|server| server.is_paused)? {
            true => Err(Error::Paused { pod: pod() }),
            false => Ok(()),
        }
    }

    /// Leaves the slot empty.
    pub(super) fn take(&self) -> Option<Server> {
        let mut slot = self.slot();
        match &*slot {
            Slot::Up(_) => match mem::replace(&mut *slot, Slot::Down) {
                Slot::Up(server) => Some(server),
                Slot::Down | Slot::Closed => None,
            },
            Slot::Down | Slot::Closed => None,
        }
    }

    /// Ends the server, and any that would be started later.
    pub(super) fn close(&self) {
        if let Slot::Up(mut server) = mem::replace(&mut *self.slot(), Slot::Closed) {
            server.kill();
        }
    }

    /// Replaces the data directory by the template's. Blocks.
    pub(super) fn renew(&self, template: &Path) -> Result<(), Error> {
        let renew = || {
            if self.data.exists() {
                std::fs::remove_dir_all(&self.data)?;
            }
            install::copy(template, &self.data)
        };
        renew().map_err(Error::io(format!("renew {}", self.data.display())))
    }

    fn spawn(&self, program: &Path, addr: SocketAddr) -> Result<(), Error> {
        let mut slot = self.slot();
        if matches!(*slot, Slot::Closed) {
            return Err(crate::Error::Stopped.into());
        }
        if slot.server().is_none() {
            let boot = Boot {
                program,
                data: &self.data,
                log: &self.log,
                addr,
                server_id: self.server_id(),
            };
            *slot = Slot::Up(boot.spawn()?);
        }
        Ok(())
    }

    fn ended(&self) -> Option<String> {
        match &mut *self.slot() {
            Slot::Up(server) => server.status(),
            Slot::Down | Slot::Closed => Some("killed".to_owned()),
        }
    }

    fn log_tail(&self) -> String {
        install::last_lines(&std::fs::read_to_string(&self.log).unwrap_or_default())
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        lock(&self.slot)
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// As the manifest does it: 100 and the ordinal, since 0 means "no replication".
const FIRST_SERVER_ID: u32 = 100;
