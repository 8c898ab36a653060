//! The settings of a cluster, and its start. Must not live here: what is done with a running one
//! (`cluster`).

use std::sync::Arc;

use crate::{
    addr::AddressBlock,
    cluster::{Cluster, ControlPlane},
    dns::{BareSrv, Dns, Responder, Sockets},
    error::Error,
    event::Hub,
    names,
    registry::{Registry, Settings},
};

/// Settings for a new [`Cluster`].
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    namespace: String,
    zone: String,
    ttl: u32,
    seed: u64,
    dns_port: u16,
    dns_cache: bool,
    bare_srv: BareSrv,
    dual_stack: bool,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self {
            namespace: "default".to_owned(),
            zone: "cluster.local".to_owned(),
            ttl: 5,
            seed: 0,
            dns_port: 0,
            dns_cache: false,
            bare_srv: BareSrv::default(),
            dual_stack: false,
        }
    }
}

impl ClusterBuilder {
    /// Sets the namespace of everything in the cluster; `default` unless set.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = namespace.to_owned();
        self
    }

    /// Sets the cluster domain; `cluster.local` unless set.
    #[must_use]
    pub fn zone(mut self, zone: &str) -> Self {
        self.zone = zone.trim_end_matches('.').to_ascii_lowercase();
        self
    }

    /// Sets the TTL of all records in seconds, negative answers included; 5 unless set, as in
    /// CoreDNS.
    #[must_use]
    pub fn ttl(mut self, seconds: u32) -> Self {
        self.ttl = seconds;
        self
    }

    /// Sets the seed of shuffles, generated names and the search for a free address block; 0 unless
    /// set.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the DNS server's port; a free one unless set.
    #[must_use]
    pub fn dns_port(mut self, port: u16) -> Self {
        self.dns_port = port;
        self
    }

    /// Puts a cache in front of DNS: answers are kept for their TTL and returned with the remaining
    /// TTL.
    #[must_use]
    pub fn dns_cache(mut self, cache: bool) -> Self {
        self.dns_cache = cache;
        self
    }

    /// Sets how SRV queries for the bare Service name are answered; as in CoreDNS unless set.
    #[must_use]
    pub fn bare_srv(mut self, bare_srv: BareSrv) -> Self {
        self.bare_srv = bare_srv;
        self
    }

    /// Gives pods an IPv6 address in DNS besides their IPv4 one.
    ///
    /// The IPv6 loopback has a single address, so these are made up (`fd00::10:1:2` for
    /// 127.16.1.2), and nothing listens there.
    #[must_use]
    pub fn dual_stack(mut self, dual_stack: bool) -> Self {
        self.dual_stack = dual_stack;
        self
    }

    /// Reserves addresses and starts the DNS server. The cluster's tasks run on the runtime this is
    /// called on.
    ///
    /// # Errors
    /// [`Error::NoFreeBlock`], [`Error::Bind`], or [`Error::InvalidName`] for the namespace or the
    /// zone.
    ///
    /// # Cancel safety
    /// Safe: nothing is left behind.
    pub async fn start(self) -> Result<Cluster, Error> {
        names::check("namespace", &self.namespace)?;
        for label in self.zone.split('.') {
            names::check("label of the zone", label)?;
        }
        let addresses = AddressBlock::reserve(self.seed)?;
        let sockets = Sockets::bind(addresses.server_ip(), self.dns_port)?;
        let reservation = addresses.reservation();
        let dns_addr = sockets.addr;
        let settings = Settings {
            namespace: self.namespace,
            origin: self.zone,
            ttl: self.ttl,
            bare_srv: self.bare_srv,
            dual_stack: self.dual_stack,
        };
        let registry = Arc::new(Registry::new(settings, addresses, self.seed));
        let hub = Arc::new(Hub::default());
        let responder = Responder::new(Arc::clone(&registry), Arc::clone(&hub), self.seed, self.dns_cache);
        let responder = Arc::new(responder);
        let control = Arc::new(ControlPlane::new(registry, hub));
        let serving = sockets.serve(Arc::clone(&responder));
        control.spawn(async move {
            serving.await;
            drop(reservation);
        });
        Ok(Cluster::new(control, Dns::new(responder), dns_addr))
    }
}
