//! The handle to a running StatefulSet or Deployment: everything a test does to its pods.
//!
//! Must not live here: the order in which pods come and go (`rollout`), how one pod begins and ends
//! (`life`).

use std::{net::Ipv4Addr, sync::Arc};

use crate::{
    cluster::ControlPlane,
    error::Error,
    life, names,
    pod::{Phase, Pod},
    rollout,
    spec::{Kind, Spec},
};

/// Handle to a running StatefulSet or Deployment.
///
/// Dropping the future of an operation stops it between two pods; a pod whose deletion has begun
/// still ends. Operations that change the set of pods wait for each other.
#[derive(Clone, Debug)]
pub struct Workload {
    pub(crate) control: Arc<ControlPlane>,
    pub(crate) spec: Arc<Spec>,
}

/// The address of a new pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// An address that no pod had before.
    #[default]
    New,
    /// The address of the pod it replaces.
    Same,
    /// This address, assigned earlier and free now: the reuse of an IP.
    At(Ipv4Addr),
}

/// A rolling update: see [`Workload::roll`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    pub(crate) address: Address,
    pub(crate) partition: u32,
}

impl Roll {
    /// Gives each new pod of a StatefulSet the address of the pod it replaces.
    #[must_use]
    pub fn keep_addresses(mut self) -> Self {
        self.address = Address::Same;
        self
    }

    /// Leaves the pods of a StatefulSet with smaller ordinals unchanged.
    #[must_use]
    pub fn partition(mut self, ordinal: u32) -> Self {
        self.partition = ordinal;
        self
    }
}

impl Workload {
    /// Returns the workload's name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Returns the pods that are not gone, by ordinal, or by age.
    pub fn pods(&self) -> Vec<Pod> {
        let tables = self.control.registry.tables();
        let pods = tables.pods(&self.spec.name).iter();
        pods.map(|core| Pod { core: Arc::clone(core) }).collect()
    }

    /// Returns the pods that are ready.
    pub fn ready(&self) -> Vec<Pod> {
        let mut pods = self.pods();
        pods.retain(|pod| pod.phase() == Phase::Ready);
        pods
    }

    /// Returns the pod that has this name now.
    ///
    /// # Errors
    /// [`Error::UnknownPod`].
    pub fn pod(&self, name: &str) -> Result<Pod, Error> {
        let pods = self.pods();
        if let Some(pod) = pods.iter().find(|pod| pod.name() == name) {
            return Ok(pod.clone());
        }
        let have: Vec<_> = pods.iter().map(Pod::name).collect();
        Err(Error::UnknownPod {
            workload: self.spec.name.clone(),
            pod: name.to_owned(),
            have: have.join(", "),
        })
    }

    /// Starts or deletes pods until there are `replicas`; returns when the new ones are ready and
    /// the deleted ones gone.
    ///
    /// A StatefulSet grows at its end and shrinks from there, one pod at a time unless
    /// [parallel](crate::WorkloadBuilder::parallel).
    ///
    /// # Errors
    /// [`Error::Bind`], [`Error::AddressesExhausted`], [`Error::Stopped`].
    ///
    /// # Cancel safety
    /// The workload may have a size between the two.
    pub async fn scale(&self, replicas: u32) -> Result<(), Error> {
        let _operation = self.spec.operation.lock().await;
        rollout::scale(&self.control, &self.spec, replicas).await
    }

    /// Performs a rolling update; returns when it is complete.
    ///
    /// A StatefulSet goes from the highest ordinal to the lowest: each pod leaves DNS, serves on
    /// for its [`Termination`](crate::Termination), is gone, and comes back under its name; the
    /// next one follows when it is ready. A Deployment starts a new pod before it deletes an old
    /// one.
    ///
    /// # Errors
    /// [`Error::Bind`], [`Error::AddressesExhausted`], [`Error::Stopped`].
    ///
    /// # Cancel safety
    /// The update may be half done, and a StatefulSet may lack the pod it was at.
    pub async fn roll(&self, roll: Roll) -> Result<(), Error> {
        let _operation = self.spec.operation.lock().await;
        rollout::roll(&self.control, &self.spec, roll).await
    }

    /// Deletes a pod and does not replace it; returns when it is gone.
    ///
    /// # Errors
    /// [`Error::UnknownPod`].
    ///
    /// # Cancel safety
    /// The deletion goes on.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let pod = self.pod(name)?;
        rollout::end(&self.control, &self.spec, &pod.core).await;
        Ok(())
    }

    /// Begins a pod's deletion and returns at once, with the pod still serving.
    ///
    /// # Errors
    /// [`Error::UnknownPod`].
    pub fn terminate(&self, name: &str) -> Result<Pod, Error> {
        let pod = self.pod(name)?;
        life::terminate(&self.control, &pod.core, self.spec.termination);
        Ok(pod)
    }

    /// Kills a pod's process: its sockets are closed when this returns, connections are refused,
    /// and DNS goes on listing it if it did, for the [crash lag](crate::WorkloadBuilder::crash_lag)
    /// or until [`set_ready`](Self::set_ready), [`evict`](Self::evict) or
    /// [`replace`](Self::replace).
    ///
    /// # Errors
    /// [`Error::UnknownPod`].
    ///
    /// # Cancel safety
    /// The sockets close; the pod may not be marked as crashed.
    pub async fn kill(&self, name: &str) -> Result<Pod, Error> {
        let pod = self.pod(name)?;
        life::crash(&self.control, &pod.core).await;
        if let Some(lag) = self.spec.crash_lag {
            let (control, core) = (Arc::clone(&self.control), Arc::clone(&pod.core));
            self.control.spawn(async move {
                tokio::time::sleep(lag).await;
                life::remove(&control, &core).await;
            });
        }
        Ok(pod)
    }

    /// Removes a pod with no grace, from DNS too; returns when its sockets are closed. It is not
    /// replaced.
    ///
    /// # Errors
    /// [`Error::UnknownPod`].
    ///
    /// # Cancel safety
    /// The sockets close; the pod may still be listed.
    pub async fn evict(&self, name: &str) -> Result<(), Error> {
        let pod = self.pod(name)?;
        life::remove(&self.control, &pod.core).await;
        Ok(())
    }

    /// Evicts the pod of this name, if there is one, and starts a new one under the name; returns
    /// when it is ready.
    ///
    /// # Errors
    /// As [`start_pod`](Self::start_pod).
    ///
    /// # Cancel safety
    /// The old pod may be gone and the new one not there.
    pub async fn replace(&self, name: &str, address: Address) -> Result<Pod, Error> {
        let _operation = self.spec.operation.lock().await;
        let old = self.pod(name);
        let ip = match (address, &old) {
            (Address::New, _) => None,
            (Address::At(ip), _) => Some(ip),
            (Address::Same, Ok(old)) => Some(old.ip()),
            (Address::Same, Err(_)) => return old,
        };
        if let Ok(old) = old {
            life::remove(&self.control, &old.core).await;
        }
        self.begin(name, ip).await
    }

    /// Starts one pod that is not there; returns when it is ready. With [`Address::At`] it can have
    /// the address of a pod that is gone; [`Address::Same`] makes sense only in
    /// [`replace`](Self::replace) and is taken as [`Address::New`] here.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::PodExists`], [`Error::AddressInUse`],
    /// [`Error::OutsideBlock`], [`Error::Bind`].
    ///
    /// # Cancel safety
    /// The pod may be there, and not yet ready.
    pub async fn start_pod(&self, name: &str, address: Address) -> Result<Pod, Error> {
        let _operation = self.spec.operation.lock().await;
        let ip = match address {
            Address::At(ip) => Some(ip),
            Address::New | Address::Same => None,
        };
        self.begin(name, ip).await
    }

    async fn begin(&self, name: &str, ip: Option<Ipv4Addr>) -> Result<Pod, Error> {
        names::check("pod", name)?;
        let ordinal = names::ordinal(&self.spec.name, name);
        if matches!(self.spec.kind, Kind::StatefulSet { .. }) && ordinal.is_none() {
            return Err(Error::InvalidName {
                kind: "pod of this StatefulSet",
                name: name.to_owned(),
                reason: "it must be the set's name, '-' and an ordinal",
            });
        }
        let ordinal = ordinal.filter(|_| self.spec.kind != Kind::Deployment);
        let core = life::start(&self.control, &self.spec, name.to_owned(), ordinal, ip)?;
        rollout::ready(&self.spec, &core).await?;
        Ok(Pod { core })
    }

    /// Sets a pod's readiness, which DNS shows at once. Nothing for a pod that is terminating or
    /// gone.
    ///
    /// # Errors
    /// [`Error::UnknownPod`].
    pub fn set_ready(&self, name: &str, ready: bool) -> Result<(), Error> {
        let pod = self.pod(name)?;
        let phase = match ready {
            true => Phase::Ready,
            false => Phase::NotReady,
        };
        self.control.enter(&pod.core, phase);
        Ok(())
    }
}
