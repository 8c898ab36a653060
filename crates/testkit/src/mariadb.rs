//! Real MariaDB servers as the pods of a StatefulSet: replication, a planned change of the primary,
//! and the ways in which it fails.
//!
//! The StatefulSet is `mysql`, its headless Service `mysql-headless` with the unnamed port 3306,
//! and its DNS that of a [`Cluster`]. Pod 0 begins as the primary, the others are its replicas
//! (GTID, `gtid_strict_mode`). Servers are started with `read_only`, always, and become writable
//! only when they are told so: a dead primary that comes back is no second writer.
//!
//! ```no_run
//! use headless_testkit::mariadb::MariaDb;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), headless_testkit::mariadb::Error> {
//! let db = MariaDb::start().await?;
//! // A client under test asks db.cluster().dns_addr() for the pods of db.service().
//! let primary = db.pod(0)?;
//! primary.app_sql("CREATE TABLE cart (id INT PRIMARY KEY)").await?;
//! primary.app_sql("INSERT INTO cart VALUES (7)").await?;
//! db.replicated().await?;
//! assert_eq!(db.pod(2)?.app_sql("SELECT id FROM cart").await?, [["7"]]);
//!
//! db.pod(1)?.kill().await;
//! db.promote(2).await?; // pod 0 becomes a replica
//! db.pod(1)?.start().await?; // follows pod 2
//! # Ok(()) }
//! ```
//!
//! Each instance has addresses, a DNS server and a directory of its own, so several can run at
//! once. All of it is removed with the value, or when the process ends, even by SIGKILL.
//!
//! It needs the programs `mariadbd`, `mariadb` and `mariadb-install-db`, of 10.5 or later. What is
//! not simulated: TLS, MySQL's own server, Galera.

mod builder;
mod client;
mod control;
mod error;
mod install;
mod instance;
mod pod;
mod proxy;
mod replication;
mod server;
mod status;

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};

pub use self::{
    builder::MariaDbBuilder,
    control::{Supervisor, supervise},
    error::Error,
    pod::Pod,
    status::{PodStatus, ProcessState, ReplicaStatus, ServerStatus},
};
use self::{install::Home, instance::Instance};
use crate::Cluster;

/// The name of the StatefulSet.
pub const STATEFUL_SET: &str = "mysql";
/// The name of its headless Service.
pub const SERVICE: &str = "mysql-headless";
/// The Service's port; it has no name.
pub const PORT: u16 = 3306;
/// The schema of the application.
pub const DATABASE: &str = "shop";
/// The application's account: from 127.0.0.0/8, with the privileges of an application on its
/// schema. It can neither write to a read-only server nor read the replication's status.
pub const USER: &str = "app";
/// The password of [`USER`].
pub const PASSWORD: &str = "app";

/// A running StatefulSet of MariaDB servers. Dropped, it kills them, which blocks for some
/// milliseconds, and removes their data.
#[derive(Debug)]
pub struct MariaDb {
    instance: Arc<Instance>,
    // Dropped in this order: the servers' files, then the addresses.
    _home: Home,
    cluster: Cluster,
}

impl MariaDb {
    fn new(instance: Arc<Instance>, cluster: Cluster, home: Home) -> Self {
        Self {
            instance,
            _home: home,
            cluster,
        }
    }

    /// Returns the settings of new pods.
    #[must_use]
    pub fn builder() -> MariaDbBuilder {
        MariaDbBuilder::default()
    }

    /// Starts three pods with the settings of [`builder`](Self::builder).
    ///
    /// # Errors
    /// As [`MariaDbBuilder::start`].
    ///
    /// # Cancel safety
    /// Safe: nothing is left behind.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// Returns the Service that clients connect to: `mysql-headless.default.svc:3306`.
    #[must_use]
    pub fn service(&self) -> String {
        format!("{SERVICE}.{}.svc:{PORT}", self.cluster.namespace())
    }

    /// Returns the cluster around the pods, with its DNS.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Returns the pod of this ordinal.
    ///
    /// # Errors
    /// [`Error::NoPod`].
    pub fn pod(&self, ordinal: u32) -> Result<Pod, Error> {
        let found = self.pods().find(|pod| pod.ordinal() == ordinal);
        found.ok_or_else(|| Error::NoPod {
            ordinal,
            last: self
                .instance
                .members
                .iter()
                .map(|member| member.ordinal)
                .max()
                .unwrap_or(0),
        })
    }

    /// Returns all pods, by ordinal.
    pub fn pods(&self) -> impl Iterator<Item = Pod> + '_ {
        (0..self.instance.members.len()).map(|index| Pod {
            instance: Arc::clone(&self.instance),
            index,
        })
    }

    /// Returns the ordinal of the appointed primary, dead or alive.
    #[must_use]
    pub fn primary(&self) -> u32 {
        self.instance.primary()
    }

    /// Returns the status of each pod.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn status(&self) -> Vec<PodStatus> {
        let pods: Vec<Pod> = self.pods().collect();
        join_all(pods.iter().map(Pod::status)).await
    }

    /// Waits until every replica that runs has applied all that the primary has committed by now.
    ///
    /// # Errors
    /// [`Error::Cluster`] after 10 s, with the replica's status; [`Error::Down`] or
    /// [`Error::Paused`] for the primary.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn replicated(&self) -> Result<(), Error> {
        let primary = self.pod(self.primary())?;
        let position = replication::position(&primary).await?;
        let replicas: Vec<Pod> = primary.others().filter(|pod| pod.member().must_run().is_ok()).collect();
        try_join_all(replicas.iter().map(|replica| replication::applied(replica, &position))).await?;
        Ok(())
    }

    /// Makes another pod the primary; returns when it accepts writes and all others that run follow
    /// it.
    ///
    /// Its delay and its stopped applier, if it had them, end.
    ///
    /// With the primary alive this is a planned change: it refuses writes first, then the new one
    /// applies what it lacks. With the primary dead, the new one must have received as much as any
    /// other pod that runs; what only the dead one had is lost, and keeps it from replicating when
    /// it comes back.
    ///
    /// # Errors
    /// [`Error::Paused`] if any pod is, since a frozen primary may wake up as a second writer;
    /// [`Error::Down`]; [`Error::Behind`]; [`Error::Cluster`] if the new primary does not catch up
    /// within 10 s. Then there may be no writer; promoting the old one again brings it back.
    ///
    /// # Cancel safety
    /// There may be no writer; promoting again ends that.
    pub async fn promote(&self, ordinal: u32) -> Result<(), Error> {
        let _roles = self.instance.roles.lock().await;
        let new = self.pod(ordinal)?;
        new.member().must_run()?;
        let mut others = Vec::new();
        for pod in new.others() {
            match pod.member().must_run() {
                Ok(()) => others.push(pod),
                Err(Error::Down { .. }) => {}
                Err(paused) => return Err(paused),
            }
        }
        if !new.is_primary() {
            let was = std::mem::take(&mut *new.member().following());
            match others.iter().find(|pod| pod.is_primary()) {
                Some(old) => {
                    if was != new.following() {
                        replication::follow(&new, old).await?;
                    }
                    replication::hand_over(old, &new).await?;
                }
                None => replication::succeed(&new, &others).await?,
            }
        }
        replication::lead(&new).await?;
        self.instance.appoint(ordinal);
        for pod in &others {
            replication::follow(pod, &new).await?;
        }
        Ok(())
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        for member in &self.instance.members {
            member.close();
        }
    }
}
