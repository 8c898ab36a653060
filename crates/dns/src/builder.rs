//! [`DnsResolverBuilder`]: the settings of a [`DnsResolver`], and the sources of their defaults.
//!
//! Files are read here, when the resolver is built, and parsed in `resolv_conf.rs`. No lookup
//! happens here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use headless_core::{PodName, Target};

use crate::error::ConfigError;
use crate::family::IpFamily;
use crate::lookup::Lookup;
use crate::name_servers::{NameServers, ServerSource};
use crate::params::LookupParams;
use crate::resolv_conf::ResolvConf;
use crate::resolver::DnsResolver;
use crate::strategy::{Naming, Plan};

/// The settings of a [`DnsResolver`]. Each has a default that suits a pod.
///
/// ```
/// use headless_dns::{DnsResolver, IpFamily};
///
/// let resolver = DnsResolver::builder("mysql:3306".parse()?)
///     .nameserver("127.0.0.1:5353".parse()?)
///     .namespace("shop")
///     .zone("cluster.local") // with these three given, no file is read
///     .stateful_set("mysql")
///     .family(IpFamily::V4Only)
///     .build()?;
/// assert_eq!(resolver.service_name().to_string(), "mysql.shop.svc.cluster.local");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct DnsResolverBuilder {
    target: Target,
    nameservers: Vec<SocketAddr>,
    namespace: Option<String>,
    zone: Option<String>,
    family: IpFamily,
    set: Option<String>,
    first_ordinal: u32,
    naming: Naming,
    timeout: Duration,
    external_name: bool,
    resolv_conf: PathBuf,
    namespace_file: PathBuf,
}

impl DnsResolver {
    /// Returns a builder for a resolver of `target`.
    pub fn builder(target: Target) -> DnsResolverBuilder {
        DnsResolverBuilder::new(target)
    }
}

impl DnsResolverBuilder {
    fn new(target: Target) -> Self {
        Self {
            target,
            nameservers: Vec::new(),
            namespace: None,
            zone: None,
            family: IpFamily::default(),
            set: None,
            first_ordinal: 0,
            naming: Naming::default(),
            timeout: TIMEOUT,
            external_name: false,
            resolv_conf: RESOLV_CONF.into(),
            namespace_file: NAMESPACE_FILE.into(),
        }
    }

    /// Adds a name server, which is asked over UDP and TCP.
    ///
    /// Name servers are asked in the order in which they were added; the next one is asked if one
    /// fails or does not answer. Default: those of `/etc/resolv.conf`, which is read again when
    /// they stop answering.
    pub fn nameserver(mut self, addr: SocketAddr) -> Self {
        self.nameservers.push(addr);
        self
    }

    /// Sets the namespace for a target that names none. Default: the pod's own namespace, from its
    /// service account or else from the search list of `resolv.conf`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets the cluster domain for a target that names none. Default: the domain in the search list
    /// of `resolv.conf`, or else `cluster.local`.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Sets which addresses of a pod are used. Default: [`IpFamily::PreferV4`].
    pub fn family(mut self, family: IpFamily) -> Self {
        self.family = family;
        self
    }

    /// Sets the StatefulSet (`.metadata.name`) whose pods have ordinals; other pods of the Service
    /// have names only.
    ///
    /// Default: each name of the form `<set>-<digits>` has an ordinal. With the set, ordinals are
    /// certain, and names can be found as `<set>-<k>` where the server has neither SRV nor PTR
    /// records. If the set does not exist, the first lookup fails.
    pub fn stateful_set(mut self, name: impl Into<String>) -> Self {
        self.set = Some(name.into());
        self
    }

    /// Sets the StatefulSet's first ordinal (`.spec.ordinals.start`). Default: 0.
    pub fn first_ordinal(mut self, ordinal: u32) -> Self {
        self.first_ordinal = ordinal;
        self
    }

    /// Sets how the pods' names are found. Default: [`Naming::Auto`].
    pub fn naming(mut self, naming: Naming) -> Self {
        self.naming = naming;
        self
    }

    /// Sets the longest time for one attempt. Default: 1 s.
    ///
    /// That is a thousand times what a cluster's DNS needs, and short enough that a lost packet
    /// does not delay a lookup much. Each question is tried twice; a name server that does not
    /// answer costs at most three times this.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets whether an answer may lead to another name (a CNAME), as for a Service of type
    /// ExternalName. Default: `false`, since CoreDNS's `autopath` can answer for a Service without
    /// pods with addresses from the Internet.
    pub fn allow_external_name(mut self, allow: bool) -> Self {
        self.external_name = allow;
        self
    }

    /// Sets the file that is read in place of `/etc/resolv.conf`.
    pub fn resolv_conf(mut self, path: impl Into<PathBuf>) -> Self {
        self.resolv_conf = path.into();
        self
    }

    /// Sets the file that is read in place of
    /// `/var/run/secrets/kubernetes.io/serviceaccount/namespace`.
    pub fn namespace_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.namespace_file = path.into();
        self
    }

    /// Builds the resolver. This reads the files that are needed, and sends nothing.
    ///
    /// # Errors
    /// [`ConfigError`] if no name server or no namespace can be found, a name cannot be parsed, or
    /// port, StatefulSet and naming do not fit together.
    pub fn build(self) -> Result<DnsResolver, ConfigError> {
        let shown = self.target.to_string();
        let plan = Plan::new(&shown, self.target.port(), self.naming, self.set.is_some())?;
        let conf = self.read_resolv_conf()?;
        let namespace = self.find_namespace(&conf)?;
        let zone = self.zone.as_deref().or(conf.zone()).unwrap_or(ZONE);
        let service = self.target.in_cluster(&namespace, zone)?;
        let set = self.set.as_deref().map(check_set).transpose()?;
        let (source, servers) = if self.nameservers.is_empty() {
            (ServerSource::File(self.resolv_conf), conf.nameservers)
        } else {
            (ServerSource::Fixed, self.nameservers)
        };
        let transport =
            NameServers::new(source, &servers, self.timeout).map_err(|problem| ConfigError::Transport { problem })?;
        let params = LookupParams {
            service,
            family: self.family,
            set,
            first_ordinal: self.first_ordinal,
            external_name: self.external_name,
        };
        let port = self.target.port().cloned();
        Ok(DnsResolver::new(Lookup::new(params, plan, Box::new(transport)), port))
    }

    /// Reads the file if one of its settings is missing. It must exist only if the name servers are
    /// missing.
    fn read_resolv_conf(&self) -> Result<ResolvConf, ConfigError> {
        let path = self.resolv_conf.display().to_string();
        if self.nameservers.is_empty() {
            let text = std::fs::read_to_string(&self.resolv_conf).map_err(|source| ConfigError::ResolvConf {
                path: path.clone(),
                source,
            })?;
            let conf = ResolvConf::parse(&text);
            return if conf.nameservers.is_empty() {
                Err(ConfigError::NoNameServer { path })
            } else {
                Ok(conf)
            };
        }
        let has_namespace = self.target.namespace().is_some() || self.namespace.is_some();
        let has_zone = self.target.zone().is_some() || self.zone.is_some();
        if has_namespace && has_zone {
            return Ok(ResolvConf::default());
        }
        Ok(std::fs::read_to_string(&self.resolv_conf)
            .map(|text| ResolvConf::parse(&text))
            .unwrap_or_default())
    }

    fn find_namespace(&self, conf: &ResolvConf) -> Result<String, ConfigError> {
        if let Some(namespace) = self.target.namespace().or(self.namespace.as_deref()) {
            return Ok(namespace.to_owned());
        }
        let mounted = std::fs::read_to_string(&self.namespace_file).map(|text| text.trim().to_owned());
        let mounted = mounted.ok().filter(|namespace| !namespace.is_empty());
        mounted
            .or_else(|| conf.namespace().map(ToOwned::to_owned))
            .ok_or_else(|| ConfigError::NoNamespace {
                target: self.target.to_string(),
                namespace_file: self.namespace_file.display().to_string(),
                resolv_conf: self.resolv_conf.display().to_string(),
            })
    }
}

/// Returns the set's name in lower case. It is valid if the names of its pods are.
fn check_set(set: &str) -> Result<Box<str>, ConfigError> {
    let pod: PodName = format!("{set}-0").parse()?;
    Ok(pod.set().unwrap_or(set).into())
}
/// See [`DnsResolverBuilder::timeout`].
const TIMEOUT: Duration = Duration::from_secs(1);
const RESOLV_CONF: &str = "/etc/resolv.conf";
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// The cluster domain of nearly every cluster.
const ZONE: &str = "cluster.local";
