//! Descriptions of StatefulSets and Deployments, and their start.
//!
//! Must not live here: what is done with a running one (`workload`), and in which order pods come
//! and go (`rollout`).

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use crate::{
    app::App,
    cluster::ControlPlane,
    error::Error,
    names::{self, Port},
    pod::Termination,
    registry::ServiceEntry,
    workload::Workload,
};

/// The kind of the controller of the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    StatefulSet {
        /// `.spec.ordinals.start`.
        start: u32,
    },
    Deployment,
}

/// A workload's description, and its controller's state.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) service: Option<String>,
    pub(crate) ports: Vec<Port>,
    pub(crate) app: App,
    pub(crate) termination: Termination,
    pub(crate) startup: Duration,
    pub(crate) crash_lag: Option<Duration>,
    pub(crate) parallel: bool,
    /// Held by an operation that changes the set of pods; a second one waits.
    pub(crate) operation: Mutex<()>,
}

impl Spec {
    /// Returns the Service under which the pods have their hostnames: `serviceName` of a
    /// StatefulSet.
    pub(crate) fn governing(&self) -> Option<String> {
        match self.kind {
            Kind::StatefulSet { .. } => self.service.clone(),
            Kind::Deployment => None,
        }
    }

    pub(crate) fn port_numbers(&self) -> Vec<u16> {
        self.ports.iter().map(|port| port.number).collect()
    }
}

/// A workload to be started: see [`Cluster::stateful_set`](crate::Cluster::stateful_set) and
/// [`Cluster::deployment`](crate::Cluster::deployment).
#[derive(Debug)]
#[must_use = "a workload exists after `start`"]
pub struct WorkloadBuilder {
    control: Arc<ControlPlane>,
    spec: Spec,
    termination: Option<Termination>,
    replicas: u32,
    publish_not_ready: bool,
}

impl WorkloadBuilder {
    pub(crate) fn new(control: Arc<ControlPlane>, name: &str, kind: Kind) -> Self {
        Self {
            control,
            spec: Spec {
                name: name.to_owned(),
                kind,
                service: None,
                ports: Vec::new(),
                app: App::http(),
                termination: Termination::default(),
                startup: Duration::ZERO,
                crash_lag: None,
                parallel: kind == Kind::Deployment,
                operation: Mutex::new(()),
            },
            termination: None,
            replicas: 1,
            publish_not_ready: false,
        }
    }

    /// Sets the headless Service of the pods, which is created with the workload. For a StatefulSet
    /// it is the governing one (`serviceName`).
    ///
    /// A Service that exists already, because two workloads share it, selects this workload too and
    /// keeps its ports.
    pub fn service(mut self, name: &str) -> Self {
        self.spec.service = Some(name.to_owned());
        self
    }

    /// Adds a port with a name, in the pods and in the Service.
    pub fn port(mut self, name: &str, port: u16) -> Self {
        self.spec.ports.push(Port::named(name, port));
        self
    }

    /// Adds a port without a name: there is no `_<name>._tcp` SRV record for it.
    pub fn unnamed_port(mut self, port: u16) -> Self {
        self.spec.ports.push(Port::unnamed(port));
        self
    }

    /// Sets the number of pods; 1 unless set.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Sets the program in the pods; [`App::http`] unless set.
    pub fn app(mut self, app: App) -> Self {
        self.spec.app = app;
        self
    }

    /// Sets how pods end when they are deleted. Unless set, [`Termination::default`], or at once
    /// for [`App::none`].
    pub fn termination(mut self, termination: Termination) -> Self {
        self.termination = Some(termination);
        self
    }

    /// Sets the time from a pod's start until it is ready; zero unless set. For
    /// [`App::external`], the time until it is first connected to.
    pub fn startup(mut self, startup: Duration) -> Self {
        self.spec.startup = startup;
        self
    }

    /// Removes a killed pod from DNS after this time. Unless set, DNS lists the pod until the test
    /// removes it.
    pub fn crash_lag(mut self, lag: Duration) -> Self {
        self.spec.crash_lag = Some(lag);
        self
    }

    /// Sets the number of the first StatefulSet pod (`.spec.ordinals.start`); 0 unless set. Has no
    /// effect on a Deployment.
    pub fn first_ordinal(mut self, start: u32) -> Self {
        if let Kind::StatefulSet { start: first } = &mut self.spec.kind {
            *first = start;
        }
        self
    }

    /// Starts and ends the pods of a StatefulSet all at once when it is scaled
    /// (`podManagementPolicy: Parallel`), not one by one.
    pub fn parallel(mut self) -> Self {
        self.spec.parallel = true;
        self
    }

    /// Lists pods in the Service that are not ready, and terminating ones until they are gone.
    pub fn publish_not_ready_addresses(mut self) -> Self {
        self.publish_not_ready = true;
        self
    }

    /// Creates the Service and starts the pods; returns when all are ready.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Duplicate`], [`Error::Bind`],
    /// [`Error::AddressesExhausted`], [`Error::Stopped`]. With [`App::external`] also
    /// [`Error::ProgramEnded`], and [`Error::NotSeen`] when a program does not accept connections
    /// within 60 s.
    ///
    /// # Cancel safety
    /// The workload may be there with fewer pods.
    pub async fn start(mut self) -> Result<Workload, Error> {
        names::check("workload", &self.spec.name)?;
        if let Some(service) = &self.spec.service {
            names::check("service", service)?;
        }
        names::check_ports(&self.spec.ports)?;
        self.spec.termination = match self.termination {
            Some(termination) => termination,
            None if self.spec.app.is_none() => Termination::at_once(),
            None => Termination::default(),
        };
        // The pod of an external program ends with it.
        self.spec.termination.stop_accepting |= self.spec.app.is_external();
        let workload = Workload {
            control: self.control,
            spec: Arc::new(self.spec),
        };
        workload.register(self.publish_not_ready)?;
        workload.scale(self.replicas).await?;
        Ok(workload)
    }
}

impl Workload {
    fn register(&self, publish_not_ready: bool) -> Result<(), Error> {
        let spec = &self.spec;
        let mut tables = self.control.registry.tables();
        tables.addresses()?;
        if tables.workloads.contains_key(&spec.name) {
            return Err(Error::Duplicate {
                kind: "workload",
                name: spec.name.clone(),
            });
        }
        tables.workloads.insert(spec.name.clone(), Vec::new());
        if let Some(service) = &spec.service {
            let entry = tables.services.entry(service.clone());
            let entry = entry.or_insert_with(|| ServiceEntry {
                ports: spec.ports.clone(),
                ..ServiceEntry::default()
            });
            entry.selects.push(spec.name.clone());
            entry.publish_not_ready |= publish_not_ready;
        }
        drop(tables);
        self.control.registry.changed();
        Ok(())
    }
}
