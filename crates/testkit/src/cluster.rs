//! The cluster: one address block, one DNS server, and the tasks that live as long as it does.
//!
//! Must not live here: what a workload does with its pods (`workload`), how a pod ends (`life`).

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{runtime::Handle, task::JoinSet};

use crate::{
    cluster_builder::ClusterBuilder,
    dns::Dns,
    event::{Event, Events, Hub},
    lock::lock,
    pod::{Phase, Pod},
    pod_core::{PodCore, SocketStage},
    registry::Registry,
    service::ServiceBuilder,
    spec::{Kind, WorkloadBuilder},
};

/// An in-process cluster. Dropping it ends everything in it: sockets are closed, tasks aborted,
/// addresses free.
#[derive(Debug)]
pub struct Cluster {
    control: Arc<ControlPlane>,
    dns: Dns,
    dns_addr: SocketAddr,
}

/// The running parts of a cluster, shared by its handles.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    pub(crate) registry: Arc<Registry>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) runtime: Handle,
    tasks: Mutex<JoinSet<()>>,
}

impl Cluster {
    pub(crate) fn new(control: Arc<ControlPlane>, dns: Dns, dns_addr: SocketAddr) -> Self {
        Self { control, dns, dns_addr }
    }

    /// Returns the settings of a new cluster.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Describes a StatefulSet to be started. Its pods are `<name>-0`, `<name>-1` …
    pub fn stateful_set(&self, name: &str) -> WorkloadBuilder {
        WorkloadBuilder::new(Arc::clone(&self.control), name, Kind::StatefulSet { start: 0 })
    }

    /// Describes a Deployment to be started. Its pods have generated names, and in DNS their dashed
    /// addresses.
    pub fn deployment(&self, name: &str) -> WorkloadBuilder {
        WorkloadBuilder::new(Arc::clone(&self.control), name, Kind::Deployment)
    }

    /// Describes a headless Service over running workloads, besides the Service they were started
    /// with.
    pub fn service(&self, name: &str) -> ServiceBuilder {
        ServiceBuilder::new(Arc::clone(&self.control), name)
    }

    /// Deletes a Service; its names become NXDOMAIN at once, its pods go on. Returns `false` if
    /// there was none.
    pub fn delete_service(&self, name: &str) -> bool {
        let registry = &self.control.registry;
        let found = registry.tables().services.remove(name).is_some();
        registry.changed();
        found
    }

    /// Returns the address of the cluster's DNS server, for UDP and TCP.
    pub fn dns_addr(&self) -> SocketAddr {
        self.dns_addr
    }

    /// Returns the handle to the DNS server: its faults and its query log.
    pub fn dns(&self) -> &Dns {
        &self.dns
    }

    /// Subscribes to every event from now on.
    pub fn events(&self) -> Events {
        self.control.hub.subscribe()
    }

    /// Returns the namespace of all workloads and Services.
    pub fn namespace(&self) -> &str {
        &self.control.registry.settings.namespace
    }

    /// Returns the cluster's DNS zone, without the trailing dot.
    pub fn zone(&self) -> &str {
        &self.control.registry.settings.origin
    }

    /// Returns the absolute name of a Service: `web.shop.svc.cluster.local.`
    pub fn fqdn(&self, service: &str) -> String {
        format!("{service}.{}.svc.{}.", self.namespace(), self.zone())
    }

    /// Returns all pods that are not gone, workload by workload.
    pub fn pods(&self) -> Vec<Pod> {
        let tables = self.control.registry.tables();
        let all = tables.workloads.values().flatten();
        all.map(|core| Pod { core: Arc::clone(core) }).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.control.stop();
    }
}

impl ControlPlane {
    /// Must be called on the runtime that the tasks shall run on.
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
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &self.runtime);
    }

    /// Moves a pod to a phase, then updates DNS, then notifies the subscribers. `false`: it has
    /// that phase already, or cannot return to it.
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
            pod.stage.send_replace(SocketStage::Closed);
            pod.phase.send_replace(Phase::Gone);
        }
        tables.services.clear();
        // The tasks hold their share of the block until their sockets are closed.
        tables.addresses = None;
        drop(tables);
        self.hub.close();
        lock(&self.tasks).abort_all();
    }
}
