//! The cluster: one address block, one DNS server, and the tasks that live as long as it does.
//!
//! Must not live here: what a workload does with its pods (`workload`), how a pod ends (`life`).

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{runtime::Handle, task::JoinSet};

use crate::{
    cluster_builder::ClusterBuilder,
    dns::Dns,
    event::{Event, Events, Hub},
    pod::{Phase, Pod},
    pod_core::{PodCore, Stage},
    registry::Registry,
    service::ServiceBuilder,
    spec::{Kind, WorkloadBuilder},
};

/// An in-process cluster. Everything in it ends when it is dropped: sockets closed, tasks aborted, addresses free.
#[derive(Debug)]
pub struct Cluster {
    inner: Arc<Inner>,
    dns: Dns,
    dns_addr: SocketAddr,
}

/// What the handles of the cluster share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) registry: Arc<Registry>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) runtime: Handle,
    tasks: Mutex<JoinSet<()>>,
}

impl Cluster {
    pub(crate) fn new(inner: Arc<Inner>, dns: Dns, dns_addr: SocketAddr) -> Self {
        Self { inner, dns, dns_addr }
    }

    /// Settings for a new cluster.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// A StatefulSet to be started. Its pods are `<name>-0`, `<name>-1` …
    pub fn stateful_set(&self, name: &str) -> WorkloadBuilder {
        WorkloadBuilder::new(Arc::clone(&self.inner), name, Kind::StatefulSet { start: 0 })
    }

    /// A Deployment to be started. Its pods have generated names, and in DNS their dashed addresses.
    pub fn deployment(&self, name: &str) -> WorkloadBuilder {
        WorkloadBuilder::new(Arc::clone(&self.inner), name, Kind::Deployment)
    }

    /// A headless Service over workloads that are already there, besides the Service they were started with.
    pub fn service(&self, name: &str) -> ServiceBuilder {
        ServiceBuilder::new(Arc::clone(&self.inner), name)
    }

    /// Deletes a Service; its names become NXDOMAIN at once, its pods go on. `false`: there was none.
    pub fn delete_service(&self, name: &str) -> bool {
        let registry = &self.inner.registry;
        let found = registry.tables().services.remove(name).is_some();
        registry.changed();
        found
    }

    /// Where DNS is answered, over UDP and TCP.
    pub fn dns_addr(&self) -> SocketAddr {
        self.dns_addr
    }

    /// The same as [`dns_addr`](Self::dns_addr), by the name resolvers know it.
    pub fn nameserver(&self) -> SocketAddr {
        self.dns_addr
    }

    /// Faults and the query log of the DNS server.
    pub fn dns(&self) -> &Dns {
        &self.dns
    }

    /// Every event from now on.
    pub fn events(&self) -> Events {
        self.inner.hub.subscribe()
    }

    /// The namespace of all workloads and Services.
    pub fn namespace(&self) -> &str {
        &self.inner.registry.settings.namespace
    }

    /// The cluster's DNS zone, without the trailing dot.
    pub fn zone(&self) -> &str {
        &self.inner.registry.settings.origin
    }

    /// The absolute name of a Service: `web.shop.svc.cluster.local.`
    pub fn fqdn(&self, service: &str) -> String {
        format!("{service}.{}.svc.{}.", self.namespace(), self.zone())
    }

    /// All pods that are not gone, workload by workload.
    pub fn pods(&self) -> Vec<Pod> {
        let tables = self.inner.registry.tables();
        let all = tables.workloads.values().flatten();
        all.map(|core| Pod { core: Arc::clone(core) }).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.inner.stop();
    }
}

impl Inner {
    /// Tasks will run on the runtime this is called on.
    pub(crate) fn new(registry: Arc<Registry>, hub: Arc<Hub>) -> Self {
        Self {
            registry,
            hub,
            runtime: Handle::current(),
            tasks: Mutex::new(JoinSet::new()),
        }
    }

    /// Runs a task until it ends or the cluster is dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &self.runtime);
    }

    /// Moves a pod on, then shows it in DNS, then tells the subscribers. `false`: it is there already, or cannot go back there.
    pub(crate) fn enter(&self, pod: &PodCore, phase: Phase) -> bool {
        let moved = pod.phase.send_if_modified(|now| {
            let moves = match *now {
                Phase::Gone => false,
                Phase::Terminating => phase == Phase::Gone,
                other => other != phase,
            };
            if moves {
                *now = phase;
            }
            moves
        });
        if moved {
            self.registry.changed();
            tracing::debug!(pod = %pod.name, ip = %pod.ip, ?phase, "pod");
            self.hub.send(|| match phase {
                Phase::Pending => Event::PodStarted(pod.reference()),
                Phase::Ready => Event::PodReady(pod.reference()),
                Phase::NotReady => Event::PodUnready(pod.reference()),
                Phase::Crashed => Event::PodCrashed(pod.reference()),
                Phase::Terminating => Event::PodTerminating(pod.reference()),
                Phase::Gone => Event::PodGone(pod.reference()),
            });
        }
        moved
    }

    fn stop(&self) {
        let mut tables = self.registry.tables();
        for pod in std::mem::take(&mut tables.workloads).into_values().flatten() {
            pod.stage.send_replace(Stage::Closed);
            pod.phase.send_replace(Phase::Gone);
        }
        tables.services.clear();
        // The tasks hold their share of the block until their sockets are closed.
        tables.addresses = None;
        drop(tables);
        self.hub.close();
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}
