//! The settings of an instance, and its start. Must not live here: what is done with a running one
//! (`mod`, `pod`).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::try_join_all;

use super::{
    MariaDb, PORT, SERVICE, STATEFUL_SET,
    error::Error,
    install::{self, Home, Programs},
    instance::{BEHIND, Instance, Member},
    pod::Pod,
    proxy::{self, CutAnswer},
    replication,
};
use crate::{App, Cluster, ClusterBuilder, Termination, life};

/// The settings of a new [`MariaDb`].
#[derive(Clone, Debug)]
pub struct MariaDbBuilder {
    cluster: ClusterBuilder,
    pods: u32,
    is_proxied: bool,
    dir: Option<PathBuf>,
}

impl Default for MariaDbBuilder {
    fn default() -> Self {
        Self {
            cluster: Cluster::builder(),
            pods: 3,
            is_proxied: false,
            dir: None,
        }
    }
}

impl MariaDbBuilder {
    /// Sets the cluster around the pods: its namespace, the TTL and the kind of its DNS;
    /// [`Cluster::builder`]'s unless set.
    #[must_use]
    pub fn cluster(mut self, cluster: ClusterBuilder) -> Self {
        self.cluster = cluster;
        self
    }

    /// Sets the number of pods, at least 1; 3 unless set. The others are replicas of pod 0.
    #[must_use]
    pub fn pods(mut self, pods: u32) -> Self {
        self.pods = pods.max(1);
        self
    }

    /// Puts a proxy in front of each server, for [`Pod::cut_answer_to`].
    ///
    /// Not the default: each query costs CPU time of the test, and the connection to a killed
    /// server is accepted and closed instead of refused.
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.is_proxied = true;
        self
    }

    /// Sets the parent of the data directories, about 40 MB for each pod; the system's temporary
    /// directory unless set.
    #[must_use]
    pub fn dir(mut self, parent: &Path) -> Self {
        self.dir = Some(parent.to_owned());
        self
    }

    /// Starts DNS and the servers; takes one or two seconds.
    ///
    /// Returns when all pods are in DNS, pod 0 accepts writes and the others replicate from it.
    ///
    /// # Errors
    /// [`Error::NotInstalled`], [`Error::Ended`], [`Error::Io`], [`Error::Cluster`].
    ///
    /// # Cancel safety
    /// Safe: nothing is left behind.
    pub async fn start(self) -> Result<MariaDb, Error> {
        let programs = Programs::find()?;
        let cluster = self.cluster.start().await?;
        let parent = self.dir.unwrap_or_else(std::env::temp_dir);
        let install = move || {
            let home = Home::create(&parent)?;
            install::make_template(&programs, &home)?;
            Ok::<_, Error>((programs, home))
        };
        let installed = tokio::task::spawn_blocking(install).await;
        let (programs, home) = installed.unwrap_or_else(|_| Err(crate::Error::Stopped.into()))?;
        let cuts: Vec<Arc<CutAnswer>> = (0..self.pods).map(|_| Arc::default()).collect();
        let app = match self.is_proxied {
            true => proxies(cuts.clone()),
            false => App::none(),
        };
        // Pods begin one by one below, not ready until their server is.
        let workload = cluster
            .stateful_set(STATEFUL_SET)
            .service(SERVICE)
            .unnamed_port(PORT)
            .replicas(0)
            .app(app)
            .termination(Termination::at_once())
            .startup(NEVER)
            .start()
            .await?;
        let members = (0..self.pods).zip(cuts).map(|(ordinal, cut)| {
            let name = format!("{STATEFUL_SET}-{ordinal}");
            let core = life::start(&workload.control, &workload.spec, name, Some(ordinal), None)?;
            Ok(Member::new(core, ordinal, &home.path, cut))
        });
        let members = members.collect::<Result<Vec<_>, Error>>()?;
        let instance = Instance::new(programs, home.template(), workload, members, self.is_proxied);
        let db = MariaDb::new(Arc::new(instance), cluster, home);
        let pods: Vec<Pod> = db.pods().collect();
        try_join_all(pods.iter().map(begin)).await?;
        for pod in &pods {
            match pod.is_primary() {
                true => replication::lead(pod).await?,
                false => replication::follow(pod, &pods[0]).await?,
            }
        }
        for pod in &pods {
            pod.set_ready(true)?;
        }
        Ok(db)
    }
}

/// A server on a data directory of its own.
async fn begin(pod: &Pod) -> Result<(), Error> {
    let (instance, index) = (Arc::clone(&pod.instance), pod.index);
    let renewed = tokio::task::spawn_blocking(move || instance.members[index].renew(&instance.template));
    renewed.await.unwrap_or_else(|_| Err(crate::Error::Stopped.into()))?;
    pod.instance.boot(pod.member()).await
}

/// An application that forwards to the server behind it.
fn proxies(cuts: Vec<Arc<CutAnswer>>) -> App {
    App::custom(move |pod, client| {
        let cut = pod
            .ordinal()
            .and_then(|ordinal| cuts.get(ordinal as usize))
            .map(Arc::clone);
        async move {
            if let Some(cut) = cut {
                // Either side may end the connection at any time, and the other one sees that.
                let _ = proxy::forward(client, (pod.ip(), BEHIND).into(), &cut).await;
            }
        }
    })
}

/// Longer than any test: [`Pod::set_ready`] decides.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
