//! The state of the control plane: addresses, pods, Services with their selectors; and the DNS zone
//! that follows from it.
//!
//! Source of "ready": kubernetes `staging/src/k8s.io/endpointslice/utils.go`: ready =
//! publishNotReadyAddresses, or ready and not terminating. Must not live here: what makes a pod
//! change its phase (`life`).

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, UdpSocket},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use fastrand::Rng;

use crate::{
    addr::AddressBlock,
    dns::{
        BareSrv,
        endpoint::Endpoint,
        zone::{self, Zone},
    },
    error::Error,
    lock::lock,
    names::Port,
    pod::Phase,
    pod_core::PodCore,
};

/// Settings that hold for the whole cluster.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) namespace: String,
    pub(crate) origin: String,
    pub(crate) ttl: u32,
    pub(crate) bare_srv: BareSrv,
    pub(crate) dual_stack: bool,
}

/// The control plane's state.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) settings: Settings,
    tables: Mutex<Tables>,
    /// Counted up after each change; a zone built at an older count is stale.
    changes: AtomicU64,
    built: Mutex<Option<(u64, Arc<Zone>)>>,
}

#[derive(Debug)]
pub(crate) struct Tables {
    /// `None` once the cluster is stopped.
    pub(crate) addresses: Option<AddressBlock>,
    pub(crate) services: BTreeMap<String, ServiceEntry>,
    pub(crate) workloads: BTreeMap<String, Vec<Arc<PodCore>>>,
    pub(crate) rng: Rng,
    next_uid: u64,
}

#[derive(Debug, Default)]
pub(crate) struct ServiceEntry {
    pub(crate) ports: Vec<Port>,
    pub(crate) selects: Vec<String>,
    pub(crate) publish_not_ready: bool,
}

impl Registry {
    pub(crate) fn new(settings: Settings, addresses: AddressBlock, seed: u64) -> Self {
        Self {
            settings,
            tables: Mutex::new(Tables {
                addresses: Some(addresses),
                services: BTreeMap::new(),
                workloads: BTreeMap::new(),
                rng: Rng::with_seed(seed),
                next_uid: 0,
            }),
            changes: AtomicU64::new(1),
            built: Mutex::new(None),
        }
    }

    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        lock(&self.tables)
    }

    /// Must be called after each change that DNS may show.
    pub(crate) fn changed(&self) {
        // ORDERING: Release pairs with the Acquire in `zone`: a reader of the count also sees the
        // change before it.
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Returns the current zone. It is built on demand and only after a change, so that starting
    /// 5,000 pods does not build it 5,000 times.
    pub(crate) fn zone(&self) -> Arc<Zone> {
        let mut built = lock(&self.built);
        let changes = self.changes.load(Ordering::Acquire);
        if let Some((at, zone)) = &*built
            && *at == changes
        {
            return Arc::clone(zone);
        }
        let zone = Arc::new(self.build(changes as u32));
        *built = Some((changes, Arc::clone(&zone)));
        zone
    }

    fn build(&self, serial: u32) -> Zone {
        let settings = &self.settings;
        let tables = self.tables();
        let services = tables.services.iter().map(|(name, entry)| {
            let pods = entry.selects.iter().filter_map(|w| tables.workloads.get(w));
            let listed = pods.flatten().filter(|pod| {
                let phase = pod.phase();
                phase.is_listed() || (entry.publish_not_ready && phase != Phase::Gone)
            });
            let service = zone::ListedService {
                ports: entry.ports.clone(),
                endpoints: listed.flat_map(|pod| endpoints(pod, name)).collect(),
            };
            (name.clone(), service)
        });
        let services: HashMap<_, _> = services.collect();
        Zone {
            origin: settings.origin.clone(),
            namespace: settings.namespace.clone(),
            ttl: settings.ttl,
            serial,
            bare_srv: settings.bare_srv,
            services,
        }
    }
}

/// SPEC(k8s `ShouldSetHostname`): a pod has its hostname only under the Service its `subdomain`
/// names, the governing one. Under another Service its name is its dashed address, one name per
/// family because EndpointSlices hold one family each.
fn endpoints(pod: &PodCore, service: &str) -> Vec<Endpoint> {
    if pod.governing.as_deref() == Some(service) {
        return vec![Endpoint {
            pod: pod.name.clone(),
            label: pod.name.clone(),
            v4: Some(pod.ip),
            v6: pod.v6,
        }];
    }
    let families = [Some(IpAddr::V4(pod.ip)), pod.v6.map(IpAddr::V6)];
    let named = |ip| Endpoint {
        pod: pod.name.clone(),
        ..Endpoint::foreign(ip)
    };
    families.into_iter().flatten().map(named).collect()
}

impl Tables {
    pub(crate) fn addresses(&mut self) -> Result<&mut AddressBlock, Error> {
        self.addresses.as_mut().ok_or(Error::Stopped)
    }

    /// Returns a share of the block's reservation, for a task that holds a socket of the cluster.
    pub(crate) fn reservation(&self) -> Result<Arc<UdpSocket>, Error> {
        let block = self.addresses.as_ref().ok_or(Error::Stopped)?;
        Ok(block.reservation())
    }

    pub(crate) fn uid(&mut self) -> u64 {
        self.next_uid += 1;
        self.next_uid
    }

    pub(crate) fn pod_at(&self, ip: Ipv4Addr) -> Option<&Arc<PodCore>> {
        self.workloads.values().flatten().find(|pod| pod.ip == ip)
    }

    pub(crate) fn pods(&self, workload: &str) -> &[Arc<PodCore>] {
        self.workloads.get(workload).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn find(&self, workload: &str, name: &str) -> Option<Arc<PodCore>> {
        let mut pods = self.pods(workload).iter();
        pods.find(|pod| pod.name == name).cloned()
    }

    pub(crate) fn insert(&mut self, pod: Arc<PodCore>) {
        let pods = self.workloads.entry(pod.workload.clone()).or_default();
        let place = pods.partition_point(|other| (other.ordinal, other.uid) < (pod.ordinal, pod.uid));
        pods.insert(place, pod);
    }

    /// Forgets the pod and frees its address, once.
    pub(crate) fn remove(&mut self, pod: &PodCore) {
        let Some(pods) = self.workloads.get_mut(&pod.workload) else {
            return;
        };
        let Some(place) = pods.iter().position(|other| other.uid == pod.uid) else {
            return;
        };
        pods.remove(place);
        if let Some(addresses) = &mut self.addresses {
            addresses.release(pod.ip);
        }
    }
}
