//! Headless Services beyond the one that each workload is started with.
//!
//! A Service here has `clusterIP: None` always, so its ports are the pods' ports. Source:
//! Kubernetes Service API.

use std::sync::Arc;

use crate::{
    cluster::ControlPlane,
    error::Error,
    names::{self, Port},
    registry::ServiceEntry,
    workload::Workload,
};

/// A headless Service to be created: see [`Cluster::service`](crate::Cluster::service).
#[derive(Debug)]
#[must_use = "a Service exists after `create`"]
pub struct ServiceBuilder {
    control: Arc<ControlPlane>,
    name: String,
    entry: ServiceEntry,
}

impl ServiceBuilder {
    pub(crate) fn new(control: Arc<ControlPlane>, name: &str) -> Self {
        Self {
            control,
            name: name.to_owned(),
            entry: ServiceEntry::default(),
        }
    }

    /// Adds the pods of this workload.
    pub fn selects(mut self, workload: &Workload) -> Self {
        let name = workload.name().to_owned();
        if !self.entry.selects.contains(&name) {
            self.entry.selects.push(name);
        }
        self
    }

    /// Adds a port with a name: SRV at `_<name>._tcp.<service>…`.
    pub fn port(mut self, name: &str, port: u16) -> Self {
        self.entry.ports.push(Port::named(name, port));
        self
    }

    /// Adds a port without a name: SRV only at the bare Service name, if at all
    /// ([`BareSrv`](crate::BareSrv)).
    pub fn unnamed_port(mut self, port: u16) -> Self {
        self.entry.ports.push(Port::unnamed(port));
        self
    }

    /// Lists pods that are not ready, and terminating ones until they are gone.
    pub fn publish_not_ready_addresses(mut self) -> Self {
        self.entry.publish_not_ready = true;
        self
    }

    /// Creates the Service. DNS shows it at once.
    ///
    /// # Errors
    /// [`Error::Duplicate`], [`Error::InvalidName`] or [`Error::Stopped`].
    pub fn create(self) -> Result<(), Error> {
        names::check("service", &self.name)?;
        names::check_ports(&self.entry.ports)?;
        let mut tables = self.control.registry.tables();
        tables.addresses()?;
        if tables.services.contains_key(&self.name) {
            return Err(Error::Duplicate {
                kind: "service",
                name: self.name,
            });
        }
        tables.services.insert(self.name, self.entry);
        drop(tables);
        self.control.registry.changed();
        Ok(())
    }
}
